//! A hub accepting events: authorise, seal, store, append, deliver.

use std::sync::Arc;

use mimi_linearized::encryption::Devices;
use mimi_linearized::event::{Draft, RoomEvent};
use mimi_linearized::hub::{Hub, Proposal, Sealed};
use mimi_linearized::id::{EventId, ServerName};
use mimi_linearized::room::{Effect, Position, Room};
use mimi_linearized::version::RoomVersion;
use mimi_mls::DeviceAddress;

use super::others::{ATTEMPTS, Part};
use super::{Cell, Role, RoomError, settle};
use crate::devices::LeavesOf;
use crate::keys::Asker;
use crate::node::Node;
use crate::store::{ExpectedHead, NewRecord};

/// Where an event came from.
#[derive(Debug, Clone, Default)]
pub struct Provenance {
    /// The server that sent it; `None` for a local user's.
    pub origin: Option<ServerName>,
    /// The transaction it came in.
    pub txn_id: Option<String>,
}

impl Provenance {
    /// On whose behalf keys are fetched for it.
    pub(super) fn asker(&self) -> Option<Asker> {
        self.origin.clone().map(Asker::Server)
    }
}

impl Node {
    /// Takes a proposed event through the whole of a hub's path into a room, or finds it there already (reading R14).
    /// While other servers are asked for devices, the room is free.
    pub(super) async fn accept_into(
        &self,
        cell: &Cell,
        proposal: Proposal,
        from: &Provenance,
    ) -> Result<Accepted, RoomError> {
        let accepted = self.accept_uncounted(cell, proposal, from).await;
        if let Err(RoomError::Refused(refusal)) = &accepted {
            self.metrics.refused(refusal);
        }
        accepted
    }

    async fn accept_uncounted(
        &self,
        cell: &Cell,
        proposal: Proposal,
        from: &Provenance,
    ) -> Result<Accepted, RoomError> {
        let unknown = match self.accept_once(cell, proposal.clone(), from, None).await? {
            Attempt::Done(accepted) => return Ok(accepted),
            Attempt::AskFirst(unknown) => unknown,
        };
        let asked = self.ask_for_devices(&unknown).await;
        match self.accept_once(cell, proposal, from, Some(&asked)).await? {
            Attempt::Done(accepted) => Ok(accepted),
            // What was asked for is not asked for again.
            Attempt::AskFirst(_) => Err(RoomError::Busy),
        }
    }

    async fn accept_once(
        &self,
        cell: &Cell,
        proposal: Proposal,
        from: &Provenance,
        asked: Option<&Devices>,
    ) -> Result<Attempt, RoomError> {
        let mut role = cell.lock().await;
        let Some(hub) = role.as_mut().and_then(Role::as_hub) else { return Err(RoomError::OutOfStep) };
        let result = self.accept(hub, proposal, from, asked).await;
        settle(&mut role, result)
    }

    /// Judges a proposal and appends what is made of it; again if another process appended something else first.
    async fn accept(
        &self,
        hub: &mut Hub,
        proposal: Proposal,
        from: &Provenance,
        asked: Option<&Devices>,
    ) -> Result<Attempt, RoomError> {
        for _ in 0..ATTEMPTS {
            let result = self.accept_as_it_is(hub, proposal.clone(), from, asked).await;
            if !self.is_overtaken(&result) {
                return result;
            }
            self.advance(Part::Hub(hub)).await?;
        }
        Err(RoomError::Busy)
    }

    async fn accept_as_it_is(
        &self,
        hub: &mut Hub,
        proposal: Proposal,
        from: &Provenance,
        asked: Option<&Devices>,
    ) -> Result<Attempt, RoomError> {
        if let Some(id) = self.sealed_before(hub, &proposal).await? {
            return Ok(Attempt::Done(Accepted::Already(id)));
        }
        self.check_invite(proposal.event()).await?;
        self.policy.rooms().check_event(hub.room(), proposal.event()).map_err(RoomError::Forbidden)?;
        let version = Arc::clone(hub.room().version());
        let authorised = {
            let apart = self.apart_here(hub.room(), proposal.event()).await?;
            hub.authorise_with(proposal, &apart)?
        };
        if let Some(commit) = authorised.commit()
            && let LeavesOf::Unknown(devices) = self.check_leaves(commit, asked).await?
        {
            return Ok(Attempt::AskFirst(devices));
        }
        let sealed = authorised.seal(&self.name, &self.key(), &version, 0)?;
        Ok(Attempt::Done(Accepted::Now(self.append(hub, sealed, from).await?)))
    }

