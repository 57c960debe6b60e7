//! Rooms with more devices than fit into an event (reading R35).

use std::sync::Arc;

use mimi_mls::{Carriage, Decrypted, MAX_INSIDE_LEN, Placement, WARM_LEAVES, batches};

use super::*;
use crate::event::{Draft, Lpdu};
use crate::hub::Proposal;
use crate::participant::{Participant, Verdict};

const APART: Carriage = Carriage { tree: Placement::Apart, message: Placement::Apart };

/// The content of a commit's event, and what goes beside it.
fn content_and_apart(commit: &OutboundCommit) -> (Value, Apart) {
    if !commit.apart {
        return (content(commit), Apart::default());
    }
    let prev = commit.prev_commit_event_id.as_deref().map(|id| EventId::parse(id).unwrap());
    let content = ApartContent {
        message: MessageDigest::of(&commit.message),
        public_group_state: commit.public_group_state.clone(),
        prev_commit_event_id: prev,
    };
    (Value::Object(content.to_json()), Apart { message: Some(commit.message.clone()), tree: None })
}

/// The hub takes an event with what is handed in beside it.
fn send_with(hub: &mut TestHub, draft: Draft, apart: &Apart) -> Result<Arc<RoomEvent>, Refusal> {
    let proposal = if draft.sender.server() == hub.name {
        Proposal::of_own(draft, &hub.version).unwrap()
    } else {
        let lpdu = hub.lpdu(draft);
        Proposal::of_lpdu(Lpdu::parse(&lpdu.bytes, &hub.version).unwrap().verify(&ring()).unwrap())
    };
    let authorised = hub.hub.authorise_with(proposal, apart)?;
    let sealed = authorised.seal(&hub.name, &key(&hub.name), &hub.version, 0)?;
    Ok(hub.append(sealed))
}

fn send(hub: &mut TestHub, sender: &str, commit: &OutboundCommit) -> Result<Arc<RoomEvent>, Refusal> {
    let (content, apart) = content_and_apart(commit);
    let draft = hub.draft(sender, "m.mls.commit", None, content);
    send_with(hub, draft, &apart)
}

#[track_caller]
fn follow(participant: &mut Participant, event: &RoomEvent, apart: &Apart) -> Result<(), Refusal> {
    match participant.judge_with(pdu(event), false, apart) {
        Verdict::Extends(extension) => {
            let complaint = extension.complaint().cloned();
            participant.append(extension).unwrap();
            complaint.map_or(Ok(()), Err)
        }
        other => panic!("{other:?}"),
    }
}

fn tree(hub: &TestHub) -> Vec<u8> {
    hub.hub.room().encryption().tracker().unwrap().ratchet_tree().unwrap()
}

#[test]
fn a_commit_apart_is_taken_with_the_bytes_it_names() {
    let mut room = Encrypted::new();
    let mut participant = room.hub.join(CAROL);
    // The participant's list begins here, without a group: the first commit brings it.
    let first = room.commit(Changes { update: true, ..Changes::default() }).unwrap();
    assert!(!first.apart);
    let event = Arc::clone(room.hub.list.last().unwrap());
    follow(&mut participant, &event, &Apart::default()).unwrap();

    let changes =
        Changes { add: vec![key_package(&engine(BOB, "B"))], carriage: APART, ..Changes::default() };
    let commit = room.alice.commit(&room.room, changes).unwrap();
    let (content, apart) = content_and_apart(&commit);
    assert!(content.get("message").is_none() && apart.message.is_some());
    let draft = room.hub.draft(ALICE, "m.mls.commit", None, content);
    let probe = draft.clone().into_event(&room.hub.version).unwrap();
    let needs = room.hub.hub.room().needs(&probe);
    assert_eq!(needs, Needs { message: Some(MessageDigest::of(&commit.message)), tree: false });

    let mut damaged = commit.message.clone();
    damaged[20] ^= 1;
    let mut longer = commit.message.clone();
    longer.push(0);
    for message in [None, Some(damaged), Some(longer), Some(first.message)] {
        let apart = Apart { message, tree: None };
        refused_by(send_with(&mut room.hub, draft.clone(), &apart), MlsRule::Apart);
    }
    refused_by(room.hub.send(draft.clone()), MlsRule::Apart);
    assert_eq!(room.epoch(), Some(2));
    let event = send_with(&mut room.hub, draft, &apart).unwrap();
    room.alice.accepted(&room.room, event.id().as_str()).unwrap();
    assert_eq!((room.epoch(), room.members().len()), (Some(3), 2));

    follow(&mut participant, &event, &apart).unwrap();
    assert_eq!(participant.room().encryption().epoch(), Some(3));
}

