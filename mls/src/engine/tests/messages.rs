//! Application data, and what is left of a group that is forgotten.

use super::*;

#[test]
fn own_messages_cannot_be_decrypted() {
    let (mut alice, mut bob) = pair();
    let sent = alice.encrypt(ROOM, b"hello").unwrap();
    assert_eq!(alice.decrypt(ROOM, &sent.ciphertext).unwrap(), Decrypted::Own { epoch: 2 });
    assert!(matches!(bob.decrypt(ROOM, unframed(&sent.ciphertext)).unwrap(), Decrypted::Message { .. }));
}

#[test]
fn a_message_is_decrypted_once_and_in_any_order() {
    let (mut alice, mut bob) = pair();
    let sent: Vec<_> = (0_u8..40).map(|n| alice.encrypt(ROOM, &[n]).unwrap().ciphertext).collect();
    for (n, ciphertext) in sent.iter().enumerate().rev() {
        let Decrypted::Message { plaintext, .. } = bob.decrypt(ROOM, ciphertext).unwrap() else { panic!() };
        assert_eq!(plaintext, [u8::try_from(n).unwrap()]);
    }
    for ciphertext in &sent {
        assert_error!(bob.decrypt(ROOM, ciphertext), Error::Peer(PeerFault::KeyUsedUp));
    }
}

#[test]
fn a_message_that_comes_far_too_late_is_lost() {
    let (mut alice, mut bob) = pair();
    let sent: Vec<_> = (0..100).map(|_| alice.encrypt(ROOM, b"x").unwrap().ciphertext).collect();
    bob.decrypt(ROOM, &sent[99]).unwrap();
    bob.decrypt(ROOM, &sent[50]).unwrap();
    assert_error!(bob.decrypt(ROOM, &sent[0]), Error::Peer(PeerFault::KeyUsedUp));
}

#[test]
fn messages_of_two_epochs_back_can_be_decrypted() {
    let (mut alice, mut bob) = pair();
    let sent = [alice.encrypt(ROOM, b"one").unwrap(), alice.encrypt(ROOM, b"two").unwrap()];
    let next = |alice: &mut Engine, bob: &mut Engine| {
        let event_id = format!("${}", alice.epoch(ROOM).unwrap() + 1);
        let commit = alice.commit(ROOM, update()).unwrap();
        alice.accepted(ROOM, &event_id).unwrap();
        bob.receive_commit(ROOM, &commit.message, &event_id).unwrap();
    };
    next(&mut alice, &mut bob);
    next(&mut alice, &mut bob);
    let Decrypted::Message { sender, epoch, commit_event_id, .. } =
        bob.decrypt(ROOM, &sent[0].ciphertext).unwrap()
    else {
        panic!()
    };
    assert_eq!(sender, address("alice", "A"));
    assert_eq!(epoch, 2);
    assert_eq!(commit_event_id.as_deref(), Some("$2"));
    next(&mut alice, &mut bob);
    assert_error!(bob.decrypt(ROOM, &sent[1].ciphertext), Error::Peer(PeerFault::EpochTooOld { epoch: 2 }));
}

#[test]
fn the_sender_of_an_old_message_may_have_left() {
    let (mut alice, mut bob) = pair();
    let mut carol = engine("carol", "C");
    let commit = alice.commit(ROOM, add([key_package(&carol)])).unwrap();
    alice.accepted(ROOM, "$3").unwrap();
    bob.receive_commit(ROOM, &commit.message, "$3").unwrap();
    carol.join(&commit.welcome.unwrap().message, "$3").unwrap();
    let sent = carol.encrypt(ROOM, b"goodbye").unwrap();
    let commit = alice.commit(ROOM, remove([address("carol", "C")])).unwrap();
    alice.accepted(ROOM, "$4").unwrap();
    bob.receive_commit(ROOM, &commit.message, "$4").unwrap();
    let Decrypted::Message { sender, .. } = bob.decrypt(ROOM, &sent.ciphertext).unwrap() else { panic!() };
    assert_eq!(sender, address("carol", "C"));
}

#[test]
fn messages_of_before_one_came_are_not_for_one() {
    let (mut alice, _) = pair();
    let early = alice.encrypt(ROOM, b"early").unwrap();
    let mut carol = engine("carol", "C");
    let commit = alice.commit(ROOM, add([key_package(&carol)])).unwrap();
    alice.accepted(ROOM, "$3").unwrap();
    carol.join(&commit.welcome.unwrap().message, "$3").unwrap();
    assert_error!(carol.decrypt(ROOM, &early.ciphertext), Error::Peer(PeerFault::EpochTooOld { epoch: 2 }));
    let mut dave = engine("dave", "D");
    dave.join_external(ROOM, &commit.public_group_state, "$3").unwrap();
    dave.accepted(ROOM, "$4").unwrap();
    let sent = alice.encrypt(ROOM, b"in epoch 3").unwrap();
    assert_error!(dave.decrypt(ROOM, &sent.ciphertext), Error::Peer(PeerFault::EpochTooOld { epoch: 3 }));
    let sent = dave.encrypt(ROOM, b"in epoch 4").unwrap();
    assert_error!(
        carol.decrypt(ROOM, &sent.ciphertext),
        Error::Peer(PeerFault::EpochAhead { expected: 3, got: 4 })
    );
}

