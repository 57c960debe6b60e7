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
//! Of an event that fills a slot the canonical JSON is kept and the few fields that are asked for; the object is read
//! again when somebody looks into it. Of one that another has replaced the text is let go, and where to read it is kept
//! (see [`Log`](super::Log)).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::Position;
use super::log::{PastEvent, Place, StateEntry};
use super::visibility::Settings;
use crate::event::RoomEvent;
use crate::id::EventId;

/// A state event, whole while it fills a slot.
#[derive(Debug, Clone)]
enum Kept {
    Current(Arc<RoomEvent>),
    Past(Arc<PastEvent>),
}

impl Kept {
    fn entry(&self) -> StateEntry<'_> {
        match self {
            Self::Current(event) => StateEntry::Current(event),
            Self::Past(past) => StateEntry::Past(past),
        }
    }
}

/// What filled a slot, and from which event on; `None` stands for a snapshot from before the list.
#[derive(Debug)]
struct Version {
    since: Option<Position>,
    kept: Kept,
}

type Slot = Vec<Version>;

/// A room's state with its history.
#[derive(Debug, Default)]
pub struct State {
    slots: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Slot>>,
    by_id: HashMap<EventId, Kept>,
    settings: Settings,
}

impl State {
    /// Fills a slot from the event at `since` on.
    pub(super) fn put(&mut self, since: Option<Position>, event: &Arc<RoomEvent>) {
        let Some(state_key) = event.event().state_key() else { return };
        self.settings.note(since, event);
        let kind = self.shared_kind(event.event().kind());
        let slots = self.slots.entry(Arc::clone(&kind)).or_default();
        let version = Version { since, kept: Kept::Current(Arc::clone(event)) };
        match slots.get_key_value(state_key).map(|(state_key, _)| Arc::clone(state_key)) {
            Some(state_key) => {
                let slot = slots.entry(Arc::clone(&state_key)).or_default();
                if let Some(last) = slot.last_mut()
                    && let Kept::Current(event) = &last.kept
                {
                    let place = last.since.map_or(Place::Snapshot, Place::List);
                    let past = Kept::Past(Arc::new(past(event, place, kind, state_key)));
                    self.by_id.insert(event.id().clone(), past.clone());
                    last.kept = past;
                }
                slot.push(version);
            }
            None => {
                slots.insert(state_key.into(), vec![version]);
            }
        }
        self.by_id.insert(event.id().clone(), Kept::Current(Arc::clone(event)));
    }

    /// Keeps where an event of the snapshot is that fills no slot, so that it is found by id.
    pub(super) fn remember(&mut self, event: &RoomEvent) {
        let Some(state_key) = event.event().state_key() else { return };
        let kind = self.shared_kind(event.event().kind());
        let state_key = match self.slots.get(&kind).and_then(|slots| slots.get_key_value(state_key)) {
            Some((state_key, _)) => Arc::clone(state_key),
            None => state_key.into(),
        };
        let past = Kept::Past(Arc::new(past(event, Place::Snapshot, kind, state_key)));
        self.by_id.entry(event.id().clone()).or_insert(past);
    }

    fn shared_kind(&self, kind: &str) -> Arc<str> {
        self.slots.get_key_value(kind).map_or_else(|| kind.into(), |(kind, _)| Arc::clone(kind))
    }

    /// Puts another copy of an event in its place, if it still fills its slot.
    pub(super) fn replace(&mut self, event: &Arc<RoomEvent>) {
        let Some(kept @ Kept::Current(_)) = self.by_id.get_mut(event.id()) else { return };
        *kept = Kept::Current(Arc::clone(event));
        let Some(state_key) = event.event().state_key() else { return };
        let slots = self.slots.get_mut(event.event().kind());
        if let Some(last) = slots.and_then(|slots| slots.get_mut(state_key)).and_then(|slot| slot.last_mut())
        {
            last.kept = Kept::Current(Arc::clone(event));
        }
    }

