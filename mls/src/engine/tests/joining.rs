//! Welcomes and external commits.

use super::*;

#[test]
fn a_welcome_says_who_made_it() {
    let (mut alice, mut bob) = (alone(), engine("bob", "B"));
    let last_resort = KeyPackage::generate(bob.device(), KeyPackageUse::LastResort).unwrap();
    let commit = alice.commit(ROOM, add([last_resort.clone()])).unwrap();
    alice.accepted(ROOM, "$2").unwrap();
    let welcome = commit.welcome.unwrap().message;
    let joined = bob.join(unframed(&welcome), "$2").unwrap();
    assert_eq!(joined.room_id, ROOM);
    assert_eq!(joined.epoch, 2);
    assert_eq!(joined.added_by.address, address("alice", "A"));
    assert!(joined.last_resort);
    assert_eq!(bob.epochs(ROOM).unwrap().epoch("$2"), Some(2));

    // One of last resort can be used again, in another room.
    let mut other = engine("carol", "C");
    other.create("!other:example.org").unwrap();
    let commit = other.commit("!other:example.org", add([last_resort])).unwrap();
    bob.join(&commit.welcome.unwrap().message, "$o1").unwrap();
    assert_eq!(bob.rooms().collect::<Vec<_>>(), ["!other:example.org", ROOM]);
}

#[test]
fn a_key_package_is_used_once() {
    let (mut alice, mut bob) = (alone(), engine("bob", "B"));
    let commit = alice.commit(ROOM, add([key_package(&bob)])).unwrap();
    let welcome = commit.welcome.unwrap().message;
    assert!(!bob.join(&welcome, "$2").unwrap().last_resort);
    assert_error!(bob.join(&welcome, "$2"), Error::Peer(PeerFault::NoMatchingKeyPackage));
    bob.forget(ROOM).unwrap();
    assert_error!(bob.join(&welcome, "$2"), Error::Peer(PeerFault::NoMatchingKeyPackage));
    assert_error!(engine("carol", "C").join(&welcome, "$2"), Error::Peer(PeerFault::NoMatchingKeyPackage));
}

#[test]
fn a_bad_welcome_does_not_use_up_the_key_package() {
    let (mut alice, mut bob) = (alone(), engine("bob", "B"));
    let commit = alice.commit(ROOM, add([key_package(&bob)])).unwrap();
    let welcome = commit.welcome.unwrap().message;
    let mut bad = welcome.clone();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    assert_error!(bob.join(&bad, "$2"), Error::Peer(PeerFault::InvalidWelcome(_)));
    // The secrets, which come first, are what is encrypted to the key package.
    let mut bad = welcome.clone();
    bad[100] ^= 1;
    assert_error!(bob.join(&bad, "$2"), Error::Peer(PeerFault::InvalidWelcome(_)));
    bob.join(&welcome, "$2").unwrap();

    // Nor does one for a room where the device is already.
    let mut other = engine("mallory", "M");
    other.create(ROOM).unwrap();
    let again = other.commit(ROOM, add([key_package(&bob)])).unwrap().welcome.unwrap().message;
    assert_error!(bob.join(&again, "$m"), Error::Caller(CallerFault::RoomExists { .. }));
    bob.forget(ROOM).unwrap();
    bob.join(&again, "$m").unwrap();
}

#[test]
fn a_welcome_is_a_welcome() {
    let mut bob = engine("bob", "B");
    assert_error!(
        bob.join(&vec![0; MAX_WELCOME_LEN + 1], "$2"),
        Error::Peer(PeerFault::Framing(FramingError::TooLarge { kind: MessageKind::Welcome, .. }))
    );
    let mut alice = engine("alice", "A");
    alice.create(ROOM).unwrap();
    let commit = alice.commit(ROOM, update()).unwrap();
    assert_error!(
        bob.join(&commit.message, "$2"),
        Error::Peer(PeerFault::Framing(FramingError::WrongKind { got: MessageKind::PublicMessage, .. }))
    );
}

