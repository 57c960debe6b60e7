//! What the histories of [`Upkeep`] do not show.

use mimi_mls::{Carriage, Changes, Device, KeyPackage, KeyPackageUse, Placement};
use serde_json::json;

use super::*;
use crate::encryption::{WelcomeMessage, commit_content};
use crate::testing::{ALICE, BOB, CAROL};

const ROOM: &str = "!room:hub.example";

fn room(suite: Suite) -> RoomDevice {
    let mut room = RoomDevice::new(RoomId::parse(ROOM).unwrap());
    let state = |kind: &str, state_key: &str, content: Value| json!({"type": kind, "state_key": state_key, "sender": ALICE, "content": content});
    for event in [
        state("m.room.create", "", json!({"encryption": {"algorithm": suite.room_algorithm()}})),
        state("m.room.member", ALICE, json!({"membership": "join"})),
        state("m.room.member", BOB, json!({"membership": "invite"})),
    ] {
        room.note(event.as_object().unwrap());
    }
    room
}

fn engine(user: &str) -> Engine {
    Engine::new(Device::generate(user, "D", Suite::MANDATORY).unwrap())
}

fn id(text: &str) -> EventId {
    EventId::parse(text).unwrap()
}

fn event(kind: &str, sender: &str, content: impl Into<Value>) -> Object {
    let content: Value = content.into();
    json!({"type": kind, "sender": sender, "content": content}).as_object().unwrap().clone()
}

fn take(room: &mut RoomDevice, engine: &mut Engine, id_: &str, event: &Object) -> Seen {
    room.take(engine, &id(id_), event, &Apart::default(), 0).unwrap()
}

/// Alice and Bob in a group, each with their view of the room.
fn two() -> ((RoomDevice, Engine), (RoomDevice, Engine)) {
    let (mut alice, mut bob) = (engine(ALICE), engine(BOB));
    alice.create(ROOM).unwrap();
    let package = KeyPackage::generate(bob.device(), KeyPackageUse::OneTime).unwrap();
    let commit = alice.commit(ROOM, Changes { add: vec![package], ..Changes::default() }).unwrap();
    let listed = event("m.mls.commit", ALICE, commit_content(&commit).unwrap());
    let (mut of_alice, mut of_bob) = (room(Suite::MANDATORY), room(Suite::MANDATORY));
    // Her own commit comes back from the list.
    assert!(matches!(take(&mut of_alice, &mut alice, "$1", &listed), Seen::Commit(_)));
    assert!(matches!(take(&mut of_bob, &mut bob, "$1", &listed), Seen::OthersCommit));
    let welcome = WelcomeMessage::of(&commit.welcome.unwrap(), id("$1")).unwrap();
    let welcome = WelcomeMessage::parse(&welcome.to_json()).unwrap();
    bob.join(&welcome.welcome, welcome.commit_event_id.as_str()).unwrap();
    assert!(matches!(take(&mut of_bob, &mut bob, "$1", &listed), Seen::Commit(_)));
    assert_eq!((of_bob.epoch(), alice.epoch(ROOM).unwrap()), (1, 1));
    ((of_alice, alice), (of_bob, bob))
}

fn encrypted(engine: &mut Engine) -> Object {
    let sent = engine.encrypt(ROOM, b"hello").unwrap();
    let content = EncryptedContent {
        algorithm: sent.algorithm.to_owned(),
        ciphertext: sent.ciphertext,
        commit_event_id: id(&sent.commit_event_id),
    };
    content.to_json()
}

