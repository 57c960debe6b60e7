//! Keys, signatures of messages, objects and events.

use mimi_linearized::id::KeyId;
use mimi_linearized::signing::SigningKey;
use serde_json::{Value, json};

use super::chance::Chance;
use super::events::{Cast, TS, key_entry};
use super::oracle::{self, Server, canonical, hex};
use super::{Flag, Group, Vector};
use crate::forgery::Forger;

/// RFC 8032 §7.1: seed, public key, message and signature in hexadecimal.
const PUBLISHED: [(&str, &str, &str, &str); 3] = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
];

/// The bytes of a text in lower-case hexadecimal; nothing if it is something else.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let digits: Vec<u8> = text.as_bytes().iter().map(digit).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// A constant in hexadecimal as base64.
fn b64(hex: &str) -> String {
    oracle::base64(&unhex(hex).unwrap_or_default())
}

fn signatures_of_messages(chance: &mut Chance) -> Vec<Vector> {
    let mut tests = Vec::new();
    for (index, (seed, public, message, signature)) in PUBLISHED.into_iter().enumerate() {
        let input = json!({"seed": b64(seed), "message": message});
        let expected = json!({"public_key": b64(public), "signature": b64(signature)});
        let comment = format!("RFC 8032 section 7.1, test {}", index.saturating_add(1));
        tests.push(Vector::valid("LM-04/6/2", &comment, input, expected).flag(Flag::Published));
    }
    for _ in 0..4 {
        let (seed, message) = (chance.bytes(), chance.bytes());
        let input = json!({"seed": oracle::base64(&seed), "message": hex(&message)});
        let signature = oracle::base64(&oracle::sign(&seed, &message));
        let expected = json!({"public_key": oracle::public_key(&seed), "signature": signature});
        tests.push(Vector::valid("LM-04/6.2/3", "drawn from the seed", input, expected).flag(Flag::Seeded));
    }
    tests
}

fn verifications(chance: &mut Chance) -> Vec<Vector> {
    const MESSAGE: &[u8] = b"a message";
    let seed = chance.bytes();
    let Ok(id) = KeyId::ed25519("1") else { return Vec::new() };
    let forger = Forger::of(&SigningKey::from_seed(id, &seed));
    let public = oracle::public_key(&seed);
    let signature = oracle::sign(&seed, MESSAGE);
    let input = |public: &str, message: &[u8], signature: &str| json!({"public_key": public, "message": hex(message), "signature": signature});
    let refused = |requirement: &str, comment: &str, message: &[u8], signature: &str| {
        Vector::refused(requirement, comment, input(&public, message, signature)).flag(Flag::Seeded)
    };
    let no =
        |comment: &str, message: &[u8], signature: &str| refused("LM-04/6.3/7", comment, message, signature);
    let weak = |comment: &str, signature: &str| refused("R08", comment, MESSAGE, signature);
    let changed = |at: usize| {
        let bytes: Vec<u8> = signature
            .iter()
            .enumerate()
            .map(|(index, byte)| if index == at { byte ^ 1 } else { *byte })
            .collect();
        oracle::base64(&bytes)
    };
    let sound = oracle::base64(&signature);
    let accepted = json!({"accepted": true});
    let mut tests = vec![
        Vector::valid("LM-04/6.3/9", "a sound signature", input(&public, MESSAGE, &sound), accepted.clone())
            .flag(Flag::Seeded),
        Vector::valid(
            "LM-04/10/2",
            "a sound signature with padding",
            input(&public, MESSAGE, &format!("{sound}==")),
            accepted.clone(),
        )
        .flag(Flag::Seeded),
        no("another message", b"another message", &sound),
        no("an empty message", b"", &sound),
        no("R changed", MESSAGE, &changed(0)),
        no("S changed", MESSAGE, &changed(32)),
        no("one byte short", MESSAGE, &oracle::base64(signature.get(..63).unwrap_or_default())),
        no("one byte long", MESSAGE, &oracle::base64(&[signature.as_slice(), &[0]].concat())),
        no("no signature at all", MESSAGE, ""),
        refused("LM-04/6.3/5", "no base64", MESSAGE, "not base64!"),
        no("all zero", MESSAGE, &oracle::base64(&[0; 64])),
        no("another key's signature", MESSAGE, &oracle::base64(&oracle::sign(&chance.bytes(), MESSAGE))),
        weak("S is not reduced: the order of the group is added to it", &forger.unreduced_s(MESSAGE)),
    ];
    for (what, signature) in forger.small_order_r(MESSAGE) {
        tests.push(weak(&format!("R is of small order: {what}"), &signature));
    }
    for (what, signature) in forger.non_canonical_r(MESSAGE) {
        tests.push(weak(&format!("R is not canonically encoded: {what}"), &signature));
    }
    let mixed = input(&public, MESSAGE, &forger.mixed_order_r(MESSAGE));
    let comment = "R has a part of small order: only the cofactored equation holds";
    tests.push(Vector::valid("R08", comment, mixed, accepted).acceptable().flag(Flag::Seeded));
    tests
}

