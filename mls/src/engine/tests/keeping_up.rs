//! Lists of commits, and races that were lost.

use super::*;

/// A time at which every key package that is made here is within its lifetime.
pub(super) fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// The commits of a room, as its list has them.
#[derive(Default)]
struct List(Vec<(String, OutboundCommit)>);

impl List {
    fn add(&mut self, commit: OutboundCommit) -> String {
        let event_id = format!("${}", commit.epoch);
        self.0.push((event_id.clone(), commit));
        event_id
    }

    /// Somebody commits, and nobody is in between.
    fn commit(&mut self, by: &mut Engine, changes: Changes) -> OutboundCommit {
        let commit = by.commit(ROOM, changes).unwrap();
        let event_id = self.add(commit.clone());
        by.accepted(ROOM, &event_id).unwrap();
        commit
    }

    fn listed(&self) -> Vec<ListedCommit<'_>> {
        self.0.iter().map(|(event_id, commit)| listed(event_id, commit)).collect()
    }
}

fn listed<'a>(event_id: &'a str, commit: &'a OutboundCommit) -> ListedCommit<'a> {
    let (message, public_group_state) = (&commit.message, &commit.public_group_state);
    ListedCommit { event_id, message, public_group_state, tree: None }
}

/// Alice, Bob and Carol in one group in epoch 3.
fn trio() -> (Engine, Engine, Engine) {
    let ((mut alice, mut bob), mut carol) = (pair(), engine("carol", "C"));
    let commit = alice.commit(ROOM, add([key_package(&carol)])).unwrap();
    alice.accepted(ROOM, "$3").unwrap();
    bob.receive_commit(ROOM, &commit.message, "$3").unwrap();
    carol.join(&commit.welcome.unwrap().message, "$3").unwrap();
    (alice, bob, carol)
}

/// The winner of a race for epoch 4 commits `wins`, after which the loser, who wanted `wants`, starts over.
fn race(winner: &mut Engine, wins: Changes, loser: &mut Engine, wants: Changes) -> Option<Rebase> {
    loser.commit(ROOM, wants).unwrap();
    let mut list = List::default();
    list.commit(winner, wins);
    let caught_up = loser.catch_up(ROOM, &list.listed(), now()).unwrap();
    assert!(caught_up.halt.is_none());
    caught_up.rebase
}

#[test]
fn a_list_is_followed_to_its_end() {
    let (mut alice, mut bob) = pair();
    let mut list = List::default();
    list.commit(&mut alice, update());
    let mut carol = engine("carol", "C");
    let welcome = list.commit(&mut alice, add([key_package(&carol)])).welcome.unwrap();
    list.commit(&mut alice, update());

    let caught_up = bob.catch_up(ROOM, &list.listed(), now()).unwrap();
    assert!(caught_up.halt.is_none() && caught_up.rebase.is_none());
    let epochs = caught_up.taken.iter().map(|taken| match taken {
        Taken::Received(Received::Applied { change, lost_race: false }) => change.epoch,
        other => panic!("{other:?}"),
    });
    assert_eq!(epochs.collect::<Vec<_>>(), [3, 4, 5]);
    same_group(&[&alice, &bob]);

    // Carol came in in the middle of the list, and sees it from its beginning.
    carol.join(&welcome.message, "$4").unwrap();
    let caught_up = carol.catch_up(ROOM, &list.listed(), now()).unwrap();
    assert!(caught_up.halt.is_none());
    let [
        Taken::Past,
        Taken::Received(Received::Known { epoch: 4 }),
        Taken::Received(Received::Applied { .. }),
    ] = &caught_up.taken[..]
    else {
        panic!("{caught_up:?}")
    };
    // And whoever made the commits knows them, as does everybody who sees them again.
    for engine in [&mut alice, &mut bob] {
        let caught_up = engine.catch_up(ROOM, &list.listed(), now()).unwrap();
        let known = |taken: &Taken| matches!(taken, Taken::Received(Received::Known { .. }));
        assert!(caught_up.taken.len() == 3 && caught_up.taken.iter().all(known));
    }
    same_group(&[&alice, &bob, &carol]);
    says(&mut carol, &mut bob, "hello");
}

