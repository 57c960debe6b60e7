//! Making evidence of what a participant rejects.

use std::collections::HashMap;
use std::sync::Arc;

use super::proof::is_tentative;
use super::{Evidence, EvidenceError};
use crate::auth::{RoomRule, Rule};
use crate::event::{RoomEvent, kind};
use crate::id::EventId;
use crate::participant::{Participant, Rejected};
use crate::room::StateEntry;

/// How far back the list is followed for a state event that was passed over: evidence has to stay small enough to be
/// handed on.
const MAX_PATH: usize = 1_000;

/// A part of the list, as far as it was needed.
#[derive(Debug, Default)]
pub struct Excerpt {
    events: HashMap<EventId, Arc<RoomEvent>>,
    after: HashMap<EventId, EventId>,
}

impl Excerpt {
    /// Nothing of the list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an event.
    pub fn insert(&mut self, event: Arc<RoomEvent>) {
        if let [prev] = event.prev_events() {
            self.after.insert(prev.clone(), event.id().clone());
        }
        self.events.insert(event.id().clone(), event);
    }

    fn get(&self, id: &EventId) -> Option<&RoomEvent> {
        self.events.get(id).map(|event| &**event)
    }

    fn after(&self, id: &EventId) -> Option<&RoomEvent> {
        self.get(self.after.get(id)?)
    }
}

/// Something of the list, which whoever embeds a participant keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// The event with this id.
    Event(EventId),
    /// The event that follows the one with this id.
    After(EventId),
}

/// What can be made of a rejection.
#[derive(Debug)]
pub enum Accusation {
    /// Evidence.
    Proof(Evidence),
    /// Evidence perhaps, once this is put into the excerpt. If the list does not have it, there is none.
    Needs(Need),
    /// No evidence: the event is a matter between the hub and this server.
    Unprovable(Unprovable),
}

/// Why a rejection cannot be proved to others.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unprovable {
    /// Nothing that the hub signed breaks this rule.
    #[error("no signature of the hub shows a fault by the rule {0}")]
    Rule(Rule),
    /// The documents that are there do not show a fault.
    #[error("{0}")]
    NotShown(#[from] EvidenceError),
    /// No state event that should have been cited stands in the part of the list that evidence can hold: it is too
    /// far back, or from before the list begins; or the hub cites what this server has rejected, and the fault lies
    /// there.
    #[error("no state event that should have been cited is near enough in the list")]
    PassedOver,
}

/// Why there is no evidence yet.
enum Not {
    Yet(Need),
    Ever(Unprovable),
}

impl From<Need> for Not {
    fn from(need: Need) -> Self {
        Self::Yet(need)
    }
}

impl From<Unprovable> for Not {
    fn from(unprovable: Unprovable) -> Self {
        Self::Ever(unprovable)
    }
}

impl From<EvidenceError> for Not {
    fn from(error: EvidenceError) -> Self {
        Self::Ever(error.into())
    }
}

impl Participant {
    /// Makes evidence of a rejection, out of the room's state and what `excerpt` has of the list. Asked again with what
    /// it [needs](Accusation::Needs), it comes to an end after at most some thousand steps; mostly it needs nothing, or
    /// one event.
    #[must_use]
    pub fn accuse(&self, rejected: &Rejected, excerpt: &Excerpt) -> Accusation {
        match self.try_accuse(rejected, excerpt) {
            Ok(evidence) => Accusation::Proof(evidence),
            Err(Not::Yet(need)) => Accusation::Needs(need),
            Err(Not::Ever(unprovable)) => Accusation::Unprovable(unprovable),
        }
    }

    /// Makes evidence of an event that was listed although `earlier` was made of the same LPDU (reading R14).
    #[must_use]
    pub fn accuse_of_sealing_twice(
        &self,
        event: &RoomEvent,
        earlier: &RoomEvent,
        excerpt: &Excerpt,
    ) -> Accusation {
        match self.pair(event, earlier, None, excerpt, Evidence::sealed_twice) {
            Ok(evidence) => Accusation::Proof(evidence),
            Err(Not::Yet(need)) => Accusation::Needs(need),
            Err(Not::Ever(unprovable)) => Accusation::Unprovable(unprovable),
        }
    }

    fn try_accuse(&self, rejected: &Rejected, excerpt: &Excerpt) -> Result<Evidence, Not> {
        let Rejected { event, refusal } = rejected;
        let create = self.room().create();
        match refusal.rule {
            Rule::Room(RoomRule::Fork) => self.fork(event, excerpt),
            Rule::Room(RoomRule::Predecessors) if event.event().kind() == kind::CREATE => {
                self.shown(Evidence::fork(create, create, event, []))
            }
            Rule::Room(RoomRule::Predecessors) => self.shown(Evidence::forbidden(create, event, [])),
            Rule::Auth(_) => self.forbidden(event, excerpt),
            rule => Err(Unprovable::Rule(rule).into()),
        }
    }

