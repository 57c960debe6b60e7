//! Patterns of server names.

use std::fmt;

use mimi_linearized::id::ServerName;
use wildmatch::WildMatch;

/// The longest pattern, in bytes: no server name is longer.
const MAX_BYTES: usize = 255;

/// A pattern of server names: `*` stands for any number of characters, `?` for one. Case does not matter.
///
/// `*.example.org` has every name below `example.org`, and not that one itself. A pattern with a port is about that port
/// alone; one without is about the host, whatever the port: whoever denies `example.org` denies `example.org:8449`.
#[derive(Clone)]
pub struct ServerPattern {
    text: String,
    glob: WildMatch,
    with_port: bool,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no pattern of server names")]
pub struct PatternError(pub String);

impl ServerPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`] if no server name could ever be meant.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let wrong = || PatternError(text.to_owned());
        let in_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'*' | b'?');
        let in_port = |b: u8| b.is_ascii_digit() || matches!(b, b'*' | b'?');
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        let fits = !host.is_empty()
            && host.bytes().all(in_host)
            && port.is_none_or(|port| !port.is_empty() && port.bytes().all(in_port));
        if !fits || text.len() > MAX_BYTES {
            return Err(wrong());
        }
        let text = text.to_ascii_lowercase();
        Ok(Self { glob: WildMatch::new(&text), text, with_port: port.is_some() })
    }

    /// Whether a server is meant.
    #[must_use]
    pub fn has(&self, server: &ServerName) -> bool {
        self.has_folded(&Folded::of(server))
    }

    pub(super) fn has_folded(&self, name: &Folded) -> bool {
        self.glob.matches(if self.with_port { &name.whole } else { name.host() })
    }
}

impl PartialEq for ServerPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for ServerPattern {}

impl fmt::Debug for ServerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerPattern({})", self.text)
    }
}

impl fmt::Display for ServerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A server name in the one form in which it is compared: names that lead to the same place are the same here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folded {
    whole: String,
    host_bytes: usize,
}

impl Folded {
    pub(super) fn of(server: &ServerName) -> Self {
        let host = server.host();
        // The root of DNS may be written out, and leads to the same host.
        let host = host.strip_suffix('.').unwrap_or(host);
        let port = server.as_str().get(server.host().len()..).unwrap_or_default();
        let whole = format!("{host}{port}").to_ascii_lowercase();
        Self { whole, host_bytes: host.len() }
    }

    pub(super) fn whole(&self) -> &str {
        &self.whole
    }

    pub(super) fn host(&self) -> &str {
        self.whole.get(..self.host_bytes).unwrap_or(&self.whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(pattern: &str, server: &str) -> bool {
        ServerPattern::parse(pattern).unwrap().has(&ServerName::parse(server).unwrap())
    }

    #[test]
    fn patterns_have_the_names_they_mean() {
        for (pattern, server) in [
            ("example.org", "example.org"),
            ("example.org", "EXAMPLE.org:8448"),
            ("Example.org", "example.org."),
            ("example.org", "example.org.:8448"),
            ("*.example.org", "a.example.org"),
            ("*.example.org", "a.b.example.org:1"),
            ("*", "anything.example:1"),
            ("hub?.example", "hub1.example"),
            ("example.org:8448", "example.org:8448"),
            ("localhost:*", "localhost:1234"),
        ] {
            assert!(has(pattern, server), "{pattern} {server}");
        }
        for (pattern, server) in [
            ("example.org", "example.org.evil.example"),
            ("example.org", "notexample.org"),
            ("*.example.org", "example.org"),
            ("*.example.org", "evilexample.org"),
            ("hub?.example", "hub.example"),
            ("example.org:8448", "example.org"),
            ("example.org:8448", "example.org:8449"),
            ("localhost:*", "localhost"),
        ] {
            assert!(!has(pattern, server), "{pattern} {server}");
        }
    }

    #[test]
    fn what_can_mean_no_server_is_no_pattern() {
        let long = "a".repeat(256);
        for text in ["", ":1", "a:", "a:b", "a b", "https://a", "[::1]", "a:1:2", "ä.example", &long] {
            assert_eq!(ServerPattern::parse(text), Err(PatternError(text.to_owned())), "{text}");
        }
    }
}