#[test]
fn an_own_commit_in_the_list_is_accepted_and_nothing_is_wanted_any_more() {
    let (mut alice, mut bob) = pair();
    let mut list = List::default();
    list.add(bob.commit(ROOM, update()).unwrap());
    alice.catch_up(ROOM, &list.listed(), now()).unwrap().rebase.ok_or(()).unwrap_err();
    list.commit(&mut alice, update());
    let caught_up = bob.catch_up(ROOM, &list.listed(), now()).unwrap();
    assert!(matches!(caught_up.taken[0], Taken::Received(Received::Own { epoch: 3 })));
    assert!(matches!(caught_up.taken[1], Taken::Received(Received::Applied { lost_race: false, .. })));
    assert_eq!(caught_up.rebase, None);
    assert!(!bob.wants_rebase(ROOM));
}

#[test]
fn a_gap_halts_until_it_is_filled() {
    let (mut alice, mut bob) = pair();
    let mut list = List::default();
    for _ in 0..3 {
        list.commit(&mut alice, update());
    }
    bob.commit(ROOM, update()).unwrap();
    let all = list.listed();
    let caught_up = bob.catch_up(ROOM, &[all[0], all[2]], now()).unwrap();
    assert_eq!(caught_up.taken.len(), 1);
    // What is missing may do what Bob wants, so he waits for it.
    assert_eq!(caught_up.rebase, None);
    assert!(bob.wants_rebase(ROOM));
    let halt = caught_up.halt.unwrap();
    assert!(halt.is_gap() && !halt.is_final());
    assert_eq!(halt.event_id, "$5");
    let caught_up = bob.catch_up(ROOM, &all, now()).unwrap();
    assert!(caught_up.halt.is_none() && caught_up.rebase.unwrap().commit.is_some());
    same_group(&[&alice, &bob]);
}

#[test]
fn a_commit_that_cannot_be_followed_is_the_end() {
    let (mut alice, mut bob) = pair();
    let mut list = List::default();
    list.commit(&mut alice, update());
    let mut last = list.0[0].1.clone();
    let at = last.message.len() - 1;
    last.message[at] ^= 1;
    let caught_up = bob.catch_up(ROOM, &[listed("$3", &last)], now()).unwrap();
    let halt = caught_up.halt.unwrap();
    assert!(halt.is_final() && !halt.is_gap());
    assert_eq!(bob.epoch(ROOM).unwrap(), 2);
    // The way back is from outside.
    bob.forget(ROOM).unwrap();
    let (event_id, commit) = &list.0[0];
    let join = bob.join_external(ROOM, &commit.public_group_state, event_id).unwrap();
    bob.accepted(ROOM, "$4").unwrap();
    alice.receive_commit(ROOM, &join.message, "$4").unwrap();
    same_group(&[&alice, &bob]);
}

#[test]
fn whoever_has_nothing_to_do_with_a_room_cannot_catch_up() {
    let mut carol = engine("carol", "C");
    assert_error!(carol.catch_up(ROOM, &[], now()), Error::Caller(CallerFault::NoSuchRoom { .. }));
    assert_eq!(carol.rebase(ROOM, None, now()).unwrap(), None);
    assert!(!carol.give_up(ROOM));
}