    fn fork(&self, last: &RoomEvent, excerpt: &Excerpt) -> Result<Evidence, Not> {
        let mut event = last;
        // What follows a rejected event that leads nowhere forks the list where that one does.
        for _ in 0..=self.rejected().count() {
            let before = self.rejected().map(|rejected| &rejected.event);
            match before.into_iter().find(|before| event.prev_events().contains(before.id())) {
                Some(before) => event = before,
                None => break,
            }
        }
        let [prev] = event.prev_events() else {
            return Err(EvidenceError::OtherPlaces.into());
        };
        let listed = excerpt.after(prev).ok_or_else(|| Need::After(prev.clone()))?;
        self.pair(listed, event, Some(last), excerpt, Evidence::fork)
    }

    /// Evidence against two events, with an event after each that may not have been listed: `last`, or one that is
    /// known.
    fn pair<'e>(
        &'e self,
        one: &'e RoomEvent,
        other: &'e RoomEvent,
        last: Option<&'e RoomEvent>,
        excerpt: &'e Excerpt,
        claim: impl FnOnce(&RoomEvent, &RoomEvent, &RoomEvent, Vec<&'e RoomEvent>) -> Evidence,
    ) -> Result<Evidence, Not> {
        let mut after = Vec::new();
        for event in [one, other] {
            if !is_tentative(event.event(), self.room().hub()) {
                continue;
            }
            let last = last.filter(|last| *last.prev_events() == [event.id().clone()]);
            let next = excerpt.after(event.id()).or(last).or_else(|| self.rejected_after(event.id()));
            after.push(next.ok_or_else(|| Need::After(event.id().clone()))?);
        }
        self.shown(claim(self.room().create(), one, other, after))
    }

    fn forbidden(&self, event: &RoomEvent, excerpt: &Excerpt) -> Result<Evidence, Not> {
        let create = self.room().create();
        let mut cited: Vec<&RoomEvent> = Vec::with_capacity(event.auth_events().len());
        for id in event.auth_events() {
            if cited.iter().all(|cited| cited.id() != id) {
                cited.push(self.known(id, excerpt).ok_or_else(|| Need::Event(id.clone()))?);
            }
        }
        match self.shown(Evidence::forbidden(create, event, cited)) {
            // What it cites allows it, so it cites the wrong things.
            Err(Not::Ever(Unprovable::NotShown(EvidenceError::Allowed(_) | EvidenceError::Undecided))) => {}
            decided => return decided,
        }
        self.ignored_state(event, excerpt)
    }

    /// Follows the list back to a state event that should have been cited.
    fn ignored_state(&self, event: &RoomEvent, excerpt: &Excerpt) -> Result<Evidence, Not> {
        let state = self.room().state();
        let expected = self.room().select(event.event()).to_cite(event.event());
        let passed_over = expected.iter().filter(|id| !event.auth_events().contains(id));
        let mut slots: Vec<&RoomEvent> =
            passed_over.filter_map(|id| state.by_id(id)?.held()).map(|event| &**event).collect();
        let mut path = Vec::new();
        let mut next = event;
        while !slots.is_empty() && path.len() < MAX_PATH {
            let [prev] = next.prev_events() else { break };
            let link = self.known(prev, excerpt).ok_or_else(|| Need::Event(prev.clone()))?;
            path.push(link);
            let fills = |slot: &RoomEvent| {
                slot.event().state_key().is_some_and(|key| link.event().is_state(slot.event().kind(), key))
            };
            if slots.iter().any(|slot| fills(slot)) {
                if !event.auth_events().contains(link.id()) {
                    let path = path.iter().rev().copied();
                    return self.shown(Evidence::ignored_state(self.room().create(), event, path));
                }
                // The hub cites what it has in its own list, which this server rejects.
                slots.retain(|slot| !fills(slot));
            }
            next = link;
        }
        Err(Unprovable::PassedOver.into())
    }

    /// Evidence, if it shows what it claims. The signatures were checked when the events arrived.
    fn shown(&self, evidence: Evidence) -> Result<Evidence, Not> {
        evidence.examine(self.room().create(), self.room().version(), |_, _| Ok(()))?;
        Ok(evidence)
    }

    fn known<'e>(&'e self, id: &EventId, excerpt: &'e Excerpt) -> Option<&'e RoomEvent> {
        let state = self.room().state().by_id(id).and_then(StateEntry::held).map(|event| &**event);
        state.or_else(|| excerpt.get(id)).or_else(|| self.rejected().map(|r| &r.event).find(|e| e.id() == id))
    }

    fn rejected_after(&self, id: &EventId) -> Option<&RoomEvent> {
        self.rejected().map(|rejected| &rejected.event).find(|event| *event.prev_events() == [id.clone()])
    }
}