fn public_keys(chance: &mut Chance) -> Vec<Vector> {
    let seed = chance.bytes();
    let Ok(id) = KeyId::ed25519("1") else { return Vec::new() };
    let forger = Forger::of(&SigningKey::from_seed(id, &seed));
    let input = |key: &str| json!({"public_key": key});
    let weak = |comment: &str, key: &str| Vector::refused("R08", comment, input(key));
    let bad = |comment: &str, key: &str| Vector::refused("LM-04/6/4", comment, input(key));
    let sound = oracle::public_key(&seed);
    let accepted = json!({"accepted": true});
    vec![
        Vector::valid("LM-04/6/4", "a sound key", input(&sound), accepted.clone()).flag(Flag::Seeded),
        Vector::valid("LM-04/10/2", "a sound key with padding", input(&format!("{sound}=")), accepted)
            .flag(Flag::Seeded),
        weak("the identity", &Forger::identity().public_base64()),
        weak("the identity, encoded with a y beyond the prime", &Forger::identity_beyond_p().public_base64()),
        weak("a key with a part of order 8", &forger.with_torsion().public_base64()).flag(Flag::Seeded),
        weak("a point of order 4", &oracle::base64(&[0; 32])),
        bad("31 bytes", &oracle::base64(&[9; 31])),
        bad("33 bytes", &oracle::base64(&[9; 33])),
        bad("no base64", "not base64!"),
        bad("empty", ""),
        bad(
            "no point of the curve has this y",
            &b64("0200000000000000000000000000000000000000000000000000000000000000"),
        ),
    ]
}

fn signed_texts(cast: &Cast) -> Vec<Group> {
    let lpdu = oracle::lpdu(&cast.message(&cast.bob, "hello"), &cast.hub.name, &cast.second);
    let pdu = oracle::seal(&lpdu, &["$auth".to_owned()], &["$prev".to_owned()], &cast.hub);
    let own = oracle::seal(&cast.create(), &[], &[], &cast.hub);
    let vector = |requirement: &str, comment: &str, event: &Value, of: &Value, by: &Server| {
        let text = oracle::signing_text(of);
        let input = json!({"event": canonical(event), "signer": by.to_json()});
        let expected = json!({"signed_text": text, "signature": by.sign(&text)});
        Vector::valid(requirement, comment, input, expected).flag(Flag::Seeded)
    };
    let whole = vec![
        vector("LM-04/6.1/1", "the hub's own event", &own, &own, &cast.hub),
        vector("LM-04/6.1/1", "an LPDU, by its sender's server", &lpdu, &lpdu, &cast.second),
        vector("LM-04/6.1/1", "an LPDU made whole, by the hub", &pdu, &pdu, &cast.hub),
        vector(
            "LM-04/6.2/1",
            "signatures that are there are not signed",
            &oracle::signed(&pdu, &cast.third),
            &pdu,
            &cast.hub,
        ),
        vector(
            "LM-04/6.1/1",
            "the redacted event has the same signature",
            &oracle::redact(&pdu),
            &pdu,
            &cast.hub,
        ),
        vector(
            "R02",
            "`unsigned` is not signed",
            &oracle::with(&pdu, "unsigned", json!({"age": 1})),
            &pdu,
            &cast.hub,
        ),
    ];
    let partial = vec![
        vector(
            "LM-04/5.1/8",
            "the sender's server signed the LPDU, not the whole",
            &pdu,
            &lpdu,
            &cast.second,
        )
        .read_by("R02"),
        vector("LM-04/5.1/8", "redacted", &oracle::redact(&pdu), &lpdu, &cast.second).read_by("R02"),
    ];
    let about = "`event` is the text of an event, `signer` a server with its private key. `signed_text` is what it signs, \
                 `signature` the signature.";
    let about_partial = "The same for the LPDU inside the whole event that a hub made of it.";
    vec![Group::new("event-signature", about, whole), Group::new("lpdu-signature", about_partial, partial)]
}

