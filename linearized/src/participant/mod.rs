//! The participant's part: following a hub's list, and checking it (LM-04 §5.1, reading R13).
//!
//! A participant's list starts at the event of its first `send_join`, on top of the state that the hub returned. Every
//! PDU that the hub sends is judged. What is sound extends the list; what is not is kept aside with the rule it
//! breaks, and enters the list, without effect, only if the hub goes on from it.

pub mod evidence;
mod snapshot;
mod succession;
mod takeover;
mod two_heads;

use std::collections::VecDeque;
use std::sync::Arc;

pub use evidence::Evidence;
pub use snapshot::{Snapshot, SnapshotError};
pub use takeover::OfferError;
pub use two_heads::TwoHeads;

use crate::auth::{self, Because, HubRule, Refusal, RoomRule};
use crate::encryption::{Apart, StagedCommit};
use crate::event::{Recorded, RoomEvent, VerifiedPdu};
use crate::hub::{HeadMoved, ReplayError};
use crate::id::EventId;
use crate::room::{Effect, Head, Room};
use crate::version::HubSelection;

/// How many rejected events are kept in memory, in case the hub goes on from one.
const MAX_REJECTED: usize = 256;

/// An event that breaks a rule, and the rule.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// The event.
    pub event: RoomEvent,
    /// What is wrong with it.
    pub refusal: Refusal,
}

/// A step of a list that was judged.
#[derive(Debug)]
pub struct Step {
    event: RoomEvent,
    effect: Effect,
    commit: Option<StagedCommit>,
}

impl Step {
    /// The event.
    #[must_use]
    pub fn event(&self) -> &RoomEvent {
        &self.event
    }

    /// What it does to the room.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// What it does to the room's MLS group, if it is a commit that takes effect.
    #[must_use]
    pub fn commit(&self) -> Option<&StagedCommit> {
        self.commit.as_ref()
    }
}

/// Events that extend the list from the head they were judged for: the one judged, and before it those that had been
/// rejected and that it builds on.
#[derive(Debug)]
pub struct Extension {
    after: Head,
    steps: Vec<Step>,
    complaint: Option<Refusal>,
}

impl Extension {
    /// The head it extends.
    #[must_use]
    pub fn after(&self) -> &Head {
        &self.after
    }

    /// The steps in order; the last is the event that was judged.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Why the event that was judged is soft-failed, if it is.
    #[must_use]
    pub fn complaint(&self) -> Option<&Refusal> {
        self.complaint.as_ref()
    }
}

/// What becomes of a PDU.
#[derive(Debug)]
pub enum Verdict {
    /// It extends the list.
    Extends(Extension),
    /// It breaks a rule.
    Rejected(Rejected),
    /// It follows an event that is not known yet, which has to be fetched first.
    Gap {
        /// The event it follows.
        missing: EventId,
        /// The PDU, to be judged again afterwards.
        pdu: VerifiedPdu,
    },
}

/// A room that this server takes part in under another server's hub.
#[derive(Debug)]
pub struct Participant {
    room: Room,
    rejected: VecDeque<Rejected>,
}

impl Participant {
    pub(crate) fn new(room: Room) -> Self {
        Self { room, rejected: VecDeque::new() }
    }

    /// The room.
    #[must_use]
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// The room, to restore its group.
    pub fn room_mut(&mut self) -> &mut Room {
        &mut self.room
    }

    /// Whether the event extends the list, or follows events that do and were rejected. If not, whoever embeds this
    /// looks up its predecessor in the list before it asks for a verdict: the event that it follows, or that the
    /// rejected events follow which lead up to it.
    #[must_use]
    pub fn predecessor_elsewhere<'p>(&'p self, pdu: &'p VerifiedPdu) -> Option<&'p EventId> {
        let prev = pdu.event().prev_events();
        if prev.contains(&self.room.head().event_id) || self.rejected_chain(prev).is_some() {
            return None;
        }
        self.beneath(prev)
    }

    /// What the rejected events follow that lead up to an event with these predecessors.
    fn beneath<'p>(&'p self, mut prev: &'p [EventId]) -> Option<&'p EventId> {
        // Each rejected event is passed once at most: ids are hashes, so there is no way round in a circle.
        for _ in 0..=self.rejected.len() {
            match self.rejected.iter().find(|rejected| prev.contains(rejected.event.id())) {
                Some(rejected) => prev = rejected.event.prev_events(),
                None => break,
            }
        }
        prev.first()
    }

