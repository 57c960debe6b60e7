use serde_json::{Value, json};

use super::*;
use crate::base64;
use crate::id::{EventId, KeyId, RoomId, ServerName, UserId};
use crate::json::{Object, canonical};
use crate::signing::{KeyRing, ServerKeyRing, SignatureError, SigningKey};
use crate::version::{RoomVersion, RoomVersions};

const FAR: i64 = 1 << 50;
const TS: i64 = 1_681_340_188_825;

fn version() -> std::sync::Arc<RoomVersion> {
    RoomVersions::lm_04().default_version().clone()
}

fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(KeyId::ed25519("1").unwrap(), &[seed; 32])
}

fn hub() -> ServerName {
    server("hub.example")
}

fn ring() -> ServerKeyRing {
    let mut ring = ServerKeyRing::new();
    ring.insert(&hub(), key(1).id(), key(1).verify_key(), FAR);
    ring.insert(&server("part.example"), key(2).id(), key(2).verify_key(), FAR);
    ring
}

fn draft(sender: &str, content: Value) -> Draft {
    let Value::Object(content) = content else { panic!("an object") };
    Draft {
        room_id: RoomId::parse("!room:hub.example").unwrap(),
        kind: "m.room.message".to_owned(),
        state_key: None,
        sender: UserId::parse(sender).unwrap(),
        content,
        origin_server_ts: TS,
    }
}

fn lpdu_object() -> Object {
    let lpdu =
        draft("@bob:part.example", json!({"body": "hi"})).into_lpdu(&hub(), &key(2), &version()).unwrap();
    serde_json::from_slice(&lpdu.bytes).unwrap()
}

/// What a hub would make of an LPDU, spelled out independently of the hub's code.
fn seal(mut object: Object) -> Object {
    object.insert("auth_events".to_owned(), json!(["$create", "$member"]));
    object.insert("prev_events".to_owned(), json!(["$prev"]));
    let hash = base64::encode(&hash::pdu_content_hash(&object));
    object["hashes"]["sha256"] = json!(hash);
    sign(&mut object, &hub(), &key(1));
    object
}

fn sign(object: &mut Object, server: &ServerName, key: &SigningKey) {
    let signature = key.sign(&hash::signing_bytes(object, &version().redaction)).to_base64();
    object["signatures"][server.as_str()] = json!({key.id().as_str(): signature});
}

fn verify_lpdu(object: Object, ring: &impl KeyRing) -> Result<VerifiedLpdu, SignatureError> {
    Lpdu::from_object(object, &version()).unwrap().verify(ring)
}

fn verify_pdu(object: Object) -> Result<VerifiedPdu, SignatureError> {
    Pdu::from_object(object, &version()).unwrap().verify(&ring())
}

fn shape_error(change: impl FnOnce(&mut Object)) -> ShapeError {
    let mut object = lpdu_object();
    change(&mut object);
    Incoming::from_object(object, &version()).unwrap_err()
}

#[test]
fn an_lpdu_verifies_and_keeps_its_id_in_the_pdu() {
    let lpdu = verify_lpdu(lpdu_object(), &ring()).unwrap();
    assert!(!lpdu.is_redacted());
    let pdu = verify_pdu(seal(lpdu_object())).unwrap();
    assert_eq!(pdu.integrity(), Integrity::Intact);
    assert_eq!(pdu.event().lpdu_id(), Some(lpdu.id()));
    assert_ne!(pdu.event().id(), lpdu.id());
}

#[test]
fn a_forged_signature_is_found() {
    let mut object = lpdu_object();
    object["signatures"]["part.example"]["ed25519:1"] = json!(key(9).sign(b"x").to_base64());
    assert!(matches!(verify_lpdu(object, &ring()), Err(SignatureError::Mismatch { .. })));
    let mut object = seal(lpdu_object());
    object["signatures"]["hub.example"]["ed25519:1"] = json!(key(9).sign(b"x").to_base64());
    assert!(matches!(verify_pdu(object), Err(SignatureError::Mismatch { server, .. }) if server == hub()));
    let mut object = seal(lpdu_object());
    object["signatures"]["part.example"]["ed25519:1"] = json!(key(9).sign(b"x").to_base64());
    assert!(
        matches!(verify_pdu(object), Err(SignatureError::Mismatch { server, .. }) if server == "part.example")
    );
    let mut object = seal(lpdu_object());
    object["signatures"].as_object_mut().unwrap().remove("hub.example");
    assert_eq!(verify_pdu(object).unwrap_err(), SignatureError::Missing(hub()));
}

