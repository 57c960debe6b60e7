//! The id that a request has in the logs of both servers.

use std::fmt;

use http::{HeaderName, HeaderValue};
use mimi_linearized::base64;

/// The header that carries it, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from somebody else.
const MAX_LENGTH: usize = 64;

/// The id of a request. It is made of ASCII letters, digits, `-`, `_`, `.` and `:`, so that it can stand in any log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        Self(base64::encode_url_safe(&rand::random::<[u8; 12]>()))
    }

    /// The one that a request came with, if it can be used.
    #[must_use]
    pub fn of_header(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let usable = !text.is_empty() && text.len() <= MAX_LENGTH && text.bytes().all(sound);
        usable.then(|| Self(text.to_owned()))
    }

    /// As a header's value.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        // Every such text is a header's value.
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static(""))
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_stand_in_a_log_is_taken() {
        let read = |text: &[u8]| RequestId::of_header(&HeaderValue::from_bytes(text).unwrap());
        for sound in ["a", "4bf92f35-77b3", "a_b.c:d", &"x".repeat(64)] {
            assert_eq!(read(sound.as_bytes()).unwrap().to_string(), sound);
        }
        for wrong in [b"".as_slice(), b"a b", b"a\"b", b"a=b", "\u{e4}".as_bytes(), "x".repeat(65).as_bytes()]
        {
            assert_eq!(read(wrong), None);
        }
        let (one, other) = (RequestId::new(), RequestId::new());
        assert_ne!(one, other);
        assert_eq!(RequestId::of_header(&one.to_header()), Some(one));
    }
}
