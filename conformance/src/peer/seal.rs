//! Making whole events as a hub does, whatever the rules say.

use mimi_linearized::base64;
use mimi_linearized::event::hash;
use mimi_linearized::id::{EventId, ServerName};
use mimi_linearized::json::Object;
use mimi_linearized::signing::SigningKey;
use mimi_linearized::version::RedactionRules;
use serde_json::{Value, json};

use super::Peer;

/// What a hub needs to make PDUs.
#[derive(Debug, Clone)]
pub(crate) struct Sealer {
    name: ServerName,
    key: SigningKey,
    rules: RedactionRules,
}

impl Sealer {
    /// Makes a PDU of an event or of an LPDU: with these events cited, after these predecessors, hashed, and signed
    /// beside whoever signed before.
    pub(crate) fn complete(&self, mut event: Object, cites: &[EventId], prev: &[EventId]) -> Value {
        event.insert("auth_events".to_owned(), json!(cites));
        event.insert("prev_events".to_owned(), json!(prev));
        self.seal(event)
    }

    /// Hashes and signs an event that has its place.
    pub(crate) fn seal(&self, mut event: Object) -> Value {
        hash_pdu(&mut event);
        self.sign(&mut event);
        Value::Object(event)
    }

    /// Signs an event as it is, beside whoever signed before.
    pub(crate) fn sign(&self, event: &mut Object) {
        let signature = self.key.sign(&hash::signing_bytes(event, &self.rules)).to_base64();
        let signatures = event.entry("signatures").or_insert_with(|| json!({}));
        if let Value::Object(signatures) = signatures {
            signatures.insert(self.name.to_string(), json!({self.key.id().as_str(): signature}));
        }
    }
}

/// Makes a PDU's content hash right; of other hashes only the LPDU's stays.
fn hash_pdu(event: &mut Object) {
    let hash = base64::encode(&hash::pdu_content_hash(event));
    let lpdu = event.get("hashes").and_then(|hashes| hashes.get("lpdu")).cloned();
    let mut hashes = Object::new();
    hashes.insert("sha256".to_owned(), json!(hash));
    hashes.extend(lpdu.map(|lpdu| ("lpdu".to_owned(), lpdu)));
    event.insert("hashes".to_owned(), Value::Object(hashes));
}

impl Peer {
    /// What makes whole events of this server.
    pub(crate) fn sealer(&self) -> Sealer {
        let rules = self.inner.environment.versions.default_version().redaction;
        Sealer { name: self.name.clone(), key: self.key.clone(), rules }
    }
}
