//! Signing key ids (LM-04 §6).

use super::{IdError, MAX_ID_BYTES, check_part, identifier};

/// The only algorithm of server signing keys that LM-04 defines.
const ALGORITHM: &str = "ed25519";

identifier! {
    /// The id of a server's signing key: `ed25519:version` (LM-04 §6).
    KeyId, check
}

fn check(text: &str) -> Result<(), IdError> {
    let (algorithm, version) = text.split_once(':').ok_or(IdError::Separator)?;
    if algorithm != ALGORITHM {
        return Err(IdError::KeyAlgorithm);
    }
    check_part("the key version", version, MAX_ID_BYTES, |b| b.is_ascii_alphanumeric() || b == b'_')
}

impl KeyId {
    /// The id of the ed25519 key with this version.
    ///
    /// # Errors
    /// [`IdError`] if the version has other characters than letters, digits and `_`.
    pub fn ed25519(version: &str) -> Result<Self, IdError> {
        Self::parse(&format!("{ALGORITHM}:{version}"))
    }
}