#[test]
fn other_signatures_are_not_looked_at() {
    let mut object = seal(lpdu_object());
    object["signatures"]["nobody.example"] = json!({"ed25519:1": "rubbish", "?": "x"});
    assert!(verify_pdu(object).is_ok());
}

#[test]
fn changed_content_goes_on_redacted_under_the_same_id() {
    let intact = verify_lpdu(lpdu_object(), &ring()).unwrap();
    let mut object = lpdu_object();
    object["content"]["body"] = json!("changed");
    let changed = verify_lpdu(object, &ring()).unwrap();
    assert!(changed.is_redacted());
    assert_eq!(changed.id(), intact.id());
    assert!(changed.event().content().is_empty());

    let mut object = seal(lpdu_object());
    object["content"]["body"] = json!("changed");
    let changed = verify_pdu(object).unwrap();
    assert_eq!(changed.integrity(), Integrity::Redacted);
    assert_eq!(changed.event().id(), verify_pdu(seal(lpdu_object())).unwrap().event().id());
    let stored: Value = serde_json::from_slice(changed.event().bytes()).unwrap();
    assert_eq!(stored["content"], json!({}));
}

#[test]
fn a_wrong_lpdu_hash_alone_redacts_the_pdu() {
    let mut object = lpdu_object();
    object["hashes"]["lpdu"]["sha256"] = json!(base64::encode(&[0; 32]));
    sign(&mut object, &server("part.example"), &key(2));
    assert!(verify_lpdu(object.clone(), &ring()).unwrap().is_redacted());
    assert_eq!(verify_pdu(seal(object)).unwrap().integrity(), Integrity::Redacted);
}

#[test]
fn a_hash_may_be_padded() {
    let mut object = lpdu_object();
    let padded = format!("{}=", object["hashes"]["lpdu"]["sha256"].as_str().unwrap());
    object["hashes"]["lpdu"]["sha256"] = json!(padded);
    sign(&mut object, &server("part.example"), &key(2));
    assert!(!verify_lpdu(object, &ring()).unwrap().is_redacted());
}

#[test]
fn unsigned_is_covered_by_nothing_and_dropped() {
    let mut object = seal(lpdu_object());
    object.insert("unsigned".to_owned(), json!({"age": 1}));
    let pdu = verify_pdu(object).unwrap();
    assert_eq!(pdu.integrity(), Integrity::Intact);
    assert_eq!(&**pdu.event().bytes(), canonical::object_to_vec(&seal(lpdu_object())));
}

#[test]
fn unknown_fields_are_hashed_but_do_not_change_the_id() {
    let mut object = seal(lpdu_object());
    object.insert("org.example.extra".to_owned(), json!(1));
    let pdu = verify_pdu(object).unwrap();
    assert_eq!(pdu.integrity(), Integrity::Redacted);
    assert!(!pdu.event().event().as_object().contains_key("org.example.extra"));
}

#[test]
fn a_hubs_own_event_needs_one_signature_in_either_form() {
    let mut own = json!({
        "room_id": "!room:hub.example", "type": "m.room.message", "sender": "@alice:hub.example",
        "origin_server_ts": TS, "content": {}, "auth_events": ["$a"], "prev_events": ["$b"], "hashes": {}, "signatures": {}
    });
    let own = own.as_object_mut().unwrap();
    let mut plain = own.clone();
    plain["hashes"]["sha256"] = json!(base64::encode(&hash::pdu_content_hash(&plain)));
    sign(&mut plain, &hub(), &key(1));
    let pdu = verify_pdu(plain).unwrap();
    assert_eq!((pdu.integrity(), pdu.event().lpdu_id()), (Integrity::Intact, None));

    let mut named = own.clone();
    named.insert("hub_server".to_owned(), json!("hub.example"));
    named["hashes"]["lpdu"] = json!({"sha256": base64::encode(&hash::lpdu_content_hash(&named))});
    named["hashes"]["sha256"] = json!(base64::encode(&hash::pdu_content_hash(&named)));
    sign(&mut named, &hub(), &key(1));
    assert_eq!(verify_pdu(named).unwrap().integrity(), Integrity::Intact);
}

