//! Every interleaving of a small room whose hub changes.
//!
//! Two servers that may be the hub and a third one exchange events, LPDUs and consents. A state is what they have
//! stored and what was ever sent. Whatever was sent may arrive at any time, any number of times, in any order, or
//! never; a server may stop for good at any time. Each step is done by the real code, by a server that was read back
//! from its list just before: every server crashes and restarts between any two steps.
//!
//! In every state reached there has to be one list, of which every server has a beginning, and which has every event
//! that a hub appended; at most one hub, which has the whole of it; and, whichever server is gone, a way for those that
//! are left to get the whole of what they have between them, and to go on from there unless it is the hub that is gone.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::json;

use super::*;
use crate::event::{Draft, Lpdu, OutgoingLpdu, RoomEvent, VerifiedPdu};
use crate::hub::Proposal;
use crate::participant::{Snapshot, Verdict};
use crate::testing::*;
use crate::version::{RoomVersion, RoomVersions, TRANSFER};

const SERVERS: usize = 3;
const USERS: [&str; SERVERS] = [ALICE, BOB, CAROL];
const MESSAGE: &str = "m.room.message";

/// An index into [`World::events`], [`World::lpdus`] or [`World::consents`].
type Index = u16;
type List = Vec<Index>;

/// What is explored.
#[derive(Clone, Copy)]
struct Bounds {
    /// How often the hub changes.
    transfers: usize,
    /// How many events of its own user a hub makes before it hands over.
    own: usize,
    /// How many servers send the hub they believe in an LPDU, the last one first.
    senders: usize,
    /// Whether the old hub signs before the next one does, which is not the protocol.
    seal_first: bool,
}

/// What the servers have stored and sent.
#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    /// Each server's list after the events that all have from the beginning.
    lists: [List; SERVERS],
    lpdus: BTreeSet<Index>,
    consents: BTreeSet<Index>,
    /// Every event that a hub appended.
    appended: BTreeSet<Index>,
}

/// A consent: which server gave it, and what it signed.
struct Consented {
    next: usize,
    entry: Value,
}

/// What an event in the list is to the exploration.
#[derive(Clone, Copy, PartialEq)]
enum What {
    Own,
    OfLpdu,
    Transfer,
}

/// What was computed so far. A step depends on the list of the server that does it and on what it is given, so it is
/// computed once.
struct World {
    version: RoomVersion,
    versions: RoomVersions,
    names: [ServerName; SERVERS],
    /// The events that everybody has from the beginning.
    base: Vec<Recorded>,
    events: Vec<Known>,
    by_id: HashMap<EventId, Index>,
    lpdus: Vec<(usize, OutgoingLpdu)>,
    consents: Vec<Consented>,
    hub_of: HashMap<List, usize>,
    delivered: HashMap<(List, Index), bool>,
    sealed: HashMap<(List, Step), Option<Index>>,
    /// By sender and hub.
    sent: HashMap<(usize, usize), Index>,
    /// By the list of the hub that asks and that of the server asked.
    consented: HashMap<(List, List), Option<Index>>,
}

/// An event as it is sent and as it is stored.
struct Known {
    what: What,
    pdu: VerifiedPdu,
    record: Recorded,
}

/// What a hub appends.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Own,
    Lpdu(Index),
    Transfer(Index),
}

fn record(event: &RoomEvent) -> Recorded {
    Recorded::read(event.bytes(), event.id(), &RoomVersion::transfer()).unwrap()
}

impl World {
    fn new() -> Self {
        let mut hub = TestHub::new(json!({})).public();
        let levels = json!({"users": {ALICE: 100, BOB: 100}});
        hub.event(ALICE, "m.room.power_levels", Some(""), levels).unwrap();
        hub.member(BOB, BOB, "join").unwrap();
        hub.member(CAROL, CAROL, "join").unwrap();
        Self {
            version: RoomVersion::transfer(),
            versions: versions(),
            names: ["hub.example", "b.example", "c.example"].map(server),
            base: hub.list.iter().map(|event| record(event)).collect(),
            events: Vec::new(),
            by_id: HashMap::new(),
            lpdus: Vec::new(),
            consents: Vec::new(),
            hub_of: HashMap::new(),
            delivered: HashMap::new(),
            sealed: HashMap::new(),
            sent: HashMap::new(),
            consented: HashMap::new(),
        }
    }

    fn event(&self, index: Index) -> &RoomEvent {
        self.events[usize::from(index)].record.event()
    }

    fn what(&self, index: Index) -> What {
        self.events[usize::from(index)].what
    }

