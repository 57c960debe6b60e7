//! The commit a tracker starts with.

use super::*;
use crate::crypto::Layered;

#[test]
fn the_first_commit_brings_everybody_in() {
    let mut alice = Rogue::new("alice", "A");
    let bob = Rogue::new("bob", "B");
    alice.create(ROOM);
    let added = bob.key_package();
    let event = alice.commit(|builder| builder.propose_adds([added]));
    let (tracker, change) = GroupTracker::start(ROOM, SUITE, &event.message, &event.group_info).unwrap();
    assert_eq!(tracker.epoch(), 1);
    assert_eq!(tracker.room_id(), ROOM);
    assert_eq!(tracker.suite(), SUITE);
    assert_eq!(addresses(tracker.members()), [address("alice", "A"), address("bob", "B")]);
    assert_eq!(tracker.member(&address("bob", "B")).unwrap().signature_key, bob.signer.public());
    assert!(tracker.member(&address("bob", "C")).is_none());
    assert_eq!(change.epoch, 1);
    assert_eq!(change.committer.address, address("alice", "A"));
    assert_eq!(addresses(&change.added), [address("alice", "A"), address("bob", "B")]);
    assert!(change.removed.is_empty() && !change.external && !change.resync);
}

#[test]
fn frames_are_not_needed() {
    let mut alice = Rogue::new("alice", "A");
    alice.create(ROOM);
    let event = alice.update();
    alice.merge();
    let (mut tracker, _) =
        GroupTracker::start(ROOM, SUITE, unframed(&event.message), unframed(&event.group_info)).unwrap();
    let event = alice.update();
    let staged = tracker.stage(unframed(&event.message), unframed(&event.group_info)).unwrap();
    tracker.merge(staged).unwrap();
    assert_eq!(tracker.epoch(), 2);
}

#[test]
fn a_tracker_can_start_with_any_commit() {
    let (mut alice, _, _) = room_of_two();
    let event = alice.update();
    alice.merge();
    let (tracker, change) = GroupTracker::start(ROOM, SUITE, &event.message, &event.group_info).unwrap();
    assert_eq!(tracker.epoch(), 3);
    assert_eq!(change.committer.address, address("alice", "A"));
    assert_eq!(change.added.len(), 2);

    let mut carol = Rogue::new("carol", "C");
    let event = carol.join_external(&event.group_info);
    let (tracker, change) = GroupTracker::start(ROOM, SUITE, &event.message, &event.group_info).unwrap();
    assert_eq!(tracker.epoch(), 4);
    assert_eq!(change.committer.address, address("carol", "C"));
    assert!(change.external && !change.resync);

    let event = carol.join_external(&event.group_info);
    let (_, change) = GroupTracker::start(ROOM, SUITE, &event.message, &event.group_info).unwrap();
    assert_eq!(change.committer.address, address("carol", "C"));
    assert!(change.external && change.resync);
}

#[test]
fn the_first_commit_must_fit_the_room_and_the_group_state() {
    let mut alice = Rogue::new("alice", "A");
    alice.create(ROOM);
    let first = alice.update();
    alice.merge();
    let second = alice.update();
    let start = |message: &[u8], group_info: &[u8]| {
        not_started(&Event { message: message.to_vec(), group_info: group_info.to_vec(), welcome: None })
    };
    assert_fault!(start(&first.message, &second.group_info), PeerFault::StaleEpoch { expected: 1, got: 0 });
    assert_fault!(start(&second.message, &first.group_info), PeerFault::EpochAhead { expected: 0, got: 1 });

    let mut other = Rogue::new("alice", "A");
    other.create(ROOM);
    let others = other.update();
    assert_fault!(
        start(&others.message, &first.group_info),
        PeerFault::GroupStateMismatch { part: GroupStatePart::ConfirmationTag }
    );
    other.create("!other:example.org");
    let elsewhere = other.update();
    assert_fault!(start(&elsewhere.message, &first.group_info), PeerFault::WrongGroup { got } if got == b"!other:example.org");
    assert_fault!(start(&first.message, &elsewhere.group_info), PeerFault::WrongGroup { .. });

    other.create_with(ROOM.as_bytes(), OTHER_SUITE, openmls::group::PURE_PLAINTEXT_WIRE_FORMAT_POLICY);
    let suite3 = other.update();
    assert_fault!(
        start(&first.message, &suite3.group_info),
        PeerFault::WrongSuite { expected: Suite::MANDATORY, got: 3 }
    );
}

