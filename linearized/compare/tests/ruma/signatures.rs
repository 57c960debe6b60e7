//! Hashes and signatures: what one makes, the other checks.
//!
//! They are the same for events that a hub makes itself, which have neither `hub_server` nor `hashes.lpdu`, as far as the
//! fields go that both know. What differs:
//!
//! - **`hub_server`** is one more field that redaction keeps (LM-04 §8): signature and event id of an event that went
//!   through a hub are others than Matrix would have ([`a_hub_is_signed_for_by_ours_alone`]).
//! - **`hashes.lpdu`** is covered by the content hash of a PDU (LM-04 §9.1, reading R02); Matrix leaves out all of `hashes`.
//! - **`event_id` and `depth`** are kept by redaction in Matrix, and stripped by LM-04 §8 (reading R06).
//! - **Content that redaction keeps**: Matrix also keeps `allow` of join rules, `redacts` of redactions, and of
//!   memberships `join_authorised_via_users_server` and `third_party_invite.signed` (LM-04 §8, reading R06;
//!   [`what_matrix_keeps_beyond_the_draft`]).
//! - **Numbers**: Matrix canonical JSON has integers only. LM-04 §7 has all that RFC 8785 has (reading R07).
//! - **Order of keys**: by code points in Matrix, by UTF-16 in RFC 8785, so keys with characters beyond U+FFFF differ from
//!   keys with characters between U+E000 and U+FFFF ([`keys_beyond_the_basic_plane`]).
//! - **Memberships**: the peer reads `membership` before it verifies, and refuses an event in which it is no string. LM-04
//!   §5.1 looks at signatures first, and rule 5.7 of §5.2.3 at `membership`.
//! - **Base64**: a content hash is compared as bytes (LM-04 §10), so that padding makes no difference.

use mimi_linearized::event::{Integrity, Pdu, RoomEvent, hash, reference_id};
use mimi_linearized::id::ServerName;
use mimi_linearized::json::{Object, Value, canonical};
use mimi_linearized::signing::{ServerKeyRing, Signature, check_object, sign_object};
use mimi_linearized::version::RoomVersions;
use ruma_common::room_version_rules::RoomVersionRules;
use ruma_common::serde::Base64;
use ruma_common::{CanonicalJsonObject, CanonicalJsonValue};
use ruma_signatures::{Ed25519KeyPair, PublicKeyMap, Verified};
use serde_json::json;

use crate::dice::Dice;
use crate::rooms::{CREATOR, HUB, Simulated, draft, key_of, object};

/// The key of a server as the peer has it: PKCS#8, as RFC 8410 §7 has it for a seed.
fn peer_key(server: &str) -> Ed25519KeyPair {
    const PKCS8: [u8; 16] =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let document = [PKCS8.as_slice(), key_of(server).seed().as_slice()].concat();
    Ed25519KeyPair::from_der(&document, "1".to_owned()).unwrap()
}

fn peer_keys() -> PublicKeyMap {
    let public = Base64::parse(key_of(HUB).verify_key().to_base64()).unwrap();
    PublicKeyMap::from([(HUB.to_owned(), [("ed25519:1".to_owned(), public)].into())])
}

fn our_keys() -> ServerKeyRing {
    let mut ring = ServerKeyRing::new();
    let key = key_of(HUB);
    ring.insert(&ServerName::parse(HUB).unwrap(), key.id(), key.verify_key(), i64::MAX);
    ring
}

fn to_peer(object: &Object) -> CanonicalJsonObject {
    match CanonicalJsonValue::try_from(Value::Object(object.clone())).unwrap() {
        CanonicalJsonValue::Object(object) => object,
        other => panic!("{other:?} is no object"),
    }
}

fn from_peer(theirs: &CanonicalJsonObject) -> Object {
    object(serde_json::to_value(theirs).unwrap())
}

/// Text from all over the Basic Multilingual Plane below the surrogates, where both orders of keys are one.
fn text(dice: &mut Dice) -> String {
    let letter = |dice: &mut Dice| match dice.below(8) {
        0 => char::from(u8::try_from(dice.below(0x20)).unwrap()),
        1 => *dice.one_of(&['"', '\\', '/', '\u{7f}', '\u{80}', '\u{2028}']),
        2 => char::from_u32(u32::try_from(0xa0 + dice.below(0xd000)).unwrap()).unwrap(),
        _ => char::from(u8::try_from(0x61 + dice.below(26)).unwrap()),
    };
    (0..dice.below(10)).map(|_| letter(dice)).collect()
}

