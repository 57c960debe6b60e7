//! The commits after it.

use super::*;

#[test]
fn adds_updates_and_removes_are_reported() {
    let (mut alice, mut tracker) = room();
    let (mut bob, carol) = (Rogue::new("bob", "B"), Rogue::new("carol", "C"));
    let added = [bob.key_package(), carol.key_package()];
    let event = alice.commit(|builder| builder.propose_adds(added));
    let change = apply(&mut tracker, &event);
    alice.merge();
    bob.join(event.welcome.as_ref().unwrap());
    assert_eq!(change.epoch, 2);
    assert_eq!(change.committer.address, address("alice", "A"));
    assert_eq!(addresses(&change.added), [address("bob", "B"), address("carol", "C")]);
    assert_eq!(change.added[0].signature_key, bob.signer.public());
    assert!(change.removed.is_empty() && !change.external && !change.resync && !change.new_signature_key);

    let event = alice.update();
    let change = apply(&mut tracker, &event);
    alice.merge();
    assert!(change.added.is_empty() && change.removed.is_empty());

    let event = alice.commit(|builder| builder.propose_removals([LeafNodeIndex::new(2)]));
    let change = apply(&mut tracker, &event);
    alice.merge();
    assert_eq!(change.removed, [address("carol", "C")]);
    assert_eq!(addresses(tracker.members()), [address("alice", "A"), address("bob", "B")]);
    assert_eq!(tracker.epoch(), alice.group().epoch().as_u64());
    assert_eq!(tracker.group.group_context(), alice.group().public_group().group_context());
}

#[test]
fn an_external_commit_brings_in_its_committer() {
    let (mut alice, mut tracker) = room();
    let event = alice.update();
    apply(&mut tracker, &event);
    let mut bob = Rogue::new("bob", "B");
    let event = bob.join_external(&event.group_info);
    let change = apply(&mut tracker, &event);
    assert!(change.external && !change.resync);
    assert_eq!(change.committer.address, address("bob", "B"));
    assert_eq!(change.added, std::slice::from_ref(&change.committer));
    assert!(change.removed.is_empty());

    // With the same keys once more: the old leaf goes.
    let event = bob.join_external(&event.group_info);
    let change = apply(&mut tracker, &event);
    assert!(change.external && change.resync);
    assert_eq!(addresses(&change.added), [address("bob", "B")]);
    assert_eq!(change.removed, [address("bob", "B")]);
    assert_eq!(tracker.members().count(), 2);
}

#[test]
fn a_committer_may_change_its_key_but_not_who_it_is() {
    let (mut alice, mut tracker) = room();
    let other = address("alice", "Z");
    let same_key = CredentialWithKey {
        credential: credential(&other, alice.signer.public()),
        signature_key: alice.signer.public().into(),
    };
    let leaf = LeafNodeParameters::builder().with_credential_with_key(same_key).build();
    let event = alice.commit(|builder| builder.leaf_node_parameters(leaf));
    assert_fault!(
        refused_event(&tracker, &event),
        PeerFault::IdentityChanged { before, after } if before == address("alice", "A") && after == other
    );
    alice.clear();

    let signer = SignatureKeyPair::new(SUITE.signature_scheme().mls()).unwrap();
    let event = alice.rotate(&signer, &credential(&address("alice", "A"), signer.public()));
    let change = apply(&mut tracker, &event);
    assert!(change.new_signature_key);
    assert_eq!(change.committer.signature_key, signer.public());
    assert_eq!(tracker.members().next().unwrap().signature_key, signer.public());
}

#[test]
fn a_new_leaf_must_hold_its_own_key() {
    let (mut alice, tracker) = room();
    let wrong = CredentialWithKey {
        credential: credential(&address("alice", "A"), &[1; 32]),
        signature_key: alice.signer.public().into(),
    };
    let leaf = LeafNodeParameters::builder().with_credential_with_key(wrong).build();
    let event = alice.commit(|builder| builder.leaf_node_parameters(leaf));
    assert_fault!(
        refused_event(&tracker, &event),
        PeerFault::Credential(CredentialError::KeyMismatch { .. })
    );
}