#[test]
fn without_its_bytes_a_participant_soft_fails_the_commit() {
    let mut room = Encrypted::new();
    let mut participant = room.hub.join(CAROL);
    room.commit(Changes { update: true, ..Changes::default() }).unwrap();
    let event = Arc::clone(room.hub.list.last().unwrap());
    follow(&mut participant, &event, &Apart::default()).unwrap();
    let commit = room
        .alice
        .commit(&room.room, Changes { update: true, carriage: APART, ..Changes::default() })
        .unwrap();
    let event = send(&mut room.hub, ALICE, &commit).unwrap();
    let refusal = follow(&mut participant, &event, &Apart::default()).unwrap_err();
    assert_eq!(refusal.to_string(), "mls R35: the commit apart is not here");
    assert_eq!(participant.room().encryption().epoch(), Some(2));
}

#[test]
fn rules_hold_for_commits_apart() {
    let mut room = Encrypted::new();
    let changes =
        Changes { add: vec![key_package(&engine(CAROL, "C"))], carriage: APART, ..Changes::default() };
    let commit = room.alice.commit(&room.room, changes).unwrap();
    refused_by(send(&mut room.hub, ALICE, &commit), MlsRule::AddedNotJoined);
    refused_by(send(&mut room.hub, BOB, &commit), MlsRule::Committer);
    let garbage = Apart { message: Some(b"garbage".to_vec()), tree: None };
    let (mut content, _) = content_and_apart(&commit);
    content[MESSAGE_APART] = Value::Object(
        ApartContent {
            message: MessageDigest::of(b"garbage"),
            public_group_state: vec![],
            prev_commit_event_id: None,
        }
        .to_json(),
    )[MESSAGE_APART]
        .clone();
    let draft = room.hub.draft(ALICE, "m.mls.commit", None, content.clone());
    refused_by(send_with(&mut room.hub, draft, &garbage), MlsRule::Malformed);
    content[MESSAGE_APART] = json!({"sha256": "AAAA", "size": 1});
    let draft = room.hub.draft(ALICE, "m.mls.commit", None, content);
    refused_by(send_with(&mut room.hub, draft, &garbage), MlsRule::Malformed);
    assert_eq!(room.epoch(), Some(1));
}

#[test]
fn a_late_participant_starts_with_the_tree_from_the_hub() {
    let start = |tree_of: fn(&Encrypted, Vec<u8>) -> Option<Vec<u8>>| {
        let mut room = Encrypted::new();
        room.add(&engine(BOB, "B")).unwrap();
        let mut participant = room.hub.join(CAROL);
        let before = tree(&room.hub);
        let carriage = Carriage { tree: Placement::Apart, message: Placement::Inside };
        let changes = Changes { add: vec![key_package(&engine(BOB, "B2"))], carriage, ..Changes::default() };
        room.commit(changes).unwrap();
        let event = Arc::clone(room.hub.list.last().unwrap());
        assert_eq!(participant.room().needs(event.event()), Needs { message: None, tree: true });
        assert!(!room.hub.hub.room().needs(event.event()).any());
        let apart = Apart { message: None, tree: tree_of(&room, before) };
        let result = follow(&mut participant, &event, &apart);
        (room, participant, result)
    };
    let (room, participant, result) = start(|room, _| Some(tree(&room.hub)));
    result.unwrap();
    let members = participant.room().encryption().tracker().unwrap().members().count();
    assert_eq!((members, room.members().len()), (3, 3));
    assert!(!participant.room().needs(room.hub.list.last().unwrap().event()).any());
    refused_by(start(|_, before| Some(before)).2, MlsRule::Apart);
    refused_by(start(|_, _| None).2, MlsRule::GroupState);
}

#[test]
fn what_fits_by_the_count_fits_into_an_event() {
    let mut room = Encrypted::new();
    let members = ["b", "c", "d"].map(|server| format!("@{}:{server}.example", "u".repeat(240)));
    for member in &members {
        room.hub.member(member, member, "join").unwrap();
    }
    let key_packages =
        members.iter().flat_map(|user| (0..60).map(move |n| key_package(&engine(user, &format!("D{n}")))));
    let batches = batches(key_packages);
    let mut largest = 0;
    for add in batches {
        let commit = room.commit(Changes { add, ..Changes::default() }).unwrap();
        let bytes = room.hub.list.last().unwrap().bytes().len();
        largest = largest.max(bytes);
        assert!(commit.message.len() + commit.public_group_state.len() <= MAX_INSIDE_LEN);
        assert!(bytes <= 65_536);
    }
    assert!(largest > 50_000, "{largest}: the batches are not as large as they could be");
}