#[test]
fn the_other_suite_is_tracked_as_well() {
    let mut alice = Rogue::new("alice", "A");
    alice.create_with(ROOM.as_bytes(), OTHER_SUITE, openmls::group::PURE_PLAINTEXT_WIRE_FORMAT_POLICY);
    let event = alice.update();
    alice.merge();
    let (mut tracker, _) = GroupTracker::start(ROOM, OTHER_SUITE, &event.message, &event.group_info).unwrap();
    apply(&mut tracker, &alice.update());
    assert_eq!(tracker.suite(), OTHER_SUITE);
}

#[test]
fn the_first_group_state_needs_its_tree_and_its_signature() {
    let mut alice = Rogue::new("alice", "A");
    alice.create(ROOM);
    let mut event = alice.update();
    let sound = event.group_info.clone();

    event.group_info = forge_group_info(&sound, &alice.signer, 0, |_, extensions, _| extensions.clear());
    assert_fault!(not_started(&event), PeerFault::MissingRatchetTree);
    event.group_info = forge_group_info(&sound, &alice.signer, 1, |_, _, _| {});
    assert_fault!(not_started(&event), PeerFault::UnknownGroupInfoSigner);
    let mallory = Rogue::new("mallory", "M");
    event.group_info = forge_group_info(&sound, &mallory.signer, 0, |_, _, _| {});
    assert_fault!(not_started(&event), PeerFault::BadSignature { signed: Signed::GroupInfo });
    event.group_info = forge_group_info(&sound, &alice.signer, 0, |context, _, _| {
        // Somewhere in the tree hash, which follows the version, the suite, the group id and the epoch.
        context[4 + 1 + ROOM.len() + 8 + 5] ^= 1;
    });
    assert_fault!(not_started(&event), PeerFault::InvalidTree(_));
    event.group_info = forge_group_info(&sound, &alice.signer, 0, |_, _, _| {});
    GroupTracker::start(ROOM, SUITE, &event.message, &event.group_info).unwrap();
}