#[test]
fn what_the_winner_did_is_left_out() {
    let (mut alice, mut bob, carol) = trio();
    let (dave, erin) = (engine("dave", "D"), engine("erin", "E"));
    let both = |other: &Engine| Changes {
        add: vec![key_package(&dave), key_package(other)],
        remove: vec![carol.device().address().clone()],
        ..Changes::default()
    };
    let wins = Changes { add: vec![key_package(&dave)], ..remove([address("carol", "C")]) };
    let rebase = race(&mut alice, wins, &mut bob, both(&erin)).unwrap();
    assert_eq!(
        rebase.moot,
        [Moot::Removed { address: address("carol", "C") }, Moot::Added { address: address("dave", "D") }]
    );
    let commit = rebase.commit.unwrap();
    assert_eq!(commit.prev_commit_event_id.as_deref(), Some("$4"));
    assert_eq!(commit.welcome.as_ref().unwrap().to, [address("erin", "E")]);
    assert_eq!(bob.pending_commit(ROOM), Some(&commit));
    bob.accepted(ROOM, "$5").unwrap();
    let Received::Applied { change, .. } = alice.receive_commit(ROOM, &commit.message, "$5").unwrap() else {
        panic!()
    };
    assert_eq!((change.added.len(), change.removed.len()), (1, 0));
    same_group(&[&alice, &bob]);
}

#[test]
fn nothing_is_left_if_the_winner_did_it_all() {
    let (mut alice, mut bob, _) = trio();
    let gone = || remove([address("carol", "C")]);
    let rebase = race(&mut alice, gone(), &mut bob, gone()).unwrap();
    assert_eq!(rebase.moot, [Moot::Removed { address: address("carol", "C") }]);
    assert_eq!(rebase.commit, None);
    assert!(!bob.wants_rebase(ROOM));
    // It is said once.
    assert_eq!(bob.rebase(ROOM, None, now()).unwrap(), None);
}

#[test]
fn nobody_can_refresh_a_leaf_but_its_owner() {
    let (mut alice, mut bob, _) = trio();
    let rebase = race(&mut alice, update(), &mut bob, update()).unwrap();
    assert!(rebase.moot.is_empty());
    let view = CommitView::read(&framing::read(&rebase.commit.unwrap().message).unwrap()).unwrap();
    assert!(view.path_leaf.is_some());
}

#[test]
fn a_device_that_is_replaced_is_not_removed_or_added_again() {
    let (mut alice, mut bob, _) = trio();
    let new_carol = engine("carol", "C");
    let replaces = |by: &Engine| Changes { add: vec![key_package(by)], ..remove([address("carol", "C")]) };
    // Both bring the same new leaf.
    let rebase = race(&mut alice, replaces(&new_carol), &mut bob, replaces(&new_carol)).unwrap();
    let carol = || address("carol", "C");
    assert_eq!(rebase.moot, [Moot::Removed { address: carol() }, Moot::Added { address: carol() }]);
    assert_eq!(rebase.commit, None);

    // Another one than Bob knows of.
    let (mut alice, mut bob, _) = trio();
    let newer = engine("carol", "C");
    let rebase = race(&mut alice, replaces(&newer), &mut bob, replaces(&new_carol)).unwrap();
    assert_eq!(
        rebase.moot,
        [Moot::Removed { address: carol() }, Moot::AddedWithOtherKey { address: carol() }]
    );

    // Only half of it is done.
    let (mut alice, mut bob, _) = trio();
    let rebase = race(&mut alice, remove([carol()]), &mut bob, replaces(&new_carol)).unwrap();
    assert_eq!(rebase.moot, [Moot::Removed { address: carol() }]);
    assert_eq!(rebase.commit.unwrap().welcome.unwrap().to, [carol()]);
}

