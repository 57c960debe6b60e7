//! The commits of the device itself.

use super::*;

#[test]
fn the_first_commit_makes_epoch_1() {
    for &suite in Suite::ALL {
        let mut alice = Engine::new(Device::generate("@alice:example.org", "A", suite).unwrap());
        alice.create(ROOM).unwrap();
        assert_eq!(alice.epoch(ROOM).unwrap(), 0);
        assert_error!(alice.encrypt(ROOM, b"too early"), Error::Caller(CallerFault::NoCommitYet));
        let commit = alice.commit(ROOM, update()).unwrap();
        assert_eq!(commit.epoch, 1);
        assert_eq!(commit.prev_commit_event_id, None);
        assert_eq!(commit.welcome, None);
        assert_eq!(alice.pending_commit(ROOM), Some(&commit));
        assert_eq!(alice.epoch(ROOM).unwrap(), 0);
        assert_eq!(alice.accepted(ROOM, "$1").unwrap(), 1);
        assert_eq!(alice.epoch(ROOM).unwrap(), 1);
        assert_eq!(alice.epochs(ROOM).unwrap().event(1), Some("$1"));
        assert_eq!(alice.pending_commit(ROOM), None);
        assert_eq!(alice.rooms().collect::<Vec<_>>(), [ROOM]);
        assert_eq!(alice.encrypt(ROOM, b"now").unwrap().algorithm, suite.room_algorithm());
    }
}

#[test]
fn each_commit_names_the_one_before() {
    let mut alice = alone();
    let commit = alice.commit(ROOM, update()).unwrap();
    assert_eq!(commit.prev_commit_event_id.as_deref(), Some("$1"));
    assert_eq!(commit.epoch, 2);
}

#[test]
fn adding_alone_needs_no_path_and_everything_else_does() {
    let (mut alice, mut bob) = (alone(), engine("bob", "B"));
    let has_path = |commit: &OutboundCommit| {
        CommitView::read(&framing::read(&commit.message).unwrap()).unwrap().path_leaf.is_some()
    };
    let commit = alice.commit(ROOM, add([key_package(&bob)])).unwrap();
    assert!(!has_path(&commit));
    let welcome = commit.welcome.unwrap();
    assert_eq!(welcome.to, [address("bob", "B")]);
    assert_eq!(welcome.algorithm, suite().welcome_algorithm());
    alice.accepted(ROOM, "$2").unwrap();
    bob.join(&welcome.message, "$2").unwrap();
    same_group(&[&alice, &bob]);
    says(&mut alice, &mut bob, "without a path");
    says(&mut bob, &mut alice, "back");

    let mut carol = engine("carol", "C");
    let both = Changes { update: true, ..add([key_package(&carol)]) };
    let commit = alice.commit(ROOM, both).unwrap();
    assert!(has_path(&commit));
    alice.accepted(ROOM, "$3").unwrap();
    bob.receive_commit(ROOM, &commit.message, "$3").unwrap();
    carol.join(&commit.welcome.unwrap().message, "$3").unwrap();

    // A third one adds without a path; those who were added that way can commit themselves.
    let mut dave = engine("dave", "D");
    let commit = carol.commit(ROOM, add([key_package(&dave)])).unwrap();
    assert!(!has_path(&commit));
    carol.accepted(ROOM, "$4").unwrap();
    for engine in [&mut alice, &mut bob] {
        engine.receive_commit(ROOM, &commit.message, "$4").unwrap();
    }
    dave.join(&commit.welcome.unwrap().message, "$4").unwrap();
    same_group(&[&alice, &bob, &carol, &dave]);
    let commit = dave.commit(ROOM, remove([address("bob", "B")])).unwrap();
    assert!(has_path(&commit));
    dave.accepted(ROOM, "$5").unwrap();
    for engine in [&mut alice, &mut carol] {
        engine.receive_commit(ROOM, &commit.message, "$5").unwrap();
    }
    same_group(&[&alice, &carol, &dave]);
    says(&mut dave, &mut alice, "still here");
    says(&mut alice, &mut carol, "so am I");
}

#[test]
fn changes_must_make_sense() {
    let (mut alice, bob) = pair();
    let carol = engine("carol", "C");
    let mut commit = |changes| alice.commit(ROOM, changes);
    assert_error!(commit(Changes::default()), Error::Caller(CallerFault::NothingToCommit));
    assert_error!(commit(remove([address("alice", "A")])), Error::Caller(CallerFault::CannotRemoveSelf));
    assert_error!(
        commit(remove([address("carol", "C")])),
        Error::Caller(CallerFault::NotAMember { address: a }) if a == address("carol", "C")
    );
    assert_error!(
        commit(remove([address("bob", "B"), address("bob", "B")])),
        Error::Caller(CallerFault::ListedTwice { .. })
    );
    assert_error!(
        commit(add([key_package(&carol), key_package(&carol)])),
        Error::Caller(CallerFault::ListedTwice { .. })
    );
    assert_error!(commit(add([key_package(&bob)])), Error::Caller(CallerFault::AlreadyAMember { .. }));
    let other = Engine::new(Device::generate("@dave:example.org", "D", Suite::ALL[1]).unwrap());
    assert_error!(
        commit(add([key_package(&other)])),
        Error::Caller(CallerFault::SuiteMismatch { expected: Suite::MANDATORY, got }) if got == Suite::ALL[1]
    );
    let lifetime = Lifetime { not_before: 0, not_after: 1 };
    let expired =
        KeyPackage::generate_with_lifetime(carol.device(), KeyPackageUse::OneTime, lifetime).unwrap();
    assert_error!(commit(add([expired])), Error::Peer(PeerFault::Lifetime(_)));
    // None of this left anything behind.
    assert_eq!(alice.pending_commit(ROOM), None);
    alice.commit(ROOM, update()).unwrap();
}

