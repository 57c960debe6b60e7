//! One event: writing it, hashing it, signing and verifying it.

use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use mimi_linearized::base64;
use mimi_linearized::event::{Pdu, hash, reference_id};
use mimi_linearized::id::{KeyId, ServerName};
use mimi_linearized::json::{Object, Value, canonical};
use mimi_linearized::signing::{ServerKeyRing, SigningKey};
use mimi_linearized::version::{RoomVersion, RoomVersions};
use ruma_common::room_version_rules::RoomVersionRules;
use ruma_common::serde::Base64;
use ruma_common::{CanonicalJsonObject, CanonicalJsonValue};
use ruma_signatures::{Ed25519KeyPair, PublicKeyMap};
use serde_json::json;

use crate::table::OURS;

const HUB: &str = "hub.example";
const SEED: [u8; 32] = [7; 32];

/// A message of 1,333 bytes with its hash and signature, from a user of the hub.
fn message() -> Object {
    let id = |letter: &str| format!("${}", letter.repeat(43));
    let Value::Object(event) = json!({
        "room_id": "!Vf3TmIhb6-2lJ9p0:hub.example",
        "type": "m.room.message",
        "sender": "@alice:hub.example",
        "origin_server_ts": 1_700_000_000_000_i64,
        "auth_events": [id("a"), id("b"), id("c")],
        "prev_events": [id("d")],
        "content": {
            "msgtype": "m.text",
            "body": "What was said in a room, long enough to be a paragraph. ".repeat(10),
            "m.mentions": {"user_ids": ["@bob:b.example", "@carol:c.example"]},
            "m.relates_to": {"rel_type": "m.thread", "event_id": id("e"), "is_falling_back": true},
        },
    }) else {
        panic!("an object")
    };
    event
}

fn our_key() -> SigningKey {
    SigningKey::from_seed(KeyId::ed25519("1").unwrap(), &SEED)
}

/// The same key as the peer has it: PKCS#8, as RFC 8410 §7 has it for a seed.
fn peer_key() -> Ed25519KeyPair {
    const PKCS8: [u8; 16] =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    Ed25519KeyPair::from_der(&[PKCS8.as_slice(), SEED.as_slice()].concat(), "1".to_owned()).unwrap()
}

fn to_peer(object: &Object) -> CanonicalJsonObject {
    match CanonicalJsonValue::try_from(Value::Object(object.clone())).unwrap() {
        CanonicalJsonValue::Object(object) => object,
        _ => panic!("an object"),
    }
}

/// Hashes and signs an event of the hub's own.
fn sign(mut event: Object, key: &SigningKey, version: &RoomVersion) -> Object {
    let content_hash = base64::encode(&hash::pdu_content_hash(&event));
    event.insert("hashes".to_owned(), json!({"sha256": content_hash}));
    let signature = key.sign(&hash::signing_bytes(&event, &version.redaction)).to_base64();
    event.insert("signatures".to_owned(), json!({HUB: {key.id().as_str(): signature}}));
    event
}

pub(crate) fn canonical_json(criterion: &mut Criterion) {
    let versions = RoomVersions::lm_04();
    let event = Value::Object(sign(message(), &our_key(), versions.default_version()));
    let bytes = canonical::to_vec(&event);
    println!("the event has {} bytes", bytes.len());
    let mut group = criterion.benchmark_group("canonical JSON");
    group.bench_function(OURS, |b| b.iter(|| canonical::to_vec(black_box(&event))));
    group.bench_function("serde_json", |b| b.iter(|| serde_json::to_vec(black_box(&event)).unwrap()));
    group.bench_function("serde_jcs", |b| b.iter(|| serde_jcs::to_vec(black_box(&event)).unwrap()));
    group.bench_function("serde_json_canonicalizer", |b| {
        b.iter(|| serde_json_canonicalizer::to_vec(black_box(&event)).unwrap());
    });
    group.finish();
}

pub(crate) fn hashes(criterion: &mut Criterion) {
    let (versions, rules) = (RoomVersions::lm_04(), RoomVersionRules::V11);
    let version = versions.default_version();
    let event = sign(message(), &our_key(), version);
    let theirs = to_peer(&event);
    let mut group = criterion.benchmark_group("content hash");
    group.bench_function(OURS, |b| b.iter(|| hash::pdu_content_hash(black_box(&event))));
    group.bench_function("ruma", |b| b.iter(|| ruma_signatures::content_hash(black_box(&theirs)).unwrap()));
    group.finish();
    let mut group = criterion.benchmark_group("reference hash");
    group.bench_function(OURS, |b| b.iter(|| reference_id(black_box(&event), version)));
    group.bench_function("ruma", |b| {
        b.iter(|| ruma_signatures::reference_hash(black_box(&theirs), &rules).unwrap());
    });
    group.finish();
}

pub(crate) fn signatures(criterion: &mut Criterion) {
    let (versions, rules) = (RoomVersions::lm_04(), RoomVersionRules::V11);
    let version = versions.default_version();
    let (our_key, peer_key) = (our_key(), peer_key());
    let bare = message();
    let bare_peer = to_peer(&bare);
    let mut group = criterion.benchmark_group("hash and sign");
    group.bench_function(OURS, |b| {
        b.iter_batched(|| bare.clone(), |event| sign(event, &our_key, version), BatchSize::SmallInput);
    });
    group.bench_function("ruma", |b| {
        b.iter_batched(
            || bare_peer.clone(),
            |mut event| {
                ruma_signatures::hash_and_sign_event(HUB, &peer_key, &mut event, &rules.redaction).unwrap();
                event
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();

    let signed = sign(bare, &our_key, version);
    let bytes = canonical::object_to_vec(&signed);
    let signed_peer = to_peer(&signed);
    let mut ring = ServerKeyRing::new();
    ring.insert(&ServerName::parse(HUB).unwrap(), our_key.id(), our_key.verify_key(), i64::MAX);
    let public = Base64::parse(our_key.verify_key().to_base64()).unwrap();
    let keys = PublicKeyMap::from([(HUB.to_owned(), [("ed25519:1".to_owned(), public)].into())]);
    let mut group = criterion.benchmark_group("check shape, hash, verify");
    group.bench_function(OURS, |b| {
        b.iter_batched(
            || signed.clone(),
            |event| Pdu::from_object(event, version).unwrap().verify(&ring).unwrap(),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("ruma", |b| {
        b.iter(|| ruma_signatures::verify_event(&keys, black_box(&signed_peer), &rules).unwrap());
    });
    group.finish();
    // The whole way from bytes to an event that is known by its id.
    let mut group = criterion.benchmark_group("bytes to verified event");
    group.bench_function(OURS, |b| {
        b.iter(|| Pdu::parse(black_box(&bytes), version).unwrap().verify(&ring).unwrap());
    });
    group.bench_function("ruma", |b| {
        b.iter(|| {
            let event: CanonicalJsonObject = serde_json::from_slice(black_box(&bytes)).unwrap();
            let verified = ruma_signatures::verify_event(&keys, &event, &rules).unwrap();
            (ruma_signatures::reference_hash(&event, &rules).unwrap(), verified, event)
        });
    });
    group.finish();
}