    /// Judges a PDU that the hub sent, or that was fetched from it (LM-04 §5.1, §5.2; readings R10, R11 and R13).
    /// `predecessor_listed` says whether the event named by [`Self::predecessor_elsewhere`] is in the list.
    #[must_use]
    pub fn judge(&self, pdu: VerifiedPdu, predecessor_listed: bool) -> Verdict {
        self.judge_with(pdu, predecessor_listed, &Apart::default())
    }

    /// As [`Participant::judge`], with what the event [needs](Room::needs) beside itself (reading R35). Without it, the
    /// event is soft-failed, and the group is not followed any more.
    #[must_use]
    pub fn judge_with(&self, pdu: VerifiedPdu, predecessor_listed: bool, apart: &Apart) -> Verdict {
        match self.check_place(&pdu, predecessor_listed) {
            Ok(Place::Next(revived)) => self.judge_next(pdu, revived, apart),
            Ok(Place::Gap(missing)) => Verdict::Gap { missing, pdu },
            Err(refusal) => Verdict::Rejected(Rejected { event: pdu.into_event(), refusal }),
        }
    }

    /// Where the event stands, by its `hub_server` and `prev_events` alone.
    fn check_place(&self, pdu: &VerifiedPdu, predecessor_listed: bool) -> Result<Place, Refusal> {
        let event = pdu.event();
        self.room.check_room(event.event())?;
        let hub_changes = match self.room.version().hub_selection {
            HubSelection::Creator => {
                self.room.check_sealer(event.event())?;
                false
            }
            // Whose the place is shows when the event's turn has come.
            HubSelection::StateEvent => true,
        };
        let prev = event.prev_events();
        // Only an event of the event graph, which no hub sealed, may have several. Two events that follow several
        // each do not contradict one another, so with such events of its own a hub could fork the list and sign no fork.
        let one_place = hub_changes || event.event().sealer() == self.room.hub();
        if prev.is_empty() || (one_place && prev.len() != 1) {
            return Err(Refusal::new(RoomRule::Predecessors, Because::Field("prev_events")));
        }
        if prev.contains(&self.room.head().event_id) {
            return Ok(Place::Next(Vec::new()));
        }
        if let Some(revived) = self.rejected_chain(prev) {
            return Ok(Place::Next(revived));
        }
        match self.beneath(prev) {
            Some(at) if predecessor_listed => Err(Refusal::new(RoomRule::Fork, Because::Event(at.clone()))),
            Some(missing) => Ok(Place::Gap(missing.clone())),
            None => Err(Refusal::new(RoomRule::Predecessors, Because::Field("prev_events"))),
        }
    }

    /// The rejected events that lead from the head to one of `prev`, oldest first.
    fn rejected_chain(&self, prev: &[EventId]) -> Option<Vec<RoomEvent>> {
        let mut chain = Vec::new();
        let mut prev = prev;
        while !prev.contains(&self.room.head().event_id) {
            // Every event is taken once, so a cycle, which hashes rule out, could not keep this going.
            let link = self.rejected.iter().find(|rejected| prev.contains(rejected.event.id()))?;
            if chain.len() >= self.rejected.len() {
                return None;
            }
            chain.push(link.event.clone());
            prev = link.event.prev_events();
        }
        chain.reverse();
        (!chain.is_empty()).then_some(chain)
    }

    /// Judges an event whose place is the next one.
    fn judge_next(&self, pdu: VerifiedPdu, revived: Vec<RoomEvent>, apart: &Apart) -> Verdict {
        let objection = pdu.objection().cloned();
        let event = pdu.into_event();
        let objected = objection.map(|error| Refusal::new(HubRule::NoConsent, Because::Signature(error)));
        if let Err(refusal) = self.allow_next(&event).and_then(|()| objected.map_or(Ok(()), Err)) {
            return Verdict::Rejected(Rejected { event, refusal });
        }
        // Only the MLS check of a PDU soft-fails (LM-04 §4.3, reading R11).
        let (effect, commit, complaint) = match self.room.stage_commit(event.event(), apart) {
            Ok(commit) => (Effect::Applied, commit, None),
            Err(refusal) => (Effect::SoftFailed, None, Some(refusal)),
        };
        let mut steps: Vec<Step> =
            revived.into_iter().map(|event| Step { event, effect: Effect::Rejected, commit: None }).collect();
        steps.push(Step { event, effect, commit });
        Verdict::Extends(Extension { after: self.room.head().clone(), steps, complaint })
    }

