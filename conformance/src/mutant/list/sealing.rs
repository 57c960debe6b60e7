//! Events that a hub seals wrongly, and requests that a server signs wrongly (LM-04 §6, §9, §12.4).

use mimi_linearized::base64;
use mimi_linearized::event::hash;
use mimi_linearized::id::ServerName;
use mimi_linearized::json::{Object, canonical, strict};
use mimi_linearized::signing::SigningKey;
use mimi_linearized::version::RoomVersions;
use serde_json::{Value, json};

use crate::mutant::{Fault, Mutant, mutant};

/// The bytes that the hub is to sign.
fn sound(event: &Object) -> Vec<u8> {
    hash::signing_bytes(event, &RoomVersions::lm_04().default_version().redaction)
}

/// What the hub is to sign, as an object.
fn to_be_signed(event: &Object) -> Value {
    strict::parse(&sound(event)).unwrap_or_default()
}

/// Puts a signature of the hub in the place of its own.
fn put_signature(event: &mut Object, hub: &ServerName, key: &SigningKey, signature: &str) {
    let entry = json!({key.id().as_str(): signature});
    if let Some(Value::Object(signatures)) = event.get_mut("signatures") {
        signatures.insert(hub.to_string(), entry);
    }
}

/// Signs other bytes.
fn sign(event: &mut Object, hub: &ServerName, key: &SigningKey, bytes: &[u8]) {
    put_signature(event, hub, key, &key.sign(bytes).to_base64());
}

/// Gives the event another content hash, and signs it soundly.
fn put_hash(event: &mut Object, hub: &ServerName, key: &SigningKey, hash: &str) {
    if let Some(Value::Object(hashes)) = event.get_mut("hashes") {
        hashes.insert("sha256".to_owned(), json!(hash));
    }
    let bytes = sound(event);
    sign(event, hub, key, &bytes);
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "6.1/not-redacted",
        "a hub signs events with their contents",
        &["LM-04/6.1/1", "LM-04/6.1/2"],
        Fault::Seals(|event, hub, key| {
            let mut whole = event.clone();
            whole.remove("signatures");
            sign(event, hub, key, &canonical::to_vec(&Value::Object(whole)));
        }),
    ),
    mutant(
        "6.2/signatures-signed",
        "a hub signs the signatures that are there",
        &["LM-04/6.2/1"],
        Fault::Seals(|event, hub, key| {
            let mut object = to_be_signed(event);
            let mut others = event.get("signatures").cloned().unwrap_or_default();
            if let Some(others) = others.as_object_mut() {
                others.remove(hub.as_str());
            }
            if let Value::Object(object) = &mut object {
                object.insert("signatures".to_owned(), others);
            }
            sign(event, hub, key, &canonical::to_vec(&object));
        }),
    ),
    mutant(
        "6.2/not-canonical",
        "a hub signs JSON with spaces in it",
        &["LM-04/6.2/2"],
        Fault::Seals(|event, hub, key| {
            let bytes = serde_json::to_vec_pretty(&to_be_signed(event)).unwrap_or_default();
            sign(event, hub, key, &bytes);
        }),
    ),
    mutant(
        "6.2/another-key",
        "a hub signs with a key that is not the one it names",
        &["LM-04/6.2/3"],
        Fault::Seals(|event, hub, key| {
            let other = SigningKey::from_seed(key.id().clone(), &[9; 32]);
            let bytes = sound(event);
            sign(event, hub, &other, &bytes);
        }),
    ),
    mutant(
        "6.2/url-safe-signatures",
        "a hub's signatures are in URL-safe base64",
        &["LM-04/6.2/4"],
        Fault::Seals(|event, hub, key| {
            let signature = key.sign(&sound(event)).to_base64();
            put_signature(event, hub, key, &signature.replace('+', "-").replace('/', "_"));
        }),
    ),
    mutant(
        "6.2/signature-below-the-key",
        "a hub's signature stands under its key alone",
        &["LM-04/6.2/4"],
        Fault::Seals(|event, hub, key| {
            let signature = key.sign(&sound(event)).to_base64();
            if let Some(Value::Object(signatures)) = event.get_mut("signatures") {
                signatures.remove(hub.as_str());
                signatures.insert(key.id().to_string(), json!({hub.as_str(): signature}));
            }
        }),
    ),
    mutant(
        "9.1/signatures-hashed",
        "a hub's content hashes cover signatures",
        &["LM-04/9.1/1"],
        Fault::Seals(|event, hub, key| {
            let mut whole = event.clone();
            if let Some(Value::Object(hashes)) = whole.get_mut("hashes") {
                hashes.remove("sha256");
            }
            let hash = base64::encode(&hash::sha256(&canonical::to_vec(&Value::Object(whole))));
            put_hash(event, hub, key, &hash);
        }),
    ),
    mutant(
        "9.1/redacted-before-hashing",
        "a hub's content hashes are those of the redacted event",
        &["LM-04/9.1/4"],
        Fault::Seals(|event, hub, key| {
            let mut redacted = to_be_signed(event);
            if let Some(Value::Object(hashes)) = redacted.get_mut("hashes") {
                hashes.remove("sha256");
            }
            put_hash(event, hub, key, &base64::encode(&hash::sha256(&canonical::to_vec(&redacted))));
        }),
    ),
    mutant(
        "9.1/other-hash-function",
        "a hub's content hashes are hashed twice",
        &["LM-04/9.1/5"],
        Fault::Seals(|event, hub, key| {
            let twice = hash::sha256(&hash::pdu_content_hash(event));
            put_hash(event, hub, key, &base64::encode(&twice));
        }),
    ),
    mutant(
        "12.4/another-destination-signed",
        "the server signs its requests for itself",
        &["LM-04/12.4/4"],
        Fault::Signs(|signed| signed.destination = signed.origin.clone()),
    ),
    mutant(
        "12.4/another-origin-signed",
        "the server signs its requests in another name than it says",
        &["LM-04/12.4/4", "LM-04/12.4/13"],
        Fault::Signs(|signed| signed.origin = signed.destination.clone()),
    ),
    mutant(
        "12.4/body-not-signed",
        "the server does not sign the bodies of its requests",
        &["LM-04/12.4/5"],
        Fault::Signs(|signed| signed.content = signed.content.as_ref().map(|_| json!({}))),
    ),
    mutant(
        "12.4/no-body-is-null",
        "the server signs null for a request without a body",
        &["LM-04/12.4/6"],
        Fault::Signs(|signed| signed.content = Some(signed.content.take().unwrap_or_default())),
    ),
];
