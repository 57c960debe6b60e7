//! Room ids (LM-04 §3.2).

use super::{IdError, MAX_ID_BYTES, ServerName, check_part, identifier, split_scoped};

identifier! {
    /// The identifier of a room: `!opaque:server_name`, at most 255 bytes (LM-04 §3.2).
    RoomId, check
}

fn check(text: &str) -> Result<(), IdError> {
    let (localpart, server) = split_scoped(text, '!')?;
    check_part("the localpart", localpart, MAX_ID_BYTES, |b| {
        b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'~' | b'_')
    })?;
    ServerName::parse(server).map(drop)
}

impl RoomId {
    /// The text after the first `:`. It is a namespace and says nothing about who serves the room; authorization
    /// rule 3.2 is the only place that compares it.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.as_str().split_once(':').map_or("", |(_, server)| server)
    }
}
