//! Checking evidence.

use std::sync::Arc;

use super::{Claim, Evidence, EvidenceError, Fault, Proved};
use crate::auth::{self, AuthRule, Because, Membership, Refusal, RoomRule, SelectedState};
use crate::event::{Event, Integrity, Pdu, RoomEvent, hash, kind};
use crate::id::{EventId, ServerName, UserId};
use crate::json::Object;
use crate::room::first_hub;
use crate::signing::KeyRing;
use crate::version::{HubSelection, Keep, RedactionRules, RoomVersion, RoomVersions};

/// The fields of `content` that authorization reads, by type.
const READ: [(&str, &[&str]); 4] = [
    (kind::CREATE, &["room_version"]),
    (kind::MEMBER, &["membership"]),
    (kind::JOIN_RULES, &["join_rule"]),
    (
        kind::POWER_LEVELS,
        &[
            "ban",
            "events",
            "events_default",
            "invite",
            "kick",
            "redact",
            "state_default",
            "users",
            "users_default",
        ],
    ),
];

impl Evidence {
    /// Checks the evidence from its documents and the keys alone. Only the hub's keys are needed.
    ///
    /// # Errors
    /// [`EvidenceError`] says why it proves nothing.
    pub fn verify(&self, versions: &RoomVersions, keys: &impl KeyRing) -> Result<Proved, EvidenceError> {
        let name = self.create.get("content").and_then(|content| content.get("room_version")?.as_str());
        let version = name.and_then(|name| versions.get(name)).ok_or(EvidenceError::Version)?;
        let pdu = Pdu::from_object(self.create.clone(), version)?;
        let sender = pdu.event().event().sender_server().clone();
        check_signature(&pdu, &sender, keys)?;
        let create = pdu.settle().into_event();
        auth::authorise_create(create.event(), create.auth_events(), create.prev_events(), versions)
            .map_err(EvidenceError::Create)?;
        self.examine(&create, version, |pdu, hub| check_signature(pdu, hub, keys))
    }

    /// Checks everything but the room's beginning, and what the hub sealed by `check`.
    pub(super) fn examine(
        &self,
        create: &RoomEvent,
        version: &Arc<RoomVersion>,
        check: impl Fn(&Pdu, &ServerName) -> Result<(), EvidenceError>,
    ) -> Result<Proved, EvidenceError> {
        if version.hub_selection != HubSelection::Creator {
            return Err(EvidenceError::HubChanges);
        }
        let court = Court { create, version, hub: first_hub(create.event(), version), check };
        let fault = match self.claim {
            Claim::Fork => court.fork(self.pair()?, &self.support),
            Claim::SealedTwice => court.sealed_twice(self.pair()?, &self.support),
            Claim::Forbidden => court.forbidden(self.one()?, &self.support),
            Claim::IgnoredState => court.ignored_state(self.one()?, &self.support),
        }?;
        Ok(Proved { room_id: create.event().room_id().clone(), hub: court.hub, fault })
    }

    fn one(&self) -> Result<&Object, EvidenceError> {
        match self.events.as_slice() {
            [one] => Ok(one),
            events => Err(EvidenceError::Count { expected: 1, found: events.len() }),
        }
    }

    fn pair(&self) -> Result<[&Object; 2], EvidenceError> {
        match self.events.as_slice() {
            [one, other] => Ok([one, other]),
            events => Err(EvidenceError::Count { expected: 2, found: events.len() }),
        }
    }
}

fn check_signature(pdu: &Pdu, server: &ServerName, keys: &impl KeyRing) -> Result<(), EvidenceError> {
    let failed = |error| EvidenceError::Signature { event: pdu.event().id().clone(), error };
    pdu.check_signature(server, keys).map_err(failed)
}

/// Where a claim is examined.
struct Court<'c, C> {
    create: &'c RoomEvent,
    version: &'c Arc<RoomVersion>,
    hub: ServerName,
    check: C,
}