#[test]
fn a_new_leaf_must_have_a_usable_key() {
    let (mut alice, tracker) = room();
    let event = alice.update();
    let context = alice.group().public_group().group_context().tls_serialize_detached().unwrap();
    let forge = |key: [u8; 32]| {
        let mut message = event.message.clone();
        // Behind the sender: no authenticated data, the content's type, no proposals, a path. Its leaf begins with the
        // key and ends with its signature, and alone in the group it is all there is of the path but an empty list.
        let leaf_at = 4 + 1 + ROOM.len() + 8 + 5 + 1 + 1 + 1 + 1;
        assert_eq!(message[leaf_at - 4..=leaf_at], [0, 3, 0, 1, 32]);
        message[leaf_at + 1..leaf_at + 33].copy_from_slice(&key);
        let end = message.len() - 2 * TAG_LEN - SIGNATURE_LEN - 1 - SIGNATURE_LEN;
        let group_id = VLBytes::from(ROOM.as_bytes()).tls_serialize_detached().unwrap();
        let content = [&message[leaf_at..end], &group_id, &[0; 4]].concat();
        let signature = sign(&alice.signer, "LeafNodeTBS", &content);
        message[end..end + SIGNATURE_LEN].copy_from_slice(&signature);
        sign_again(&mut message, 2 * TAG_LEN, &alice.signer, &context);
        refused(&tracker, &message, &event.group_info)
    };
    assert_fault!(forge([0; 32]), PeerFault::UnusableKey { address: a } if a == address("alice", "A"));
    // The forgery is right: with a usable key it is only the group state that does not fit.
    let mut usable = [0; 32];
    usable[0] = 9;
    assert_fault!(forge(usable), PeerFault::GroupStateMismatch { part: GroupStatePart::Context });
}

#[test]
fn nobody_takes_somebody_elses_signature_key() {
    let (mut alice, bob, tracker) = room_of_two();
    let event = alice.rotate(&bob.signer, &credential(&address("alice", "A"), bob.signer.public()));
    assert_fault!(refused_event(&tracker, &event), PeerFault::DuplicateKey);
}

#[test]
fn nobody_is_added_who_is_not_a_sound_device() {
    let add = |added: openmls::key_packages::KeyPackage| {
        let (mut alice, tracker) = room();
        let event = alice.commit(|builder| builder.propose_adds([added]));
        refused_event(&tracker, &event)
    };
    let signer = || SignatureKeyPair::new(SUITE.signature_scheme().mls()).unwrap();
    let plain = Rogue::with_credential(signer(), BasicCredential::new(vec![]).into());
    assert_fault!(
        add(plain.key_package()),
        PeerFault::KeyPackage(KeyPackageError::Credential(CredentialError::Malformed(_)))
    );
    let foreign = Rogue::with_credential(signer(), credential(&address("bob", "B"), &[9; 32]));
    assert_fault!(
        add(foreign.key_package()),
        PeerFault::KeyPackage(KeyPackageError::Credential(CredentialError::KeyMismatch { .. }))
    );
    assert_fault!(
        add(Rogue::new("alice", "A").key_package()),
        PeerFault::DuplicateDevice { address: a } if a == address("alice", "A")
    );
    let bob = Rogue::new("bob", "B");
    let sound = bytes(&bob.key_package().into());
    let forged = forge_key_package(&bob.signer, &sound, None, Some([0; 32]));
    assert_fault!(add(mls_key_package(&forged)), PeerFault::KeyPackage(KeyPackageError::UnusableKey));
}

#[test]
fn a_device_may_be_replaced_by_itself_in_one_commit() {
    let (mut alice, _, mut tracker) = room_of_two();
    let new_bob = Rogue::new("bob", "B");
    let added = new_bob.key_package();
    let event =
        alice.commit(|builder| builder.propose_adds([added]).propose_removals([LeafNodeIndex::new(1)]));
    let change = apply(&mut tracker, &event);
    assert_eq!(addresses(&change.added), change.removed);
    assert_eq!(tracker.member(&address("bob", "B")).unwrap().signature_key, new_bob.signer.public());
}

#[test]
fn a_joiner_removes_nobody_but_itself() {
    let (mut alice, bob, mut tracker) = room_of_two();
    let event = alice.update();
    apply(&mut tracker, &event);
    // OpenMLS removes the leaf with the joiner's signature key, whoever that is.
    let mut mallory = Rogue::with_credential(
        bob.signer,
        credential(&address("mallory", "M"), bob.with_key.signature_key.as_slice()),
    );
    let external = mallory.join_external(&event.group_info);
    assert_fault!(
        refused_event(&tracker, &external),
        PeerFault::RemovedByJoiner { joiner, removed }
            if joiner == address("mallory", "M") && removed == address("bob", "B")
    );
    let mut twin = Rogue::new("bob", "B");
    let external = twin.join_external(&event.group_info);
    assert_fault!(refused_event(&tracker, &external), PeerFault::DuplicateDevice { .. });
}

