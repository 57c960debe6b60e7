//! A second implementation of the bytes of Linearized Matrix, to hold the library against: plain JSON values, RFC 8785
//! by `serde_json_canonicalizer`, Ed25519 by `ring`. It shares no code with `mimi-linearized`, and is written for the
//! eye: it copies where the library borrows.

use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// A server with its only key.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) key_id: String,
    pub(super) seed: [u8; 32],
}

impl Server {
    pub(super) fn new(name: &str, version: &str, seed: [u8; 32]) -> Self {
        Self { name: name.to_owned(), key_id: format!("ed25519:{version}"), seed }
    }

    /// The server as an input has it: with its private key.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "server_name": self.name,
            "key_id": self.key_id,
            "seed": base64(&self.seed),
            "public_key": self.public(),
        })
    }

    /// The public key in base64.
    pub(super) fn public(&self) -> String {
        public_key(&self.seed)
    }

    /// The signature of a text in base64.
    pub(super) fn sign(&self, text: &str) -> String {
        base64(&sign(&self.seed, text.as_bytes()))
    }
}

/// The signature of a message; empty if the key were unusable, which no seed is.
pub(super) fn sign(seed: &[u8; 32], message: &[u8]) -> Vec<u8> {
    Ed25519KeyPair::from_seed_unchecked(seed)
        .map(|key| key.sign(message).as_ref().to_vec())
        .unwrap_or_default()
}

/// The public key of a seed in base64.
pub(super) fn public_key(seed: &[u8; 32]) -> String {
    Ed25519KeyPair::from_seed_unchecked(seed).map(|key| base64(key.public_key().as_ref())).unwrap_or_default()
}

