//! Device ids (LM-04 §3.4).

use super::{IdError, MAX_ID_BYTES, check_part, identifier};

identifier! {
    /// The identifier of one of a user's devices; usable as a key version (LM-04 §3.4, §6).
    ///
    /// The draft sets no length; 255 bytes are accepted, as for every other identifier.
    DeviceId, check
}

fn check(text: &str) -> Result<(), IdError> {
    check_part("the device id", text, MAX_ID_BYTES, |b| b.is_ascii_alphanumeric() || b == b'_')
}