#[test]
fn proposals_are_of_the_usual_kinds_and_by_value() {
    let (mut alice, mut bob, tracker) = room_of_two();
    let event =
        alice.commit(|builder| builder.propose_group_context_extensions(Extensions::empty()).unwrap());
    assert_fault!(refused_event(&tracker, &event), PeerFault::UnsupportedProposal { proposal_type: 7 });
    alice.clear();

    let proposal = bob.propose_update();
    assert_fault!(refused(&tracker, &proposal, &event.group_info), PeerFault::NotACommit);
    alice.take_proposal(&proposal);
    let event = alice.commit(|builder| builder);
    assert_fault!(refused_event(&tracker, &event), PeerFault::ProposalByReference);
}

#[test]
fn the_same_proposal_twice_is_refused() {
    let (mut alice, _, tracker) = room_of_two();
    let event = alice.commit(|builder| builder.propose_removals([LeafNodeIndex::new(1)]));
    // The list of proposals follows the sender, the empty authenticated data and the type of the content. A removal by
    // value takes 7 bytes.
    let at = 4 + 1 + ROOM.len() + 8 + 5 + 1 + 1;
    assert_eq!(event.message[at..at + 8], [7, 1, 0, 3, 0, 0, 0, 1]);
    let removal = &event.message[at + 1..at + 8];
    let twice = [&event.message[..at], &[14], removal, removal, &event.message[at + 8..]].concat();
    assert_fault!(refused(&tracker, &twice, &event.group_info), PeerFault::RepeatedProposal);
}

#[test]
fn a_commit_is_a_public_message_of_this_group_and_epoch() {
    let (mut alice, mut tracker) = room();
    let first = alice.update();
    apply(&mut tracker, &first);
    alice.merge();
    // A replay, and a commit that lost the race.
    assert_fault!(refused_event(&tracker, &first), PeerFault::StaleEpoch { expected: 2, got: 1 });
    alice.update();
    alice.merge();
    let ahead = alice.update();
    assert_fault!(refused_event(&tracker, &ahead), PeerFault::EpochAhead { expected: 2, got: 3 });

    let mut other = Rogue::new("alice", "A");
    other.create("!other:example.org");
    assert_fault!(refused_event(&tracker, &other.update()), PeerFault::WrongGroup { .. });

    other.create_with(ROOM.as_bytes(), SUITE, PURE_CIPHERTEXT_WIRE_FORMAT_POLICY);
    let encrypted = other.update();
    assert_fault!(
        refused_event(&tracker, &encrypted),
        PeerFault::NotPublicMessage { got: MessageKind::PrivateMessage }
    );
    assert_fault!(
        refused(&tracker, &first.group_info, &first.group_info),
        PeerFault::NotPublicMessage { got: MessageKind::GroupInfo }
    );
    assert_fault!(refused(&tracker, &first.message, &first.message), PeerFault::StaleEpoch { .. });
    assert_fault!(
        refused(&tracker, &vec![0; MAX_COMMIT_LEN + 1], &first.group_info),
        PeerFault::Framing(FramingError::TooLarge { kind: MessageKind::PublicMessage, .. })
    );
}

#[test]
fn the_group_state_is_a_group_info_and_nothing_else() {
    let (mut alice, tracker) = room();
    let event = alice.update();
    assert_fault!(
        refused(&tracker, &event.message, &event.message),
        PeerFault::Framing(FramingError::WrongKind { expected: MessageKind::GroupInfo, .. })
    );
    assert_fault!(
        refused(&tracker, &event.message, &vec![0; MAX_MESSAGE_LEN + 1]),
        PeerFault::Framing(FramingError::TooLarge { kind: MessageKind::GroupInfo, .. })
    );
    let mut trailing = event.group_info.clone();
    trailing.push(0);
    assert_fault!(
        refused(&tracker, &event.message, &trailing),
        PeerFault::Framing(FramingError::Malformed { kind: MessageKind::GroupInfo, .. })
    );
    for len in (0..event.group_info.len()).step_by(11) {
        assert_fault!(
            refused(&tracker, &event.message, &event.group_info[..len]),
            PeerFault::Framing(FramingError::Malformed { .. })
        );
    }
    for len in (0..event.message.len()).step_by(11) {
        assert_fault!(
            refused(&tracker, &event.message[..len], &event.group_info),
            PeerFault::Framing(FramingError::Malformed { .. })
        );
    }
}

