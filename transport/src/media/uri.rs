//! Names of media: `mxc://SERVER/ID` (Matrix 1.11, client-server API §10.9.1).

use std::fmt;

use mimi_linearized::base64;
use mimi_linearized::id::ServerName;

/// The longest id, in bytes.
const MAX_ID_BYTES: usize = 255;

/// What `SERVER` calls an item: letters, digits, `-` and `_`. So it never is a path, nor a part of one that leads elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaId(String);

/// An item's name everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MxcUri {
    /// The server that has it.
    pub server: ServerName,
    /// What the server calls it.
    pub id: MediaId,
}

impl MediaId {
    /// Reads an id; `None` if it has other characters, none, or more than 255.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=MAX_ID_BYTES).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        fits.then(|| Self(text.to_owned()))
    }

    /// An id that nobody guesses.
    #[must_use]
    pub fn random() -> Self {
        Self(base64::encode_url_safe(&rand::random::<[u8; 24]>()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl MxcUri {
    /// Reads a URI; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (server, id) = text.strip_prefix("mxc://")?.split_once('/')?;
        Some(Self { server: ServerName::parse(server).ok()?, id: MediaId::parse(id)? })
    }
}

impl fmt::Display for MediaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for MxcUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mxc://{}/{}", self.server, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_read_and_written() {
        for text in ["mxc://example.org/abc-DEF_1", "mxc://localhost:8448/x"] {
            assert_eq!(MxcUri::parse(text).unwrap().to_string(), text);
        }
        let id = MediaId::random();
        assert_eq!(MediaId::parse(id.as_str()).unwrap(), id);
        assert_ne!(MediaId::random(), id);
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        let long = format!("mxc://example.org/{}", "x".repeat(256));
        for text in [
            "",
            "mxc://",
            "mxc:///x",
            "mxc://example.org",
            "mxc://example.org/",
            "mxc://example.org/a/b",
            "mxc://example.org/..",
            "mxc://example.org/a.b",
            "mxc://example.org/%2e%2e",
            "mxc://example.org/a?b",
            "mxc://example.org/a#b",
            "mxc://example.org/ä",
            "mxc://example.org/a\0",
            "mxc://1.2.3.4/x",
            "mxc://[::1]/x",
            "MXC://example.org/x",
            "https://example.org/x",
            "mxc://user@example.org/x",
            &long,
        ] {
            assert_eq!(MxcUri::parse(text), None, "{text}");
        }
    }
}
