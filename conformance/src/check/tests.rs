use mimi_linearized::auth::Membership;
use mimi_linearized::event::{Draft, Lpdu, RoomEvent};
use mimi_linearized::hub::{Hub, Proposal};
use mimi_linearized::id::{KeyId, RoomId, ServerName, UserId};
use mimi_linearized::signing::SigningKey;
use mimi_linearized::version::RoomVersions;
use serde_json::json;

use super::*;

const TS: i64 = 1_700_000_000_000;

fn version() -> std::sync::Arc<RoomVersion> {
    RoomVersions::all().default_version().clone()
}

fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(KeyId::ed25519("1").unwrap(), &[seed; 32])
}

fn keys() -> Value {
    let published = |name: &str, seed| {
        Value::Object(ServerKeys::publish(&server(name), &key(seed), TS).as_object().clone())
    };
    json!([published("hub.example", 1), published("part.example", 2)])
}

/// A room with a participant's message at the end, as the control API dumps it, and that message's LPDU.
fn room() -> (Vec<Value>, Value) {
    let versions = RoomVersions::lm_04();
    let hub_name = server("hub.example");
    let id = RoomId::parse("!room:hub.example").unwrap();
    let (alice, bob) =
        (UserId::new("alice", &hub_name).unwrap(), UserId::new("bob", &server("part.example")).unwrap());
    let draft = |sender: &UserId, kind: &str, state_key: Option<&str>, content: Value| Draft {
        room_id: id.clone(),
        kind: kind.to_owned(),
        state_key: state_key.map(ToOwned::to_owned),
        sender: sender.clone(),
        content: content.as_object().unwrap().clone(),
        origin_server_ts: TS,
    };
    let create = draft(&alice, "m.room.create", Some(""), json!({"room_version": "I.1"}));
    let create = Proposal::of_own(create, versions.default_version()).unwrap();
    let (authorised, version) = Hub::authorise_create(create, &versions).unwrap();
    let sealed = authorised.seal(&hub_name, &key(1), &version, 0).unwrap();
    let json_of = |event: &RoomEvent| Value::Object(event.event().as_object().clone());
    let mut list = vec![json_of(sealed.event())];
    let mut hub = Hub::begin(sealed, version.clone()).unwrap();
    let own = |draft: Draft| Proposal::of_own(draft, &version).unwrap();
    let lpdu_of = |draft: Draft| draft.into_lpdu(&hub_name, &key(2), &version).unwrap();
    let ring = read_keys(keys().to_string().as_bytes()).unwrap();
    let verified =
        |bytes: &[u8]| Proposal::of_lpdu(Lpdu::parse(bytes, &version).unwrap().verify(&ring).unwrap());
    let message = lpdu_of(draft(&bob, "m.room.message", None, json!({"body": "hello"})));
    for proposal in [
        own(Draft::member(id.clone(), &alice, &alice, Membership::Join, TS)),
        own(draft(&alice, "m.room.join_rules", Some(""), json!({"join_rule": "public"}))),
        verified(&lpdu_of(Draft::member(id.clone(), &bob, &bob, Membership::Join, TS)).bytes),
        verified(&message.bytes),
    ] {
        let sealed = hub.authorise(proposal).unwrap().seal(&hub_name, &key(1), &version, 0).unwrap();
        list.push(json_of(&hub.append(sealed).unwrap()));
    }
    (list, serde_json::from_slice(&message.bytes).unwrap())
}

fn check_room(events: &[Value]) -> Checked {
    let ring = read_keys(keys().to_string().as_bytes()).unwrap();
    check(Value::Array(events.to_vec()).to_string().as_bytes(), Kind::Auto, Some(&ring), &version()).unwrap()
}

fn check_one(value: &Value) -> Checked {
    let ring = read_keys(keys().to_string().as_bytes()).unwrap();
    check(value.to_string().as_bytes(), Kind::Auto, Some(&ring), &version()).unwrap()
}

fn faults(checked: &Checked) -> Vec<(Option<usize>, Option<&str>)> {
    let is_fault = |remark: &&Remark| remark.severity == Severity::Fault;
    checked.remarks.iter().filter(is_fault).map(|r| (r.index, r.requirement.as_deref())).collect()
}

