//! User ids (LM-04 §3.3).

use super::{IdError, MAX_ID_BYTES, ServerName, check_part, identifier, split_scoped};

identifier! {
    /// The identifier of a user: `@localpart:server_name`, at most 255 bytes, no upper-case localpart (LM-04 §3.3).
    UserId, check
}

fn check(text: &str) -> Result<(), IdError> {
    let (localpart, server) = split_scoped(text, '@')?;
    check_part("the localpart", localpart, MAX_ID_BYTES, |b| {
        b.is_ascii_digit() || b.is_ascii_lowercase() || matches!(b, b'-' | b'.' | b'=' | b'_' | b'/' | b'+')
    })?;
    ServerName::parse(server).map(drop)
}

impl UserId {
    /// Joins a localpart and a server name.
    ///
    /// # Errors
    /// [`IdError`] if the localpart has other characters than the grammar allows, or the whole is too long.
    pub fn new(localpart: &str, server: &ServerName) -> Result<Self, IdError> {
        Self::parse(&format!("@{localpart}:{server}"))
    }

    /// The part between `@` and the first `:`.
    #[must_use]
    pub fn localpart(&self) -> &str {
        self.as_str().split_once(':').map_or("", |(local, _)| local.strip_prefix('@').unwrap_or(local))
    }

    /// The server that allocated the id, as text.
    #[must_use]
    pub fn server_str(&self) -> &str {
        self.as_str().split_once(':').map_or("", |(_, server)| server)
    }

    /// The server that allocated the id.
    #[must_use]
    pub fn server(&self) -> ServerName {
        ServerName::from_checked(self.server_str())
    }
}