    fn intern(&mut self, what: What, event: &RoomEvent) -> Index {
        *self.by_id.entry(event.id().clone()).or_insert_with(|| {
            self.events.push(Known { what, pdu: pdu(event), record: record(event) });
            Index::try_from(self.events.len() - 1).unwrap()
        })
    }

    /// The server as it is when it has read back its list.
    fn server(&self, who: usize, list: &[Index]) -> Role {
        let (create, rest) = self.base.split_first().unwrap();
        let mut role = if who == 0 {
            Role::Hub(Hub::restore(create.clone(), &self.versions).unwrap())
        } else {
            let (room, prev) = (create.event().event().room_id(), create.event().id().clone());
            let snapshot = Snapshot::recorded(room, vec![create.clone()], vec![], prev).unwrap();
            Role::Participant(Participant::start(snapshot, &self.names[0], &self.versions).unwrap())
        };
        let own = list.iter().map(|index| &self.events[usize::from(*index)].record);
        for record in rest.iter().chain(own) {
            role = role.replay(record.clone(), Effect::Applied, true, &self.names[who]).unwrap();
        }
        role
    }

    /// Which server the list makes the hub. That server, and no other, acts as it.
    fn hub_of(&mut self, list: &[Index]) -> usize {
        if let Some(hub) = self.hub_of.get(list) {
            return *hub;
        }
        let roles = [0, 1, 2].map(|who| self.server(who, list));
        let acting: Vec<_> = (0..SERVERS).filter(|who| matches!(roles[*who], Role::Hub(_))).collect();
        let [hub] = acting[..] else { panic!("{acting:?} act as the hub of one list") };
        for role in &roles {
            assert_eq!(*role.room().hub(), self.names[hub]);
            assert!(!role.room().is_disputed());
        }
        self.hub_of.insert(list.to_vec(), hub);
        hub
    }

    /// Whether an event extends a participant's list; it does, or is one for later. Nothing honest is ever rejected.
    fn deliver(&mut self, who: usize, list: &List, event: Index) -> bool {
        let cached = (list.clone(), event);
        if let Some(extends) = self.delivered.get(&cached) {
            return *extends;
        }
        let Role::Participant(mut participant) = self.server(who, list) else { return false };
        let pdu = self.events[usize::from(event)].pdu.clone();
        let listed = participant.predecessor_elsewhere(&pdu).is_some_and(|prev| {
            let base = self.base.iter().map(Recorded::event);
            base.chain(list.iter().map(|index| self.event(*index))).any(|event| event.id() == prev)
        });
        let extends = match participant.judge(pdu, listed) {
            Verdict::Extends(extension) => {
                participant.append(extension).unwrap();
                let (now, again) = (participant.room(), [list.as_slice(), &[event]].concat());
                let again = self.server(who, &again);
                assert_eq!((now.head(), now.hub()), (again.room().head(), again.room().hub()));
                true
            }
            Verdict::Gap { .. } => false,
            Verdict::Rejected(rejected) => panic!("rejected: {}", rejected.refusal),
        };
        self.delivered.insert(cached, extends);
        extends
    }

    fn draft(&self, sender: usize, kind: &str, state_key: Option<&str>, content: Value) -> Draft {
        Draft {
            room_id: self.base[0].event().event().room_id().clone(),
            kind: kind.to_owned(),
            state_key: state_key.map(ToOwned::to_owned),
            sender: user(USERS[sender]),
            content: object(content),
            origin_server_ts: TS,
        }
    }

    fn transfer(&self, hub: usize) -> Draft {
        let next = &self.names[1 - hub];
        self.draft(hub, "m.room.hub", Some(""), json!({"hub_server": next}))
    }

    /// The LPDU that a participant with this list sends.
    fn send(&mut self, who: usize, list: &List) -> Index {
        let hub = self.hub_of(list);
        if let Some(index) = self.sent.get(&(who, hub)) {
            return *index;
        }
        let draft = self.draft(who, MESSAGE, None, json!({"to": hub}));
        let key = key(&self.names[who]);
        let lpdu = draft.into_lpdu(&self.names[hub], &key, &self.version).unwrap();
        self.lpdus.push((who, lpdu));
        let index = Index::try_from(self.lpdus.len() - 1).unwrap();
        self.sent.insert((who, hub), index);
        index
    }

    /// The consent of a participant to an offer that the hub makes at `list`, if it gives it.
    fn consent(&mut self, hub: usize, list: &List, own: &List) -> Option<Index> {
        let next = 1 - hub;
        let lists = (list.clone(), own.clone());
        if let Some(known) = self.consented.get(&lists) {
            return *known;
        }
        let Role::Participant(participant) = self.server(next, own) else { return None };
        let entry = self.ask(hub, list, &participant);
        assert_eq!(entry.is_some(), own == list, "a server consents exactly if it could go on");
        let index = entry.map(|entry| {
            self.consents.push(Consented { next, entry });
            Index::try_from(self.consents.len() - 1).unwrap()
        });
        self.consented.insert(lists, index);
        index
    }

