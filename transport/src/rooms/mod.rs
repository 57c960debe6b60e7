//! The rooms of a server, as their hub or as a participant.
//!
//! A room is worked on by one task at a time: its cell is locked while an event is authorised, stored and applied, so
//! that its list has one order. Signatures are checked, and keys fetched, before the lock is taken.

mod apart;
mod catch_up;
mod create;
mod error;
mod follow;
mod gaps;
mod handshake;
mod hub;
mod invite;
mod load;
mod others;
mod outbound;
mod past;
mod permissions;
mod receive;
mod send;
mod view;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use catch_up::Behind;
pub use create::NewRoom;
pub use error::RoomError;
pub use gaps::GapLimits;
pub use handshake::{HandshakeKind, Template};
pub use hub::Provenance;
pub use invite::InviteRequest;
pub(crate) use past::StateAt;
pub(crate) use receive::Received;
pub use send::Sent;
pub use view::{RoomSummary, Served};

use mimi_linearized::hub::Hub;
use mimi_linearized::id::{RoomId, ServerName};
use mimi_linearized::participant::Participant;
use mimi_linearized::room::Room;
use mimi_linearized::version::RoomVersion;
use tokio::sync::MutexGuard;

use crate::node::Node;

/// A server's part in a room.
#[derive(Debug)]
pub(crate) enum Role {
    /// It is the room's hub.
    Hub(Hub),
    /// Another server is.
    Participant(Participant),
}

impl Role {
    pub(crate) fn room(&self) -> &Room {
        match self {
            Self::Hub(hub) => hub.room(),
            Self::Participant(participant) => participant.room(),
        }
    }

    pub(crate) fn as_hub(&mut self) -> Option<&mut Hub> {
        match self {
            Self::Hub(hub) => Some(hub),
            Self::Participant(_) => None,
        }
    }

    pub(crate) fn as_participant(&mut self) -> Option<&mut Participant> {
        match self {
            Self::Participant(participant) => Some(participant),
            Self::Hub(_) => None,
        }
    }
}

/// What never changes about a room.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) version: Arc<RoomVersion>,
    pub(crate) hub: ServerName,
}

/// One room. It is empty until the room is created, joined, or read back.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) id: RoomId,
    role: tokio::sync::Mutex<Option<Role>>,
}

impl Cell {
    /// Waits for the room.
    pub(crate) async fn lock(&self) -> MutexGuard<'_, Option<Role>> {
        self.role.lock().await
    }

    /// What never changes about the room; `None` while it is empty.
    pub(crate) async fn facts(&self) -> Option<Facts> {
        let role = self.lock().await;
        let room = role.as_ref()?.room();
        Some(Facts { version: Arc::clone(room.version()), hub: room.hub().clone() })
    }
}

/// Gives up the room in memory if an operation left doubt about whether it agrees with the store. It is read back when
/// it is needed next.
pub(crate) fn settle<T>(
    role: &mut MutexGuard<'_, Option<Role>>,
    result: Result<T, RoomError>,
) -> Result<T, RoomError> {
    if matches!(&result, Err(RoomError::Store(_) | RoomError::Overtaken | RoomError::OutOfStep)) {
        **role = None;
    }
    result
}

/// The rooms in memory.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    cells: Mutex<HashMap<RoomId, Arc<Cell>>>,
}

impl Registry {
    fn cell(&self, id: &RoomId) -> Arc<Cell> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = cells
            .entry(id.clone())
            .or_insert_with(|| Arc::new(Cell { id: id.clone(), role: tokio::sync::Mutex::new(None) }));
        Arc::clone(cell)
    }

    /// How many rooms are in memory, and how many of them have an MLS group there. A room that is being worked on counts
    /// as one without.
    pub(crate) fn count(&self) -> (usize, usize) {
        let cells: Vec<Arc<Cell>> =
            self.cells.lock().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect();
        let has_group = |cell: &&Arc<Cell>| {
            let role = cell.role.try_lock();
            role.is_ok_and(|role| {
                role.as_ref().is_some_and(|role| role.room().encryption().tracker().is_some())
            })
        };
        (cells.len(), cells.iter().filter(has_group).count())
    }

    /// Forgets a cell that nobody else holds and that turned out to be of no known room.
    fn forget_empty(&self, id: &RoomId) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = cells.get(id).is_some_and(|cell| {
            Arc::strong_count(cell) <= 2 && cell.role.try_lock().is_ok_and(|role| role.is_none())
        });
        if unused {
            cells.remove(id);
        }
    }
}

impl Node {
    /// A known room, read back from the store if it is not in memory.
    pub(crate) async fn room(&self, id: &RoomId) -> Result<Option<Arc<Cell>>, RoomError> {
        let cell = self.rooms.cell(id);
        let mut role = cell.lock().await;
        self.bring_up_to_date(id, &mut role).await?;
        let known = role.is_some();
        drop(role);
        if !known {
            self.rooms.forget_empty(id);
        }
        Ok(known.then_some(cell))
    }

    /// The cell of a room that may be about to be created or joined.
    pub(crate) async fn room_to_be(&self, id: &RoomId) -> Result<Arc<Cell>, RoomError> {
        match self.room(id).await? {
            Some(cell) => Ok(cell),
            None => Ok(self.rooms.cell(id)),
        }
    }
}
