//! What is shown of a room: to other servers as far as they may see it, and to whoever drives this server.

use std::collections::BTreeMap;
use std::sync::Arc;

use mimi_linearized::event::{Recorded, kind, redact};
use mimi_linearized::id::{EventId, RoomId, ServerName};
use mimi_linearized::json::canonical;
use mimi_linearized::room::{Effect, Position, Room, Visibility};

use super::past::RememberedState;
use super::{Role, RoomError, StateAt};
use crate::node::Node;
use crate::store::Record;

/// An event as it is served: whole, or redacted.
pub type Served = Arc<[u8]>;

/// A room in short.
#[derive(Debug)]
pub struct RoomSummary {
    /// Its hub.
    pub hub: ServerName,
    /// The last event of the list, or what the first one will follow.
    pub head: EventId,
    /// The number of events in the list.
    pub length: u64,
    /// Every user with a membership event, and the membership.
    pub members: BTreeMap<String, String>,
    /// The epoch after the last accepted commit, in an encrypted room.
    pub mls_epoch: Option<u64>,
    /// Whether the hub went on from an event that this server rejects.
    pub disputed: bool,
}

impl Node {
    /// An event by its id, as far as a server may see it.
    pub(crate) async fn serve_event(
        &self,
        id: &EventId,
        to: &ServerName,
    ) -> Result<Option<Served>, RoomError> {
        let Some(location) = self.store.locate(id).await? else { return Ok(None) };
        let Some(cell) = self.room(&location.room_id).await? else { return Ok(None) };
        let mut records = self.store.records(&location.room_id, location.position, 1).await?;
        let Some(record) = records.pop() else { return Ok(None) };
        let role = cell.lock().await;
        let Some(room) = role.as_ref().map(Role::room) else { return Err(RoomError::OutOfStep) };
        self.policy.rooms().check_server(room, to).map_err(RoomError::Forbidden)?;
        served(room, &record, to)
    }

    /// Up to `limit` events that end with the event `id`, oldest first, as far as a server may see them. `None` if
    /// there is no such event in the room, or the server may not know.
    pub(crate) async fn serve_history(
        &self,
        room_id: &RoomId,
        id: &EventId,
        limit: usize,
        to: &ServerName,
    ) -> Result<Option<Vec<Served>>, RoomError> {
        let Some((cell, position)) = self.find(room_id, id).await? else { return Ok(None) };
        let count = u64::try_from(limit).unwrap_or(u64::MAX).min(position.saturating_add(1));
        let from = position.saturating_add(1).saturating_sub(count);
        let records = self.store.records(room_id, from, usize::try_from(count).unwrap_or(limit)).await?;
        let role = cell.lock().await;
        let Some(room) = role.as_ref().map(Role::room) else { return Err(RoomError::OutOfStep) };
        self.policy.rooms().check_server(room, to).map_err(RoomError::Forbidden)?;
        let mut events = Vec::with_capacity(records.len());
        for record in records.iter().rev() {
            // The list is served without gaps, as far back as it may be seen.
            match served(room, record, to)? {
                Some(event) => events.push(event),
                None => break,
            }
        }
        events.reverse();
        Ok((!events.is_empty()).then_some(events))
    }

    /// The state before the event `id`, with what it cites, as far as a server may see it (reading R48). `None` if there
    /// is no such event in the room, or the server may not know. This server must be the hub.
    pub(crate) async fn serve_state(
        &self,
        room_id: &RoomId,
        id: &EventId,
        to: &ServerName,
    ) -> Result<Option<StateAt>, RoomError> {
        let Some((cell, position)) = self.find(room_id, id).await? else { return Ok(None) };
        let Some(record) = self.store.records(room_id, position, 1).await?.pop() else { return Ok(None) };
        let role = cell.lock().await;
        let Some(room) = role.as_ref().map(Role::room) else { return Err(RoomError::OutOfStep) };
        self.policy.rooms().check_server(room, to).map_err(RoomError::Forbidden)?;
        let event = Recorded::read(&record.bytes, &record.event_id, room.version())?;
        let visibility = room.visibility(to, position, event.event());
        if visibility == Visibility::None {
            return Ok(None);
        }
        // Events of these two types are shown to more servers than the state before them.
        let special = [kind::MLS_COMMIT, kind::HISTORY_VISIBILITY].contains(&event.event().event().kind());
        let whole =
            visibility == Visibility::Full && (!special || room.presence().was_joined_around(to, position));
        let at = RememberedState::before(room, position);
        drop(role);
        let StateAt { state, chain } = at.read(&*self.store, room_id).await?;
        if whole {
            return Ok(Some(StateAt { state, chain }));
        }
        let (state, chain) = (self.shown(&cell, state, to).await?, self.shown(&cell, chain, to).await?);
        Ok(Some(StateAt { state, chain }))
    }