#[test]
fn who_takes_the_place_of_its_own_leaf_is_still_to_be_removed() {
    let (mut alice, mut bob, mut carol) = trio();
    let mut list = List::default();
    list.commit(&mut alice, update());
    let (event_id, commit) = &list.0[0];
    carol.forget(ROOM).unwrap();
    let join = carol.join_external(ROOM, &commit.public_group_state, event_id).unwrap();
    bob.receive_commit(ROOM, &commit.message, event_id).unwrap();
    let replaces =
        Changes { add: vec![key_package(&engine("carol", "C"))], ..remove([address("carol", "C")]) };
    bob.commit(ROOM, replaces).unwrap();
    list.add(join);
    let rebase = bob.catch_up(ROOM, &list.listed(), now()).unwrap().rebase.unwrap();
    assert!(rebase.moot.is_empty());
    bob.accepted(ROOM, "$6").unwrap();
    let Received::Applied { .. } = alice.receive_commit(ROOM, &list.0[1].1.message, "$5").unwrap() else {
        panic!()
    };
    let commit = rebase.commit.unwrap();
    let Received::Applied { change, .. } = alice.receive_commit(ROOM, &commit.message, "$6").unwrap() else {
        panic!()
    };
    assert_eq!(change.removed, [address("carol", "C")]);
}

#[test]
fn a_device_that_is_removed_wants_nothing_any_more() {
    let (mut alice, mut bob, _) = trio();
    let wants = add([key_package(&engine("dave", "D"))]);
    let rebase = race(&mut alice, remove([address("bob", "B")]), &mut bob, wants).unwrap();
    assert_eq!(rebase.moot, [Moot::LeftOut]);
    assert_eq!(rebase.commit, None);
    assert!(!bob.wants_rebase(ROOM));
    assert_error!(bob.catch_up(ROOM, &[], now()), Error::Caller(CallerFault::NoSuchRoom { .. }));
}

#[test]
fn nobody_is_added_with_a_key_package_that_has_expired_in_the_meantime() {
    let (mut alice, mut bob, _) = trio();
    let (dave, erin) = (engine("dave", "D"), engine("erin", "E"));
    let lasting = key_package(&erin);
    let short = Lifetime { not_before: now() - 10, not_after: now() + 100_000 };
    let short = KeyPackage::generate_with_lifetime(dave.device(), KeyPackageUse::OneTime, short).unwrap();
    bob.commit(ROOM, add([short.clone(), lasting])).unwrap();
    let mut list = List::default();
    list.commit(&mut alice, update());
    let caught_up = bob.catch_up(ROOM, &list.listed(), now() + 100_000).unwrap();
    let rebase = caught_up.rebase.unwrap();
    assert_eq!(rebase.moot, [Moot::KeyPackageOutOfDate { address: address("dave", "D") }]);
    assert_eq!(rebase.commit.unwrap().welcome.unwrap().to, [address("erin", "E")]);
}

#[test]
fn a_join_that_lost_is_tried_again_from_the_new_state() {
    let mut alice = alone();
    let mut list = List::default();
    list.commit(&mut alice, update());
    let mut bob = engine("bob", "B");
    let (event_id, commit) = &list.0[0];
    bob.join_external(ROOM, &commit.public_group_state, event_id).unwrap();
    // Nothing new: the join waits.
    let caught_up = bob.catch_up(ROOM, &list.listed(), now()).unwrap();
    assert_eq!(
        (&caught_up.taken[..], caught_up.rebase),
        (&[Taken::Received(Received::Known { epoch: 2 })][..], None)
    );
    list.commit(&mut alice, update());
    list.commit(&mut alice, update());
    let caught_up = bob.catch_up(ROOM, &list.listed(), now()).unwrap();
    assert_eq!(caught_up.taken.last(), Some(&Taken::Received(Received::JoinLost)));
    let again = caught_up.rebase.unwrap().commit.unwrap();
    assert_eq!((again.epoch, again.prev_commit_event_id.as_deref()), (5, Some("$4")));
    list.add(again);
    for engine in [&mut alice, &mut bob] {
        assert!(engine.catch_up(ROOM, &list.listed(), now()).unwrap().halt.is_none());
    }
    same_group(&[&alice, &bob]);
    says(&mut bob, &mut alice, "in at last");
}