    fn ask(&self, hub: usize, list: &List, next: &Participant) -> Option<Value> {
        let Role::Hub(offering) = self.server(hub, list) else { panic!("not the hub") };
        let proposal = Proposal::of_own(self.transfer(hub), &self.version).unwrap();
        let offer = offering.authorise(proposal).unwrap().offer(&self.version);
        let name = &self.names[1 - hub];
        next.consent(&offer, name, &key(name), &ring()).ok()
    }

    /// What a hub appends in a step, if it does.
    fn seal(&mut self, who: usize, list: &List, step: Step) -> Option<Index> {
        if let Some(sealed) = self.sealed.get(&(list.clone(), step)) {
            return *sealed;
        }
        let sealed = self.try_seal(who, list, step);
        self.sealed.insert((list.clone(), step), sealed);
        sealed
    }

    fn try_seal(&mut self, who: usize, list: &List, step: Step) -> Option<Index> {
        let Role::Hub(mut hub) = self.server(who, list) else { panic!("not the hub") };
        let (what, proposal) = match step {
            Step::Own => {
                let draft = self.draft(who, MESSAGE, None, json!({"n": list.len()}));
                (What::Own, Proposal::of_own(draft, &self.version).unwrap())
            }
            Step::Lpdu(index) => {
                let lpdu = Lpdu::parse(&self.lpdus[usize::from(index)].1.bytes, &self.version).unwrap();
                (What::OfLpdu, Proposal::of_lpdu(lpdu.verify(&ring()).unwrap()))
            }
            Step::Transfer(_) => {
                (What::Transfer, Proposal::of_own(self.transfer(who), &self.version).unwrap())
            }
        };
        // An LPDU for the other hub is refused here; a consent at another list is no signature of this event.
        let mut authorised = hub.authorise(proposal).ok()?;
        if let Step::Transfer(index) = step {
            let entry = self.consents[usize::from(index)].entry.clone();
            authorised = authorised.consented(&entry, &ring(), &self.version).ok()?;
        }
        let name = &self.names[who];
        let event = hub.append(authorised.seal(name, &key(name), &self.version, 0).unwrap()).unwrap();
        let index = self.intern(what, &event);
        let again = self.server(who, &[list.as_slice(), &[index]].concat());
        assert_eq!((hub.room().head(), hub.room().hub()), (again.room().head(), again.room().hub()));
        Some(index)
    }

    fn count(&self, list: &[Index], what: What) -> usize {
        list.iter().filter(|index| self.what(**index) == what).count()
    }

    /// The own events since the last transfer.
    fn own_since(&self, list: &[Index]) -> usize {
        let since = list.iter().rposition(|index| self.what(*index) == What::Transfer);
        self.count(&list[since.map_or(0, |at| at + 1)..], What::Own)
    }

    /// The steps that a hub can take.
    fn hub_steps(&mut self, who: usize, state: &State, bounds: Bounds, found: &mut Vec<State>) {
        let list = &state.lists[who];
        let mut steps = Vec::new();
        if self.own_since(list) < bounds.own {
            steps.push(Step::Own);
        }
        let is_new = |index: &&Index| {
            let id = &self.lpdus[usize::from(**index)].1.id;
            !list.iter().any(|event| self.event(*event).lpdu_id() == Some(id))
        };
        steps.extend(state.lpdus.iter().filter(is_new).map(|index| Step::Lpdu(*index)));
        let may_transfer = self.count(list, What::Transfer) < bounds.transfers;
        if may_transfer {
            let usable = |index: &&Index| self.consents[usize::from(**index)].next != who;
            steps.extend(state.consents.iter().filter(usable).map(|index| Step::Transfer(*index)));
            let next = 1 - who;
            if let Some(consent) = self.consent(who, list, &state.lists[next]) {
                let mut with = state.clone();
                with.consents.insert(consent);
                if bounds.seal_first
                    && let Some(event) = self.seal(who, list, Step::Transfer(consent))
                {
                    with.lists[next].push(event);
                }
                found.push(with);
            }
        }
        for step in steps {
            if let Some(event) = self.seal(who, list, step) {
                let mut with = state.clone();
                with.lists[who].push(event);
                with.appended.insert(event);
                found.push(with);
            }
        }
    }

