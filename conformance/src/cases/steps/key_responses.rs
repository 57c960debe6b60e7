//! Key responses of the suite's servers that are not what a server usually publishes (LM-04 §12.4.1.2).

use mimi_linearized::event::hash::sha256;
use mimi_linearized::id::KeyId;
use mimi_linearized::json::Object;
use mimi_linearized::signing::{SigningKey, sign_object};
use mimi_transport::clock;
use serde_json::{Value, json};

use crate::case::Finding;
use crate::peer::Peer;

/// An hour, in milliseconds.
pub(in crate::cases) const HOUR_MS: i64 = 60 * 60 * 1_000;

/// A further key of a peer. Its id begins with `version` and, as the peer's own, is of this run alone.
pub(in crate::cases) fn further_key(peer: &Peer, version: &str) -> Result<SigningKey, Finding> {
    let own = peer.key.id().as_str();
    let own = own.split_once(':').map_or(own, |(_, version)| version);
    let id =
        KeyId::ed25519(&format!("{version}_{own}")).map_err(|error| Finding::Suite(error.to_string()))?;
    let seed = sha256(format!("{version} of {:?}", peer.key.seed()).as_bytes());
    Ok(SigningKey::from_seed(id, &seed))
}

/// A key response of a peer, to be changed and then signed.
#[derive(Debug, Clone)]
pub(in crate::cases) struct KeyResponse(pub(super) Object);

impl KeyResponse {
    /// A response with the peer's own key, valid for 12 hours.
    pub(in crate::cases) fn of(peer: &Peer) -> Self {
        let valid_until = clock::now_ms().saturating_add(12 * HOUR_MS);
        let mut object = Object::new();
        object.insert("server_name".to_owned(), json!(peer.name));
        object.insert("valid_until_ts".to_owned(), json!(valid_until));
        object.insert("m.linearized".to_owned(), json!(true));
        object.insert("verify_keys".to_owned(), json!({}));
        object.insert("old_verify_keys".to_owned(), json!({}));
        Self(object).with_key(peer.key.id().as_str(), &peer.key.verify_key().to_base64())
    }

    /// With another member.
    pub(in crate::cases) fn with(mut self, member: &str, value: Value) -> Self {
        self.0.insert(member.to_owned(), value);
        self
    }

    /// With one more current key.
    pub(in crate::cases) fn with_key(mut self, id: &str, key: &str) -> Self {
        if let Some(Value::Object(keys)) = self.0.get_mut("verify_keys") {
            keys.insert(id.to_owned(), json!({"key": key}));
        }
        self
    }

    /// With a key that is no longer used since `expired_ts`, in milliseconds since the Unix epoch.
    pub(in crate::cases) fn with_old_key(mut self, key: &SigningKey, expired_ts: i64) -> Self {
        if let Some(Value::Object(keys)) = self.0.get_mut("old_verify_keys") {
            let entry = json!({"key": key.verify_key().to_base64(), "expired_ts": expired_ts});
            keys.insert(key.id().to_string(), entry);
        }
        self
    }

    /// Signed by these keys of the peer.
    pub(in crate::cases) fn signed_by(mut self, peer: &Peer, keys: &[&SigningKey]) -> Value {
        for key in keys {
            sign_object(&mut self.0, &peer.name, key);
        }
        Value::Object(self.0)
    }
}