fn value(dice: &mut Dice, depth: u32) -> Value {
    match dice.below(if depth == 0 { 5 } else { 8 }) {
        0 => Value::Null,
        1 => json!(dice.percent(50)),
        2 => json!(i64::try_from(dice.below(1 << 54)).unwrap() / 2 - (1 << 52)),
        3 | 4 => json!(text(dice)),
        5 => (0..dice.below(4)).map(|_| value(dice, depth - 1)).collect(),
        _ => Value::Object(members(dice, depth - 1)),
    }
}

fn members(dice: &mut Dice, depth: u32) -> Object {
    (0..dice.below(6)).map(|_| (text(dice), value(dice, depth))).collect()
}

/// The content of an event of this type, with some of what redaction keeps and some that it does not.
fn content(dice: &mut Dice, kind: &str) -> Object {
    let mut content = members(dice, 3);
    let kept: &[&str] = match kind {
        "m.room.create" => &["room_version"],
        "m.room.member" => &["membership"],
        "m.room.join_rules" => &["join_rule"],
        "m.room.power_levels" => &["ban", "events", "invite", "kick", "redact", "state_default", "users"],
        "m.room.history_visibility" => &["history_visibility"],
        _ => &["body", "msgtype"],
    };
    for key in kept {
        if dice.percent(70) {
            content.insert((*key).to_owned(), value(dice, 2));
        }
    }
    if kind == "m.room.member" {
        // The peer reads it to find out whose signatures it needs.
        content.insert("membership".to_owned(), json!(dice.one_of(&["join", "leave", "ban", "knock"])));
    }
    content
}

const KINDS: [&str; 8] = [
    "m.room.create",
    "m.room.member",
    "m.room.join_rules",
    "m.room.power_levels",
    "m.room.history_visibility",
    "m.room.message",
    "m.room.name",
    "m.mls.commit",
];

/// An event of the hub's own, without hashes and signatures.
fn bare(dice: &mut Dice) -> Object {
    let kind = *dice.one_of(&KINDS);
    let mut event = object(json!({
        "room_id": "!room:hub.example",
        "type": kind,
        "sender": CREATOR,
        "origin_server_ts": 1_700_000_000_000_i64,
        "auth_events": ["$a", "$b"],
        "prev_events": ["$c"],
        "content": content(dice, kind),
    }));
    if dice.percent(60) {
        event.insert("state_key".to_owned(), json!(dice.one_of(&["", CREATOR])));
    }
    if dice.percent(20) {
        event.insert("unsigned".to_owned(), json!({"age": 1}));
    }
    if dice.percent(20) {
        event.insert("org.example.unknown".to_owned(), value(dice, 1));
    }
    event
}

#[test]
fn what_the_peer_signs_ours_verifies() {
    let (rules, versions, keys) = (RoomVersionRules::V11, RoomVersions::lm_04(), our_keys());
    let key = peer_key(HUB);
    for seed in 0..3_000 {
        let mut dice = Dice::new(seed);
        let mut theirs = to_peer(&bare(&mut dice));
        ruma_signatures::hash_and_sign_event(HUB, &key, &mut theirs, &rules.redaction).unwrap();
        let event = from_peer(&theirs);
        let bytes = canonical::object_to_vec(&event);
        assert_eq!(bytes, CanonicalJsonValue::Object(theirs.clone()).to_string().as_bytes());
        let pdu = Pdu::parse(&bytes, versions.default_version()).unwrap();
        assert_eq!(
            pdu.event().id().as_str(),
            format!("${}", ruma_signatures::reference_hash(&theirs, &rules).unwrap()),
        );
        assert_eq!(
            mimi_linearized::base64::encode(&hash::pdu_content_hash(&event)),
            ruma_signatures::content_hash(&theirs).unwrap().encode(),
        );
        let verified = pdu.verify(&keys).unwrap();
        assert_eq!(verified.integrity(), Integrity::Intact, "seed {seed}: {event:?}");
    }
}

