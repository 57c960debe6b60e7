//! Commits that come from others.

use super::*;

#[test]
fn the_first_accepted_commit_wins() {
    let (mut alice, mut bob) = pair();
    let of_alice = alice.commit(ROOM, update()).unwrap();
    let of_bob = bob.commit(ROOM, update()).unwrap();
    alice.accepted(ROOM, "$3").unwrap();
    let received = bob.receive_commit(ROOM, &of_alice.message, "$3").unwrap();
    assert!(matches!(received, Received::Applied { lost_race: true, .. }));
    assert_eq!(bob.pending_commit(ROOM), None);
    assert_error!(bob.accepted(ROOM, "$4"), Error::Caller(CallerFault::NoCommitPending));
    assert_error!(
        alice.receive_commit(ROOM, &of_bob.message, "$4"),
        Error::Peer(PeerFault::StaleEpoch { expected: 3, got: 2 })
    );
    same_group(&[&alice, &bob]);
    let again = bob.commit(ROOM, update()).unwrap();
    bob.accepted(ROOM, "$4").unwrap();
    alice.receive_commit(ROOM, &again.message, "$4").unwrap();
    says(&mut bob, &mut alice, "second try");
}

#[test]
fn a_bad_commit_leaves_the_pending_one_alone() {
    let (mut alice, mut bob) = pair();
    let of_alice = alice.commit(ROOM, update()).unwrap();
    let pending = bob.commit(ROOM, update()).unwrap();
    let mut bad = of_alice.message.clone();
    let at = bad.len() - 2 * TAG_LEN - 3;
    bad[at] ^= 1;
    assert_error!(bob.receive_commit(ROOM, &bad, "$3"), Error::Peer(_));
    assert_eq!(bob.pending_commit(ROOM), Some(&pending));
    assert_eq!(bob.accepted(ROOM, "$3").unwrap(), 3);
}

#[test]
fn who_is_removed_forgets_the_group() {
    let (mut alice, mut bob) = pair();
    let commit = alice.commit(ROOM, remove([address("bob", "B")])).unwrap();
    alice.accepted(ROOM, "$3").unwrap();
    bob.commit(ROOM, update()).unwrap();
    let Received::Removed { change, lost_race: true } =
        bob.receive_commit(ROOM, &commit.message, "$3").unwrap()
    else {
        panic!()
    };
    assert_eq!(change.removed, [address("bob", "B")]);
    assert_error!(bob.epoch(ROOM), Error::Caller(CallerFault::NoSuchRoom { .. }));
    assert_eq!(bob.rooms().count(), 0);
    let sent = alice.encrypt(ROOM, b"without bob").unwrap();
    assert_error!(bob.decrypt(ROOM, &sent.ciphertext), Error::Caller(CallerFault::NoSuchRoom { .. }));

    // And may come back.
    let commit = alice.commit(ROOM, add([key_package(&bob)])).unwrap();
    alice.accepted(ROOM, "$4").unwrap();
    bob.join(&commit.welcome.unwrap().message, "$4").unwrap();
    says(&mut alice, &mut bob, "welcome back");
}

#[test]
fn a_commit_must_be_one_of_this_group_and_epoch() {
    let (mut alice, mut bob) = pair();
    let commit = bob.commit(ROOM, update()).unwrap();
    assert_error!(
        alice.receive_commit("!other:example.org", &commit.message, "$3"),
        Error::Peer(PeerFault::WrongGroup { .. })
    );
    assert_error!(
        alice.receive_commit(ROOM, &commit.public_group_state, "$3"),
        Error::Peer(PeerFault::NotPublicMessage { got: MessageKind::GroupInfo })
    );
    assert_error!(
        alice.receive_commit(ROOM, &[], "$3"),
        Error::Peer(PeerFault::Framing(FramingError::Malformed { .. }))
    );
    bob.accepted(ROOM, "$3").unwrap();
    let next = bob.commit(ROOM, update()).unwrap();
    assert_error!(
        alice.receive_commit(ROOM, &next.message, "$4"),
        Error::Peer(PeerFault::EpochAhead { expected: 2, got: 3 })
    );
    assert_error!(
        alice.receive_commit(ROOM, &commit.message, "$1"),
        Error::Caller(CallerFault::EpochTaken { .. })
    );
    alice.receive_commit(ROOM, &commit.message, "$3").unwrap();
    let mut carol = engine("carol", "C");
    assert_error!(
        carol.receive_commit(ROOM, &next.message, "$4"),
        Error::Caller(CallerFault::NoSuchRoom { .. })
    );
}

#[test]
fn members_judge_commits_as_a_tracker_does() {
    let (mut alice, mut rogue) = (alone(), Rogue::new("mallory", "M"));
    // A rogue is let in by an honest member.
    let message = crate::testing::bytes(&rogue.key_package().into());
    let added = KeyPackage::read(&message, Suite::MANDATORY).unwrap();
    let commit = alice.commit(ROOM, add([added])).unwrap();
    alice.accepted(ROOM, "$2").unwrap();
    rogue.join(&commit.welcome.unwrap().message);
    let before = alice.members(ROOM).unwrap();
    let mut refused = |message: &[u8]| match alice.receive_commit(ROOM, message, "$3") {
        Err(Error::Peer(fault)) => fault,
        other => panic!("{other:?}"),
    };

    let twin = Rogue::new("alice", "A").key_package();
    let event = rogue.commit(|builder| builder.propose_adds([twin]));
    assert!(matches!(refused(&event.message), PeerFault::DuplicateDevice { .. }));
    rogue.clear();
    let no_extensions = openmls::extensions::Extensions::empty();
    let event = rogue.commit(|builder| builder.propose_group_context_extensions(no_extensions).unwrap());
    assert!(matches!(refused(&event.message), PeerFault::UnsupportedProposal { proposal_type: 7 }));
    rogue.clear();
    let signer = &crate::testing::device("mallory", "X");
    let event = rogue.rotate(
        signer.signer(),
        &crate::testing::credential(signer.address(), signer.credential().signature_key()),
    );
    assert!(matches!(refused(&event.message), PeerFault::IdentityChanged { .. }));
    rogue.clear();

    let event = rogue.update();
    let sender_at = 4 + 1 + ROOM.len() + 8;
    let mut message = event.message.clone();
    message[sender_at + 4] = 7;
    assert!(matches!(refused(&message), PeerFault::SenderNotInGroup));
    // Sent in somebody else's name: the membership tag still shows that it was changed.
    message[sender_at + 4] = 0;
    assert!(matches!(refused(&message), PeerFault::BadMembershipTag));
    let mut message = event.message.clone();
    let tag_at = message.len() - 2 * TAG_LEN + 1;
    message[tag_at] ^= 1;
    assert!(matches!(refused(&message), PeerFault::BadMembershipTag));

    assert_eq!(alice.members(ROOM).unwrap(), before);
    assert!(matches!(alice.receive_commit(ROOM, &event.message, "$3"), Ok(Received::Applied { .. })));
}

#[test]
fn the_sender_in_a_view_is_the_leaf() {
    let (_, mut bob) = pair();
    let commit = bob.commit(ROOM, update()).unwrap();
    let view = CommitView::read(&framing::read(&commit.message).unwrap()).unwrap();
    assert_eq!(view.sender, Sender::Member(LeafNodeIndex::new(1)));
}

in_other_suites! {
    the_first_accepted_commit_wins,
    a_bad_commit_leaves_the_pending_one_alone,
    who_is_removed_forgets_the_group,
    a_commit_must_be_one_of_this_group_and_epoch,
    the_sender_in_a_view_is_the_leaf,
}