    /// Events of a state, redacted where a server may not see their contents.
    async fn shown(
        &self,
        cell: &super::Cell,
        events: Vec<(EventId, Served)>,
        to: &ServerName,
    ) -> Result<Vec<(EventId, Served)>, RoomError> {
        let mut shown = Vec::with_capacity(events.len());
        for (id, bytes) in events {
            let location = self.store.locate(&id).await?;
            let role = cell.lock().await;
            let Some(room) = role.as_ref().map(Role::room) else { return Err(RoomError::OutOfStep) };
            let event = Recorded::read(&bytes, &id, room.version())?;
            let visibility = location.map(|location| room.visibility(to, location.position, event.event()));
            let bytes = if visibility == Some(Visibility::Full) { bytes } else { redacted(room, &event) };
            shown.push((id, bytes));
        }
        Ok(shown)
    }

    async fn find(
        &self,
        room_id: &RoomId,
        id: &EventId,
    ) -> Result<Option<(Arc<super::Cell>, Position)>, RoomError> {
        let location = self.store.locate(id).await?;
        let Some(location) = location.filter(|location| location.room_id == *room_id) else {
            return Ok(None);
        };
        Ok(self.room(room_id).await?.map(|cell| (cell, location.position)))
    }

    /// A room in short; `None` if it is not known.
    ///
    /// # Errors
    /// [`RoomError`] if the store fails.
    pub async fn summary(&self, room_id: &RoomId) -> Result<Option<RoomSummary>, RoomError> {
        let Some(cell) = self.room(room_id).await? else { return Ok(None) };
        let role = cell.lock().await;
        let Some(room) = role.as_ref().map(Role::room) else { return Ok(None) };
        let members = room.state().current_of(kind::MEMBER).filter_map(|event| {
            let event = event.event();
            Some((event.state_key()?.to_owned(), event.membership()?.to_owned()))
        });
        Ok(Some(RoomSummary {
            hub: room.hub().clone(),
            head: room.head().event_id.clone(),
            length: room.head().length,
            members: members.collect(),
            mls_epoch: room.encryption().epoch(),
            disputed: room.is_disputed(),
        }))
    }

    /// A room's current state; `None` if it is not known.
    ///
    /// # Errors
    /// [`RoomError`] if the store fails.
    pub async fn current_state(&self, room_id: &RoomId) -> Result<Option<Vec<Served>>, RoomError> {
        let Some(cell) = self.room(room_id).await? else { return Ok(None) };
        let role = cell.lock().await;
        let Some(room) = role.as_ref().map(Role::room) else { return Ok(None) };
        Ok(Some(room.state().all_current().map(|event| Arc::clone(event.bytes())).collect()))
    }

    /// Up to `limit` events of a room's list from `from` on, and the place to go on from, if there is more. `None` if
    /// the room is not known. Events that are in the list as rejected or soft-failed are left out: users are not shown
    /// them (`LM-04/2/2`).
    ///
    /// # Errors
    /// [`RoomError`] if the store fails.
    pub async fn list(
        &self,
        room_id: &RoomId,
        from: Position,
        limit: usize,
    ) -> Result<Option<(Vec<Served>, Option<Position>)>, RoomError> {
        if self.room(room_id).await?.is_none() {
            return Ok(None);
        }
        let records = self.store.records(room_id, from, limit).await?;
        let length = self.store.length(room_id).await?;
        let end = records.last().map_or(from, |record| record.position.saturating_add(1));
        let shown = records.into_iter().filter(|record| record.effect == Effect::Applied);
        Ok(Some((shown.map(|record| record.bytes).collect(), (end < length).then_some(end))))
    }
}

/// A record as a server may see it.
fn served(room: &Room, record: &Record, to: &ServerName) -> Result<Option<Served>, RoomError> {
    if record.effect == Effect::Rejected {
        return Ok(None);
    }
    let event = Recorded::read(&record.bytes, &record.event_id, room.version())?;
    match room.visibility(to, record.position, event.event()) {
        Visibility::Full => Ok(Some(Arc::clone(&record.bytes))),
        Visibility::Redacted => Ok(Some(redacted(room, &event))),
        Visibility::None => Ok(None),
    }
}

/// An event without what redaction takes away.
fn redacted(room: &Room, event: &Recorded) -> Served {
    let mut object = event.event().event().as_object().clone();
    redact(&mut object, &room.version().redaction);
    canonical::object_to_vec(&object).into()
}
