//! Signing JSON objects, and checking such signatures (LM-04 §6.2, §6.3).

use serde_json::{Map, Value};

use super::{KeyRing, KeyStanding, Signature, SigningKey};
use crate::id::{KeyId, ServerName};
use crate::json::Object;
use crate::json::canonical::View;

/// Why a signature check fails (LM-04 §6.3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// `signatures` is missing or not an object of objects of strings.
    #[error("`signatures` is missing or malformed")]
    Malformed,
    /// The server has not signed.
    #[error("{0} has not signed it")]
    Missing(ServerName),
    /// None of the server's signatures was made with a key that is known.
    #[error("no signature of {server} is by a key that is known (signed by {})", list(tried))]
    UnknownKey {
        /// Whose signature is needed.
        server: ServerName,
        /// The key ids found.
        tried: Vec<String>,
    },
    /// The only known keys that signed were no longer valid at the time that counts.
    #[error("the key {key} of {server} was no longer valid at {at}")]
    ExpiredKey {
        /// Whose signature is needed.
        server: ServerName,
        /// The key that had expired.
        key: KeyId,
        /// The time that counts, in milliseconds since the Unix epoch.
        at: i64,
    },
    /// A signature by a known key does not verify.
    #[error("the signature of {server} by {key} does not verify")]
    Mismatch {
        /// Whose signature it claims to be.
        server: ServerName,
        /// The key it claims to be made with.
        key: KeyId,
    },
}

fn list(ids: &[String]) -> String {
    if ids.is_empty() { "no key at all".to_owned() } else { ids.join(", ") }
}

/// Signs `object` for `server` and puts the signature under `signatures`, next to those already there
/// (LM-04 §6.2).
pub fn sign_object(object: &mut Object, server: &ServerName, key: &SigningKey) {
    let bytes = View::of(object, |name| name != "signatures").to_vec();
    let signature = key.sign(&bytes);
    insert_signature(object, server.as_str(), key.id().as_str(), &signature);
}

/// Checks that `server` signed `object` with a key that counts at `at` milliseconds since the Unix epoch
/// (LM-04 §6.3). Every signature of that server by a key that counts has to verify, and there has to be one
/// (reading R08); other servers' signatures are not looked at.
///
/// # Errors
/// [`SignatureError`] names what is missing or wrong.
pub fn check_object(
    object: &Object,
    server: &ServerName,
    keys: &impl KeyRing,
    at: i64,
) -> Result<(), SignatureError> {
    let bytes = View::of(object, |name| name != "signatures").to_vec();
    check_entity(object.get("signatures"), server, keys, at, &bytes)
}

/// Checks one server's entry of a `signatures` object over the given bytes.
pub(crate) fn check_entity(
    signatures: Option<&Value>,
    server: &ServerName,
    keys: &impl KeyRing,
    at: i64,
    signed: &[u8],
) -> Result<(), SignatureError> {
    let signatures = signatures.and_then(Value::as_object).ok_or(SignatureError::Malformed)?;
    let entry = signatures.get(server.as_str()).ok_or_else(|| SignatureError::Missing(server.clone()))?;
    let entry = entry.as_object().ok_or(SignatureError::Malformed)?;
    let mut verified = false;
    let mut expired = None;
    for (id, signature) in entry {
        // Key ids of other algorithms are unknown keys: LM-04 leaves room for them.
        let Ok(id) = KeyId::parse(id) else { continue };
        match keys.standing(server, &id, at) {
            KeyStanding::Unknown => {}
            KeyStanding::Expired => expired = Some(id),
            KeyStanding::Valid(key) => {
                let signature = signature.as_str().and_then(Signature::from_base64);
                if !signature.is_some_and(|signature| key.verify(signed, &signature)) {
                    return Err(SignatureError::Mismatch { server: server.clone(), key: id });
                }
                verified = true;
            }
        }
    }
    match (verified, expired) {
        (true, _) => Ok(()),
        (false, Some(key)) => Err(SignatureError::ExpiredKey { server: server.clone(), key, at }),
        (false, None) if entry.is_empty() => Err(SignatureError::Missing(server.clone())),
        (false, None) => {
            Err(SignatureError::UnknownKey { server: server.clone(), tried: entry.keys().cloned().collect() })
        }
    }
}

/// Puts a signature into an object, beside those already there.
fn insert_signature(object: &mut Object, entity: &str, key: &str, signature: &Signature) {
    let signatures = object.entry("signatures").or_insert_with(|| Value::Object(Map::new()));
    if !signatures.is_object() {
        *signatures = Value::Object(Map::new());
    }
    let Value::Object(signatures) = signatures else { return };
    match signatures.get_mut(entity) {
        Some(Value::Object(entry)) => {
            entry.insert(key.to_owned(), Value::String(signature.to_base64()));
        }
        _ => {
            signatures.insert(entity.to_owned(), signature_entry(key, signature));
        }
    }
}

