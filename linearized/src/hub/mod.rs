//! The hub's part: turning LPDUs into PDUs, in one order for everybody (LM-04 §3.5.1, §5.1).
//!
//! ```text
//! VerifiedLpdu -> Proposal -> Hub::authorise -> Authorised -> Authorised::seal -> Sealed -> (store it) -> Hub::append
//! ```
//!
//! A [`Sealed`] event belongs to the head it was made for. Whoever embeds this stores it on condition that the head is
//! still the same, and only then appends it. That an LPDU is sealed once (reading R14) is the store's to see to, which
//! has the whole list.

mod proposal;
mod seal;
pub mod transfer;

use std::sync::Arc;

use proposal::Consent;
pub use proposal::{Authorised, Proposal};
pub use seal::{CountersignError, INVITE_RESERVE, Sealed};

use crate::auth::{self, AuthRule, Because, HubRule, Refusal, RoomRule};
use crate::encryption::Apart;
use crate::event::{Event, Recorded, RoomEvent, kind, needs_consent};
use crate::id::ServerName;
use crate::room::{Effect, Head, Room};
use crate::version::{RoomVersion, RoomVersions};

/// The room moved on since an event was made for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the head is {} by now", .now.event_id)]
pub struct HeadMoved {
    /// The head now.
    pub now: Head,
}

/// A recorded event that does not fit the room it is recorded for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// It does not follow the head.
    #[error("a recorded event does not follow the one before it: {0}")]
    Head(#[from] HeadMoved),
    /// Its commit does not follow the group.
    #[error("a recorded commit does not fit the group: {0}")]
    Commit(#[from] Refusal),
}

/// A room that this server is the hub of.
#[derive(Debug)]
pub struct Hub {
    room: Room,
    /// This server.
    name: ServerName,
}

impl Hub {
    /// Authorises the `m.room.create` of a new room (LM-04 §5.2.3 rule 3) and finds its room version.
    ///
    /// # Errors
    /// [`Refusal`] by rule 3.
    pub fn authorise_create(
        proposal: Proposal,
        versions: &RoomVersions,
    ) -> Result<(Authorised, Arc<RoomVersion>), Refusal> {
        let version = Arc::clone(auth::authorise_create(proposal.event(), &[], &[], versions)?);
        let authorised = Authorised {
            proposal,
            after: None,
            auth_events: Vec::new(),
            allowed_by: AuthRule::CreateAllowed,
            commit: None,
            consent: Consent::NotNeeded,
        };
        Ok((authorised, version))
    }

    /// Begins a room with its sealed and stored `m.room.create`; `None` if the event is another one.
    #[must_use]
    pub fn begin(create: Sealed, version: Arc<RoomVersion>) -> Option<Self> {
        let begins = create.after.is_none() && create.event.event().kind() == kind::CREATE;
        begins.then(|| Self::of(Room::begin(create.event, version)))
    }

    /// Begins a room with its recorded `m.room.create`.
    ///
    /// # Errors
    /// [`Refusal`] by rule 3.
    pub fn restore(create: Recorded, versions: &RoomVersions) -> Result<Self, Refusal> {
        let create = create.into_event();
        let version =
            auth::authorise_create(create.event(), create.auth_events(), create.prev_events(), versions)?;
        Ok(Self::of(Room::begin(create, Arc::clone(version))))
    }

    /// A room whose hub this server is.
    pub(crate) fn of(room: Room) -> Self {
        let name = room.hub().clone();
        Self { room, name }
    }

    /// The room.
    #[must_use]
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// The room, to restore its group.
    pub fn room_mut(&mut self) -> &mut Room {
        &mut self.room
    }

    /// Decides whether a proposed event may come next (LM-04 §4.3, §5.2; reading R11).
    ///
    /// # Errors
    /// [`Refusal`] names the rule.
    pub fn authorise(&self, proposal: Proposal) -> Result<Authorised, Refusal> {
        self.authorise_with(proposal, &Apart::default())
    }

    /// As [`Hub::authorise`], with what the event [needs](Room::needs) beside itself (reading R35).
    ///
    /// # Errors
    /// [`Refusal`] names the rule.
    pub fn authorise_with(&self, proposal: Proposal, apart: &Apart) -> Result<Authorised, Refusal> {
        self.is_still_hub()?;
        let event = proposal.event();
        self.room.check_room(event)?;
        if proposal.lpdu_id().is_some() {
            self.room.version().authorization.confirm(bound_to(event, self.room.hub()))?;
        }
        let state = self.room.select(event);
        let allowed_by = self.room.authorise(event, &state)?;
        let auth_events = self.room.version().authorization.to_cite(event, &state);
        let commit = self.room.stage_commit(event, apart)?;
        let consent = needs_consent(event, self.room.version()).map_or(Consent::NotNeeded, Consent::Needed);
        let after = Some(self.room.head().clone());
        Ok(Authorised { proposal, after, auth_events, allowed_by, commit, consent })
    }

    /// A server that has handed the room over seals nothing more (reading R32).
    fn is_still_hub(&self) -> Result<(), Refusal> {
        if self.name == *self.room.hub() {
            return Ok(());
        }
        let (found, expected) = (self.name.to_string(), self.room.hub().to_string());
        Err(Refusal::new(HubRule::HandedOver, Because::Differs { what: "this server", found, expected }))
    }

    /// Appends a sealed event that was stored.
    ///
    /// # Errors
    /// [`HeadMoved`] if it was sealed for another head.
    pub fn append(&mut self, sealed: Sealed) -> Result<Arc<RoomEvent>, HeadMoved> {
        if sealed.after.as_ref() != Some(self.room.head()) {
            return Err(HeadMoved { now: self.room.head().clone() });
        }
        Ok(self.room.apply(sealed.event, Effect::Applied, sealed.commit))
    }

    /// Appends a recorded event when a room is read back. `follow_commit` says whether the group has yet to follow
    /// its commit, or was restored from a snapshot that has.
    ///
    /// # Errors
    /// [`ReplayError`] if the event does not follow the head, or its commit the group.
    pub fn replay(&mut self, recorded: Recorded, follow_commit: bool) -> Result<(), ReplayError> {
        self.replay_with(recorded, follow_commit, &Apart::default())
    }

    /// As [`Hub::replay`], with what the event [needs](Room::needs) beside itself (reading R35).
    ///
    /// # Errors
    /// [`ReplayError`] if the event does not follow the head, or its commit the group.
    pub fn replay_with(
        &mut self,
        recorded: Recorded,
        follow_commit: bool,
        apart: &Apart,
    ) -> Result<(), ReplayError> {
        let event = recorded.into_event();
        if *event.prev_events() != [self.room.head().event_id.clone()] {
            return Err(HeadMoved { now: self.room.head().clone() }.into());
        }
        let commit = if follow_commit { self.room.stage_commit(event.event(), apart)? } else { None };
        self.room.apply(event, Effect::Applied, commit);
        Ok(())
    }
}

/// An LPDU names the hub it is for (reading R10).
fn bound_to(event: &Event, hub: &ServerName) -> Result<(), Refusal> {
    if event.hub_server() == Some(hub) {
        return Ok(());
    }
    let found = event.hub_server().map(ToString::to_string).unwrap_or_default();
    let because = Because::Differs { what: "hub_server", found, expected: hub.to_string() };
    Err(Refusal::new(RoomRule::OtherHub, because))
}

#[cfg(test)]
mod tests;