    /// Whether the rules allow an event at the next place, once all that signed it has been checked.
    fn allow_next(&self, event: &RoomEvent) -> Result<(), Refusal> {
        let state = self.room.select(event.event());
        self.room.check_sealer(event.event())?;
        let cited = auth::check_cited(event.event(), event.auth_events(), &state, |id| {
            self.room.state().by_id(id).map(|entry| (entry.kind(), entry.state_key()))
        });
        self.room.version().authorization.confirm(cited)?;
        self.room.authorise(event.event(), &state).map(drop)
    }

    /// Appends an extension that was stored. Returns the events that took effect: those that are neither rejected nor
    /// soft-failed, and that clients are shown (LM-04 §2).
    ///
    /// # Errors
    /// [`HeadMoved`] if it was judged for another head.
    pub fn append(&mut self, extension: Extension) -> Result<Vec<Arc<RoomEvent>>, HeadMoved> {
        if extension.after != *self.room.head() {
            return Err(HeadMoved { now: self.room.head().clone() });
        }
        self.rejected
            .retain(|rejected| !extension.steps.iter().any(|step| step.event.id() == rejected.event.id()));
        let mut applied = Vec::new();
        for Step { event, effect, commit } in extension.steps {
            let event = self.room.apply(event, effect, commit);
            if effect == Effect::Applied {
                applied.push(event);
            }
        }
        Ok(applied)
    }

    /// The rejected events that are kept, the oldest first.
    pub fn rejected(&self) -> impl Iterator<Item = &Rejected> {
        self.rejected.iter()
    }

    /// Keeps a rejected event in case the hub goes on from it. One that was rejected only because what it follows could
    /// not be had is not kept: nothing was found wrong with it, and it is to be fetched and judged again.
    pub fn keep(&mut self, rejected: Rejected) {
        if rejected.refusal.rule == RoomRule::UnknownPredecessor.into() {
            return;
        }
        if self.rejected.iter().any(|kept| kept.event.id() == rejected.event.id()) {
            return;
        }
        if self.rejected.len() >= MAX_REJECTED {
            self.rejected.pop_front();
        }
        self.rejected.push_back(rejected);
    }

    /// Appends a recorded event when a room is read back. `follow_commit` says whether the group has yet to follow
    /// its commit, or was restored from a snapshot that has.
    ///
    /// # Errors
    /// [`ReplayError`] if the event does not follow the head, or its commit the group.
    pub fn replay(
        &mut self,
        recorded: Recorded,
        effect: Effect,
        follow_commit: bool,
    ) -> Result<(), ReplayError> {
        self.replay_with(recorded, effect, follow_commit, &Apart::default())
    }

    /// As [`Participant::replay`], with what the event [needs](Room::needs) beside itself (reading R35).
    ///
    /// # Errors
    /// [`ReplayError`] if the event does not follow the head, or its commit the group.
    pub fn replay_with(
        &mut self,
        recorded: Recorded,
        effect: Effect,
        follow_commit: bool,
        apart: &Apart,
    ) -> Result<(), ReplayError> {
        let event = recorded.into_event();
        if !event.prev_events().contains(&self.room.head().event_id) {
            return Err(HeadMoved { now: self.room.head().clone() }.into());
        }
        let follow = follow_commit && effect == Effect::Applied;
        let commit = if follow { self.room.stage_commit(event.event(), apart)? } else { None };
        self.room.apply(event, effect, commit);
        Ok(())
    }
}

/// Where an event stands.
enum Place {
    /// After the head, or after these rejected events that follow the head.
    Next(Vec<RoomEvent>),
    /// After an event that is not known.
    Gap(EventId),
}

#[cfg(test)]
mod tests;