#[test]
fn the_sender_is_a_member_whose_signature_verifies() {
    let (mut alice, tracker) = room();
    let event = alice.update();
    let sender_at = 4 + 1 + ROOM.len() + 8;

    let mut message = event.message.clone();
    message[sender_at + 4] = 1;
    assert_fault!(refused(&tracker, &message, &event.group_info), PeerFault::SenderNotInGroup);
    message[sender_at + 1..sender_at + 5].fill(0xff);
    assert_fault!(refused(&tracker, &message, &event.group_info), PeerFault::SenderNotInGroup);

    // A sender from outside, as a group can list them; such a message has no membership tag.
    let mut message = event.message[..event.message.len() - TAG_LEN].to_vec();
    message[sender_at] = 2;
    assert_fault!(refused(&tracker, &message, &event.group_info), PeerFault::SenderMayNotCommit);

    let mut message = event.message.clone();
    let signature_at = message.len() - 2 * TAG_LEN - SIGNATURE_LEN;
    assert_eq!(message[signature_at..signature_at + 2], [0x40, 0x40]);
    message[signature_at + 9] ^= 1;
    assert_fault!(
        refused(&tracker, &message, &event.group_info),
        PeerFault::BadSignature { signed: Signed::Commit }
    );
}

#[test]
fn the_group_state_is_that_after_the_commit() {
    let (mut alice, bob, tracker) = room_of_two();
    let other = alice.update();
    alice.clear();
    let event = alice.update();
    assert_fault!(
        refused(&tracker, &event.message, &other.group_info),
        PeerFault::GroupStateMismatch { part: GroupStatePart::Context }
    );

    // A relay can change the confirmation tag of a commit without breaking its signature.
    let mut message = event.message.clone();
    let tag_at = message.len() - 2 * TAG_LEN;
    assert_eq!(message[tag_at], 32);
    message[tag_at + 1] ^= 1;
    assert_fault!(
        refused(&tracker, &message, &event.group_info),
        PeerFault::GroupStateMismatch { part: GroupStatePart::ConfirmationTag }
    );

    let forged = |signer: &SignatureKeyPair, index, edit: fn(&mut Vec<u8>, &mut Vec<u8>, &mut Vec<u8>)| {
        let group_info = forge_group_info(&event.group_info, signer, index, edit);
        tracker.stage(&event.message, &group_info)
    };
    let fault = |result: Result<StagedChange, CommitError>| match result {
        Err(CommitError::Peer(fault)) => fault,
        other => panic!("{other:?}"),
    };
    assert_fault!(
        fault(forged(&alice.signer, 0, |_, _, tag| tag[1] ^= 1)),
        PeerFault::GroupStateMismatch { part: GroupStatePart::ConfirmationTag }
    );
    assert_fault!(fault(forged(&alice.signer, 2, |_, _, _| {})), PeerFault::UnknownGroupInfoSigner);
    assert_fault!(fault(forged(&alice.signer, u32::MAX, |_, _, _| {})), PeerFault::UnknownGroupInfoSigner);
    let bad_signature = |fault| {
        assert_fault!(fault, PeerFault::BadSignature { signed: Signed::GroupInfo });
    };
    bad_signature(fault(forged(&alice.signer, 1, |_, _, _| {})));
    bad_signature(fault(forged(&bob.signer, 0, |_, _, _| {})));
    // Any member may sign it, and the tree may be left out.
    assert!(forged(&bob.signer, 1, |_, _, _| {}).is_ok());
    assert!(forged(&alice.signer, 0, |_, extensions, _| extensions.clear()).is_ok());
}

#[test]
fn what_joiners_encrypt_to_and_from_is_usable() {
    let (mut alice, mut tracker) = room();
    let event = alice.update();
    // The extension is of type 4, and holds a key of 32 bytes.
    let zero_external_pub = |extensions: &mut Vec<u8>| {
        let at = extensions.windows(4).position(|window| window == [0, 4, 33, 32]).unwrap() + 4;
        extensions[at..at + 32].fill(0);
    };
    let group_info = forge_group_info(&event.group_info, &alice.signer, 0, |_, extensions, _| {
        zero_external_pub(extensions);
    });
    assert_fault!(refused(&tracker, &event.message, &group_info), PeerFault::UnusableExternalPub);
    let bob = crate::testing::device("bob", "B");
    let error = crate::Engine::new(bob).join_external(ROOM, &group_info, "$1").unwrap_err();
    assert!(matches!(error, crate::Error::Peer(PeerFault::UnusableExternalPub)), "{error:?}");

    apply(&mut tracker, &event);
    let mut event = Rogue::new("bob", "B").join_external(&event.group_info);
    assert!(tracker.stage(&event.message, &event.group_info).is_ok());
    // Behind the sender, which has no index: no authenticated data, the content's type, the list of proposals, of which
    // the external init is the only one.
    let at = 4 + 1 + ROOM.len() + 8 + 1 + 1 + 1 + 1;
    assert_eq!(event.message[at..at + 4], [1, 0, 6, 32]);
    event.message[at + 4..at + 36].fill(0);
    assert_fault!(refused_event(&tracker, &event), PeerFault::UnusableExternalInit);
}