impl<C: Fn(&Pdu, &ServerName) -> Result<(), EvidenceError>> Court<'_, C> {
    /// An event that the hub signed as the one that gave it its place.
    fn sealed(&self, object: &Object) -> Result<RoomEvent, EvidenceError> {
        let pdu = Pdu::from_object(object.clone(), self.version)?;
        let (id, event) = (pdu.event().id(), pdu.event().event());
        if event.room_id() != self.create.event().room_id() {
            return Err(EvidenceError::OtherRoom(id.clone()));
        }
        let sealer = event.hub_server().unwrap_or(event.sender_server());
        if *sealer != self.hub {
            let (event, sealer, hub) = (id.clone(), sealer.clone(), self.hub.clone());
            return Err(EvidenceError::OtherHub { event, sealer, hub });
        }
        (self.check)(&pdu, &self.hub)?;
        self.readable(pdu)
    }

    /// An event that an event of the hub names: its id, which the hub signed, vouches for it.
    fn named(&self, object: &Object) -> Result<RoomEvent, EvidenceError> {
        self.readable(Pdu::from_object(object.clone(), self.version)?)
    }

    /// The copy that counts, in which everything can be read that the rules look at.
    fn readable(&self, pdu: Pdu) -> Result<RoomEvent, EvidenceError> {
        let settled = pdu.settle();
        let event = settled.event();
        if settled.integrity() == Integrity::Redacted && !keeps_what_is_read(event, &self.version.redaction) {
            return Err(EvidenceError::Redacted(event.id().clone()));
        }
        Ok(settled.into_event())
    }

    fn fork(&self, pair: [&Object; 2], support: &[Object]) -> Result<Fault, EvidenceError> {
        let [one, other] = self.different(pair)?;
        let after = match (one.prev_events(), other.prev_events()) {
            ([first], [second]) if first == second => Some(first.clone()),
            _ if is_beginning(&one) && is_beginning(&other) => None,
            _ => return Err(EvidenceError::OtherPlaces),
        };
        self.listed([&one, &other], support)?;
        Ok(Fault::Fork { after, events: [one, other].map(|event| event.id().clone()) })
    }

    fn sealed_twice(&self, pair: [&Object; 2], support: &[Object]) -> Result<Fault, EvidenceError> {
        let [one, other] = self.different(pair)?;
        let lpdu = match (one.lpdu_id(), other.lpdu_id()) {
            (Some(first), Some(second)) if first == second => first.clone(),
            _ => return Err(EvidenceError::OtherLpdus),
        };
        if !self.version.hashing.covers_lpdu() && !self.same_contents(pair)? {
            return Err(EvidenceError::ContentsNotTold(lpdu));
        }
        self.listed([&one, &other], support)?;
        Ok(Fault::SealedTwice { lpdu, events: [one, other].map(|event| event.id().clone()) })
    }

    /// Whether both events are whole, and of the same contents. An LPDU's id covers its contents by the hash that it
    /// carries; without one, two messages of one user in one millisecond have the same id.
    fn same_contents(&self, pair: [&Object; 2]) -> Result<bool, EvidenceError> {
        for object in pair {
            if Pdu::from_object(object.clone(), self.version)?.settle().integrity() == Integrity::Redacted {
                return Ok(false);
            }
        }
        let [one, other] = pair.map(hash::lpdu_content_hash);
        Ok(one == other)
    }

    fn different(&self, [one, other]: [&Object; 2]) -> Result<[RoomEvent; 2], EvidenceError> {
        let (one, other) = (self.sealed(one)?, self.sealed(other)?);
        if one.id() == other.id() {
            return Err(EvidenceError::SameEvent(one.id().clone()));
        }
        Ok([one, other])
    }

    /// Both events are in a list of the hub: not invites that it may have given up, or it went on from them.
    fn listed(&self, pair: [&RoomEvent; 2], support: &[Object]) -> Result<(), EvidenceError> {
        let after: Vec<RoomEvent> =
            support.iter().map(|object| self.sealed(object)).collect::<Result<_, _>>()?;
        for event in pair {
            let goes_on = || after.iter().any(|next| *next.prev_events() == [event.id().clone()]);
            if is_tentative(event.event(), &self.hub) && !goes_on() {
                return Err(EvidenceError::Tentative(event.id().clone()));
            }
        }
        Ok(())
    }

    fn forbidden(&self, object: &Object, cited: &[Object]) -> Result<Fault, EvidenceError> {
        let event = self.sealed(object)?;
        let proved = |refusal| Ok(Fault::Forbidden { event: event.id().clone(), refusal });
        // What the hub sealed, its own events included, follows one event (reading R13), and only the beginning none.
        if is_beginning(&event) {
            return Err(if event.id() == self.create.id() {
                EvidenceError::Allowed(AuthRule::CreateAllowed.into())
            } else {
                EvidenceError::OtherCreate(event.id().clone())
            });
        }
        if event.prev_events().len() != 1 {
            return proved(Refusal::new(RoomRule::Predecessors, Because::Field("prev_events")));
        }
        let cited: Vec<RoomEvent> =
            cited.iter().map(|object| self.named(object)).collect::<Result<_, _>>()?;
        if let Some(stray) = cited.iter().find(|cited| !event.auth_events().contains(cited.id())) {
            return Err(EvidenceError::Stray(stray.id().clone()));
        }
        let known = |id: &EventId| cited.iter().find(|event| event.id() == id);
        if let Some(missing) = event.auth_events().iter().find(|id| known(id).is_none()) {
            return Err(EvidenceError::Lacks(missing.clone()));
        }
        let room_id = self.create.event().room_id();
        if let Some(foreign) = cited.iter().find(|cited| cited.event().room_id() != room_id) {
            return proved(Refusal::new(AuthRule::CitedWrongly, Because::Cited(foreign.id().clone())));
        }
        let begins = cited.iter().filter(|cited| cited.event().is_state(kind::CREATE, ""));
        if let Some(other) = begins.map(RoomEvent::id).find(|id| *id != self.create.id()) {
            return Err(EvidenceError::OtherCreate(other.clone()));
        }
        let state =
            self.select(&event, |kind, key| cited.iter().find(|cited| cited.event().is_state(kind, key)));
        let decision = auth::check_cited(event.event(), event.auth_events(), &state, |id| known(id)?.slot())
            .and_then(|()| auth::authorise(event.event(), &state));
        match decision {
            Ok(rule) => Err(EvidenceError::Allowed(rule.into())),
            Err(refusal) if refusal.rule == AuthRule::KnockJoinRule.into() && state.join_rules.is_none() => {
                knock_without_join_rule(event.event(), &state).map_or(Err(EvidenceError::Undecided), proved)
            }
            Err(refusal) => proved(refusal),
        }
    }

    fn ignored_state(&self, object: &Object, path: &[Object]) -> Result<Fault, EvidenceError> {
        let event = self.sealed(object)?;
        let path: Vec<RoomEvent> = path.iter().map(|object| self.named(object)).collect::<Result<_, _>>()?;
        let mut next = &event;
        for link in path.iter().rev() {
            if link.event().room_id() != self.create.event().room_id() {
                return Err(EvidenceError::OtherRoom(link.id().clone()));
            }
            if *next.prev_events() != [link.id().clone()] {
                return Err(EvidenceError::Broken(next.id().clone()));
            }
            next = link;
        }
        let Some((state, later)) = path.split_first() else {
            return Err(EvidenceError::Broken(event.id().clone()));
        };
        let selects = |candidate: &RoomEvent| {
            let here = |kind: &str, key: &str| candidate.event().is_state(kind, key).then_some(candidate);
            self.select(&event, here).to_cite(event.event()).contains(candidate.id())
        };
        if *state.id() == *self.create.id() || !selects(state) {
            return Err(EvidenceError::NotSelected(state.id().clone()));
        }
        if event.auth_events().contains(state.id()) {
            return Err(EvidenceError::Cited(state.id().clone()));
        }
        let slot = state.event();
        let replaces = |later: &&RoomEvent| {
            slot.state_key().is_some_and(|state_key| later.event().is_state(slot.kind(), state_key))
        };
        if let Some(newer) = later.iter().find(replaces) {
            return Err(EvidenceError::Replaced(state.id().clone(), newer.id().clone()));
        }
        Ok(Fault::IgnoredState { event: event.id().clone(), state: state.id().clone() })
    }

    fn select<'s>(
        &'s self,
        event: &RoomEvent,
        state: impl Fn(&str, &str) -> Option<&'s RoomEvent>,
    ) -> SelectedState<'s> {
        let follows_create = event.prev_events().contains(self.create.id());
        SelectedState::select(event.event(), self.create, follows_create, state)
    }
}