fn objects(cast: &Cast) -> Vec<Vector> {
    let server = &cast.second;
    let second_key = Server::new(&server.name, "2", cast.third.seed);
    let object = json!({"b": 1.0, "a": "x", "c": {"z": null, "y": []}});
    let signed = oracle::signed_object(&object, server);
    let both = {
        let entry = |by: &Server| by.sign(&canonical(&object));
        let signatures = json!({server.name.as_str(): {
            server.key_id.as_str(): entry(server), second_key.key_id.as_str(): entry(&second_key)}});
        oracle::with(&object, "signatures", signatures)
    };
    let second_wrong = {
        let signatures = json!({server.name.as_str(): {
            server.key_id.as_str(): server.sign(&canonical(&object)),
            second_key.key_id.as_str(): server.sign(&canonical(&object))}});
        oracle::with(&object, "signatures", signatures)
    };
    let one = [key_entry(server, TS)];
    let two = [key_entry(server, TS), key_entry(&second_key, TS)];
    let expired = [key_entry(server, TS.saturating_sub(1))];
    let one_expired = [key_entry(server, TS.saturating_sub(1)), key_entry(&second_key, TS)];
    let input = |object: &Value, keys: &[Value]| json!({"object": canonical(object), "server_name": server.name, "keys": keys, "at": TS});
    let yes = |requirement: &str, comment: &str, object: &Value, keys: &[Value]| {
        Vector::valid(requirement, comment, input(object, keys), json!({"accepted": true})).flag(Flag::Seeded)
    };
    let no = |requirement: &str, comment: &str, object: &Value, keys: &[Value]| {
        Vector::refused(requirement, comment, input(object, keys)).flag(Flag::Seeded)
    };
    let signatures = |value: Value| oracle::with(&signed, "signatures", value);
    let own = |value: Value| signatures(json!({server.name.as_str(): value}));
    vec![
        yes("LM-04/6.3/9", "signed", &signed, &one),
        yes(
            "LM-04/5.1/9",
            "somebody else's signature beside it, which is nonsense",
            &oracle::with(&signed, "signatures", {
                let entry =
                    signed.get("signatures").and_then(|s| s.get(&server.name)).cloned().unwrap_or_default();
                json!({server.name.as_str(): entry, "other.example": {"ed25519:1": "nonsense"}})
            }),
            &one,
        ),
        yes("R08", "signed with two keys, both known", &both, &two),
        yes("R08", "signed with two keys, one known", &both, &one),
        yes("R08", "the signature by an expired key is skipped, the other counts", &both, &one_expired),
        no("R08", "two signatures, and one by a known key is wrong", &second_wrong, &two),
        yes("R08", "two signatures, and the wrong one is by an unknown key", &second_wrong, &one),
        no("LM-04/6.3/7", "changed after it was signed", &oracle::with(&signed, "b", json!(2)), &one),
        no("LM-04/6.3/7", "a member added after it was signed", &oracle::with(&signed, "d", json!(2)), &one),
        no("LM-04/6.3/1", "no `signatures`", &object, &one),
        no("LM-04/6.3/2", "nothing by that server", &signatures(json!({"other.example": {}})), &one),
        no("LM-04/6.3/2", "no signature of that server", &own(json!({})), &one),
        no("LM-04/6.3/4", "`signatures` is an array", &signatures(json!([])), &one),
        no("LM-04/6.3/4", "the server's entry is text", &own(json!("x")), &one),
        no("LM-04/6.3/4", "a signature that is a number", &own(json!({server.key_id.as_str(): 1})), &one),
        no("LM-04/6.3/5", "a signature that is no base64", &own(json!({server.key_id.as_str(): "!"})), &one),
        no("LM-04/6.3/3", "the key is not known", &signed, &[]),
        no(
            "LM-04/6/3",
            "signed under a key id of another algorithm",
            &own(json!({"rsa:1": server.sign(&canonical(&object))})),
            &one,
        ),
        no("LM-04/12.4.1.1/4", "the key was no longer valid at the time that counts", &signed, &expired)
            .read_by("R33")
            .acceptable(),
    ]
}

