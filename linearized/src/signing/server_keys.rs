//! A server's published keys: the response of `GET /_matrix/key/v2/server` (LM-04 §12.4.1.2).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    KeyError, KeyRing, KeyStanding, SignatureError, SigningKey, VerifyKey, check_object, sign_object,
};
use crate::id::{IdError, KeyId, ServerName};
use crate::json::{Object, as_integer};

/// Why a key response cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerKeysError {
    /// Not a JSON object.
    #[error("a key response is a JSON object")]
    NotAnObject,
    /// A field is missing or of another type than it should be.
    #[error("`{0}` is missing or malformed")]
    Field(&'static str),
    /// `server_name` is not a server name.
    #[error("`server_name` is not a server name: {0}")]
    ServerName(#[source] IdError),
    /// One of the keys is unusable.
    #[error("the key {id} is unusable: {error}")]
    Key {
        /// Its id.
        id: KeyId,
        /// Why.
        error: KeyError,
    },
    /// None of the current keys has signed the response.
    #[error("the response is not signed by its own keys: {0}")]
    Signature(#[from] SignatureError),
}

/// A retired key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldVerifyKey {
    /// The public key.
    pub key: VerifyKey,
    /// When it was last used, in milliseconds since the Unix epoch.
    pub expired_ts: i64,
}

/// A key response that is signed by its own keys.
#[derive(Debug, Clone)]
pub struct ServerKeys {
    object: Object,
    server_name: ServerName,
    valid_until_ts: i64,
    verify_keys: BTreeMap<KeyId, VerifyKey>,
    old_verify_keys: BTreeMap<KeyId, OldVerifyKey>,
}

/// The keys of the response itself, which count whatever its `valid_until_ts` says.
struct OwnKeys<'a>(&'a BTreeMap<KeyId, VerifyKey>);

impl KeyRing for OwnKeys<'_> {
    fn standing(&self, _server: &ServerName, key: &KeyId, _at: i64) -> KeyStanding {
        self.0.get(key).copied().map_or(KeyStanding::Unknown, KeyStanding::Valid)
    }
}

impl ServerKeys {
    /// Makes and signs the response of a server with one active key.
    #[must_use]
    pub fn publish(server: &ServerName, key: &SigningKey, valid_until_ts: i64) -> Self {
        Self::publish_with_old(server, key, BTreeMap::new(), valid_until_ts)
    }

    /// Makes and signs the response of a server with one active key and others that it does not use any more.
    #[must_use]
    pub fn publish_with_old(
        server: &ServerName,
        key: &SigningKey,
        old: BTreeMap<KeyId, OldVerifyKey>,
        valid_until_ts: i64,
    ) -> Self {
        let mut object = Map::new();
        object.insert("server_name".to_owned(), json!(server));
        object.insert("valid_until_ts".to_owned(), json!(valid_until_ts));
        object.insert("m.linearized".to_owned(), json!(true));
        object.insert(
            "verify_keys".to_owned(),
            json!({key.id().as_str(): {"key": key.verify_key().to_base64()}}),
        );
        let retired = |(id, old): (&KeyId, &OldVerifyKey)| {
            (id.to_string(), json!({"key": old.key.to_base64(), "expired_ts": old.expired_ts}))
        };
        object.insert("old_verify_keys".to_owned(), Value::Object(old.iter().map(retired).collect()));
        sign_object(&mut object, server, key);
        Self {
            object,
            server_name: server.clone(),
            valid_until_ts,
            verify_keys: BTreeMap::from([(key.id().clone(), key.verify_key())]),
            old_verify_keys: old,
        }
    }

    /// Reads a response and checks that its current keys signed it. Keys whose ids have another algorithm than
    /// `ed25519` are passed over.
    ///
    /// # Errors
    /// [`ServerKeysError`] says which field is at fault.
    pub fn parse(value: Value) -> Result<Self, ServerKeysError> {
        let Value::Object(object) = value else { return Err(ServerKeysError::NotAnObject) };
        let name = object.get("server_name").and_then(Value::as_str);
        let name = name.ok_or(ServerKeysError::Field("server_name"))?;
        let server_name = ServerName::parse(name).map_err(ServerKeysError::ServerName)?;
        let valid_until_ts = object
            .get("valid_until_ts")
            .and_then(as_integer)
            .ok_or(ServerKeysError::Field("valid_until_ts"))?;
        let current = object.get("verify_keys").and_then(Value::as_object);
        let mut verify_keys = BTreeMap::new();
        for (id, key) in entries(current.ok_or(ServerKeysError::Field("verify_keys"))?) {
            verify_keys.insert(id.clone(), public_key(&id, key, "verify_keys")?);
        }
        let mut old_verify_keys = BTreeMap::new();
        if let Some(old) = object.get("old_verify_keys") {
            let old = old.as_object().ok_or(ServerKeysError::Field("old_verify_keys"))?;
            for (id, entry) in entries(old) {
                let key = public_key(&id, entry, "old_verify_keys")?;
                let expired_ts = entry.get("expired_ts").and_then(as_integer);
                let expired_ts = expired_ts.ok_or(ServerKeysError::Field("old_verify_keys"))?;
                old_verify_keys.insert(id, OldVerifyKey { key, expired_ts });
            }
        }
        check_object(&object, &server_name, &OwnKeys(&verify_keys), valid_until_ts)?;
        Ok(Self { object, server_name, valid_until_ts, verify_keys, old_verify_keys })
    }