/// Events sealed by a hub of ours, in rooms that go as chance has it.
fn sealed() -> Vec<RoomEvent> {
    let mut all = Vec::new();
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let mut room = Simulated::new(true);
        all.push(room.create.clone());
        for _ in 0..30 {
            let draft = match all.len() {
                _ if room.hub.room().head().length == 1 => {
                    draft(CREATOR, "m.room.member", Some(CREATOR), json!({"membership": "join"}))
                }
                _ => room.next(&mut dice),
            };
            // The hub signs for its own users; no doubles, which Matrix does not have, and no invites of third parties,
            // of which Matrix keeps and signs something else.
            if draft.sender.server() != *HUB
                || draft.content.values().any(Value::is_f64)
                || draft.content.contains_key("third_party_invite")
            {
                continue;
            }
            if let Ok(event) = room.append_own(draft) {
                all.push(event);
            }
        }
    }
    all
}

#[test]
fn what_ours_signs_the_peer_verifies() {
    let (rules, keys) = (RoomVersionRules::V11, peer_keys());
    let events = sealed();
    assert!(events.len() > 2_000, "{}", events.len());
    for event in events {
        let theirs = to_peer(event.event().as_object());
        assert_eq!(
            ruma_signatures::verify_event(&keys, &theirs, &rules).unwrap(),
            Verified::All,
            "{:?}",
            event.event().as_object(),
        );
        assert_eq!(
            event.id().as_str(),
            format!("${}", ruma_signatures::reference_hash(&theirs, &rules).unwrap()),
        );
    }
}

/// A field of a sound event is changed: both say that the content is not what was hashed, or that the signature is
/// wrong, and both say the same of the two.
#[test]
fn tampering_has_the_same_effect() {
    let (rules, versions) = (RoomVersionRules::V11, RoomVersions::lm_04());
    let (ours, theirs) = (our_keys(), peer_keys());
    let key = peer_key(HUB);
    let mut seen = [0_u32; 3];
    for seed in 0..3_000 {
        let mut dice = Dice::new(seed);
        let mut signed = to_peer(&bare(&mut dice));
        ruma_signatures::hash_and_sign_event(HUB, &key, &mut signed, &rules.redaction).unwrap();
        let mut event = from_peer(&signed);
        let field = *dice.one_of(&[
            "content",
            "content",
            "content",
            "type",
            "state_key",
            "prev_events",
            "unsigned",
            "signatures",
        ]);
        match field {
            "content" => {
                let kind = event["type"].as_str().unwrap().to_owned();
                event.insert("content".to_owned(), Value::Object(content(&mut dice, &kind)));
            }
            "type" => drop(event.insert("type".to_owned(), json!("m.room.topic"))),
            "state_key" => drop(event.insert("state_key".to_owned(), json!("other"))),
            "prev_events" => drop(event.insert("prev_events".to_owned(), json!(["$d"]))),
            "unsigned" => drop(event.insert("unsigned".to_owned(), json!({"age": 2}))),
            _ => {
                let signature =
                    Signature::from_bytes([u8::try_from(dice.below(256)).unwrap(); 64]).to_base64();
                event.insert("signatures".to_owned(), json!({HUB: {"ed25519:1": signature}}));
            }
        }
        let pdu = Pdu::parse(&canonical::object_to_vec(&event), versions.default_version()).unwrap();
        let by_ours = pdu.verify(&ours).ok().map(|verified| verified.integrity() == Integrity::Intact);
        let by_theirs = ruma_signatures::verify_event(&theirs, &to_peer(&event), &rules)
            .ok()
            .map(|verified| verified == Verified::All);
        assert_eq!(by_ours, by_theirs, "seed {seed}: {field} of {event:?}");
        let outcome = match by_ours {
            Some(true) => 0,
            Some(false) => 1,
            None => 2,
        };
        seen[outcome] += 1;
    }
    assert!(seen.iter().all(|times| *times > 100), "intact, redacted, refused: {seen:?}");
}