/// LPDUs and PDUs through steps 2 and 3 of receiving (LM-04 §5.1).
fn received(cast: &Cast) -> Vec<Group> {
    let lpdu = oracle::lpdu(&cast.message(&cast.bob, "hello"), &cast.hub.name, &cast.second);
    let place = |lpdu: &Value| oracle::placed(lpdu, &["$auth".to_owned()], &["$prev".to_owned()]);
    let pdu = oracle::signed(&place(&lpdu), &cast.hub);
    let own = oracle::seal(
        &cast.message(&cast.alice, "hello"),
        &["$auth".to_owned()],
        &["$prev".to_owned()],
        &cast.hub,
    );
    let both_forms = {
        let event = oracle::with(&cast.message(&cast.alice, "hello"), "hub_server", json!(cast.hub.name));
        let hash = oracle::lpdu_hash(&event);
        oracle::signed(&place(&oracle::with(&event, "hashes", json!({"lpdu": {"sha256": hash}}))), &cast.hub)
    };
    let redacted = |event: &Value| oracle::redact(event);
    let content = |event: &Value| oracle::with(event, "content", json!({"body": "hellp"}));
    let input = |event: &Value| json!({"event": canonical(event), "keys": cast.keys()});
    let kept = |event: &Value, intact: bool, keep: &Value| json!({"accepted": true, "intact": intact, "event_id": oracle::event_id(event), "kept": canonical(keep)});
    let yes = |requirement: &str, comment: &str, event: &Value, expected: Value| {
        Vector::valid(requirement, comment, input(event), expected).flag(Flag::Seeded)
    };
    let no = |requirement: &str, comment: &str, event: &Value| {
        Vector::refused(requirement, comment, input(event)).flag(Flag::Seeded)
    };
    let without_signature_of = |event: &Value, server: &Server| {
        let mut signatures = event.get("signatures").cloned().unwrap_or_default();
        if let Value::Object(entities) = &mut signatures {
            entities.remove(&server.name);
        }
        oracle::with(event, "signatures", signatures)
    };
    let wrong_lpdu_hash = {
        let wrong = oracle::with(&lpdu, "hashes", json!({"lpdu": {"sha256": oracle::base64(&[7; 32])}}));
        oracle::signed(&wrong, &cast.second)
    };
    let sealed_after_redaction = oracle::signed(&place(&oracle::redact(&content(&lpdu))), &cast.hub);
    let partial = vec![
        yes("LM-04/3.5.1/6", "a sound LPDU", &lpdu, kept(&lpdu, true, &lpdu)),
        yes(
            "LM-04/5.1/11",
            "the content was changed: redacted, and the signature still holds",
            &content(&lpdu),
            kept(&lpdu, false, &redacted(&lpdu)),
        ),
        yes(
            "LM-04/5.1/11",
            "the LPDU hash is wrong: redacted",
            &wrong_lpdu_hash,
            kept(&wrong_lpdu_hash, false, &redacted(&wrong_lpdu_hash)),
        ),
        yes(
            "R02",
            "`unsigned` is dropped",
            &oracle::with(&lpdu, "unsigned", json!({"age": 1})),
            kept(&lpdu, true, &lpdu),
        ),
        no(
            "LM-04/5.1/6",
            "the time was changed after it was signed",
            &oracle::with(&lpdu, "origin_server_ts", json!(TS.saturating_sub(1))),
        ),
        no(
            "LM-04/5.1/6",
            "the hub was changed after it was signed",
            &oracle::with(&lpdu, "hub_server", json!("third.example")),
        ),
        no(
            "LM-04/5.1/6",
            "signed by another server than the sender's",
            &oracle::signed(&oracle::with(&lpdu, "signatures", json!({})), &cast.third),
        ),
        no("LM-04/5.1/6", "not signed", &oracle::with(&lpdu, "signatures", json!({}))),
    ];
    let whole = vec![
        yes("LM-04/5.1/8", "an event through the hub", &pdu, kept(&pdu, true, &pdu)),
        yes("R04", "the hub's own event", &own, kept(&own, true, &own)),
        yes(
            "R04",
            "the hub's own event with `hub_server` and an LPDU hash, signed once",
            &both_forms,
            kept(&both_forms, true, &both_forms),
        ),
        yes(
            "LM-04/5.1/11",
            "the content was changed: redacted, and both signatures still hold",
            &content(&pdu),
            kept(&pdu, false, &redacted(&pdu)),
        ),
        yes(
            "R05",
            "sealed by the hub after it redacted the LPDU: only the LPDU hash fails",
            &sealed_after_redaction,
            kept(&sealed_after_redaction, false, &redacted(&sealed_after_redaction)),
        ),
        yes(
            "R02",
            "`unsigned` is dropped",
            &oracle::with(&pdu, "unsigned", json!({"age": 1})),
            kept(&pdu, true, &pdu),
        ),
        yes(
            "LM-04/5.1/9",
            "a third server's signature beside, which does not verify",
            &{
                let mut signatures = pdu.get("signatures").cloned().unwrap_or_default();
                if let Value::Object(entities) = &mut signatures {
                    entities.insert(cast.third.name.clone(), json!({"ed25519:1": oracle::base64(&[1; 64])}));
                }
                oracle::with(&pdu, "signatures", signatures)
            },
            {
                let mut signatures = pdu.get("signatures").cloned().unwrap_or_default();
                if let Value::Object(entities) = &mut signatures {
                    entities.insert(cast.third.name.clone(), json!({"ed25519:1": oracle::base64(&[1; 64])}));
                }
                kept(&pdu, true, &oracle::with(&pdu, "signatures", signatures))
            },
        ),
        no("LM-04/5.1/7", "not signed by the hub", &without_signature_of(&pdu, &cast.hub)),
        no("LM-04/5.1/8", "not signed by the sender's server", &without_signature_of(&pdu, &cast.second)),
        no(
            "LM-04/5.1/8",
            "the sender's server signed the whole instead of the LPDU",
            &oracle::signed(&pdu, &cast.second),
        )
        .read_by("R02"),
        no(
            "LM-04/5.1/6",
            "another predecessor than was signed",
            &oracle::with(&pdu, "prev_events", json!(["$other"])),
        ),
        no(
            "LM-04/5.1/6",
            "other auth events than were signed",
            &oracle::with(&pdu, "auth_events", json!([])),
        ),
        no(
            "LM-04/5.1/6",
            "the hub's own event, signed by another server",
            &oracle::signed(&oracle::with(&own, "signatures", json!({})), &cast.third),
        ),
    ];
    let about = "`event` is the text of an LPDU, `keys` are all keys there are; a key counts if the event's \
                 `origin_server_ts` is not past its `valid_until_ts`. `accepted` says whether the signature holds, \
                 `event_id` is the id of what was received, `intact` whether the content hash matches, `kept` the \
                 canonical JSON of what is processed on: the event, or its redacted form.";
    let about_whole = "The same for the text of a whole event, with all signatures and hashes that it needs.";
    vec![Group::new("receive-lpdu", about, partial), Group::new("receive-pdu", about_whole, whole)]
}