#[test]
fn epochs_that_nobody_can_have_reached_are_refused() {
    let mut alice = Rogue::new("alice", "A");
    alice.create(ROOM);
    let sound = alice.update();
    let epoch_at = 4 + 1 + ROOM.len();
    for (epoch, refused) in [(0, true), (u64::MAX, true), (MAX_EPOCH + 1, true), (MAX_EPOCH, false)] {
        let group_info = forge_group_info(&sound.group_info, &alice.signer, 0, |context, _, _| {
            context[epoch_at..epoch_at + 8].copy_from_slice(&u64::to_be_bytes(epoch));
        });
        // The message is taken on trust, so its epoch can simply be written over.
        let mut message = sound.message.clone();
        let at = 4 + 1 + ROOM.len();
        message[at..at + 8].copy_from_slice(&epoch.wrapping_sub(1).to_be_bytes());
        match GroupTracker::start(ROOM, SUITE, &message, &group_info) {
            Ok((tracker, _)) => {
                assert!(!refused);
                // From the last epoch there is no way on.
                let mut next = sound.message.clone();
                next[at..at + 8].copy_from_slice(&MAX_EPOCH.to_be_bytes());
                assert_fault!(
                    self::refused(&tracker, &next, &group_info),
                    PeerFault::EpochOutOfRange { epoch } if epoch == MAX_EPOCH + 1
                );
            }
            Err(CommitError::Peer(PeerFault::EpochOutOfRange { epoch: got })) => {
                assert!(refused);
                assert_eq!(got, epoch);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn every_leaf_of_the_first_group_state_is_looked_at() {
    let start_with = |added: openmls::key_packages::KeyPackage| {
        let mut alice = Rogue::new("alice", "A");
        alice.create(ROOM);
        not_started(&alice.commit(|builder| builder.propose_adds([added])))
    };
    let signer = || SignatureKeyPair::new(SUITE.signature_scheme().mls()).unwrap();
    let plain = Rogue::with_credential(signer(), BasicCredential::new(b"@bob:example.org".to_vec()).into());
    assert_fault!(start_with(plain.key_package()), PeerFault::Credential(CredentialError::Malformed(_)));
    let foreign = Rogue::with_credential(signer(), credential(&address("bob", "B"), &[9; 32]));
    assert_fault!(
        start_with(foreign.key_package()),
        PeerFault::Credential(CredentialError::KeyMismatch { .. })
    );
    let twin = Rogue::new("alice", "A");
    assert_fault!(start_with(twin.key_package()), PeerFault::DuplicateDevice { .. });
    let bob = Rogue::new("bob", "B");
    let sound = bytes(&bob.key_package().into());
    let forged = forge_key_package(&bob.signer, &sound, None, Some([0; 32]));
    assert_fault!(start_with(mls_key_package(&forged)), PeerFault::UnusableKey { address: a } if a == address("bob", "B"));
}

#[test]
fn the_first_committer_must_be_in_the_group() {
    let mut alice = Rogue::new("alice", "A");
    alice.create(ROOM);
    let mut event = alice.update();
    let sender_at = 4 + 1 + ROOM.len() + 8;
    assert_eq!(event.message[sender_at..sender_at + 5], [1, 0, 0, 0, 0]);
    event.message[sender_at + 4] = 5;
    assert_fault!(not_started(&event), PeerFault::SenderNotInGroup);
}

#[test]
fn a_leaf_may_be_older_than_its_lifetime() {
    let mut alice = Rogue::new("alice", "A");
    alice.create_long_ago(ROOM);
    let mut bob = Rogue::new("bob", "B");
    let added = bob.key_package();
    let event = alice.commit(|builder| builder.propose_adds([added]));
    alice.merge();
    bob.join_late(event.welcome.as_ref().unwrap());
    let (mut tracker, change) = GroupTracker::start(ROOM, SUITE, &event.message, &event.group_info).unwrap();
    assert_eq!(addresses(&change.added), [address("alice", "A"), address("bob", "B")]);
    let mut restored = GroupTracker::restore(&tracker.snapshot().unwrap()).unwrap();
    let next = bob.update();
    apply(&mut tracker, &next);
    apply(&mut restored, &next);
    assert_eq!(tracker.group.group_context(), restored.group.group_context());

    // Everything else is checked all the same.
    let forge = |edit: fn(&mut Vec<u8>, &mut Vec<u8>)| {
        let group_info = forge_group_info(&event.group_info, &alice.signer, 0, |context, extensions, _| {
            edit(context, extensions);
        });
        not_started(&Event { group_info, ..event.clone() })
    };
    assert_fault!(forge(|context, _| context[4 + 1 + ROOM.len() + 8 + 5] ^= 1), PeerFault::InvalidTree(_));
    // A bit of Alice's encryption key, which her leaf's signature covers: the first leaf starts at the front of the tree.
    assert_fault!(
        forge(|_, extensions| flip_first_key(extensions)),
        PeerFault::BadSignature { signed: Signed::Leaf }
    );
    let group_info = forge_group_info(&event.group_info, &bob.signer, 0, |_, _, _| {});
    assert_fault!(
        not_started(&Event { group_info, ..event.clone() }),
        PeerFault::BadSignature { signed: Signed::GroupInfo }
    );
}

/// Changes the encryption key of the first leaf of the tree among the extensions of a GroupInfo.
fn flip_first_key(extensions: &mut [u8]) {
    // A node that is there, a leaf, and a key of 32 bytes.
    let at = extensions.windows(3).position(|bytes| bytes == [1, 1, 32]).unwrap();
    extensions[at + 3] ^= 1;
}

#[test]
fn both_ways_of_loading_a_group_agree() {
    let (mut alice, _, _) = room_of_two();
    for _ in 0..3 {
        let added = ["x", "y"].map(|user| Rogue::new(user, "X").key_package());
        let event = alice.commit(|builder| builder.propose_adds(added));
        alice.merge();
        let framed: Framed<VerifiableGroupInfo> = framing::read(&event.group_info).unwrap();
        let info = GroupInfoView::read(&framed).unwrap();
        let tree = framed.value.extensions().ratchet_tree().unwrap().ratchet_tree().clone();
        let (usual, usual_stored) =
            start::load(SUITE, UnverifiedTree::within(&tree).unwrap(), framed.value.clone(), &info).unwrap();
        let (around, around_stored) =
            start::whatever_the_lifetimes(SUITE, &Layered::default(), tree, framed.value, &info).unwrap();
        assert_eq!(usual_stored, around_stored);
        let tree = |group: &PublicGroup| postcard::to_extend(group.treesync(), Vec::new()).unwrap();
        assert_eq!(tree(&usual), tree(&around));
        let removed = [LeafNodeIndex::new(3), LeafNodeIndex::new(2)];
        alice.commit(|builder| builder.propose_removals(removed));
        alice.merge();
    }
}
