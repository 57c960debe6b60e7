//! Devices that commit at the same time, in any order, and a hub that takes what comes first.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::keeping_up::now;
use super::*;
use crate::{Change, GroupTracker};

/// How many devices there are. The first makes the group.
const DEVICES: usize = 5;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A device wants something; of the others if that makes sense.
    Want { who: usize, what: u8, whom: usize },
    /// Its pending commit reaches the hub.
    Submit { who: usize },
    /// It sees a part of the list: from `back` before what it has seen, `count` commits.
    Look { who: usize, back: usize, count: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let who = 0..DEVICES;
    prop_oneof![
        3 => (who.clone(), 0..5_u8, who.clone()).prop_map(|(who, what, whom)| Op::Want { who, what, whom }),
        2 => who.clone().prop_map(|who| Op::Submit { who }),
        2 => (who, 0..3_usize, 0..6_usize).prop_map(|(who, back, count)| Op::Look { who, back, count }),
    ]
}

/// One thing that a device wants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    Add(DeviceAddress),
    Remove(DeviceAddress),
    Update,
    Join,
}

struct World {
    engines: Vec<Engine>,
    /// How much of the list each has seen.
    seen: Vec<usize>,
    /// Welcomes that nobody has opened yet: message, event.
    mail: Vec<Vec<(Vec<u8>, String)>>,
    /// What each wants and has neither got nor been told to be moot.
    open: Vec<BTreeSet<Wish>>,
    hub: GroupTracker,
    list: Vec<(String, OutboundCommit)>,
    changes: Vec<Change>,
}

impl World {
    fn new() -> Self {
        let mut engines: Vec<_> = (0..DEVICES).map(|n| engine(&format!("u{n}"), "D")).collect();
        engines[0].create(ROOM).unwrap();
        let first = engines[0].commit(ROOM, update()).unwrap();
        let (hub, change) =
            GroupTracker::start(ROOM, suite(), &first.message, &first.public_group_state).unwrap();
        engines[0].accepted(ROOM, "$1").unwrap();
        Self {
            engines,
            seen: vec![0; DEVICES],
            mail: vec![Vec::new(); DEVICES],
            open: vec![BTreeSet::new(); DEVICES],
            hub,
            list: vec![("$1".to_owned(), first)],
            changes: vec![change],
        }
    }

    fn address(&self, who: usize) -> DeviceAddress {
        self.engines[who].device().address().clone()
    }

    fn is_in(&self, who: usize) -> bool {
        self.engines[who].rooms().count() == 1
    }

    fn want(&mut self, who: usize, what: u8, whom: usize) {
        if self.engines[who].pending_commit(ROOM).is_some() || self.engines[who].wants_rebase(ROOM) {
            return;
        }
        let other = self.address(whom);
        if !self.is_in(who) {
            if self.mail[who].is_empty() {
                let (event_id, commit) = self.list.last().unwrap();
                self.engines[who].join_external(ROOM, &commit.public_group_state, event_id).unwrap();
                self.open[who].insert(Wish::Join);
            }
            return;
        }
        let members = self.engines[who].members(ROOM).unwrap();
        let is_member = members.iter().any(|member| member.address == other);
        let (changes, wishes) = match what {
            0 => (update(), vec![Wish::Update]),
            1 | 2 if !is_member => (add([key_package(&self.engines[whom])]), vec![Wish::Add(other)]),
            3 if is_member && who != whom => (remove([other.clone()]), vec![Wish::Remove(other)]),
            4 if is_member && who != whom => {
                // A third one comes in where this one goes.
                let outside =
                    (0..DEVICES).find(|&n| members.iter().all(|member| member.address != self.address(n)));
                let Some(outside) = outside else { return };
                let added = self.address(outside);
                let changes =
                    Changes { add: vec![key_package(&self.engines[outside])], ..remove([other.clone()]) };
                (changes, vec![Wish::Remove(other), Wish::Add(added)])
            }
            _ => return,
        };
        self.engines[who].commit(ROOM, changes).unwrap();
        self.open[who].extend(wishes);
    }

    fn submit(&mut self, who: usize) {
        let Some(commit) = self.engines[who].pending_commit(ROOM).cloned() else { return };
        let staged = match self.hub.stage(&commit.message, &commit.public_group_state) {
            Ok(staged) => staged,
            Err(CommitError::Peer(PeerFault::StaleEpoch { .. })) => return,
            Err(error) => panic!("{error}"),
        };
        let change = self.hub.merge(staged).unwrap();
        let event_id = format!("${}", change.epoch);
        // It does what its maker still wanted, and that alone.
        let mut did: BTreeSet<Wish> = BTreeSet::new();
        if change.external {
            did.insert(Wish::Join);
        } else {
            did.extend(change.added.iter().map(|member| Wish::Add(member.address.clone())));
            did.extend(change.removed.iter().cloned().map(Wish::Remove));
            if did.is_empty() {
                did.insert(Wish::Update);
            }
        }
        assert_eq!(self.open[who], did);
        self.open[who].clear();
        if let Some(welcome) = &commit.welcome {
            for to in &welcome.to {
                let n = (0..DEVICES).find(|&n| self.address(n) == *to).unwrap();
                self.mail[n].push((welcome.message.clone(), event_id.clone()));
            }
        }
        self.list.push((event_id, commit));
        self.changes.push(change);
    }

