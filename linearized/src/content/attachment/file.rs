//! What an event says of an encrypted file.

use serde_json::{Value, json};
use thiserror::Error;
use zeroize::Zeroizing;

use super::cipher::Secret;
use crate::base64;
use crate::json::Object;

/// The one version there is a meaning of.
const VERSION: &str = "v2";

/// An encrypted file, as an event has it: where it is, its key, and the hash of what is there.
///
/// In an `m.room.message` it is the object `file`; in extensible events the members are in `m.file`, beside those that
/// describe the file. Members that are not of the encryption are kept as they are.
#[derive(Debug, PartialEq, Eq)]
pub struct EncryptedFile {
    pub(super) url: String,
    pub(super) secret: Secret,
    pub(super) sha256: [u8; 32],
    pub(super) others: Object,
}

/// An object that is no encrypted file. The sender is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FileError {
    /// A member is missing or not what it has to be.
    #[error("`{member}` is not {accepted}")]
    Member {
        /// The member, with a dot between names where it is inside another.
        member: &'static str,
        /// What it has to be.
        accepted: &'static str,
    },
    /// It is of another version.
    #[error("`v` is not `v2`")]
    Version,
}

/// A member, if it is there and as it has to be.
fn member<T>(found: Option<T>, member: &'static str, accepted: &'static str) -> Result<T, FileError> {
    found.ok_or(FileError::Member { member, accepted })
}

impl EncryptedFile {
    /// Reads the object.
    ///
    /// # Errors
    /// [`FileError`] with the member at fault.
    pub fn parse(object: &Object) -> Result<Self, FileError> {
        let text = |object: &Object, name: &str| object.get(name)?.as_str().map(ToOwned::to_owned);
        let url = member(text(object, "url"), "url", "a text")?;
        if text(object, "v").as_deref() != Some(VERSION) {
            return Err(FileError::Version);
        }
        let jwk = member(object.get("key").and_then(Value::as_object), "key", "an object, a JSON Web Key")?;
        for (name, found, wanted) in
            [("key.kty", text(jwk, "kty"), "oct"), ("key.alg", text(jwk, "alg"), "A256CTR")]
        {
            member((found.as_deref() == Some(wanted)).then_some(()), name, wanted)?;
        }
        let operations = jwk.get("key_ops").and_then(Value::as_array);
        let may =
            |operation: &str| operations.is_some_and(|list| list.iter().any(|entry| entry == operation));
        member(
            (may("encrypt") && may("decrypt")).then_some(()),
            "key.key_ops",
            "an array with encrypt and decrypt",
        )?;
        member((jwk.get("ext") == Some(&Value::Bool(true))).then_some(()), "key.ext", "true")?;
        let key = jwk.get("k").and_then(Value::as_str).and_then(base64::decode_url_safe_array);
        let key = Zeroizing::new(member(key, "key.k", "32 bytes in URL-safe base64")?);
        let iv = object.get("iv").and_then(Value::as_str).and_then(base64::decode_array);
        let iv = member(iv, "iv", "16 bytes in base64")?;
        let hash = object.get("hashes").and_then(|hashes| hashes.get("sha256")).and_then(Value::as_str);
        let sha256 = member(hash.and_then(base64::decode_array), "hashes.sha256", "32 bytes in base64")?;
        let own = |name: &str| ["url", "v", "key", "iv", "hashes"].contains(&name);
        let others = object.iter().filter(|(name, _)| !own(name));
        let others = others.map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok(Self { url, secret: Secret { key, iv }, sha256, others })
    }

    /// The object, with all members that it was read with; of other algorithms' hashes there are none.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let mut object = self.others.clone();
        let mut set = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
        set("url", json!(self.url));
        set("v", json!(VERSION));
        set("iv", json!(base64::encode(&self.secret.iv)));
        set("hashes", json!({"sha256": base64::encode(&self.sha256)}));
        let key = base64::encode_url_safe(self.secret.key.as_slice());
        set(
            "key",
            json!({"kty": "oct", "key_ops": ["encrypt", "decrypt"], "alg": "A256CTR", "k": key, "ext": true}),
        );
        object
    }

    /// Where the ciphertext is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The hash of the ciphertext.
    #[must_use]
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Whether the half of the counter block that counts begins at zero, as it should. It makes no difference to what
    /// can be decrypted.
    #[must_use]
    pub fn counts_from_zero(&self) -> bool {
        self.secret.iv.iter().skip(8).all(|byte| *byte == 0)
    }
}