    /// What the history visibility was, and when.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    fn slot(&self, kind: &str, state_key: &str) -> Option<&Slot> {
        self.slots.get(kind)?.get(state_key)
    }

    /// What fills a slot now.
    #[must_use]
    pub fn current(&self, kind: &str, state_key: &str) -> Option<&RoomEvent> {
        self.slot(kind, state_key).and_then(last).map(|event| &**event)
    }

    /// What filled a slot before the event at `position` was applied.
    #[must_use]
    pub fn before(&self, position: Position, kind: &str, state_key: &str) -> Option<StateEntry<'_>> {
        version_before(self.slot(kind, state_key)?, position)
    }

    /// What fills a slot once the event at `position` is applied.
    #[must_use]
    pub fn after(&self, position: Position, kind: &str, state_key: &str) -> Option<StateEntry<'_>> {
        version_after(self.slot(kind, state_key)?, position)
    }

    /// The whole state once the event at `position` is applied, ordered by type and state key.
    pub fn all_after(&self, position: Position) -> impl Iterator<Item = StateEntry<'_>> {
        self.slots.values().flat_map(BTreeMap::values).filter_map(move |slot| version_after(slot, position))
    }

    /// The whole state before the event at `position` was applied, ordered by type and state key.
    pub fn all_before(&self, position: Position) -> impl Iterator<Item = StateEntry<'_>> {
        self.slots.values().flat_map(BTreeMap::values).filter_map(move |slot| version_before(slot, position))
    }

    /// The whole state now, ordered by type and state key.
    pub fn all_current(&self) -> impl Iterator<Item = &Arc<RoomEvent>> {
        self.slots.values().flat_map(BTreeMap::values).filter_map(last)
    }

    /// The current state events of one type, ordered by state key.
    pub fn current_of(&self, kind: &str) -> impl Iterator<Item = &Arc<RoomEvent>> {
        self.slots.get(kind).into_iter().flat_map(BTreeMap::values).filter_map(last)
    }

    /// A state event of this room, past or present, by its id.
    #[must_use]
    pub fn by_id(&self, id: &EventId) -> Option<StateEntry<'_>> {
        self.by_id.get(id).map(Kept::entry)
    }

    /// What the present state cites, directly or not, each once.
    #[must_use]
    pub fn current_auth_chain(&self) -> Vec<StateEntry<'_>> {
        self.auth_chain(self.all_current().flat_map(|event| event.auth_events()))
    }

    /// The state events among `cited`, those that they cite, and so on, each once: the auth chain of an event if `cited`
    /// is what it cites, or of a state if it is what its events cite. It is found without recursion, in time that grows
    /// with the chain, whatever its depth.
    #[must_use]
    pub fn auth_chain<'s>(&'s self, cited: impl IntoIterator<Item = &'s EventId>) -> Vec<StateEntry<'s>> {
        let mut open: Vec<&EventId> = cited.into_iter().collect();
        let mut seen = HashSet::new();
        let mut chain = Vec::new();
        while let Some(id) = open.pop() {
            if let Some(entry) = self.by_id(id).filter(|_| seen.insert(id)) {
                open.extend(entry.auth_events());
                chain.push(entry);
            }
        }
        chain
    }
}

fn past(event: &RoomEvent, place: Place, kind: Arc<str>, state_key: Arc<str>) -> PastEvent {
    PastEvent { id: event.id().clone(), place, kind, state_key, auth_events: event.auth_events().into() }
}

/// The event that fills a slot: its last version, which alone is kept whole.
fn last(slot: &Slot) -> Option<&Arc<RoomEvent>> {
    slot.last().and_then(|version| version.kept.entry().held())
}

/// The version of a slot that holds once the event at `position` is applied.
fn version_after(slot: &Slot, position: Position) -> Option<StateEntry<'_>> {
    let older = slot.partition_point(|version| version.since <= Some(position));
    older.checked_sub(1).and_then(|index| slot.get(index)).map(|version| version.kept.entry())
}

/// The version of a slot that held before the event at `position`.
fn version_before(slot: &Slot, position: Position) -> Option<StateEntry<'_>> {
    let older = slot.partition_point(|version| version.since < Some(position));
    older.checked_sub(1).and_then(|index| slot.get(index)).map(|version| version.kept.entry())
}