/// Unpadded base64 (RFC 4648 §4), six bits at a time.
pub(super) fn base64(bytes: &[u8]) -> String {
    base64_with(bytes, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}

/// Unpadded URL-safe base64 (RFC 4648 §5).
pub(super) fn base64_url_safe(bytes: &[u8]) -> String {
    base64_with(bytes, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
}

fn base64_with(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let digit = |six: &[u8]| {
        let value =
            (0..6).fold(0_usize, |value, at| value * 2 + usize::from(six.get(at).copied().unwrap_or(0)));
        alphabet.get(value).copied().map_or('=', char::from)
    };
    bits.chunks(6).map(digit).collect()
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of a text.
pub(super) fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// RFC 8785.
pub(super) fn canonical(value: &Value) -> String {
    serde_json_canonicalizer::to_string(value).unwrap_or_default()
}

fn without(event: &Value, fields: &[&str]) -> Value {
    let mut event = event.clone();
    if let Value::Object(members) = &mut event {
        members.retain(|field, _| !fields.contains(&field.as_str()));
    }
    event
}

/// An event after redaction (LM-04 §8).
pub(super) fn redact(event: &Value) -> Value {
    const FIELDS: &str = " type room_id sender state_key content origin_server_ts hashes signatures prev_events \
                          auth_events hub_server ";
    let kept = match event.get("type").and_then(Value::as_str) {
        Some("m.room.member") => " membership ",
        Some("m.room.join_rules") => " join_rule ",
        Some("m.room.power_levels") => {
            " ban events events_default kick redact state_default users users_default invite "
        }
        Some("m.room.history_visibility") => " history_visibility ",
        _ => "",
    };
    let is_in = |list: &str, name: &str| list.contains(&format!(" {name} "));
    let mut redacted = Map::new();
    for (field, value) in event.as_object().into_iter().flatten() {
        if !is_in(FIELDS, field) {
            continue;
        }
        let value = match value {
            Value::Object(content) if field == "content" => {
                let all = event.get("type").and_then(Value::as_str) == Some("m.room.create");
                let stays = content.iter().filter(|(name, _)| all || is_in(kept, name));
                Value::Object(stays.map(|(name, value)| (name.clone(), value.clone())).collect())
            }
            _ if field == "content" => json!({}),
            other => other.clone(),
        };
        redacted.insert(field.clone(), value);
    }
    Value::Object(redacted)
}

/// The partial event inside a whole one (reading R02).
pub(super) fn lpdu_of(pdu: &Value) -> Value {
    let mut lpdu = without(pdu, &["auth_events", "prev_events", "unsigned"]);
    let hash = pdu.get("hashes").and_then(|hashes| hashes.get("lpdu")).cloned();
    if let (Value::Object(members), Some(hash)) = (&mut lpdu, hash) {
        members.insert("hashes".to_owned(), json!({"lpdu": hash}));
    }
    lpdu
}

/// The content hash of an LPDU (LM-04 §9.1 steps 1.1 and 2 to 4).
pub(super) fn lpdu_hash(event: &Value) -> String {
    base64(&sha256(&canonical(&without(&lpdu_of(event), &["hashes", "signatures"]))))
}

/// The content hash of a PDU (LM-04 §9.1 steps 1.2 and 2 to 4, reading R03).
pub(super) fn pdu_hash(event: &Value) -> String {
    let mut hashed = without(event, &["hashes", "signatures", "unsigned"]);
    let lpdu = event.get("hashes").and_then(|hashes| hashes.get("lpdu")).cloned();
    if let (Value::Object(members), Some(lpdu)) = (&mut hashed, lpdu) {
        members.insert("hashes".to_owned(), json!({"lpdu": lpdu}));
    }
    base64(&sha256(&canonical(&hashed)))
}

/// What is signed of an event (LM-04 §6.1).
pub(super) fn signing_text(event: &Value) -> String {
    canonical(&without(&redact(event), &["signatures"]))
}

/// An event's id (LM-04 §9.2).
pub(super) fn event_id(event: &Value) -> String {
    format!("${}", base64_url_safe(&sha256(&signing_text(event))))
}

/// A member set in a copy of an object.
pub(super) fn with(event: &Value, field: &str, value: Value) -> Value {
    let mut event = event.clone();
    if let Value::Object(members) = &mut event {
        members.insert(field.to_owned(), value);
    }
    event
}

/// A member taken out of a copy of an object.
pub(super) fn less(event: &Value, field: &str) -> Value {
    without(event, &[field])
}

/// An event with a server's signature added (LM-04 §6.1).
pub(super) fn signed(event: &Value, by: &Server) -> Value {
    let entry = json!({by.key_id.as_str(): by.sign(&signing_text(event))});
    let mut signatures = event.get("signatures").cloned().unwrap_or_else(|| json!({}));
    if let Value::Object(entities) = &mut signatures {
        entities.insert(by.name.clone(), entry);
    }
    with(event, "signatures", signatures)
}

/// Any object with a server's signature added (LM-04 §6.2).
pub(super) fn signed_object(object: &Value, by: &Server) -> Value {
    let signature = by.sign(&canonical(&without(object, &["signatures"])));
    let mut signatures = object.get("signatures").cloned().unwrap_or_else(|| json!({}));
    if let Value::Object(entities) = &mut signatures {
        entities.insert(by.name.clone(), json!({by.key_id.as_str(): signature}));
    }
    with(object, "signatures", signatures)
}

/// An event's LPDU, as a participant makes it (LM-04 §3.5.1).
pub(super) fn lpdu(fields: &Value, hub: &str, sender: &Server) -> Value {
    let event = with(fields, "hub_server", json!(hub));
    let hash = lpdu_hash(&event);
    signed(&with(&event, "hashes", json!({"lpdu": {"sha256": hash}})), sender)
}

/// The PDU that a hub makes, of an LPDU or of an event of its own (LM-04 §5.1).
pub(super) fn seal(event: &Value, auth_events: &[String], prev_events: &[String], hub: &Server) -> Value {
    signed(&placed(event, auth_events, prev_events), hub)
}

/// A PDU without the hub's signature.
pub(super) fn placed(event: &Value, auth_events: &[String], prev_events: &[String]) -> Value {
    let event = with(&with(event, "auth_events", json!(auth_events)), "prev_events", json!(prev_events));
    let mut hashes = Map::new();
    if let Some(lpdu) = event.get("hashes").and_then(|hashes| hashes.get("lpdu")) {
        hashes.insert("lpdu".to_owned(), lpdu.clone());
    }
    hashes.insert("sha256".to_owned(), json!(pdu_hash(&event)));
    with(&event, "hashes", Value::Object(hashes))
}

/// The events to cite for an event (LM-04 §5.2.1), out of the state before it.
pub(super) fn selection(event: &Value, state: &[Value]) -> Vec<String> {
    let text =
        |event: &Value, field: &str| event.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let find = |kind: &str, key: &str| {
        let is_it = |candidate: &&Value| {
            text(candidate, "type") == kind && candidate.get("state_key").and_then(Value::as_str) == Some(key)
        };
        state.iter().rev().find(is_it).map(event_id)
    };
    let mut wanted = vec![
        find("m.room.create", ""),
        find("m.room.power_levels", ""),
        find("m.room.member", &text(event, "sender")),
    ];
    if text(event, "type") == "m.room.member" {
        wanted.push(find("m.room.member", &text(event, "state_key")));
        let membership =
            event.get("content").and_then(|content| content.get("membership")).and_then(Value::as_str);
        if matches!(membership, Some("join" | "invite")) {
            wanted.push(find("m.room.join_rules", ""));
        }
    }
    let mut ids: Vec<String> = Vec::new();
    for id in wanted.into_iter().flatten() {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}
