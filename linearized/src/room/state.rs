//! A room's state, now and at any event (LM-04 §3.5.2).
//!
//! Every slot, a pair of type and state key, keeps the list of events that filled it with the position of each. The
//! state at a place in the list is found by binary search in each slot, so looking one slot up costs the same however
//! long the list is, and appending copies nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::Position;
use crate::event::RoomEvent;
use crate::id::EventId;

/// What filled a slot, and from which event on; `None` stands for a snapshot from before the list.
#[derive(Debug)]
struct Version {
    since: Option<Position>,
    event: Arc<RoomEvent>,
}

type Slot = Vec<Version>;

/// A room's state with its history.
#[derive(Debug, Default)]
pub struct State {
    slots: BTreeMap<Box<str>, BTreeMap<Box<str>, Slot>>,
    by_id: HashMap<EventId, Arc<RoomEvent>>,
}

impl State {
    /// Fills a slot from the event at `since` on.
    pub(super) fn put(&mut self, since: Option<Position>, event: &Arc<RoomEvent>) {
        let Some(state_key) = event.event().state_key() else { return };
        let kind = event.event().kind();
        let slots = match self.slots.get_mut(kind) {
            Some(slots) => slots,
            None => self.slots.entry(kind.into()).or_default(),
        };
        let version = Version { since, event: Arc::clone(event) };
        match slots.get_mut(state_key) {
            Some(slot) => slot.push(version),
            None => {
                slots.insert(state_key.into(), vec![version]);
            }
        }
        self.remember(event);
    }

    /// Keeps a state event that fills no slot any more, so that it is found by id.
    pub(super) fn remember(&mut self, event: &Arc<RoomEvent>) {
        self.by_id.insert(event.id().clone(), Arc::clone(event));
    }

    /// Puts another copy of an event in its place wherever it stands.
    pub(super) fn replace(&mut self, event: &Arc<RoomEvent>) {
        let Some(kept) = self.by_id.get_mut(event.id()) else { return };
        *kept = Arc::clone(event);
        let Some(state_key) = event.event().state_key() else { return };
        let slots = self.slots.get_mut(event.event().kind());
        let slot = slots.and_then(|slots| slots.get_mut(state_key)).into_iter().flatten();
        for version in slot.filter(|version| version.event.id() == event.id()) {
            version.event = Arc::clone(event);
        }
    }

    fn slot(&self, kind: &str, state_key: &str) -> Option<&Slot> {
        self.slots.get(kind)?.get(state_key)
    }

    /// What fills a slot now.
    #[must_use]
    pub fn current(&self, kind: &str, state_key: &str) -> Option<&RoomEvent> {
        self.slot(kind, state_key)?.last().map(|version| &*version.event)
    }

    /// What filled a slot before the event at `position` was applied.
    #[must_use]
    pub fn before(&self, position: Position, kind: &str, state_key: &str) -> Option<&RoomEvent> {
        version_before(self.slot(kind, state_key)?, position).map(|event| &**event)
    }

    /// The whole state before the event at `position` was applied, ordered by type and state key.
    pub fn all_before(&self, position: Position) -> impl Iterator<Item = &Arc<RoomEvent>> {
        self.slots.values().flat_map(BTreeMap::values).filter_map(move |slot| version_before(slot, position))
    }

    /// The whole state now, ordered by type and state key.
    pub fn all_current(&self) -> impl Iterator<Item = &Arc<RoomEvent>> {
        self.slots
            .values()
            .flat_map(BTreeMap::values)
            .filter_map(|slot| slot.last().map(|version| &version.event))
    }

    /// The current state events of one type, ordered by state key.
    pub fn current_of(&self, kind: &str) -> impl Iterator<Item = &Arc<RoomEvent>> {
        let slots = self.slots.get(kind).into_iter().flat_map(BTreeMap::values);
        slots.filter_map(|slot| slot.last().map(|version| &version.event))
    }

    /// A state event of this room, past or present, by its id.
    #[must_use]
    pub fn by_id(&self, id: &EventId) -> Option<&Arc<RoomEvent>> {
        self.by_id.get(id)
    }

    /// The events that `of` cite, those that they cite, and so on, each once.
    #[must_use]
    pub fn auth_chain<'s>(&'s self, of: impl Iterator<Item = &'s Arc<RoomEvent>>) -> Vec<&'s Arc<RoomEvent>> {
        let mut seen = HashSet::new();
        let mut chain = Vec::new();
        let mut open: Vec<&EventId> = of.flat_map(|event| event.auth_events()).collect();
        while let Some(id) = open.pop() {
            if let Some(event) = self.by_id.get(id).filter(|_| seen.insert(id)) {
                open.extend(event.auth_events());
                chain.push(event);
            }
        }
        chain
    }
}

/// The version of a slot that held before the event at `position`.
fn version_before(slot: &Slot, position: Position) -> Option<&Arc<RoomEvent>> {
    let older = slot.partition_point(|version| version.since < Some(position));
    older.checked_sub(1).and_then(|index| slot.get(index)).map(|version| &version.event)
}