/// Checks what a server wants to stand under its name in `signatures`, as [`check_object`] does. Returns those of its
/// signatures that were verified: what else the server put there nobody could make anything of, or could even read.
pub(crate) fn verified_entry(
    entry: &Value,
    server: &ServerName,
    keys: &impl KeyRing,
    at: i64,
    signed: &[u8],
) -> Result<Value, SignatureError> {
    let mut signatures = Map::new();
    signatures.insert(server.to_string(), entry.clone());
    check_entity(Some(&Value::Object(signatures)), server, keys, at, signed)?;
    let verified = |id: &str| {
        KeyId::parse(id).is_ok_and(|id| matches!(keys.standing(server, &id, at), KeyStanding::Valid(_)))
    };
    let entries = entry.as_object().into_iter().flatten();
    let kept = entries.filter(|(id, _)| verified(id)).map(|(id, signature)| (id.clone(), signature.clone()));
    Ok(Value::Object(kept.collect()))
}

/// What stands under an entity's name in `signatures`: one key id and one signature.
pub(crate) fn signature_entry(key: &str, signature: &Signature) -> Value {
    let mut entry = Map::new();
    entry.insert(key.to_owned(), Value::String(signature.to_base64()));
    Value::Object(entry)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::ServerKeyRing;
    use super::*;

    const NOW: i64 = 1_000;

    fn server() -> ServerName {
        ServerName::parse("example.org").unwrap()
    }

    fn key(version: &str, seed: u8) -> SigningKey {
        SigningKey::from_seed(KeyId::ed25519(version).unwrap(), &[seed; 32])
    }

    fn ring(keys: &[(&SigningKey, i64)]) -> ServerKeyRing {
        let mut ring = ServerKeyRing::new();
        for (key, until) in keys {
            ring.insert(&server(), key.id(), key.verify_key(), *until);
        }
        ring
    }

    fn signed(by: &[&SigningKey]) -> Object {
        let mut object = json!({"b": 1, "a": "x"}).as_object().unwrap().clone();
        for key in by {
            sign_object(&mut object, &server(), key);
        }
        object
    }

    #[test]
    fn a_signature_covers_all_but_the_signatures() {
        let (one, two) = (key("1", 1), key("2", 2));
        let mut object = signed(&[&one, &two]);
        let ring = ring(&[(&one, NOW), (&two, NOW)]);
        assert_eq!(check_object(&object, &server(), &ring, NOW), Ok(()));
        object.insert("b".to_owned(), json!(2));
        assert_eq!(
            check_object(&object, &server(), &ring, NOW),
            Err(SignatureError::Mismatch { server: server(), key: one.id().clone() })
        );
    }

    #[test]
    fn every_known_key_must_verify_and_one_must_be_known() {
        let (one, two) = (key("1", 1), key("2", 2));
        let object = signed(&[&one, &two]);
        assert_eq!(check_object(&object, &server(), &ring(&[(&one, NOW)]), NOW), Ok(()));
        assert!(matches!(
            check_object(&object, &server(), &ring(&[]), NOW),
            Err(SignatureError::UnknownKey { tried, .. }) if tried == ["ed25519:1", "ed25519:2"]
        ));
        // The key known as ed25519:2 is another one.
        let mut wrong = ring(&[(&one, NOW)]);
        wrong.insert(&server(), two.id(), key("2", 3).verify_key(), NOW);
        assert!(matches!(
            check_object(&object, &server(), &wrong, NOW),
            Err(SignatureError::Mismatch { .. })
        ));
    }

    #[test]
    fn an_expired_key_does_not_count() {
        let one = key("1", 1);
        let object = signed(&[&one]);
        let ring = ring(&[(&one, NOW - 1)]);
        assert!(matches!(
            check_object(&object, &server(), &ring, NOW),
            Err(SignatureError::ExpiredKey { .. })
        ));
        assert_eq!(check_object(&object, &server(), &ring, NOW - 1), Ok(()));
    }

    #[test]
    fn malformed_signatures_fail() {
        let one = key("1", 1);
        let ring = ring(&[(&one, NOW)]);
        for (signatures, missing) in [
            (json!(null), false),
            (json!([]), false),
            (json!({"example.org": "x"}), false),
            (json!({}), true),
            (json!({"example.org": {}}), true),
            (json!({"other.org": {"ed25519:1": "AAAA"}}), true),
        ] {
            let object = json!({"a": 1, "signatures": signatures}).as_object().unwrap().clone();
            let error = check_object(&object, &server(), &ring, NOW).unwrap_err();
            assert_eq!(matches!(error, SignatureError::Missing(_)), missing, "{error}");
        }
        for signature in [json!("AAAA"), json!(5), json!("!")] {
            let object =
                json!({"signatures": {"example.org": {"ed25519:1": signature}}}).as_object().unwrap().clone();
            let error = check_object(&object, &server(), &ring, NOW).unwrap_err();
            assert!(matches!(error, SignatureError::Mismatch { .. }), "{error}");
        }
        let object = json!({"a": 1}).as_object().unwrap().clone();
        assert_eq!(check_object(&object, &server(), &ring, NOW), Err(SignatureError::Malformed));
    }
}