/// Alice fills the room with devices of Bob's that never come, one of each part of the tree excepted, which makes an
/// update. Then Carol's device joins by Welcome and another from outside, and they talk.
fn grow(devices: usize) {
    let mut room = Encrypted::new();
    let id = room.room.clone();
    room.hub.member(CAROL, CAROL, "join").unwrap();
    let mut count = 1;
    let mut largest = 0;
    while count < devices {
        let size = (WARM_LEAVES - count % WARM_LEAVES).min(devices - count);
        let newcomers: Vec<_> = (count..count + size).map(|n| engine(BOB, &format!("D{n}"))).collect();
        let add = newcomers.iter().map(key_package).collect();
        let added = room.commit(Changes { add, ..Changes::default() }).unwrap();
        count += size;
        let added_by = room.hub.list.last().unwrap().id().to_string();
        let mut newcomer = newcomers.into_iter().next().unwrap();
        let tree = tree(&room.hub);
        newcomer.join_with_tree(&added.welcome.unwrap().message, &added_by, Some(&tree)).unwrap();
        // Everything fits into events: nothing stands apart but the tree.
        let update = newcomer.commit(&id, Changes { update: true, ..Changes::default() }).unwrap();
        let event = send(&mut room.hub, BOB, &update).unwrap();
        room.alice.receive_commit(&id, &update.message, event.id().as_str()).unwrap();
        largest = largest.max(event.bytes().len());
    }
    assert_eq!(room.members().len(), devices);
    assert!(largest < 65_536);

    // A device is removed from among them all.
    let gone = address(BOB, &format!("D{}", devices / 2));
    room.hub.member(BOB, BOB, "leave").unwrap();
    let removal = room.remove(gone).unwrap();
    assert!(!removal.apart && removal.public_group_state.len() < 300);
    assert_eq!(room.members().len(), devices - 1);

    // One joins by Welcome.
    let mut carol = engine(CAROL, "C");
    let added = room.add(&carol).unwrap();
    let event_id = room.hub.list.last().unwrap().id().to_string();
    let by_welcome = tree(&room.hub);
    let welcome = added.welcome.unwrap().message;
    assert!(welcome.len() < 1_000);
    carol.join_with_tree(&welcome, &event_id, Some(&by_welcome)).unwrap();

    // Another joins on its own, by what the hub has.
    let mut late = engine(CAROL, "LATE");
    let last = CommitContent::parse(room.hub.list.last().unwrap().event().content()).unwrap();
    let join = late
        .join_external_with_tree(
            &id,
            &last.public_group_state,
            &event_id,
            Some(&by_welcome),
            Carriage::default(),
        )
        .unwrap();
    assert!(!join.apart);
    let event = send(&mut room.hub, CAROL, &join).unwrap();
    late.accepted(&id, event.id().as_str()).unwrap();
    for engine in [&mut room.alice, &mut carol] {
        engine.receive_commit(&id, &join.message, event.id().as_str()).unwrap();
    }
    assert_eq!(room.members().len(), devices + 1);

    let sent = room.alice.encrypt(&id, b"hello, all").unwrap();
    for engine in [&mut carol, &mut late] {
        let Decrypted::Message { plaintext, .. } = engine.decrypt(&id, &sent.ciphertext).unwrap() else {
            panic!("a message")
        };
        assert_eq!(plaintext, b"hello, all");
    }

    // A server that comes now follows the room from the next commit on.
    let mut participant = room.hub.join("@dora:d.example");
    room.add(&engine(CAROL, "LAST")).unwrap();
    let event = Arc::clone(room.hub.list.last().unwrap());
    let apart = Apart { message: None, tree: Some(tree(&room.hub)) };
    follow(&mut participant, &event, &apart).unwrap();
    let theirs = participant.room().encryption().tracker().unwrap();
    assert!(theirs.members().eq(room.hub.hub.room().encryption().tracker().unwrap().members()));
}

#[test]
fn a_room_grows_past_what_fits_into_an_event() {
    grow(600);
}

/// The same with 5,000 devices, which takes a minute:
/// `cargo test -p mimi-linearized --lib five_thousand -- --ignored`.
#[test]
#[ignore = "it takes a minute"]
fn a_room_grows_to_five_thousand_devices() {
    grow(5_000);
}
