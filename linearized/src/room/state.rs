//! A room's state, now and at any event (LM-04 §3.5.2).
//!
//! Every slot, a pair of type and state key, keeps the list of events that filled it with the position of each. What
//! filled a slot at a place in the list is found by binary search among those that ever filled that slot, so the answer
//! takes no longer in a long list than in a short one, and no longer in a large room than in a small one but for finding
//! the slot in a sorted map. Appending copies nothing. The whole state at a place takes one such search per slot.
//!
//! A persistent map, with a version of the whole state at every event, would answer the same questions. It would share
//! most of its nodes between versions, and still allocate a path of them for every change and follow pointers for every
//! question. Rules and history visibility ask about single slots, mostly now, and a hub is asked for a whole state as
//! seldom as a server joins. For both, a list per slot is smaller and nearer together, and nothing has to be thrown away
//! to keep it so.
//!
//! What is kept of an event is its canonical JSON and the few fields that are asked for; the object is read again when
//! somebody looks into it, and let go when another event fills the slot.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::Position;
use crate::event::{RoomEvent, Share};
use crate::id::{EventId, ServerName};

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
            Some(slot) => {
                if let Some(last) = slot.last_mut().filter(|last| last.event.is_parsed()) {
                    let room_id = last.event.event().room_id().clone();
                    last.event = Arc::new(last.event.compact(&room_id, &AsTheyAre));
                    self.by_id.insert(last.event.id().clone(), Arc::clone(&last.event));
                }
                slot.push(version);
            }
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

    /// What fills a slot once the event at `position` is applied.
    #[must_use]
    pub fn after(&self, position: Position, kind: &str, state_key: &str) -> Option<&RoomEvent> {
        version_after(self.slot(kind, state_key)?, position).map(|event| &**event)
    }

    /// The whole state once the event at `position` is applied, ordered by type and state key.
    pub fn all_after(&self, position: Position) -> impl Iterator<Item = &Arc<RoomEvent>> {
        self.slots.values().flat_map(BTreeMap::values).filter_map(move |slot| version_after(slot, position))
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

    /// The events that `of` cite, those that they cite, and so on, each once. It is found without recursion, in time that
    /// grows with the chain, whatever its depth.
    #[must_use]
    pub fn auth_chain<'s>(&'s self, of: impl Iterator<Item = &'s Arc<RoomEvent>>) -> Vec<&'s Arc<RoomEvent>> {
        self.chain_from(of.flat_map(|event| event.auth_events()).collect())
    }

    /// The auth chain of one event, which need not be a state event: what it cites, and so on, each once.
    #[must_use]
    pub fn auth_chain_of<'s>(&'s self, event: &'s RoomEvent) -> Vec<&'s Arc<RoomEvent>> {
        self.chain_from(event.auth_events().iter().collect())
    }

    fn chain_from<'s>(&'s self, mut open: Vec<&'s EventId>) -> Vec<&'s Arc<RoomEvent>> {
        let mut seen = HashSet::new();
        let mut chain = Vec::new();
        while let Some(id) = open.pop() {
            if let Some(event) = self.by_id.get(id).filter(|_| seen.insert(id)) {
                open.extend(event.auth_events());
                chain.push(event);
            }
        }
        chain
    }
}

/// Names that are shared already, or are not worth it.
struct AsTheyAre;

impl Share for AsTheyAre {
    fn event_id(&self, id: &EventId) -> EventId {
        id.clone()
    }

    fn server(&self, name: &ServerName) -> ServerName {
        name.clone()
    }
}

/// The version of a slot that holds once the event at `position` is applied.
fn version_after(slot: &Slot, position: Position) -> Option<&Arc<RoomEvent>> {
    let older = slot.partition_point(|version| version.since <= Some(position));
    older.checked_sub(1).and_then(|index| slot.get(index)).map(|version| &version.event)
}

/// The version of a slot that held before the event at `position`.
fn version_before(slot: &Slot, position: Position) -> Option<&Arc<RoomEvent>> {
    let older = slot.partition_point(|version| version.since < Some(position));
    older.checked_sub(1).and_then(|index| slot.get(index)).map(|version| &version.event)
}