#[test]
fn a_sound_room_is_accepted_in_either_form() {
    let (events, _) = room();
    let checked = check_room(&events);
    assert!(checked.ok && checked.remarks.is_empty(), "{checked:?}");
    assert_eq!((checked.kind, checked.events), (Kind::Room, 5));
    assert!(check_one(&json!({"events": events, "next": null})).ok);
}

#[test]
fn one_changed_character_names_the_event_and_what_failed() {
    let (events, _) = room();
    for index in 0..events.len() {
        let mut changed = events.clone();
        let content = changed[index]["content"].as_object_mut().unwrap();
        let field = content.keys().next().unwrap().clone();
        let text = content[&field].as_str().unwrap();
        content[&field] = json!(format!("{}x", &text[1..]));
        let checked = check_room(&changed);
        assert!(!checked.ok);
        assert_eq!(faults(&checked)[0].0, Some(index), "{checked:?}");
    }
    let mut changed = events;
    changed[4]["content"]["body"] = json!("hellp");
    let checked = check_room(&changed);
    assert_eq!(faults(&checked), [(Some(4), Some("LM-04/5.1/11")), (Some(4), Some("LM-04/5.1/11"))]);
    assert_eq!(checked.remarks[0].event_id, checked.event_ids.last().cloned());
}

#[test]
fn a_hole_a_repetition_and_a_swap_are_found() {
    let (events, _) = room();
    let mut hole = events.clone();
    hole.remove(3);
    assert_eq!(faults(&check_room(&hole)), [(Some(3), Some("LM-04/3.5/21"))]);
    let mut twice = events.clone();
    twice.push(events[4].clone());
    assert_eq!(faults(&check_room(&twice)), [(Some(5), Some("LM-04/5.1/3"))]);
    let mut swapped = events.clone();
    swapped.swap(2, 3);
    assert!(!check_room(&swapped).ok);
    assert_eq!(faults(&check_room(&events[1..])), [(Some(0), Some("LM-04/auth/4.3"))]);
}

#[test]
fn keys_count_by_the_time_of_the_event() {
    let (events, _) = room();
    let mut old = keys();
    for keys in old.as_array_mut().unwrap() {
        let name = server(keys["server_name"].as_str().unwrap());
        let seed = if name == "hub.example" { 1 } else { 2 };
        *keys = Value::Object(ServerKeys::publish(&name, &key(seed), TS - 1).as_object().clone());
    }
    let ring = read_keys(old.to_string().as_bytes()).unwrap();
    let checked =
        check(Value::Array(events).to_string().as_bytes(), Kind::Room, Some(&ring), &version()).unwrap();
    assert_eq!(faults(&checked), [(Some(0), Some("LM-04/5.1/6"))]);
}

#[test]
fn single_events_and_lpdus() {
    let (events, lpdu) = room();
    assert_eq!((check_one(&events[4]).ok, check_one(&events[4]).kind), (true, Kind::Event));
    assert_eq!((check_one(&lpdu).ok, check_one(&lpdu).kind), (true, Kind::Lpdu));
    let mut changed = lpdu.clone();
    changed["content"]["body"] = json!("x");
    assert_eq!(faults(&check_one(&changed)), [(None, Some("LM-04/5.1/11"))]);
    let mut forged = lpdu.clone();
    forged["origin_server_ts"] = json!(TS - 1);
    assert!(faults(&check_one(&forged)).contains(&(None, Some("LM-04/5.1/6"))));
    let mut half = lpdu;
    half["prev_events"] = json!([]);
    assert_eq!(faults(&check_one(&half)), [(None, Some("LM-04/3.5.1/3"))]);
}

#[test]
fn without_keys_hashes_are_checked_and_signatures_are_not() {
    let (events, lpdu) = room();
    for value in [&events[4], &lpdu] {
        let checked = check(value.to_string().as_bytes(), Kind::Auto, None, &version()).unwrap();
        assert!(checked.ok);
        assert_eq!(checked.remarks.len(), 1, "a note");
    }
    let mut changed = events[4].clone();
    changed["content"]["body"] = json!("x");
    assert!(!check(changed.to_string().as_bytes(), Kind::Event, None, &version()).unwrap().ok);
    let result = check(Value::Array(events).to_string().as_bytes(), Kind::Room, None, &version());
    assert!(matches!(result, Err(CheckError::RoomWithoutKeys)));
}