#[test]
fn what_is_no_message_of_the_group_is_refused() {
    let (mut alice, mut bob) = pair();
    let sent = alice.encrypt(ROOM, b"hello").unwrap().ciphertext;
    bob.create("!other:example.org").unwrap();
    assert_error!(bob.decrypt("!other:example.org", &sent), Error::Peer(PeerFault::WrongGroup { .. }));
    let mut bad = sent.clone();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    assert_error!(bob.decrypt(ROOM, &bad), Error::Peer(PeerFault::Undecryptable(_)));
    // What failed did not use up the key.
    assert!(bob.decrypt(ROOM, &sent).is_ok());
    let commit = alice.commit(ROOM, update()).unwrap();
    assert_error!(
        bob.decrypt(ROOM, &commit.message),
        Error::Peer(PeerFault::Framing(FramingError::WrongKind {
            expected: MessageKind::PrivateMessage,
            ..
        }))
    );
    // The type of the content is not encrypted: here it says commit.
    let mut handshake = alice.encrypt(ROOM, b"x").unwrap().ciphertext;
    let type_at = 4 + 1 + ROOM.len() + 8;
    assert_eq!(handshake[type_at], 1);
    handshake[type_at] = 3;
    assert_error!(bob.decrypt(ROOM, &handshake), Error::Peer(PeerFault::NotApplicationData));
}

#[test]
fn forgetting_is_complete() {
    let (mut alice, mut bob) = pair();
    let sent = alice.encrypt(ROOM, b"hello").unwrap().ciphertext;
    bob.forget(ROOM).unwrap();
    assert_error!(bob.decrypt(ROOM, &sent), Error::Caller(CallerFault::NoSuchRoom { .. }));
    assert_error!(bob.forget(ROOM), Error::Caller(CallerFault::NoSuchRoom { .. }));
    assert_error!(alice.create(ROOM), Error::Caller(CallerFault::RoomExists { .. }));
    bob.create(ROOM).unwrap();
}

#[test]
fn debug_output_has_no_secrets() {
    let (alice, _) = pair();
    let output = format!("{alice:?}");
    assert!(!output.contains("secret") && !output.contains("private"), "{output}");
    let message = Decrypted::Message {
        sender: address("a", "A"),
        plaintext: b"sesame".to_vec(),
        epoch: 1,
        commit_event_id: None,
    };
    assert!(!format!("{message:?}").contains("115, 101"));
}

in_other_suites! {
    own_messages_cannot_be_decrypted,
    a_message_is_decrypted_once_and_in_any_order,
    a_message_that_comes_far_too_late_is_lost,
    messages_of_two_epochs_back_can_be_decrypted,
    the_sender_of_an_old_message_may_have_left,
    messages_of_before_one_came_are_not_for_one,
    what_is_no_message_of_the_group_is_refused,
    forgetting_is_complete,
    debug_output_has_no_secrets,
}

/// The ciphertext within a message: all of it that is not the same whatever is said.
fn length(engine: &mut Engine, plaintext: &[u8], padding: Padding) -> usize {
    engine.encrypt_padded(ROOM, plaintext, padding).unwrap().ciphertext.len()
}

#[test]
fn what_is_in_one_bucket_has_one_length() {
    for suite in Suite::ALL {
        let mut alice = Engine::new(Device::generate("@alice:a", "A", *suite).unwrap());
        let mut bob = Engine::new(Device::generate("@bob:b", "B", *suite).unwrap());
        alice.create(ROOM).unwrap();
        let commit = alice.commit(ROOM, add([key_package(&bob)])).unwrap();
        alice.accepted(ROOM, "$1").unwrap();
        bob.join(&commit.welcome.unwrap().message, "$1").unwrap();
        let header = length(&mut alice, b"", Padding::Buckets) - 512;
        for size in [0, 1, 5, 100, 416, 417, 900, 1000, 3000, 5000, 20_000, 44_000, 46_000] {
            let plaintext = vec![b'x'; size];
            let bucket = Padding::Buckets.bucket(size).unwrap();
            // Four times: signatures of ECDSA have different lengths. Each takes another two bytes to tell its own.
            for _ in 0..4 {
                let sent = alice.encrypt(ROOM, &plaintext).unwrap().ciphertext;
                let more = if bucket < 16_384 { 0 } else { 2 };
                assert_eq!(sent.len(), header + bucket + more, "{size} bytes in {}", suite.name());
                let Decrypted::Message { plaintext: read, .. } = bob.decrypt(ROOM, &sent).unwrap() else {
                    panic!()
                };
                assert_eq!(read, plaintext);
            }
        }
        assert!(
            length(&mut alice, &[0; 400], Padding::None) > length(&mut alice, &[0; 300], Padding::None) + 90
        );
    }
}
