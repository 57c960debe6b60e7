//! Delivery: cursors into rooms' lists, LPDUs and EDUs on their way out, and the one transaction in flight.

use std::sync::Arc;

use async_trait::async_trait;
use mimi_linearized::id::{EventId, RoomId, ServerName, UserId};
use mimi_linearized::room::Position;
use serde::{Deserialize, Serialize};

use super::{InboxItem, StoreError, encoding};

/// How far a destination has been sent a room's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The room.
    pub room_id: RoomId,
    /// The next event to look at.
    pub position: Position,
    /// The length of the list.
    pub length: u64,
}

/// Something on its way to one server that is not in a room's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outgoing {
    /// A local user's LPDU for the hub.
    Lpdu {
        /// The room.
        room_id: RoomId,
        /// Who sent it; told if the hub refuses it.
        sender: UserId,
        /// Its id.
        lpdu_id: EventId,
        /// Its canonical JSON.
        #[serde(with = "encoding::bytes")]
        bytes: Arc<[u8]>,
    },
    /// An EDU.
    Edu {
        /// Its JSON.
        #[serde(with = "encoding::bytes")]
        bytes: Arc<[u8]>,
    },
}

/// An [`Outgoing`] with its place in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingItem {
    /// Its place: items go out in this order.
    pub sequence: i64,
    /// What it is.
    pub outgoing: Outgoing,
}

/// A stretch of a room's list that a transaction carries: what of it concerns the destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlightRange {
    /// The room.
    pub room_id: RoomId,
    /// The first event looked at.
    pub from: Position,
    /// The event after the last one looked at.
    pub to: Position,
}

/// A transaction that was begun and not yet answered. It names what it carries; its body is made of that again for
/// each attempt, and is always the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// Its id.
    pub txn_id: String,
    /// The stretches of rooms' lists.
    pub ranges: Vec<FlightRange>,
    /// The places in the queue of the items.
    pub items: Vec<i64>,
}

/// Delivery.
#[async_trait]
pub trait DeliveryStore: Send + Sync + 'static {
    /// Every destination that has a flight, a waiting item, or a cursor before the end of its room's list.
    async fn destinations(&self) -> Result<Vec<ServerName>, StoreError>;

    /// The destination's cursors that are before the end of their room's list.
    async fn lagging_cursors(&self, destination: &ServerName) -> Result<Vec<Cursor>, StoreError>;

    /// The servers that have a cursor in a room.
    async fn room_destinations(&self, room_id: &RoomId) -> Result<Vec<ServerName>, StoreError>;

    /// Puts something in a destination's queue. Returns its place.
    async fn enqueue(&self, destination: &ServerName, outgoing: Outgoing) -> Result<i64, StoreError>;

    /// The first items of a destination's queue: at most `lpdus` LPDUs and `edus` EDUs, in order.
    async fn waiting(
        &self,
        destination: &ServerName,
        lpdus: usize,
        edus: usize,
    ) -> Result<Vec<OutgoingItem>, StoreError>;

    /// The items of a queue with these places, in order; those that are gone are left out.
    async fn items(
        &self,
        destination: &ServerName,
        sequences: &[i64],
    ) -> Result<Vec<OutgoingItem>, StoreError>;

    /// The transaction in flight to a destination.
    async fn flight(&self, destination: &ServerName) -> Result<Option<Flight>, StoreError>;

    /// Begins a transaction, unless one to the same destination is under way. Returns the one that is under way then.
    ///
    /// `None` if something that it carries has arrived meanwhile, as when another process of this server was faster; it
    /// is to be made anew.
    async fn depart(&self, destination: &ServerName, flight: &Flight) -> Result<Option<Flight>, StoreError>;

    /// Ends a transaction that was answered: moves the cursors on, removes the items and the flight, and puts
    /// `notices` into inboxes, all at once. A cursor is moved neither back nor past the end of its list, and another
    /// transaction that is in flight by now stays; so doing it again does nothing but put notices without a mark into
    /// inboxes once more.
    async fn arrive(
        &self,
        destination: &ServerName,
        flight: &Flight,
        notices: Vec<InboxItem>,
    ) -> Result<(), StoreError>;
}
