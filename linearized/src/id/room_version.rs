//! Room version ids (LM-04 §3.2.1).

use super::{IdError, check_part, identifier};

/// The longest room version, in characters (LM-04 §3.2.1).
const MAX_BYTES: usize = 128;

identifier! {
    /// The name of a room version (LM-04 §3.2.1). The upper-case prefix `I.`, which the draft uses and its grammar
    /// forgets, is allowed (reading R09).
    RoomVersionId, check
}

fn check(text: &str) -> Result<(), IdError> {
    if text.len() > MAX_BYTES {
        return Err(IdError::TooLong { part: "the room version", limit: MAX_BYTES });
    }
    let rest = text.strip_prefix("I.").unwrap_or(text);
    check_part("the room version", rest, MAX_BYTES, |b| {
        b.is_ascii_digit() || b.is_ascii_lowercase() || matches!(b, b'-' | b'.')
    })
}