#[test]
fn a_tree_in_the_group_state_is_the_groups() {
    let (mut alice, tracker) = room();
    let stale = alice.update();
    alice.clear();
    let event = alice.update();
    let stale: Framed<VerifiableGroupInfo> = framing::read(&stale.group_info).unwrap();
    let stale = stale.value.extensions().tls_serialize_detached().unwrap();
    let group_info = forge_group_info(&event.group_info, &alice.signer, 0, |_, extensions, _| {
        use tls_codec::Deserialize as _;
        *extensions = VLBytes::tls_deserialize_exact(&stale).unwrap().into();
    });
    assert_fault!(
        refused(&tracker, &event.message, &group_info),
        PeerFault::GroupStateMismatch { part: GroupStatePart::RatchetTree }
    );
}

/// A commit of Alice's that adds a device of Bob's with `key_package`, which OpenMLS would not make.
fn adding(alice: &mut Rogue, key_package: &crate::KeyPackage) -> Event {
    let bob = crate::testing::device("bob", "B");
    let sound = crate::KeyPackage::generate(&bob, crate::KeyPackageUse::OneTime).unwrap();
    let mut event = alice.commit(|builder| builder.propose_adds([sound.clone().into_inner()]));
    let (old, new) = (unframed(sound.message()), unframed(key_package.message()));
    assert_eq!(old.len(), new.len());
    let at = event.message.windows(old.len()).position(|window| window == old).unwrap();
    event.message[at..at + old.len()].copy_from_slice(new);
    let context = alice.group().public_group().group_context().tls_serialize_detached().unwrap();
    sign_again(&mut event.message, 2 * TAG_LEN, &alice.signer, &context);
    event
}

#[test]
fn expired_key_packages_are_not_added() {
    let (mut alice, tracker) = room();
    let lifetime = crate::Lifetime { not_before: 1_699_000_000, not_after: 1_700_000_000 };
    let uses = crate::KeyPackageUse::OneTime;
    let bob = crate::testing::device("bob", "B");
    let expired = crate::KeyPackage::generate_with_lifetime(&bob, uses, lifetime).unwrap();
    assert_fault!(
        refused_event(&tracker, &adding(&mut alice, &expired)),
        PeerFault::KeyPackage(KeyPackageError::Expired { not_after: 1_700_000_000, .. })
    );
}

#[test]
fn key_packages_of_another_suite_are_not_added() {
    let (mut alice, tracker) = room();
    let bob = crate::Device::generate("@bob:example.org", "B", OTHER_SUITE).unwrap();
    let other = crate::KeyPackage::generate(&bob, crate::KeyPackageUse::OneTime).unwrap();
    assert_fault!(
        refused_event(&tracker, &adding(&mut alice, &other)),
        PeerFault::WrongSuite { expected: Suite::MANDATORY, got: 3 }
    );
}

#[test]
fn a_merged_change_cannot_be_merged_again_nor_elsewhere() {
    let (mut alice, mut tracker) = room();
    let event = alice.update();
    let [first, second] = [(); 2].map(|()| tracker.stage(&event.message, &event.group_info).unwrap());
    assert_eq!(addresses(first.members()), [address("alice", "A")]);
    tracker.merge(first).unwrap();
    let before = tracker.snapshot().unwrap();
    let error = tracker.merge(second).unwrap_err();
    let crate::Error::Caller(CallerFault::StaleChange { tracker: 2, staged: 1 }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(tracker.snapshot().unwrap(), before);

    let (mut other, mut others_tracker) = room();
    let event = other.update();
    others_tracker.merge(others_tracker.stage(&event.message, &event.group_info).unwrap()).unwrap();
    other.merge();
    let event = other.update();
    let staged = others_tracker.stage(&event.message, &event.group_info).unwrap();
    let error = tracker.merge(staged).unwrap_err();
    assert!(matches!(error, crate::Error::Caller(CallerFault::ForeignChange)), "{error:?}");
    assert_eq!(tracker.snapshot().unwrap(), before);
}