#[test]
fn documents_that_are_nothing_of_the_kind() {
    let ring = ServerKeyRing::new();
    for (text, kind) in
        [("1", Kind::Auto), ("[]", Kind::Room), ("{}", Kind::Room), ("[]", Kind::Event), ("[1]", Kind::Room)]
    {
        assert!(check(text.as_bytes(), kind, Some(&ring), &version()).is_err(), "{text}");
    }
    let checked = check(b"{\"a\": 1,\n x}", Kind::Auto, Some(&ring), &version()).unwrap();
    assert!(checked.remarks[0].what.starts_with("line 2"), "{checked:?}");
    let checked = check(br#"{"type": "a", "type": "b"}"#, Kind::Event, Some(&ring), &version()).unwrap();
    assert_eq!(faults(&checked), [(None, Some("LM-04/7/2"))]);
    for (text, expected) in
        [("1", "the keys must be"), (r#"{"server_keys": 1}"#, "the keys must be"), ("[]", "there is no")]
    {
        assert!(read_keys(text.as_bytes()).unwrap_err().to_string().starts_with(expected), "{text}");
        let checked = check(text.as_bytes(), Kind::Keys, None, &version());
        assert!(matches!(checked, Err(CheckError::Form(_))), "{text}");
    }
    assert!(matches!(read_keys(b"{}"), Err(CheckError::Key { index: 0, .. })));
    assert!(matches!(read_keys(b"[{}]"), Err(CheckError::Key { index: 0, .. })));
}

/// A hub begins one room twice.
fn evidence() -> Value {
    evidence_in("I.1")
}

fn evidence_in(room_version: &str) -> Value {
    let versions = RoomVersions::all();
    let hub = server("hub.example");
    let alice = UserId::new("alice", &hub).unwrap();
    let create = |creator: &str| {
        let draft = Draft {
            room_id: RoomId::parse("!room:hub.example").unwrap(),
            kind: "m.room.create".to_owned(),
            state_key: Some(String::new()),
            sender: alice.clone(),
            content: json!({"room_version": room_version, "x": creator}).as_object().unwrap().clone(),
            origin_server_ts: TS,
        };
        let proposal = Proposal::of_own(draft, versions.default_version()).unwrap();
        let (authorised, version) = Hub::authorise_create(proposal, &versions).unwrap();
        authorised.seal(&hub, &key(1), &version, 0).unwrap().event().clone()
    };
    let (one, other) = (create("one"), create("other"));
    mimi_linearized::participant::Evidence::fork(&one, &one, &other, []).to_json()
}

#[test]
fn evidence_is_explained_or_refused() {
    let document = evidence();
    let checked = check_one(&document);
    assert!(checked.ok, "{checked:?}");
    assert_eq!((checked.kind, checked.events), (Kind::Evidence, 2));
    let remark = &checked.remarks[0];
    assert!(
        remark.what.starts_with("proved: hub.example, the hub of !room:hub.example, began the room twice")
    );
    assert_eq!((remark.rule.as_deref(), remark.requirement.as_deref()), (Some("room R13"), Some("R13")));

    let mut spoilt = document.clone();
    spoilt["events"][1]["origin_server_ts"] = json!(1);
    let checked = check_one(&spoilt);
    assert!(!checked.ok);
    assert!(
        checked.remarks[0].what.starts_with("the claim `fork` is not proved: that the hub sealed"),
        "{checked:?}"
    );

    let result = check(document.to_string().as_bytes(), Kind::Auto, None, &version());
    assert!(matches!(result, Err(CheckError::EvidenceWithoutKeys)));
    let result = check(b"{}", Kind::Evidence, Some(&ServerKeyRing::new()), &version());
    assert!(matches!(result, Err(CheckError::Evidence(_))));
}

/// The hub of a room makes its first two events, in a room version.
fn begun(room_version: &str) -> Vec<Value> {
    let versions = RoomVersions::all();
    let version = versions.get(room_version).unwrap().clone();
    let hub = server("hub.example");
    let alice = UserId::new("alice", &hub).unwrap();
    let id = RoomId::parse("!room:hub.example").unwrap();
    let create = Draft {
        room_id: id.clone(),
        kind: "m.room.create".to_owned(),
        state_key: Some(String::new()),
        sender: alice.clone(),
        content: json!({"room_version": room_version}).as_object().unwrap().clone(),
        origin_server_ts: TS,
    };
    let create = Proposal::of_own(create, &version).unwrap();
    let sealed =
        Hub::authorise_create(create, &versions).unwrap().0.seal(&hub, &key(1), &version, 0).unwrap();
    let json_of = |event: &RoomEvent| Value::Object(event.event().as_object().clone());
    let mut list = vec![json_of(sealed.event())];
    let mut room = Hub::begin(sealed, version.clone()).unwrap();
    let join = Draft::member(id, &alice, &alice, Membership::Join, TS);
    let join = room.authorise(Proposal::of_own(join, &version).unwrap()).unwrap();
    list.push(json_of(&room.append(join.seal(&hub, &key(1), &version, 0).unwrap()).unwrap()));
    list
}

#[test]
fn a_room_and_evidence_are_read_by_the_version_that_the_room_has() {
    for name in RoomVersions::all().ids() {
        let events = begun(name.as_str());
        let checked = check_room(&events);
        assert!(checked.ok, "{name}: {checked:?}");
        assert_eq!(checked.room_version.as_deref(), Some(name.as_str()));
        let mut changed = events;
        changed[1]["origin_server_ts"] = json!(TS - 1);
        assert_eq!(faults(&check_room(&changed)), [(Some(1), Some("LM-04/5.1/6"))]);
    }
    let transfer = mimi_linearized::version::TRANSFER;
    let checked = check_one(&evidence_in("I.1"));
    assert_eq!((checked.ok, checked.room_version.as_deref()), (true, Some("I.1")));
    // Where the hub can change nothing is proved, but the version is known.
    let checked = check_one(&evidence_in(transfer));
    assert_eq!((checked.ok, checked.room_version.as_deref()), (false, Some(transfer)));
    assert!(!checked.remarks[0].what.contains("not implemented"), "{checked:?}");
}

#[test]
fn a_single_event_is_read_by_the_version_that_is_assumed() {
    let old = mimi_linearized::version::DRAFT_01;
    let versions = RoomVersions::all();
    let event = begun(old).pop().unwrap();
    let ring = read_keys(keys().to_string().as_bytes()).unwrap();
    let by = |name: &str| {
        let version = versions.get(name).unwrap();
        check(event.to_string().as_bytes(), Kind::Auto, Some(&ring), version).unwrap()
    };
    assert!(by(old).ok && by(old).remarks.is_empty(), "{:?}", by(old));
    let checked = by("I.1");
    assert!(!checked.ok);
    let last = checked.remarks.last().unwrap();
    assert_eq!((last.severity, checked.room_version.as_deref()), (Severity::Note, Some("I.1")));
    assert!(last.what.contains("a room of version I.1"), "{last:?}");
    assert!(last.help.as_deref().unwrap().contains("--room-version"), "{last:?}");
}

#[test]
fn keys_come_in_three_forms() {
    let all = keys();
    let (events, _) = room();
    let mut events: Value = events.into();
    events.as_array_mut().unwrap().truncate(3);
    for keys in [all[0].clone(), json!([all[0]]), json!({"server_keys": [all[0]]}), all.clone()] {
        let ring = read_keys(keys.to_string().as_bytes()).unwrap();
        assert!(
            check(events.to_string().as_bytes(), Kind::Room, Some(&ring), &version()).unwrap().ok,
            "{keys}"
        );
        assert!(check(keys.to_string().as_bytes(), Kind::Auto, None, &version()).unwrap().ok, "{keys}");
    }
}

#[test]
fn what_was_not_checked_is_counted() {
    let (events, lpdu) = room();
    for (spoilt, left) in [(0, "4 events after it were"), (3, "1 event after it was"), (4, "")] {
        let mut events = events.clone();
        events[spoilt]["origin_server_ts"] = json!(TS - 1);
        let checked = check_room(&events);
        let notes: Vec<&str> = checked.remarks.iter().map(|remark| remark.what.as_str()).skip(1).collect();
        let expected = format!("{left} not checked");
        assert_eq!(notes, if left.is_empty() { vec![] } else { vec![expected.as_str()] });
    }
    let mut half = lpdu;
    half["prev_events"] = json!([]);
    assert_eq!(check_one(&half).remarks[0].what, "an LPDU has no `prev_events`");
}