    /// The response as it was published.
    #[must_use]
    pub fn as_object(&self) -> &Object {
        &self.object
    }

    /// Whose keys these are.
    #[must_use]
    pub fn server_name(&self) -> &ServerName {
        &self.server_name
    }

    /// Until when the response may be relied on, in milliseconds since the Unix epoch, as published. Whoever fetches
    /// it clamps this to seven days ahead (LM-04 §12.4.1.1).
    #[must_use]
    pub fn valid_until_ts(&self) -> i64 {
        self.valid_until_ts
    }

    /// The current keys.
    #[must_use]
    pub fn verify_keys(&self) -> &BTreeMap<KeyId, VerifyKey> {
        &self.verify_keys
    }

    /// The retired keys.
    #[must_use]
    pub fn old_verify_keys(&self) -> &BTreeMap<KeyId, OldVerifyKey> {
        &self.old_verify_keys
    }
}

fn entries(keys: &Object) -> impl Iterator<Item = (KeyId, &Value)> {
    keys.iter().filter_map(|(id, entry)| Some((KeyId::parse(id).ok()?, entry)))
}

fn public_key(id: &KeyId, entry: &Value, field: &'static str) -> Result<VerifyKey, ServerKeysError> {
    let text = entry.get("key").and_then(Value::as_str).ok_or(ServerKeysError::Field(field))?;
    VerifyKey::from_base64(text).map_err(|error| ServerKeysError::Key { id: id.clone(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::ServerKeyRing;

    fn server() -> ServerName {
        ServerName::parse("example.org").unwrap()
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(KeyId::ed25519("1").unwrap(), &[seed; 32])
    }

    #[test]
    fn retired_keys_are_read_back() {
        let old = OldVerifyKey { key: key(2).verify_key(), expired_ts: 1_000 };
        let old = BTreeMap::from([(KeyId::ed25519("0").unwrap(), old)]);
        let published = ServerKeys::publish_with_old(&server(), &key(1), old.clone(), 5_000);
        let read = ServerKeys::parse(Value::Object(published.as_object().clone())).unwrap();
        assert_eq!((published.old_verify_keys(), read.old_verify_keys()), (&old, &old));
    }

    #[test]
    fn what_is_published_is_read_back() {
        let published = ServerKeys::publish(&server(), &key(1), 5_000);
        let read = ServerKeys::parse(Value::Object(published.as_object().clone())).unwrap();
        assert_eq!(read.valid_until_ts(), 5_000);
        let mut ring = ServerKeyRing::new();
        ring.add(&read);
        let id = KeyId::ed25519("1").unwrap();
        assert_eq!(ring.standing(&server(), &id, 5_000), KeyStanding::Valid(key(1).verify_key()));
        assert_eq!(ring.standing(&server(), &id, 5_001), KeyStanding::Expired);
        assert_eq!(ring.standing(&server(), &KeyId::ed25519("2").unwrap(), 1), KeyStanding::Unknown);
    }

    #[test]
    fn retired_keys_count_until_they_expired() {
        let mut object = ServerKeys::publish(&server(), &key(1), 5_000).as_object().clone();
        object.remove("signatures");
        let old = key(2).verify_key();
        object.insert(
            "old_verify_keys".to_owned(),
            json!({"ed25519:old": {"key": old.to_base64(), "expired_ts": 100}}),
        );
        sign_object(&mut object, &server(), &key(1));
        let mut ring = ServerKeyRing::new();
        ring.add(&ServerKeys::parse(Value::Object(object)).unwrap());
        let id = KeyId::ed25519("old").unwrap();
        assert_eq!(ring.standing(&server(), &id, 100), KeyStanding::Valid(old));
        assert_eq!(ring.standing(&server(), &id, 101), KeyStanding::Expired);
    }

    #[test]
    fn unsigned_or_malformed_responses_are_refused() {
        let good = ServerKeys::publish(&server(), &key(1), 5_000).as_object().clone();
        let with = |field: &str, value: Value| {
            let mut object = good.clone();
            object.insert(field.to_owned(), value);
            ServerKeys::parse(Value::Object(object)).unwrap_err()
        };
        assert!(matches!(with("valid_until_ts", json!(6_000)), ServerKeysError::Signature(_)));
        assert_eq!(with("valid_until_ts", json!("x")), ServerKeysError::Field("valid_until_ts"));
        assert!(matches!(with("server_name", json!("1.2.3.4")), ServerKeysError::ServerName(_)));
        assert!(matches!(with("signatures", json!({})), ServerKeysError::Signature(_)));
        let weak = json!({"ed25519:1": {"key": crate::base64::encode(&[0; 32])}});
        assert!(matches!(with("verify_keys", weak), ServerKeysError::Key { error: KeyError::Torsion, .. }));
        assert_eq!(ServerKeys::parse(json!([])).unwrap_err(), ServerKeysError::NotAnObject);
    }
}
