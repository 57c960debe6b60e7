//! A room's list, as far as it has to be read back (LM-04 §3.2).
//!
//! A room keeps its present state and the head of its list. Of a state event that another has replaced it keeps where
//! the event stands and what it cites, and no text: an event may have 65,536 bytes, and how often a member replaces one
//! is not for the server to choose. Whoever embeds the room stores every event before it is applied, and gives it back
//! through a [`Log`].
//!
//! Nothing here waits. An embedder whose store is asynchronous asks the room for the [`StateEntry`]s, reads the texts of
//! those that are [`StateEntry::Past`] by their places, and goes on; one whose store answers at once implements [`Log`].

use std::collections::HashMap;
use std::sync::Arc;

use super::Position;
use crate::event::RoomEvent;
use crate::id::EventId;

/// Where a room's embedder has stored an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In the snapshot that a participant's list starts from (reading R13).
    Snapshot,
    /// In the list.
    List(Position),
}

/// A state event that fills no slot any more.
#[derive(Debug, PartialEq, Eq)]
pub struct PastEvent {
    pub(super) id: EventId,
    pub(super) place: Place,
    pub(super) kind: Arc<str>,
    pub(super) state_key: Arc<str>,
    pub(super) auth_events: Box<[EventId]>,
}

impl PastEvent {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &EventId {
        &self.id
    }

    /// Where it can be read back from.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }
}

/// A state event as a room keeps it.
#[derive(Debug, Clone, Copy)]
pub enum StateEntry<'s> {
    /// It fills its slot at present, and is kept whole.
    Current(&'s Arc<RoomEvent>),
    /// It filled its slot once, or was only ever cited. Its text is in the log.
    Past(&'s PastEvent),
}

impl<'s> StateEntry<'s> {
    /// Its id.
    #[must_use]
    pub fn id(self) -> &'s EventId {
        match self {
            Self::Current(event) => event.id(),
            Self::Past(past) => &past.id,
        }
    }

    /// Its type.
    #[must_use]
    pub fn kind(self) -> &'s str {
        match self {
            Self::Current(event) => event.event().kind(),
            Self::Past(past) => &past.kind,
        }
    }

    /// Its state key.
    #[must_use]
    pub fn state_key(self) -> &'s str {
        match self {
            Self::Current(event) => event.event().state_key().unwrap_or_default(),
            Self::Past(past) => &past.state_key,
        }
    }

    /// What it cites.
    #[must_use]
    pub fn auth_events(self) -> &'s [EventId] {
        match self {
            Self::Current(event) => event.auth_events(),
            Self::Past(past) => &past.auth_events,
        }
    }

    /// The event, if the room keeps it whole.
    #[must_use]
    pub fn held(self) -> Option<&'s Arc<RoomEvent>> {
        match self {
            Self::Current(event) => Some(event),
            Self::Past(_) => None,
        }
    }

    /// The event, read back if it has to be.
    ///
    /// # Errors
    /// What the log says if it cannot be read.
    pub fn read<L: Log + ?Sized>(self, log: &L) -> Result<Arc<RoomEvent>, L::Error> {
        match self {
            Self::Current(event) => Ok(Arc::clone(event)),
            Self::Past(past) => log.read(&past.id, past.place),
        }
    }
}

/// Where events that were stored can be read back from.
pub trait Log {
    /// Why it fails.
    type Error;

    /// The event `id`, which is stored at `place`.
    ///
    /// # Errors
    /// If it cannot be read, or is not there.
    fn read(&self, id: &EventId, place: Place) -> Result<Arc<RoomEvent>, Self::Error>;
}

/// A log in memory, for a room that is small, or for events that were read from elsewhere before.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    events: HashMap<EventId, Arc<RoomEvent>>,
}

/// An event that a [`MemoryLog`] does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log does not have {0}")]
pub struct NotLogged(pub EventId);

impl MemoryLog {
    /// Takes in an event.
    pub fn insert(&mut self, event: Arc<RoomEvent>) {
        self.events.insert(event.id().clone(), event);
    }
}

impl FromIterator<Arc<RoomEvent>> for MemoryLog {
    fn from_iter<I: IntoIterator<Item = Arc<RoomEvent>>>(events: I) -> Self {
        Self { events: events.into_iter().map(|event| (event.id().clone(), event)).collect() }
    }
}

impl Log for MemoryLog {
    type Error = NotLogged;

    fn read(&self, id: &EventId, _: Place) -> Result<Arc<RoomEvent>, NotLogged> {
        self.events.get(id).cloned().ok_or_else(|| NotLogged(id.clone()))
    }
}