/// Arbitrary objects (LM-04 §6.2), both ways.
#[test]
fn objects_are_signed_alike() {
    let (key, server, ring, keys) = (peer_key(HUB), ServerName::parse(HUB).unwrap(), our_keys(), peer_keys());
    for seed in 0..3_000 {
        let mut ours = members(&mut Dice::new(seed), 3);
        let mut theirs = to_peer(&ours);
        sign_object(&mut ours, &server, &key_of(HUB));
        ruma_signatures::sign_json(HUB, &key, &mut theirs).unwrap();
        assert_eq!(ours, from_peer(&theirs), "seed {seed}");
        check_object(&from_peer(&theirs), &server, &ring, 0).unwrap();
        ruma_signatures::verify_json(&keys, &to_peer(&ours)).unwrap();
        ours.insert("added".to_owned(), json!(1));
        assert!(check_object(&ours, &server, &ring, 0).is_err());
        assert!(ruma_signatures::verify_json(&keys, &to_peer(&ours)).is_err());
    }
}

/// Difference: LM-04 §8 and §9.1.
#[test]
fn a_hub_is_signed_for_by_ours_alone() {
    let versions = RoomVersions::lm_04();
    let version = versions.default_version();
    let server = ServerName::parse(HUB).unwrap();
    let of_another = draft("@bob:b.example", "m.room.message", None, json!({"body": "x"}));
    let lpdu = of_another.into_lpdu(&server, &key_of("b.example"), version).unwrap();
    let lpdu = object(serde_json::from_slice(&lpdu.bytes).unwrap());
    let theirs = to_peer(&lpdu);
    // The content hash of an LPDU leaves out all of `hashes`, as Matrix does.
    assert_eq!(
        lpdu["hashes"]["lpdu"]["sha256"],
        ruma_signatures::content_hash(&theirs).unwrap().encode().as_str(),
    );
    let reference = |object: &Object| {
        let theirs = ruma_signatures::reference_hash(&to_peer(object), &RoomVersionRules::V11).unwrap();
        (reference_id(object, version).as_str().to_owned(), format!("${theirs}"))
    };
    let (ours, theirs) = reference(&lpdu);
    assert_ne!(ours, theirs, "`hub_server` is covered");
    let mut without = lpdu;
    without.remove("hub_server");
    let (ours, theirs) = reference(&without);
    assert_eq!(ours, theirs);
}

/// Difference: LM-04 §8, reading R06.
#[test]
fn what_matrix_keeps_beyond_the_draft() {
    let versions = RoomVersions::lm_04();
    for (kind, field, value) in [
        ("m.room.join_rules", "allow", json!([])),
        ("m.room.redaction", "redacts", json!("$x")),
        ("m.room.member", "join_authorised_via_users_server", json!(CREATOR)),
        ("m.room.member", "third_party_invite", json!({"signed": {"token": "t"}})),
    ] {
        let mut event = bare(&mut Dice::new(1));
        event.insert("type".to_owned(), json!(kind));
        event.insert("content".to_owned(), json!({}));
        let ids = |event: &Object| {
            let theirs = ruma_signatures::reference_hash(&to_peer(event), &RoomVersionRules::V11).unwrap();
            (reference_id(event, versions.default_version()), format!("${theirs}"))
        };
        let (ours, theirs) = ids(&event);
        assert_eq!(ours.as_str(), theirs);
        event.insert("content".to_owned(), json!({field: value}));
        let (ours_with, theirs_with) = ids(&event);
        assert_eq!(ours_with, ours, "{field} of {kind} is stripped");
        assert_ne!(theirs_with, theirs, "{field} of {kind} is kept by Matrix");
    }
    for (field, value) in [("depth", json!(1)), ("event_id", json!("$x"))] {
        let mut event = bare(&mut Dice::new(1));
        let ours = reference_id(&event, versions.default_version());
        let theirs = ruma_signatures::reference_hash(&to_peer(&event), &RoomVersionRules::V11).unwrap();
        event.insert(field.to_owned(), value);
        assert_eq!(reference_id(&event, versions.default_version()), ours);
        assert_ne!(
            ruma_signatures::reference_hash(&to_peer(&event), &RoomVersionRules::V11).unwrap(),
            theirs
        );
    }
}

/// Difference: LM-04 §7, which is RFC 8785 §3.2.3.
#[test]
fn keys_beyond_the_basic_plane() {
    let keys = object(json!({"\u{ffff}": 1, "\u{10000}": 2}));
    assert_eq!(canonical::object_to_vec(&keys), "{\"\u{10000}\":2,\"\u{ffff}\":1}".as_bytes());
    assert_eq!(CanonicalJsonValue::Object(to_peer(&keys)).to_string(), "{\"\u{ffff}\":1,\"\u{10000}\":2}");
}