/// Whether the hub may have sealed the event without listing it: an invite that another server has to sign first
/// (LM-04 §12.7.2, reading R23).
pub(in crate::participant) fn is_tentative(event: &Event, hub: &ServerName) -> bool {
    event.membership() == Some(Membership::Invite.as_str())
        && event.state_key().and_then(|key| UserId::parse(key).ok()).is_none_or(|user| user.server() != *hub)
}

/// Whether the event is the beginning of a room.
fn is_beginning(event: &RoomEvent) -> bool {
    event.event().is_state(kind::CREATE, "") && event.prev_events().is_empty()
}

/// Why a knock is refused whatever the join rule is, if it is.
fn knock_without_join_rule(event: &Event, state: &SelectedState<'_>) -> Option<Refusal> {
    let (sender, is) = (event.sender(), state.sender_membership());
    let state_key = event.state_key().unwrap_or_default();
    if *sender != *state_key {
        let because = Because::NotSelf { sender: sender.clone(), state_key: state_key.to_owned() };
        return Some(Refusal::new(AuthRule::KnockNotSelf, because));
    }
    matches!(is, Membership::Ban | Membership::Join)
        .then(|| Refusal::new(AuthRule::KnockOtherwise, Because::Membership { user: sender.clone(), is }))
}

/// Whether redaction leaves all of an event that authorization reads, so that its redacted copy is judged as it is.
fn keeps_what_is_read(event: &RoomEvent, rules: &RedactionRules) -> bool {
    let kind = event.event().kind();
    let Some((_, read)) = READ.iter().find(|(name, _)| *name == kind) else { return true };
    match rules.content.iter().find(|(name, _)| *name == kind) {
        Some((_, Keep::All)) => true,
        Some((_, Keep::Keys(keys))) => read.iter().all(|key| keys.contains(key)),
        None => false,
    }
}
