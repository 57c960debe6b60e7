//! The state that a participant starts from (LM-04 §12.7.3.2, reading R13).

use std::collections::HashSet;
use std::sync::Arc;

use super::{Participant, Verdict, succession};
use crate::auth::{self, Refusal};
use crate::event::{Recorded, RoomEvent, VerifiedPdu, kind};
use crate::id::{EventId, RoomId, ServerName};
use crate::room::Room;
use crate::version::{HubSelection, RoomVersions};

/// Why a hub's answer to `send_join` is no state to start from: the hub's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// There is no `m.room.create`, or more than one.
    #[error("the state has no m.room.create")]
    NoCreate,
    /// The `m.room.create` is not allowed.
    #[error("the room's m.room.create is not allowed: {0}")]
    Create(#[source] Refusal),
    /// The room has another hub than the server that answered.
    #[error("the hub of the room is {0}")]
    OtherHub(ServerName),
    /// An event is of another room, or no state event, or fills a slot that another one fills.
    #[error("{0} does not belong in the state")]
    Stray(EventId),
    /// The event that joins the room is not a sound next event.
    #[error("the hub's event is not sound: {0}")]
    Event(#[source] Refusal),
    /// A server became the hub without its consent, or by the word of another server than the hub before it
    /// (reading R32).
    #[error("{event} did not make its server the hub: {refusal}")]
    Succession {
        /// The `m.room.hub` event.
        event: EventId,
        /// The rule it breaks.
        #[source]
        refusal: Refusal,
    },
    /// The event that joins the room does not follow one event.
    #[error("the hub's event has no single predecessor")]
    Predecessor,
}

/// A checked state, and what came after it.
#[derive(Debug)]
pub struct Snapshot {
    create: RoomEvent,
    state: Vec<RoomEvent>,
    chain: Vec<RoomEvent>,
    prev: EventId,
}

impl Snapshot {
    /// Checks a hub's answer for shape: one `m.room.create`, all events of the one room, every slot filled once.
    ///
    /// # Errors
    /// [`SnapshotError`] says what does not fit, or who did not consent to be the hub.
    pub fn new(
        room: &RoomId,
        state: Vec<VerifiedPdu>,
        chain: Vec<VerifiedPdu>,
        prev: EventId,
    ) -> Result<Self, SnapshotError> {
        let events = |pdus: Vec<VerifiedPdu>| pdus.into_iter().map(VerifiedPdu::into_event).collect();
        state.iter().chain(&chain).try_for_each(succession::check_consent)?;
        Self::assemble(room, events(state), events(chain), prev)
    }

    /// Reads a snapshot back from a record.
    ///
    /// # Errors
    /// [`SnapshotError`] as for a new one.
    pub fn recorded(
        room: &RoomId,
        state: Vec<Recorded>,
        chain: Vec<Recorded>,
        prev: EventId,
    ) -> Result<Self, SnapshotError> {
        let events = |records: Vec<Recorded>| records.into_iter().map(Recorded::into_event).collect();
        Self::assemble(room, events(state), events(chain), prev)
    }

    fn assemble(
        room: &RoomId,
        state: Vec<RoomEvent>,
        chain: Vec<RoomEvent>,
        prev: EventId,
    ) -> Result<Self, SnapshotError> {
        let mut slots = HashSet::new();
        for event in &state {
            let slot = event.event().state_key().map(|key| (event.event().kind(), key));
            let fits = event.event().room_id() == room && slot.is_some_and(|slot| slots.insert(slot));
            if !fits {
                return Err(SnapshotError::Stray(event.id().clone()));
            }
        }
        if let Some(stray) = chain.iter().find(|event| event.event().room_id() != room) {
            return Err(SnapshotError::Stray(stray.id().clone()));
        }
        let (create, state): (Vec<_>, Vec<_>) =
            state.into_iter().partition(|event| event.event().is_state(kind::CREATE, ""));
        let create = create.into_iter().next().ok_or(SnapshotError::NoCreate)?;
        Ok(Self { create, state, chain, prev })
    }

    /// The events of the state, `m.room.create` first.
    pub fn state(&self) -> impl Iterator<Item = &RoomEvent> {
        std::iter::once(&self.create).chain(&self.state)
    }

    /// The events that the state cites, directly or not.
    #[must_use]
    pub fn chain(&self) -> &[RoomEvent] {
        &self.chain
    }

    /// The event that the first event of the list follows.
    #[must_use]
    pub fn prev(&self) -> &EventId {
        &self.prev
    }
}

impl Participant {
    /// Starts from a snapshot, without any event of the list yet.
    ///
    /// # Errors
    /// [`SnapshotError`] if the `m.room.create` is not allowed, or makes another server than `hub` the hub.
    pub fn start(
        snapshot: Snapshot,
        hub: &ServerName,
        versions: &RoomVersions,
    ) -> Result<Self, SnapshotError> {
        let Snapshot { create, state, chain, prev } = snapshot;
        let version =
            auth::authorise_create(create.event(), create.auth_events(), create.prev_events(), versions)
                .map_err(SnapshotError::Create)?;
        if version.hub_selection == HubSelection::StateEvent {
            succession::check(&create, &state, &chain)?;
        }
        let room = Room::from_snapshot(create, Arc::clone(version), state, chain, prev);
        if room.hub() != hub {
            return Err(SnapshotError::OtherHub(room.hub().clone()));
        }
        Ok(Self::new(room))
    }

    /// Judges the event that the hub made of this server's join, the first of the list.
    ///
    /// # Errors
    /// [`SnapshotError`] if the event is not a sound next event.
    pub fn judge_first(&self, join: VerifiedPdu) -> Result<super::Extension, SnapshotError> {
        match self.judge(join, false) {
            Verdict::Extends(extension) => Ok(extension),
            Verdict::Rejected(rejected) => Err(SnapshotError::Event(rejected.refusal)),
            Verdict::Gap { .. } => Err(SnapshotError::Predecessor),
        }
    }
}