    fn look(&mut self, who: usize, back: usize, count: usize) {
        if !self.is_in(who) && self.engines[who].pending_commit(ROOM).is_none() && !self.mail[who].is_empty()
        {
            let (welcome, event_id) = self.mail[who].remove(0);
            self.engines[who].join(&welcome, &event_id).unwrap();
            self.seen[who] = 0;
        }
        if !self.is_in(who) && self.engines[who].pending_commit(ROOM).is_none() {
            return;
        }
        let from = self.seen[who].saturating_sub(back);
        let to = (self.seen[who] + count).min(self.list.len());
        let listed: Vec<_> = self.list[from..to]
            .iter()
            .map(|(event_id, commit)| ListedCommit {
                event_id,
                message: &commit.message,
                public_group_state: &commit.public_group_state,
                tree: None,
            })
            .collect();
        let caught_up = self.engines[who].catch_up(ROOM, &listed, now()).unwrap();
        assert!(caught_up.halt.is_none(), "{:?}", caught_up.halt);
        self.seen[who] = to;
        assert!(!self.engines[who].wants_rebase(ROOM));
        let Some(rebase) = caught_up.rebase else { return };
        for moot in rebase.moot {
            let did = |test: &dyn Fn(&Change) -> bool| self.changes[..to].iter().any(test);
            let open = &mut self.open[who];
            match moot {
                Moot::Added { address } => {
                    assert!(did(&|change| change.added.iter().any(|member| member.address == address)));
                    assert!(open.remove(&Wish::Add(address)));
                }
                Moot::Removed { address } => {
                    assert!(did(&|change| change.removed.contains(&address)));
                    assert!(open.remove(&Wish::Remove(address)));
                }
                Moot::LeftOut => open.clear(),
                Moot::Invited => assert!(open.remove(&Wish::Join)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(rebase.commit.is_some(), !self.open[who].is_empty());
    }

    /// Everybody sees everything and sends what is left, until nothing is.
    fn settle(&mut self) {
        for _ in 0..100 {
            for who in 0..DEVICES {
                self.look(who, 0, usize::MAX / 2);
                self.submit(who);
            }
            let settled = (0..DEVICES).all(|who| {
                self.open[who].is_empty()
                    // A Welcome of before is of no use to whoever has come in by itself.
                    && (self.mail[who].is_empty() || self.is_in(who))
                    && self.engines[who].pending_commit(ROOM).is_none()
                    && (!self.is_in(who) || self.seen[who] == self.list.len())
            });
            if settled {
                return;
            }
        }
        panic!("it never ends");
    }
}

fn run(ops: &[Op]) {
    let mut world = World::new();
    for &op in ops {
        match op {
            Op::Want { who, what, whom } => world.want(who, what, whom),
            Op::Submit { who } => world.submit(who),
            Op::Look { who, back, count } => world.look(who, back, count),
        }
    }
    world.settle();

    // One group, the hub's.
    let members: BTreeMap<_, _> =
        world.hub.members().map(|member| (member.address.clone(), member.clone())).collect();
    let inside: Vec<usize> = (0..DEVICES).filter(|&who| world.is_in(who)).collect();
    assert_eq!(inside.len(), members.len());
    for &who in &inside {
        let engine = &world.engines[who];
        assert!(members.contains_key(engine.device().address()));
        assert_eq!(engine.epoch(ROOM).unwrap(), world.hub.epoch());
        assert!(world.hub.members().eq(&engine.members(ROOM).unwrap()));
    }
    // And all of them have its keys.
    let speaker = inside[0];
    let sent = world.engines[speaker].encrypt(ROOM, b"settled").unwrap();
    for who in inside {
        let received = world.engines[who].decrypt(ROOM, &sent.ciphertext).unwrap();
        assert_eq!(who == speaker, matches!(received, Decrypted::Own { .. }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everybody_ends_in_one_group_and_gets_what_is_not_moot(ops in prop::collection::vec(op(), 1..60)) {
        run(&ops);
    }
}

#[test]
fn a_joiner_who_was_added_and_removed_before_it_looked() {
    run(&[
        Op::Want { who: 1, what: 0, whom: 0 },
        Op::Submit { who: 1 },
        Op::Look { who: 0, back: 0, count: 2 },
        Op::Want { who: 0, what: 4, whom: 1 },
        Op::Want { who: 2, what: 0, whom: 0 },
        Op::Submit { who: 0 },
        Op::Look { who: 0, back: 0, count: 1 },
        Op::Want { who: 0, what: 3, whom: 2 },
    ]);
}

#[test]
fn two_joiners_and_two_members_at_once() {
    run(&[
        Op::Want { who: 0, what: 1, whom: 1 },
        Op::Submit { who: 0 },
        Op::Look { who: 0, back: 0, count: 9 },
        Op::Look { who: 1, back: 0, count: 9 },
        Op::Want { who: 2, what: 0, whom: 0 },
        Op::Want { who: 3, what: 0, whom: 0 },
        Op::Want { who: 0, what: 1, whom: 3 },
        Op::Want { who: 1, what: 4, whom: 0 },
        Op::Submit { who: 3 },
        Op::Submit { who: 2 },
        Op::Submit { who: 1 },
        Op::Submit { who: 0 },
    ]);
}

in_other_suites! {
    everybody_ends_in_one_group_and_gets_what_is_not_moot,
    two_joiners_and_two_members_at_once,
}
