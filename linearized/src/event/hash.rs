//! Content hashes, reference hashes, and the bytes they are taken of (LM-04 §9).
//!
//! An LPDU lives on inside the PDU that a hub makes of it. To check it there, what the hub added is left out again:
//! `auth_events`, `prev_events` and every hash but `lpdu` (reading R02).

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::redaction::signing_view;
use crate::base64;
use crate::json::Object;
use crate::json::canonical::{Node, View};
use crate::version::RedactionRules;

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// The fields that a hub adds to an LPDU.
const ADDED_BY_HUB: [&str; 2] = ["auth_events", "prev_events"];

/// The content hash of an LPDU, taken of the LPDU itself or of the PDU made of it (LM-04 §9.1, readings R02).
#[must_use]
pub fn lpdu_content_hash(event: &Object) -> Hash {
    let covered = |field: &str| {
        !matches!(field, "signatures" | "hashes" | "unsigned") && !ADDED_BY_HUB.contains(&field)
    };
    sha256(&View::of(event, covered).to_vec())
}

/// The content hash of a PDU, which covers `hashes.lpdu` where there is one and no `hashes` where there is none
/// (LM-04 §9.1, reading R03): where LPDUs are not hashed, never any.
#[must_use]
pub fn pdu_content_hash(event: &Object) -> Hash {
    let mut view = View::of(event, |field| !matches!(field, "signatures" | "hashes" | "unsigned"));
    if let Some(lpdu) = only_lpdu_hash(event) {
        view.set("hashes", lpdu);
    }
    sha256(&view.to_vec())
}

/// The bytes that are signed for an event as it is, and whose hash is its id (LM-04 §6.1, §9.2).
#[must_use]
pub fn signing_bytes(event: &Object, rules: &RedactionRules) -> Vec<u8> {
    signing_view(event, rules).to_vec()
}

/// The bytes that the sender's server signed for the LPDU inside a PDU (LM-04 §6.1, reading R02). An LPDU without a
/// hash has no `hashes` at all.
#[must_use]
pub fn lpdu_signing_bytes(event: &Object, rules: &RedactionRules) -> Vec<u8> {
    let mut view = signing_view(event, rules);
    view.remove(|field| field == "hashes" || ADDED_BY_HUB.contains(&field));
    if let Some(lpdu) = only_lpdu_hash(event) {
        view.set("hashes", lpdu);
    }
    view.to_vec()
}

fn only_lpdu_hash(event: &Object) -> Option<Node<'_>> {
    let lpdu = event.get("hashes").and_then(|hashes| hashes.get("lpdu"))?;
    let mut hashes = View::new();
    hashes.set("lpdu", Node::Value(lpdu));
    Some(Node::Object(hashes))
}

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// Whether a base64 string stands for this hash. Bytes are compared, not text: padding makes no difference.
pub(super) fn is_hash(text: &str, hash: &Hash) -> bool {
    base64::decode_array::<32>(text).is_some_and(|bytes| bytes == *hash)
}

/// A `hashes` object's entry for SHA-256.
pub(super) fn entry(hash: &Hash) -> Value {
    Value::String(base64::encode(hash))
}
