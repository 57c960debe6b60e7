//! Rooms: their lists, the state they started from, and what was rejected.

use std::sync::Arc;

use async_trait::async_trait;
use mimi_linearized::id::{EventId, RoomId, ServerName, UserId};
use mimi_linearized::room::{Effect, Place, Position};
use serde::{Deserialize, Serialize};

use super::{StoreError, encoding};

/// An event to be appended to a room's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRecord {
    /// Its id.
    pub event_id: EventId,
    /// What tells the LPDU it was made of apart from others of the room, if there was one: its id, where that covers
    /// its contents.
    pub lpdu_id: Option<EventId>,
    /// What it does to the room.
    #[serde(with = "encoding::effect")]
    pub effect: Effect,
    /// Its canonical JSON.
    #[serde(with = "encoding::bytes")]
    pub bytes: Arc<[u8]>,
    /// The server that sent it here, if it came from outside.
    pub origin: Option<ServerName>,
    /// The transaction it came in.
    pub txn_id: Option<String>,
    /// The servers it goes to. Each that has no cursor in this room yet gets one that starts at this event.
    pub queue_for: Vec<ServerName>,
}

/// An event of a room's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the list, from 0.
    pub position: Position,
    /// Its id.
    pub event_id: EventId,
    /// What tells the LPDU it was made of apart from others of the room, if there was one: its id, where that covers
    /// its contents.
    pub lpdu_id: Option<EventId>,
    /// What it does to the room.
    pub effect: Effect,
    /// Its canonical JSON.
    pub bytes: Arc<[u8]>,
    /// The server that sent it here, if it came from outside.
    pub origin: Option<ServerName>,
    /// The transaction it came in.
    pub txn_id: Option<String>,
}

/// The end of the list that an append counts on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExpectedHead {
    /// The list is empty; it begins here.
    Empty,
    /// The list ends with this event.
    Event(EventId),
}

/// Why an event was not appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The list ends elsewhere.
    #[error("the room's list ends elsewhere by now")]
    HeadMoved,
    /// The store failed; the event may or may not have been appended.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where an event stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Its room.
    pub room_id: RoomId,
    /// Its place in the list, from 0.
    pub position: Position,
}

/// An event of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotEvent {
    /// Its id.
    pub event_id: EventId,
    /// Its canonical JSON.
    #[serde(with = "encoding::bytes")]
    pub bytes: Arc<[u8]>,
}

/// The state that a participant's list starts from (reading R13).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSnapshot {
    /// The room's hub.
    pub hub: ServerName,
    /// The event that the first event of the list follows.
    pub prev: EventId,
    /// The state.
    pub state: Vec<SnapshotEvent>,
    /// What the state cites, directly or not.
    pub chain: Vec<SnapshotEvent>,
}

/// Something a peer sent that breaks a rule, kept with the rule (reading R13).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The room it was sent for.
    pub room_id: RoomId,
    /// The id of what was sent.
    pub event_id: EventId,
    /// Who sent it.
    pub origin: ServerName,
    /// The rule it breaks.
    pub rule: String,
    /// How.
    pub detail: String,
    /// Its JSON.
    #[serde(with = "encoding::bytes")]
    pub bytes: Arc<[u8]>,
}

/// An invite that a local user has not answered (LM-04 §12.7.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRecord {
    /// The room.
    pub room_id: RoomId,
    /// The invited user.
    pub user_id: UserId,
    /// The server that sent the invite: the room's hub.
    pub hub: ServerName,
    /// The room's version.
    pub room_version: String,
    /// The invite's id.
    pub event_id: EventId,
}

/// Rooms.
#[async_trait]
pub trait RoomStore: Send + Sync + std::fmt::Debug + 'static {
    /// Appends one event if the list ends where `expected` says. Returns its position.
    ///
    /// An event has one place in one list. One that is in a list already is refused: with [`AppendError::HeadMoved`]
    /// if the list has gone on, as after a repetition, and with [`StoreError::Malformed`] if it ends where `expected`
    /// says all the same. Event ids are hashes that cover the predecessor, so the second cannot happen to a sound list,
    /// and trying again would not help.
    async fn append(
        &self,
        room_id: &RoomId,
        expected: ExpectedHead,
        record: NewRecord,
    ) -> Result<Position, AppendError>;

    /// The rooms that have a list or a snapshot, in no particular order.
    async fn rooms(&self) -> Result<Vec<RoomId>, StoreError>;

    /// Up to `limit` events from `from` on, in order.
    async fn records(
        &self,
        room_id: &RoomId,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// The canonical JSON of events of a room that were stored at these places, in the order asked for. One that is not
    /// there is [`StoreError::Malformed`]: whoever asks has seen it stored.
    async fn read_back(
        &self,
        room_id: &RoomId,
        wanted: Vec<(EventId, Place)>,
    ) -> Result<Vec<Arc<[u8]>>, StoreError>;

    /// The number of events in the list; 0 for an unknown room.
    async fn length(&self, room_id: &RoomId) -> Result<u64, StoreError>;

    /// Where an event stands, in any room.
    async fn locate(&self, event_id: &EventId) -> Result<Option<Location>, StoreError>;

    /// The first event in a room's list that was made of this LPDU.
    async fn record_of_lpdu(&self, room_id: &RoomId, lpdu_id: &EventId)
    -> Result<Option<Record>, StoreError>;

    /// Keeps the state that a list starts from, in place of an earlier one.
    async fn put_snapshot(&self, room_id: &RoomId, snapshot: StoredSnapshot) -> Result<(), StoreError>;

    /// The state that a list starts from; `None` if the list starts with `m.room.create`.
    async fn snapshot(&self, room_id: &RoomId) -> Result<Option<StoredSnapshot>, StoreError>;

    /// Keeps a snapshot of a room's MLS group that has followed the list up to, not including, `position`, in place of
    /// one that has not followed it further. Lost snapshots cost time, not correctness.
    async fn put_group(
        &self,
        room_id: &RoomId,
        position: Position,
        snapshot: Vec<u8>,
    ) -> Result<(), StoreError>;

    /// The latest snapshot of a room's MLS group, with the position it has followed the list to.
    async fn group(&self, room_id: &RoomId) -> Result<Option<(Position, Vec<u8>)>, StoreError>;

    /// Keeps evidence; the same event once.
    async fn put_evidence(&self, evidence: Evidence) -> Result<(), StoreError>;

    /// The evidence of a room, oldest first, at most `limit` items.
    async fn evidence(&self, room_id: &RoomId, limit: usize) -> Result<Vec<Evidence>, StoreError>;

    /// Keeps an invite in place of an earlier one of the same user to the same room.
    async fn put_invite(&self, invite: InviteRecord) -> Result<(), StoreError>;

    /// A user's pending invite to a room.
    async fn invite(&self, room_id: &RoomId, user_id: &UserId) -> Result<Option<InviteRecord>, StoreError>;

    /// Forgets a user's pending invite to a room, if there is one.
    async fn remove_invite(&self, room_id: &RoomId, user_id: &UserId) -> Result<(), StoreError>;
}