#[test]
fn a_group_with_a_bad_leaf_is_not_joined() {
    let mut rogue = Rogue::new("mallory", "M");
    rogue.create(ROOM);
    let mut bob = engine("bob", "B");
    let nobody = Rogue::with_credential(
        openmls_basic_credential::SignatureKeyPair::new(Suite::MANDATORY.signature_scheme().mls()).unwrap(),
        openmls::credentials::BasicCredential::new(b"nobody".to_vec()).into(),
    );
    let added = [nobody.key_package(), key_package(&bob).into_inner()];
    let event = rogue.commit(|builder| builder.propose_adds(added));
    assert_error!(bob.join(&event.welcome.unwrap(), "$1"), Error::Peer(PeerFault::Credential(_)));
    assert_error!(bob.join_external(ROOM, &event.group_info, "$1"), Error::Peer(PeerFault::Credential(_)));
    assert_eq!(bob.rooms().count(), 0);
}

#[test]
fn a_group_whose_id_is_no_text_is_not_joined() {
    let mut rogue = Rogue::new("mallory", "M");
    rogue.create_with(b"\xff", Suite::MANDATORY, openmls::group::PURE_PLAINTEXT_WIRE_FORMAT_POLICY);
    let mut bob = engine("bob", "B");
    let event = rogue.commit(|builder| builder.propose_adds([key_package(&bob).into_inner()]));
    assert_error!(bob.join(&event.welcome.unwrap(), "$1"), Error::Peer(PeerFault::GroupIdNotUtf8));
}

#[test]
fn a_device_joins_on_its_own() {
    let (mut alice, mut bob) = (alone(), engine("bob", "B"));
    let last = alice.commit(ROOM, update()).unwrap();
    alice.accepted(ROOM, "$2").unwrap();
    let commit = bob.join_external(ROOM, &last.public_group_state, "$2").unwrap();
    assert_eq!(commit.epoch, 3);
    assert_eq!(commit.prev_commit_event_id.as_deref(), Some("$2"));
    assert_eq!(commit.welcome, None);
    assert_eq!(bob.pending_commit(ROOM), Some(&commit));
    // Not a member yet.
    assert_eq!(bob.rooms().count(), 0);
    assert_error!(bob.epoch(ROOM), Error::Caller(CallerFault::NotJoinedYet));
    assert_error!(bob.encrypt(ROOM, b"x"), Error::Caller(CallerFault::NotJoinedYet));
    assert_error!(bob.commit(ROOM, update()), Error::Caller(CallerFault::NotJoinedYet));
    assert_error!(bob.create(ROOM), Error::Caller(CallerFault::NotJoinedYet));
    assert_error!(bob.accepted(ROOM, "$2"), Error::Caller(CallerFault::EpochTaken { epoch: 3, .. }));

    let Received::Applied { change, .. } = alice.receive_commit(ROOM, &commit.message, "$3").unwrap() else {
        panic!()
    };
    assert!(change.external);
    let received = bob.receive_commit(ROOM, &commit.message, "$3").unwrap();
    assert_eq!(received, Received::Own { epoch: 3 });
    same_group(&[&alice, &bob]);
    says(&mut alice, &mut bob, "hello");
    says(&mut bob, &mut alice, "hello");
    let commit = bob.commit(ROOM, update()).unwrap();
    bob.accepted(ROOM, "$4").unwrap();
    alice.receive_commit(ROOM, &commit.message, "$4").unwrap();
    says(&mut alice, &mut bob, "again");
}

#[test]
fn a_join_may_be_refused_or_lose_the_race() {
    let (mut alice, mut bob) = (alone(), engine("bob", "B"));
    let second = alice.commit(ROOM, update()).unwrap();
    alice.accepted(ROOM, "$2").unwrap();
    bob.join_external(ROOM, &second.public_group_state, "$2").unwrap();
    bob.refused(ROOM).unwrap();
    assert_error!(bob.refused(ROOM), Error::Caller(CallerFault::NoSuchRoom { .. }));

    let join = bob.join_external(ROOM, &second.public_group_state, "$2").unwrap();
    assert_error!(
        bob.receive_commit(ROOM, &alone_commit(), "$0"),
        Error::Peer(PeerFault::StaleEpoch { expected: 2, got: 0 })
    );
    let third = alice.commit(ROOM, update()).unwrap();
    alice.accepted(ROOM, "$3").unwrap();
    assert_eq!(bob.receive_commit(ROOM, &third.message, "$3").unwrap(), Received::JoinLost);
    assert_error!(
        alice.receive_commit(ROOM, &join.message, "$4"),
        Error::Peer(PeerFault::StaleEpoch { expected: 3, got: 2 })
    );
    let join = bob.join_external(ROOM, &third.public_group_state, "$3").unwrap();
    assert_eq!(bob.accepted(ROOM, "$4").unwrap(), 4);
    alice.receive_commit(ROOM, &join.message, "$4").unwrap();
    says(&mut bob, &mut alice, "made it");
}