#[test]
fn a_join_needs_the_new_state_to_be_tried_again() {
    let mut alice = alone();
    let mut list = List::default();
    list.commit(&mut alice, update());
    let mut bob = engine("bob", "B");
    bob.join_external(ROOM, &list.0[0].1.public_group_state, "$2").unwrap();
    list.commit(&mut alice, update());
    assert_eq!(bob.receive_commit(ROOM, &list.0[1].1.message, "$3").unwrap(), Received::JoinLost);
    assert!(bob.wants_rebase(ROOM));
    assert_error!(bob.rebase(ROOM, None, now()), Error::Caller(CallerFault::GroupStateNeeded));
    let newest = list.listed()[1];
    let bad = ListedCommit { public_group_state: newest.message, ..newest };
    assert_error!(bob.rebase(ROOM, Some(&bad), now()), Error::Peer(_));
    assert!(bob.rebase(ROOM, Some(&newest), now()).unwrap().unwrap().commit.is_some());
    assert!(!bob.wants_rebase(ROOM));
}

#[test]
fn who_is_added_while_joining_waits_for_the_welcome() {
    let mut alice = alone();
    let mut list = List::default();
    list.commit(&mut alice, update());
    let mut bob = engine("bob", "B");
    bob.join_external(ROOM, &list.0[0].1.public_group_state, "$2").unwrap();
    let welcome = list.commit(&mut alice, add([key_package(&bob)])).welcome.unwrap();
    let rebase = bob.catch_up(ROOM, &list.listed(), now()).unwrap().rebase.unwrap();
    assert_eq!((&rebase.moot[..], rebase.commit), (&[Moot::Invited][..], None));
    bob.join(&welcome.message, "$3").unwrap();
    same_group(&[&alice, &bob]);

    // Who was replacing its own leaf in the first place goes on with that.
    bob.forget(ROOM).unwrap();
    let newest = list.listed()[1];
    bob.join_external(ROOM, newest.public_group_state, newest.event_id).unwrap();
    list.commit(&mut alice, update());
    let rebase = bob.catch_up(ROOM, &list.listed(), now()).unwrap().rebase.unwrap();
    assert!(rebase.moot.is_empty());
    assert!(rebase.commit.is_some());
}

#[test]
fn what_is_wanted_can_be_given_up() {
    let (mut alice, mut bob) = pair();
    bob.commit(ROOM, update()).unwrap();
    assert!(!bob.give_up(ROOM), "a pending commit is not given up");
    let commit = alice.commit(ROOM, update()).unwrap();
    alice.accepted(ROOM, "$3").unwrap();
    bob.receive_commit(ROOM, &commit.message, "$3").unwrap();
    assert!(bob.wants_rebase(ROOM));
    assert!(bob.give_up(ROOM));
    assert_eq!(bob.rebase(ROOM, None, now()).unwrap(), None);
    // A commit that is refused takes what it was made for with it.
    bob.commit(ROOM, update()).unwrap();
    bob.refused(ROOM).unwrap();
    assert!(!bob.wants_rebase(ROOM));
}

in_other_suites! {
    a_list_is_followed_to_its_end,
    an_own_commit_in_the_list_is_accepted_and_nothing_is_wanted_any_more,
    a_gap_halts_until_it_is_filled,
    a_commit_that_cannot_be_followed_is_the_end,
    whoever_has_nothing_to_do_with_a_room_cannot_catch_up,
    what_the_winner_did_is_left_out,
    nothing_is_left_if_the_winner_did_it_all,
    nobody_can_refresh_a_leaf_but_its_owner,
    a_device_that_is_replaced_is_not_removed_or_added_again,
    who_takes_the_place_of_its_own_leaf_is_still_to_be_removed,
    a_device_that_is_removed_wants_nothing_any_more,
    nobody_is_added_with_a_key_package_that_has_expired_in_the_meantime,
    a_join_that_lost_is_tried_again_from_the_new_state,
    a_join_needs_the_new_state_to_be_tried_again,
    who_is_added_while_joining_waits_for_the_welcome,
    what_is_wanted_can_be_given_up,
}
