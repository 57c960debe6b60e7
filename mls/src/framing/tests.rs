use proptest::prelude::*;

use super::*;
use crate::testing::{ROOM, Rogue, engine, key_package, unframed};
use crate::{Changes, Engine, Suite};

/// One sound message of every kind.
fn messages() -> Vec<(MessageKind, Vec<u8>)> {
    let (mut alice, bob) = (engine("alice", "A"), engine("bob", "B"));
    let added = key_package(&bob);
    let key_package = added.message().to_vec();
    alice.create(ROOM).unwrap();
    let commit = alice.commit(ROOM, Changes { add: vec![added], ..Changes::default() }).unwrap();
    alice.accepted(ROOM, "$1").unwrap();
    let private = alice.encrypt(ROOM, b"hello").unwrap().ciphertext;
    vec![
        (MessageKind::PublicMessage, commit.message),
        (MessageKind::PrivateMessage, private),
        (MessageKind::Welcome, commit.welcome.unwrap().message),
        (MessageKind::GroupInfo, commit.public_group_state),
        (MessageKind::KeyPackage, key_package),
    ]
}

#[test]
fn a_message_is_accepted_with_its_frame_and_without() {
    for (kind, message) in messages() {
        check(kind, &message).unwrap();
        check(kind, unframed(&message)).unwrap();
    }
}

#[test]
fn a_message_of_another_kind_is_named() {
    let messages = messages();
    for (expected, _) in &messages {
        for (kind, message) in &messages {
            if expected != kind {
                let error = check(*expected, message).unwrap_err();
                let FramingError::WrongKind { expected: e, got } = error else { panic!("{error}") };
                assert_eq!((e, got), (*expected, *kind));
            }
        }
    }
}

#[test]
fn an_encrypted_commit_is_named_without_its_frame_too() {
    let private = &messages()[1].1;
    let error = check(MessageKind::PublicMessage, unframed(private)).unwrap_err();
    assert!(matches!(error, FramingError::WrongKind { got: MessageKind::PrivateMessage, .. }), "{error}");
}

#[test]
fn nothing_may_follow_or_be_missing() {
    for (kind, message) in messages() {
        for message in [&message[..], unframed(&message)] {
            let mut longer = message.to_vec();
            longer.push(0);
            assert!(matches!(check(kind, &longer), Err(FramingError::Malformed { .. })), "{kind}");
            for len in (0..message.len()).step_by(7) {
                // The first 7 bytes of a framed Welcome happen to be a bare one, for nobody.
                if kind == MessageKind::Welcome && len == 7 {
                    continue;
                }
                assert!(
                    matches!(check(kind, &message[..len]), Err(FramingError::Malformed { .. })),
                    "{kind} {len}"
                );
            }
        }
    }
}

#[test]
fn too_large_a_message_is_not_looked_at() {
    for kind in MessageKind::ALL {
        let limit = kind.max_len();
        assert!(matches!(
            check(kind, &vec![0; limit + 1]),
            Err(FramingError::TooLarge { size, limit: l, .. }) if size == limit + 1 && l == limit
        ));
        assert!(matches!(check(kind, &vec![0; limit]), Err(FramingError::Malformed { .. })));
    }
    assert_eq!(MessageKind::GroupInfo.max_len(), 65_536);
    assert_eq!(MessageKind::PublicMessage.max_len(), 8_388_608);
}

#[test]
fn another_version_of_mls_is_not_read() {
    for (kind, mut message) in messages() {
        message[1] = 2;
        assert!(matches!(check(kind, &message), Err(FramingError::Malformed { .. })), "{kind}");
    }
}

#[test]
fn a_longer_encoding_of_a_length_is_refused() {
    // The first thing in a bare PublicMessage is the length of the group id; here it takes two bytes instead of one.
    let (_, commit) = messages().swap_remove(0);
    let body = unframed(&commit);
    let longer = [&[0x40, body[0]], &body[1..]].concat();
    let error = check(MessageKind::PublicMessage, &longer).unwrap_err();
    assert!(matches!(error, FramingError::NotCanonical { .. } | FramingError::Malformed { .. }), "{error}");
}

#[test]
fn a_commit_shows_what_it_contains() {
    let mut alice = Rogue::new("alice", "A");
    let bob = Rogue::new("bob", "B");
    alice.create(ROOM);
    let added = bob.key_package();
    let event = alice.commit(|builder| builder.propose_adds([added]));
    let view = CommitView::read(&read(&event.message).unwrap()).unwrap();
    assert_eq!(view.group_id.as_slice(), ROOM.as_bytes());
    assert_eq!(view.epoch, 0);
    assert_eq!(view.proposals.len(), 1);
    assert!(view.path_leaf.is_none());
    view.check(ROOM.as_bytes(), Suite::MANDATORY).unwrap();

    alice.merge();
    let event = alice.update();
    let view = CommitView::read(&read(&event.message).unwrap()).unwrap();
    assert_eq!(view.epoch, 1);
    assert!(view.proposals.is_empty());
    let leaf = view.path_leaf.unwrap();
    assert_eq!(leaf.signature_key, alice.with_key.signature_key.as_slice());
    assert_eq!(leaf.credential, alice.with_key.credential);
}

/// Changes one message a little.
fn mutate(message: &[u8], position: usize, change: u8, cut: usize) -> Vec<u8> {
    let mut message = message.to_vec();
    let position = position % message.len();
    message[position] ^= change;
    message.truncate(message.len() - cut % 3);
    message
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), frame in any::<bool>()) {
        for kind in MessageKind::ALL {
            let [high, low] = kind.wire_format().to_be_bytes();
            let bytes = if frame { [&[0, 1, high, low], &bytes[..]].concat() } else { bytes.clone() };
            let _ = check(kind, &bytes);
        }
    }

    #[test]
    fn changed_messages_are_read_or_refused(
        changes in prop::collection::vec((any::<usize>(), 1_u8.., any::<usize>()), 200),
    ) {
        thread_local! { static MESSAGES: Vec<(MessageKind, Vec<u8>)> = messages(); }
        MESSAGES.with(|messages| {
            for (kind, message) in messages {
                for &(position, change, cut) in &changes {
                    let _ = check(*kind, &mutate(message, position, change, cut));
                }
            }
        });
    }
}

#[test]
fn the_engine_is_not_needed_to_name_a_room() {
    // The room id is the group id, whatever bytes it has.
    let mut alice: Engine = engine("alice", "A");
    alice.create("!ü:example.org").unwrap();
    let commit = alice.commit("!ü:example.org", Changes { update: true, ..Changes::default() }).unwrap();
    let view = CommitView::read(&read(&commit.message).unwrap()).unwrap();
    assert_eq!(view.group_id.as_slice(), "!ü:example.org".as_bytes());
}