pub(super) fn groups(mut chance: Chance) -> Vec<Group> {
    let cast = Cast::new(&mut chance);
    let sign = "`seed` is an Ed25519 private key (RFC 8032 §5.1.5) in base64, `message` the bytes in hexadecimal. \
                `public_key` and `signature` are in base64.";
    let verify = "`public_key` and `signature` are in base64, `message` in hexadecimal. `accepted` says whether the \
                  signature holds. RFC 8032 leaves open what these checks decide, which R08 asks for beside it: R is \
                  canonically encoded (its y is less than the prime, and no sign is set where x is 0) and not of small \
                  order; S is less than the order of the group, which RFC 8032 asks for as well; then the cofactored \
                  equation decides, [8][S]B = [8]R + [8][k]A. The keys are all sound.";
    let keys = "`public_key` in base64. `accepted` says whether a server may have such a key. RFC 8032 asks only for the \
                encoding of a point. R08 asks besides that the encoding is the canonical one (y less than the prime, no \
                sign where x is 0) and that the point is of the prime-order subgroup: neither of small order, the \
                identity among them, nor with a part of small order.";
    let check = "`object` is the text of a JSON object, `keys` are all keys there are. `accepted` says whether \
                 `server_name` has signed it, with keys that count `at` a time in milliseconds since the Unix epoch.";
    let mut groups = vec![
        Group::new("ed25519-sign", sign, signatures_of_messages(&mut chance)),
        Group::new("ed25519-verify", verify, verifications(&mut chance)),
        Group::new("ed25519-public-key", keys, public_keys(&mut chance)),
        Group::new("check-signature", check, objects(&cast)),
    ];
    groups.extend(signed_texts(&cast));
    groups.extend(received(&cast));
    groups
}