#[test]
fn messages_are_read_if_everything_about_them_is_right() {
    let ((mut of_alice, mut alice), (mut of_bob, mut bob)) = two();
    let content = encrypted(&mut alice);
    assert!(matches!(
        take(&mut of_alice, &mut alice, "$2", &event("m.room.encrypted", ALICE, content.clone())),
        Seen::OwnMessage
    ));
    match take(&mut of_bob, &mut bob, "$2", &event("m.room.encrypted", ALICE, content)) {
        Seen::Message { sender, plaintext } => {
            assert_eq!((sender.user_id(), &plaintext[..]), (ALICE, &b"hello"[..]));
        }
        other => panic!("{other:?}"),
    }
    let with =
        |field: &str, value: Value, content: &mut Object| drop(content.insert(field.to_owned(), value));
    let mut seen = |sender: &str, change: &dyn Fn(&mut Object)| {
        let mut content = encrypted(&mut alice);
        change(&mut content);
        match take(&mut of_bob, &mut bob, "$3", &event("m.room.encrypted", sender, content)) {
            Seen::Undecryptable(why) => why,
            other => panic!("{other:?}"),
        }
    };
    use Undecryptable::{Malformed, Mls, OtherAlgorithm, OtherEpoch, OtherSender};
    let why = seen(ALICE, &|content| drop(content.remove("ciphertext")));
    assert!(matches!(why, Malformed("ciphertext")), "{why}");
    let why = seen(ALICE, &|content| with("ciphertext", json!("AAAA"), content));
    assert!(matches!(why, Mls(_)), "{why}");
    // A device that could open it does not (LM-04 §4).
    let other = Suite::DhKemP256Aes128GcmSha256P256.room_algorithm();
    let why = seen(ALICE, &|content| with("algorithm", json!(other), content));
    assert!(matches!(why, OtherAlgorithm(_)), "{why}");
    let why = seen(CAROL, &|_| {});
    assert!(matches!(why, OtherSender(_)), "{why}");
    let why = seen(ALICE, &|content| with("commit_event_id", json!("$other"), content));
    assert!(matches!(why, OtherEpoch), "{why}");
}

#[test]
fn a_device_joins_on_its_own_once_its_user_is_joined_or_anybody_may_read() {
    let ((of_alice, _), _) = two();
    for (user, kind, state_key, content) in [
        (BOB, "m.room.member", BOB, json!({"membership": "join"})),
        (CAROL, "m.room.history_visibility", "", json!({"history_visibility": "world_readable"})),
    ] {
        let mut room = of_alice.clone();
        let mut engine = Engine::new(Device::generate(user, "NEW", Suite::MANDATORY).unwrap());
        assert!(room.join(&mut engine, None).unwrap().is_none());
        let mut change = event(kind, user, content);
        assert!(matches!(take(&mut room, &mut engine, "$4", &change), Seen::Other));
        assert!(room.join(&mut engine, None).unwrap().is_none(), "it is no state event");
        change.insert("state_key".to_owned(), json!(state_key));
        assert!(matches!(take(&mut room, &mut engine, "$5", &change), Seen::Other));
        assert_eq!(room.newest_commit(), Some(&id("$1")));
        assert_eq!(room.join(&mut engine, None).unwrap().unwrap().epoch, 2);
    }
    let new = room(Suite::MANDATORY);
    assert!(new.join(&mut engine(ALICE), None).unwrap().is_none(), "there was no commit yet");
}

#[test]
fn a_commit_apart_is_taken_with_its_bytes_only() {
    let ((mut of_alice, mut alice), (mut of_bob, mut bob)) = two();
    let carriage = Carriage { tree: Placement::WhereItFits, message: Placement::Apart };
    let commit = alice.commit(ROOM, Changes { update: true, carriage, ..Changes::default() }).unwrap();
    let listed = event("m.mls.commit", ALICE, commit_content(&commit).unwrap());
    let apart = |message: &[u8]| Apart { message: Some(message.to_vec()), tree: None };
    assert!(matches!(take(&mut of_bob, &mut bob, "$6", &listed), Seen::Other));
    let seen = of_bob.take(&mut bob, &id("$6"), &listed, &apart(b"other"), 0).unwrap();
    assert!(matches!(seen, Seen::Other));
    assert_eq!(of_bob.epoch(), 1);
    for (room, engine) in [(&mut of_alice, &mut alice), (&mut of_bob, &mut bob)] {
        let seen = room.take(engine, &id("$6"), &listed, &apart(&commit.message), 0).unwrap();
        assert!(matches!(seen, Seen::Commit(_)));
        assert_eq!((room.epoch(), engine.epoch(ROOM).unwrap()), (2, 2));
    }
}
