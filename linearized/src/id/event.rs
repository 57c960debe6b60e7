//! Event ids (LM-04 §3.5).

use super::{IdError, MAX_ID_BYTES, check_part, identifier};
use crate::base64;

identifier! {
    /// The identifier of an event: `$` and the URL-safe unpadded base64 of its reference hash (LM-04 §3.5, §9.2).
    EventId, check
}

fn check(text: &str) -> Result<(), IdError> {
    let hash = text.strip_prefix('$').ok_or(IdError::Sigil('$'))?;
    check_part("the reference hash", hash, MAX_ID_BYTES - 1, |b| {
        b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')
    })
}

impl EventId {
    /// The id of the event whose reference hash is `hash`.
    #[must_use]
    pub fn from_reference_hash(hash: &[u8; 32]) -> Self {
        let mut text = String::with_capacity(44);
        text.push('$');
        text.push_str(&base64::encode_url_safe(hash));
        Self(text.into())
    }
}