#[test]
fn what_is_neither_lpdu_nor_pdu_is_refused() {
    let error = shape_error(|object| drop(object.insert("prev_events".to_owned(), json!([]))));
    assert!(matches!(error, ShapeError::Half("prev_events", "auth_events")));
    let error = shape_error(|object| drop(object.insert("auth_events".to_owned(), json!([]))));
    assert!(matches!(error, ShapeError::Half("auth_events", "prev_events")));
    for field in ["auth_events", "prev_events"] {
        let mut object = lpdu_object();
        object.insert(field.to_owned(), json!([]));
        let error = Lpdu::from_object(object, &version()).unwrap_err();
        assert_eq!(error.to_string(), format!("an LPDU has no `{field}`"));
    }
    let error = shape_error(|object| object["hashes"]["sha256"] = json!("AAAA"));
    assert!(matches!(error, ShapeError::LpduExtraHash(name) if name == "sha256"));
    let error = shape_error(|object| object["hashes"]["md5"] = json!("AAAA"));
    assert!(matches!(error, ShapeError::LpduExtraHash(name) if name == "md5"));
}

#[test]
fn every_field_has_its_type() {
    let long = "x".repeat(256);
    let long_user = format!("@{}:part.example", "a".repeat(250));
    for (field, value, requirement) in [
        ("room_id", json!(1), "LM-04/3.5/2"),
        ("room_id", json!("room"), "LM-04/3.5/2"),
        ("type", json!(null), "LM-04/3.5/3"),
        ("type", json!(long), "LM-04/3.5/5"),
        ("state_key", json!(1), "LM-04/3.5/6"),
        ("state_key", json!(long), "LM-04/3.5/7"),
        ("sender", json!("@Bob:part.example"), "LM-04/3.5/8"),
        ("sender", json!(long_user), "LM-04/3.5/8"),
        ("origin_server_ts", json!("1"), "LM-04/3.5/9"),
        ("origin_server_ts", json!(1.5), "LM-04/3.5/9"),
        ("hub_server", json!("1.2.3.4"), "LM-04/3.5/11"),
        ("content", json!([]), "LM-04/3.5/13"),
        ("hashes", json!([]), "LM-04/3.5/15"),
        ("hashes", json!({"lpdu": {"sha256": 1}}), "LM-04/3.5/15"),
        ("hashes", json!({"lpdu": {}}), "LM-04/3.5/16"),
        ("hashes", json!({}), "LM-04/3.5/16"),
        ("signatures", json!({"a": {"b": 1}}), "LM-04/3.5/18"),
        ("signatures", json!({"a": "b"}), "LM-04/3.5/18"),
    ] {
        let error = shape_error(|object| drop(object.insert(field.to_owned(), value.clone())));
        assert_eq!(error.requirement(), requirement, "{field} = {value}: {error}");
    }
    for field in ["room_id", "type", "sender", "origin_server_ts", "content", "hashes", "signatures"] {
        let error = shape_error(|object| drop(object.remove(field)));
        assert!(matches!(error, ShapeError::Missing(name) if name == field), "{error}");
    }
    let mut pdu = seal(lpdu_object());
    pdu.insert("auth_events".to_owned(), json!(["create"]));
    assert_eq!(Pdu::from_object(pdu, &version()).unwrap_err().requirement(), "LM-04/3.5/19");
    let mut pdu = seal(lpdu_object());
    pdu.insert("prev_events".to_owned(), json!({}));
    assert_eq!(Pdu::from_object(pdu, &version()).unwrap_err().requirement(), "LM-04/3.5/20");
    let mut pdu = seal(lpdu_object());
    pdu.remove("hub_server");
    assert!(matches!(Pdu::from_object(pdu, &version()), Err(ShapeError::LpduHashWithoutHub)));
}