#[test]
fn the_leaf_of_whoever_makes_a_group_has_no_lifetime() {
    let mut alice = engine("alice", "A");
    alice.create(ROOM).unwrap();
    alice.commit(ROOM, add([key_package(&engine("bob", "B"))])).unwrap();
    alice.accepted(ROOM, "$1").unwrap();
    let tree = crate::tree::Nodes::parse(&alice.ratchet_tree(ROOM).unwrap()).unwrap();
    let lifetimes: Vec<_> = tree.leaves().map(|(_, leaf)| leaf.lifetime_at.is_some()).collect();
    assert_eq!(lifetimes, [false, true], "Alice's leaf, and the one of Bob's key package");
}

#[test]
fn a_device_is_replaced_by_one_commit() {
    let (mut alice, _) = pair();
    let mut new_bob = engine("bob", "B");
    let changes = Changes { add: vec![key_package(&new_bob)], ..remove([address("bob", "B")]) };
    let commit = alice.commit(ROOM, changes).unwrap();
    alice.accepted(ROOM, "$3").unwrap();
    new_bob.join(&commit.welcome.unwrap().message, "$3").unwrap();
    same_group(&[&alice, &new_bob]);
    says(&mut new_bob, &mut alice, "new keys");
}

#[test]
fn only_one_commit_is_pending() {
    let mut alice = alone();
    let first = alice.commit(ROOM, update()).unwrap();
    assert_error!(alice.commit(ROOM, update()), Error::Caller(CallerFault::CommitPending));
    // Messages can still be sent, in the epoch before.
    assert_eq!(alice.encrypt(ROOM, b"meanwhile").unwrap().commit_event_id, "$1");
    alice.refused(ROOM).unwrap();
    assert_eq!(alice.epoch(ROOM).unwrap(), 1);
    assert_error!(alice.refused(ROOM), Error::Caller(CallerFault::NoCommitPending));
    assert_error!(alice.accepted(ROOM, "$2"), Error::Caller(CallerFault::NoCommitPending));
    let second = alice.commit(ROOM, update()).unwrap();
    assert_ne!(first.message, second.message);
    alice.accepted(ROOM, "$2").unwrap();
}

#[test]
fn an_event_makes_one_epoch() {
    let mut alice = alone();
    alice.commit(ROOM, update()).unwrap();
    assert_error!(alice.accepted(ROOM, "$1"), Error::Caller(CallerFault::EpochTaken { epoch: 2, .. }));
    assert!(alice.pending_commit(ROOM).is_some());
    assert_eq!(alice.accepted(ROOM, "$2").unwrap(), 2);
}

#[test]
fn an_own_commit_is_recognised_when_it_comes_back() {
    let (mut alice, mut bob) = pair();
    for frame in [true, false] {
        let epoch = alice.epoch(ROOM).unwrap() + 1;
        let commit = alice.commit(ROOM, update()).unwrap();
        let message = if frame { &commit.message } else { unframed(&commit.message) };
        let event_id = format!("${epoch}");
        let received = alice.receive_commit(ROOM, message, &event_id).unwrap();
        assert_eq!(received, Received::Own { epoch });
        // And once more, for everybody.
        assert_eq!(alice.receive_commit(ROOM, message, &event_id).unwrap(), Received::Known { epoch });
        let Received::Applied { change, lost_race: false } =
            bob.receive_commit(ROOM, message, &event_id).unwrap()
        else {
            panic!()
        };
        assert_eq!(change.committer.address, address("alice", "A"));
        assert_eq!(bob.receive_commit(ROOM, message, &event_id).unwrap(), Received::Known { epoch });
        same_group(&[&alice, &bob]);
    }
    says(&mut alice, &mut bob, "in step");
}

#[test]
fn an_own_commit_that_was_changed_on_the_way_is_refused() {
    let mut alice = alone();
    let commit = alice.commit(ROOM, update()).unwrap();
    let mut message = commit.message;
    let last = message.len() - 1;
    message[last] ^= 1;
    assert_error!(alice.receive_commit(ROOM, &message, "$2"), Error::Peer(PeerFault::BadMembershipTag));
    assert!(alice.pending_commit(ROOM).is_some());
}

#[test]
fn a_commit_that_was_given_up_cannot_be_taken_back() {
    let (mut alice, _) = pair();
    let commit = alice.commit(ROOM, update()).unwrap();
    alice.refused(ROOM).unwrap();
    assert_error!(
        alice.receive_commit(ROOM, &commit.message, "$3"),
        Error::Peer(PeerFault::UnknownOwnCommit)
    );
    // Without a path there is nothing in it that only its author knew.
    let carol = engine("carol", "C");
    let commit = alice.commit(ROOM, add([key_package(&carol)])).unwrap();
    alice.refused(ROOM).unwrap();
    let received = alice.receive_commit(ROOM, &commit.message, "$3").unwrap();
    assert!(matches!(received, Received::Applied { lost_race: false, .. }));
    assert_eq!(alice.members(ROOM).unwrap().len(), 3);
}

in_other_suites! {
    each_commit_names_the_one_before,
    adding_alone_needs_no_path_and_everything_else_does,
    a_device_is_replaced_by_one_commit,
    only_one_commit_is_pending,
    an_event_makes_one_epoch,
    an_own_commit_is_recognised_when_it_comes_back,
    an_own_commit_that_was_changed_on_the_way_is_refused,
    a_commit_that_was_given_up_cannot_be_taken_back,
}