    /// The event that was made of a proposed LPDU before, if it comes again.
    pub(super) async fn sealed_before(
        &self,
        hub: &Hub,
        proposal: &Proposal,
    ) -> Result<Option<EventId>, RoomError> {
        let Some(key) = proposal.lpdu_key(hub.room().version()) else { return Ok(None) };
        let record = self.store.record_of_lpdu(hub.room().id(), &key).await?;
        Ok(record.map(|record| record.event_id))
    }

    /// Stores a sealed event and then appends it. Nothing is acknowledged before it is stored.
    pub(super) async fn append(
        &self,
        hub: &mut Hub,
        sealed: Sealed,
        from: &Provenance,
    ) -> Result<Arc<RoomEvent>, RoomError> {
        let expected = match sealed.after() {
            None => ExpectedHead::Empty,
            Some(head) => ExpectedHead::Event(head.event_id.clone()),
        };
        let targets = self.elsewhere(hub.room(), sealed.event());
        let record = record_of(hub.room().version(), sealed.event(), Effect::Applied, from, targets.clone());
        self.keep_named(hub.room().id(), sealed.event().event()).await?;
        let position = self.store.append(hub.room().id(), expected, record).await?;
        let epoch = hub.room().encryption().epoch();
        let event = hub.append(sealed)?;
        self.keep_group(hub.room(), epoch, position, &event).await;
        self.applied(hub.room(), &event).await;
        for target in &targets {
            self.wake(target);
        }
        Ok(event)
    }

    /// A local user's event, which is no commit, in a room of which this server is the hub.
    pub(super) async fn accept_own(&self, hub: &mut Hub, draft: Draft) -> Result<Arc<RoomEvent>, RoomError> {
        let proposal = Proposal::of_own(draft, hub.room().version())?;
        match self.accept_plain(hub, proposal, &Provenance::default()).await? {
            Accepted::Now(event) => Ok(event),
            Accepted::Already(_) => Err(RoomError::OutOfStep),
        }
    }

    /// As [`Node::accept_into`], for a room that is locked already and an event that is no commit.
    pub(super) async fn accept_plain(
        &self,
        hub: &mut Hub,
        proposal: Proposal,
        from: &Provenance,
    ) -> Result<Accepted, RoomError> {
        match self.accept(hub, proposal, from, None).await? {
            Attempt::Done(accepted) => Ok(accepted),
            Attempt::AskFirst(_) => Err(RoomError::OutOfStep),
        }
    }

    /// The other servers that an event which comes next goes to.
    fn elsewhere(&self, room: &Room, event: &RoomEvent) -> Vec<ServerName> {
        let mut targets = room.presence().targets_of_next(event.event());
        targets.retain(|server| *server != self.name);
        targets
    }

    /// Keeps the MLS group after the event at `position`, if that changed it.
    pub(super) async fn keep_group(
        &self,
        room: &Room,
        epoch_before: Option<u64>,
        position: Position,
        event: &RoomEvent,
    ) {
        let Some(tracker) = room.encryption().tracker().filter(|_| room.encryption().epoch() != epoch_before)
        else {
            return;
        };
        let kept = match tracker.snapshot() {
            Ok(snapshot) => {
                let kept = self.store.put_group(room.id(), position.saturating_add(1), snapshot).await;
                kept.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = kept {
            // The list has the commit: the group follows it again after a restart.
            tracing::warn!(room = %room.id(), error, "the MLS group could not be kept");
        }
        self.keep_tree(room, event.event(), position).await;
    }
}

/// How far a proposed event got that was not refused.
#[derive(Debug)]
enum Attempt {
    /// To the end.
    Done(Accepted),
    /// Not into the list: these devices have to be asked for first.
    AskFirst(Vec<DeviceAddress>),
}

/// What became of a proposed event that was not refused.
#[derive(Debug)]
pub(super) enum Accepted {
    /// It was appended.
    Now(Arc<RoomEvent>),
    /// It had been sealed before, as the event with this id.
    Already(EventId),
}

/// The record of an event.
pub(super) fn record_of(
    version: &RoomVersion,
    event: &RoomEvent,
    effect: Effect,
    from: &Provenance,
    queue_for: Vec<ServerName>,
) -> NewRecord {
    NewRecord {
        event_id: event.id().clone(),
        lpdu_id: event.lpdu_key(version),
        effect,
        bytes: Arc::clone(event.bytes()),
        origin: from.origin.clone(),
        txn_id: from.txn_id.clone(),
        queue_for,
    }
}