    /// Every state one step away.
    fn successors(&mut self, state: &State, bounds: Bounds) -> Vec<State> {
        let mut found = Vec::new();
        for who in 0..SERVERS {
            let list = &state.lists[who];
            if self.hub_of(list) == who {
                self.hub_steps(who, state, bounds, &mut found);
                continue;
            }
            if who + bounds.senders >= SERVERS {
                let mut with = state.clone();
                with.lpdus.insert(self.send(who, list));
                found.push(with);
            }
            let sent: BTreeSet<Index> = state.lists.iter().flatten().copied().collect();
            for event in sent.into_iter().filter(|event| !list.contains(event)) {
                if self.deliver(who, list, event) {
                    let mut with = state.clone();
                    with.lists[who].push(event);
                    found.push(with);
                }
            }
        }
        found
    }

    /// What must hold in a state: `Err` says what does not.
    fn check(&mut self, State { lists, appended, .. }: &State) -> Result<(), String> {
        let longest = lists.iter().max_by_key(|list| list.len()).unwrap();
        if let Some(lost) = appended.iter().find(|event| !longest.contains(event)) {
            return Err(format!("event {lost} was appended and is not in the list: {lists:?}"));
        }
        if !lists.iter().all(|list| longest.starts_with(list)) {
            return Err(format!("the list forked: {lists:?}"));
        }
        let acting: Vec<_> = (0..SERVERS).filter(|who| self.hub_of(&lists[*who]) == *who).collect();
        if acting.len() > 1 || acting.iter().any(|hub| lists[*hub] != *longest) {
            return Err(format!("{acting:?} act as the hub: {lists:?}"));
        }
        // Those that are left get everything that any of them has, whoever is gone.
        for gone in [None, Some(0), Some(1), Some(2)] {
            let left: Vec<_> = (0..SERVERS).filter(|who| Some(*who) != gone).collect();
            let longest = left.iter().map(|who| &lists[*who]).max_by_key(|list| list.len()).unwrap().clone();
            for who in &left {
                let mut list = lists[*who].clone();
                while list.len() < longest.len() {
                    let next = longest[list.len()];
                    if !self.deliver(*who, &list, next) {
                        return Err(format!("server {who} cannot get on: {lists:?}"));
                    }
                    list.push(next);
                }
            }
            // Then they go on, unless it is the hub that is gone.
            let hub = self.hub_of(&longest);
            if gone == Some(hub) {
                continue;
            }
            let Some(next) = self.seal(hub, &longest, Step::Own) else {
                return Err(format!("hub {hub} seals nothing more: {lists:?}"));
            };
            for who in left.into_iter().filter(|who| *who != hub) {
                if !self.deliver(who, &longest, next) {
                    return Err(format!("server {who} does not follow hub {hub}: {lists:?}"));
                }
            }
        }
        Ok(())
    }
}

fn start() -> State {
    State {
        lists: [const { List::new() }; SERVERS],
        lpdus: BTreeSet::new(),
        consents: BTreeSet::new(),
        appended: BTreeSet::new(),
    }
}

/// Explores every state within the bounds. Returns their number and that of the events in their lists, or what is wrong
/// in one.
fn explore(bounds: Bounds) -> Result<(usize, usize), String> {
    let _version = in_version(TRANSFER);
    let mut world = World::new();
    let start = start();
    let (mut seen, mut checked) = (HashSet::from([start.clone()]), HashSet::new());
    let mut open = vec![start];
    while let Some(state) = open.pop() {
        for next in world.successors(&state, bounds) {
            if seen.contains(&next) {
                continue;
            }
            if checked.insert((next.lists.clone(), next.appended.clone())) {
                world.check(&next)?;
            }
            seen.insert(next.clone());
            open.push(next);
        }
    }
    let listed: HashSet<Index> = seen.iter().flat_map(|state| &state.lists).flatten().copied().collect();
    Ok((seen.len(), listed.len()))
}

#[test]
fn one_list_whatever_happens() {
    let bounds = Bounds { transfers: 2, own: 1, senders: 2, seal_first: false };
    let (states, events) = explore(bounds).unwrap();
    // Fewer would mean that something is not explored any more.
    assert_eq!((states, events), (81_102, 485));
}

#[test]
fn the_exploration_finds_two_hubs_if_the_old_one_signs_first() {
    let bounds = Bounds { transfers: 1, own: 1, senders: 0, seal_first: true };
    assert!(explore(bounds).unwrap_err().starts_with("[0, 1] act as the hub"));
}

#[test]
fn an_event_that_a_hub_forgets_is_found() {
    let _version = in_version(TRANSFER);
    let mut world = World::new();
    let event = world.seal(0, &List::new(), Step::Own).unwrap();
    let mut state = start();
    state.appended.insert(event);
    assert!(world.check(&state).unwrap_err().starts_with("event 0 was appended"));
    state.lists[0].push(event);
    assert_eq!(world.check(&state), Ok(()));
}
