//! The state at a past event: what the room still has of it, and what the store has to give back.

use std::sync::Arc;

use mimi_linearized::id::{EventId, RoomId};
use mimi_linearized::room::{Place, Position, Room, StateEntry};

use super::Served;
use crate::store::{Store, StoreError};

/// The state at an event, and what it cites.
#[derive(Debug)]
pub(crate) struct StateAt {
    pub(crate) state: Vec<(EventId, Served)>,
    pub(crate) chain: Vec<(EventId, Served)>,
}

/// The same as a room in memory knows it, so that the room need not be held while the store reads.
#[derive(Debug)]
pub(super) struct RememberedState {
    state: Vec<Remembered>,
    chain: Vec<Remembered>,
}

#[derive(Debug)]
enum Remembered {
    Text(EventId, Served),
    Place(EventId, Place),
}

impl RememberedState {
    /// The state before the event at `position`, and its auth chain.
    pub(super) fn before(room: &Room, position: Position) -> Self {
        let state: Vec<StateEntry<'_>> = room.state().all_before(position).collect();
        let chain = room.state().auth_chain(state.iter().flat_map(|entry| entry.auth_events()));
        let remember = |entries: Vec<StateEntry<'_>>| entries.into_iter().map(Remembered::of).collect();
        Self { chain: remember(chain), state: remember(state) }
    }

    /// All of it, read back where it has to be.
    pub(super) async fn read(self, store: &dyn Store, room_id: &RoomId) -> Result<StateAt, StoreError> {
        let wanted = self.state.iter().chain(&self.chain).filter_map(Remembered::wanted).collect();
        let mut texts = store.read_back(room_id, wanted).await?.into_iter();
        let mut whole = |entries: Vec<Remembered>| {
            let whole = |entry| match entry {
                Remembered::Text(id, text) => Some((id, text)),
                Remembered::Place(id, _) => Some((id, texts.next()?)),
            };
            entries.into_iter().filter_map(whole).collect()
        };
        Ok(StateAt { state: whole(self.state), chain: whole(self.chain) })
    }
}

impl Remembered {
    fn of(entry: StateEntry<'_>) -> Self {
        match entry {
            StateEntry::Current(event) => Self::Text(event.id().clone(), Arc::clone(event.bytes())),
            StateEntry::Past(past) => Self::Place(past.id().clone(), past.place()),
        }
    }

    fn wanted(&self) -> Option<(EventId, Place)> {
        match self {
            Self::Text(..) => None,
            Self::Place(id, place) => Some((id.clone(), *place)),
        }
    }
}