#[test]
fn integral_numbers_are_integers() {
    let mut object = lpdu_object();
    object.insert("origin_server_ts".to_owned(), json!(50.0));
    assert_eq!(Lpdu::from_object(object, &version()).unwrap().event().origin_server_ts(), 50);
}

#[test]
fn an_event_may_have_65536_bytes_and_no_more() {
    let with_body = |length: usize| {
        let mut object = lpdu_object();
        object["content"]["body"] = json!("x".repeat(length));
        object
    };
    let base = canonical::object_to_vec(&with_body(0)).len();
    assert!(Lpdu::from_object(with_body(65_536 - base), &version()).is_ok());
    let error = Lpdu::from_object(with_body(65_537 - base), &version()).unwrap_err();
    assert!(matches!(error, ShapeError::TooLarge { bytes: 65_537, limit: 65_536 }));
}

#[test]
fn ambiguous_json_is_no_event() {
    let text = String::from_utf8(canonical::object_to_vec(&lpdu_object())).unwrap();
    let twice = text.replacen('{', r#"{"type":"m.room.message","#, 1);
    assert!(matches!(Lpdu::parse(twice.as_bytes(), &version()), Err(ShapeError::Json(_))));
    assert!(Lpdu::parse(text.as_bytes(), &version()).is_ok());
    assert!(matches!(Lpdu::parse(b"[]", &version()), Err(ShapeError::NotAnObject)));
}

#[test]
fn our_own_events_have_numbers_that_every_reader_has_exactly() {
    let made = |number: Value| {
        draft("@bob:part.example", json!({"a": [{"b": number}]})).into_lpdu(&hub(), &key(2), &version())
    };
    for number in [json!(1.5), json!(1_i64 << 53), json!(-(1_i64 << 53)), json!(u64::MAX), json!(1e300)] {
        assert!(matches!(made(number.clone()), Err(ShapeError::InexactNumber)), "{number}");
    }
    for number in [json!(0), json!(-0.0), json!(50.0), json!((1_i64 << 53) - 1)] {
        assert!(made(number.clone()).is_ok(), "{number}");
    }
}

#[test]
fn the_room_is_found_before_anything_else_is_looked_at() {
    let object = json!({"room_id": "!a:b", "x": 1}).as_object().unwrap().clone();
    assert_eq!(peek_room_id(&object), Ok(RoomId::parse("!a:b").unwrap()));
    assert!(matches!(peek_room_id(json!({"room_id": "a"}).as_object().unwrap()), Err(Some(_))));
    assert_eq!(peek_room_id(json!({"room_id": 1}).as_object().unwrap()), Err(None));
    let lpdu = Lpdu::from_object(lpdu_object(), &version()).unwrap();
    assert_eq!(&reference_id(&lpdu_object(), &version()), lpdu.id());
}

#[test]
fn a_record_is_checked_against_its_id() {
    let bytes = canonical::object_to_vec(&seal(lpdu_object()));
    let id = Pdu::parse(&bytes, &version()).unwrap().event().id().clone();
    assert_eq!(Recorded::read(&bytes, &id, &version()).unwrap().event().id(), &id);
    let other = EventId::parse("$other").unwrap();
    assert!(matches!(Recorded::read(&bytes, &other, &version()), Err(RecordError::OtherEvent { .. })));
    assert!(matches!(Recorded::read(b"{}", &id, &version()), Err(RecordError::Shape { .. })));
}

#[test]
fn redaction_keeps_what_the_draft_lists() {
    let keep = |kind: &str, content: Value| {
        let mut event =
            json!({"type": kind, "content": content, "extra": 1, "event_id": "$x", "hub_server": "h"})
                .as_object()
                .unwrap()
                .clone();
        redact(&mut event, &version().redaction);
        assert!(
            !event.contains_key("extra")
                && !event.contains_key("event_id")
                && event.contains_key("hub_server")
        );
        let signed: Value =
            serde_json::from_slice(&hash::signing_bytes(&event, &version().redaction)).unwrap();
        assert_eq!(signed["content"], event["content"], "the signed form and the redacted form agree");
        event["content"].clone()
    };
    assert_eq!(keep("m.room.create", json!({"a": 1})), json!({"a": 1}));
    assert_eq!(
        keep("m.room.member", json!({"membership": "join", "reason": "x"})),
        json!({"membership": "join"})
    );
    assert_eq!(
        keep("m.room.join_rules", json!({"join_rule": "public", "allow": []})),
        json!({"join_rule": "public"})
    );
    assert_eq!(
        keep("m.room.history_visibility", json!({"history_visibility": "joined", "x": 1})),
        json!({"history_visibility": "joined"})
    );
    let levels = json!({"ban": 1, "events": {"a": 1}, "events_default": 1, "kick": 1, "redact": 1, "state_default": 1,
                        "users": {}, "users_default": 1, "invite": 1});
    let mut more = levels.clone();
    more["notifications"] = json!({});
    assert_eq!(keep("m.room.power_levels", more), levels);
    for kind in ["m.mls.commit", "m.room.encrypted", "m.room.message", "m.room.name"] {
        assert_eq!(keep(kind, json!({"a": 1})), json!({}));
    }
    assert_eq!(keep("m.room.create", json!([1])), json!({}));
}

/// The values that two independent codebases agree on.
mod crosscheck {
    use super::*;

    fn data() -> Value {
        serde_json::from_str(include_str!("../../tests/data/crosscheck.json")).unwrap()
    }

    fn object(value: &Value) -> Object {
        value.as_object().unwrap().clone()
    }

    fn room_version() -> std::sync::Arc<RoomVersion> {
        RoomVersions::lm_04().get("org.matrix.i-d.ralston-mimi-linearized-matrix.02").unwrap().clone()
    }

    fn ring() -> ServerKeyRing {
        let mut ring = ServerKeyRing::new();
        for (name, entry) in data()["servers"].as_object().unwrap() {
            let seed = base64::decode_array(entry["seed"].as_str().unwrap()).unwrap();
            let key = SigningKey::from_seed(KeyId::parse(entry["key_id"].as_str().unwrap()).unwrap(), &seed);
            assert_eq!(key.verify_key().to_base64(), entry["public"].as_str().unwrap());
            ring.insert(&server(name), key.id(), key.verify_key(), FAR);
        }
        ring
    }

    #[test]
    fn pdus() {
        let data = data();
        for event in data["events"].as_array().unwrap() {
            let pdu = object(&event["pdu"]);
            assert_eq!(base64::encode(&hash::pdu_content_hash(&pdu)), event["content_hash"]);
            let mut redacted = pdu.clone();
            redact(&mut redacted, &room_version().redaction);
            assert_eq!(Value::Object(redacted), event["redacted"]);
            let pdu = Pdu::from_object(pdu, &room_version()).unwrap();
            assert_eq!(pdu.event().id().as_str(), event["event_id"]);
            assert_eq!(pdu.verify(&ring()).unwrap().integrity(), Integrity::Intact);
        }
    }

    #[test]
    fn lpdus() {
        let data = data();
        let with_lpdu: Vec<_> =
            data["events"].as_array().unwrap().iter().filter(|e| e.get("lpdu").is_some()).collect();
        assert!(!with_lpdu.is_empty());
        for event in with_lpdu {
            let lpdu = object(&event["lpdu"]);
            assert_eq!(base64::encode(&hash::lpdu_content_hash(&lpdu)), event["lpdu_hash"]);
            assert_eq!(hash::lpdu_content_hash(&lpdu), hash::lpdu_content_hash(&object(&event["pdu"])));
            let verified = Lpdu::from_object(lpdu, &room_version()).unwrap().verify(&ring()).unwrap();
            assert!(!verified.is_redacted());
            let pdu = Pdu::from_object(object(&event["pdu"]), &room_version()).unwrap();
            assert_eq!(pdu.event().lpdu_id(), Some(verified.id()));
        }
    }
}

mod draft_01;