/// Some first commit for the room.
fn alone_commit() -> Vec<u8> {
    let mut engine = engine("alice", "A");
    engine.create(ROOM).unwrap();
    engine.commit(ROOM, update()).unwrap().message
}

#[test]
fn who_lost_the_group_takes_its_own_place_again() {
    let (mut alice, mut bob) = pair();
    let last = alice.commit(ROOM, update()).unwrap();
    alice.accepted(ROOM, "$3").unwrap();
    assert_error!(
        bob.join_external(ROOM, &last.public_group_state, "$3"),
        Error::Caller(CallerFault::RoomExists { .. })
    );
    bob.forget(ROOM).unwrap();
    let join = bob.join_external(ROOM, &last.public_group_state, "$3").unwrap();
    bob.accepted(ROOM, "$4").unwrap();
    let Received::Applied { change, .. } = alice.receive_commit(ROOM, &join.message, "$4").unwrap() else {
        panic!()
    };
    assert!(change.external && change.resync);
    assert_eq!(change.removed, [address("bob", "B")]);
    same_group(&[&alice, &bob]);
    assert_eq!(alice.members(ROOM).unwrap().len(), 2);
    says(&mut bob, &mut alice, "back in step");

    // With new keys that is not possible.
    let last = alice.commit(ROOM, update()).unwrap();
    alice.accepted(ROOM, "$5").unwrap();
    assert_error!(
        engine("bob", "B").join_external(ROOM, &last.public_group_state, "$5"),
        Error::Caller(CallerFault::StaleOwnLeaf)
    );
}

#[test]
fn a_group_state_must_be_the_rooms_and_complete() {
    let mut alice = engine("alice", "A");
    alice.create(ROOM).unwrap();
    let commit = alice.commit(ROOM, update()).unwrap();
    let mut bob = engine("bob", "B");
    assert_error!(
        bob.join_external("!other:example.org", &commit.public_group_state, "$1"),
        Error::Peer(PeerFault::WrongGroup { .. })
    );
    let mut other = Engine::new(Device::generate("@bob:example.org", "B", Suite::ALL[1]).unwrap());
    assert_error!(
        other.join_external(ROOM, &commit.public_group_state, "$1"),
        Error::Peer(PeerFault::WrongSuite { got: 1, .. })
    );
    let mut bad = commit.public_group_state.clone();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    assert_error!(
        bob.join_external(ROOM, &bad, "$1"),
        Error::Peer(PeerFault::BadSignature { signed: crate::Signed::GroupInfo })
    );
    assert_eq!(bob.pending_commit(ROOM), None);
    bob.join_external(ROOM, &commit.public_group_state, "$1").unwrap();
}

#[test]
fn a_leaf_may_be_older_than_the_lifetime_of_its_key_package() {
    let mut rogue = Rogue::new("mallory", "M");
    rogue.create_long_ago(ROOM);
    let (mut bob, mut carol) = (engine("bob", "B"), engine("carol", "C"));
    let event = rogue.commit(|builder| builder.propose_adds([key_package(&bob).into_inner()]));
    bob.join(&event.welcome.unwrap(), "$1").unwrap();
    let join = carol.join_external(ROOM, &event.group_info, "$1").unwrap();
    carol.accepted(ROOM, "$2").unwrap();
    bob.receive_commit(ROOM, &join.message, "$2").unwrap();
    assert_eq!(bob.members(ROOM).unwrap().len(), 3);
    says(&mut carol, &mut bob, "hello");
}

in_other_suites! {
    a_welcome_says_who_made_it,
    a_key_package_is_used_once,
    a_bad_welcome_does_not_use_up_the_key_package,
    a_welcome_is_a_welcome,
    a_device_joins_on_its_own,
    a_join_may_be_refused_or_lose_the_race,
    who_lost_the_group_takes_its_own_place_again,
}
