//! Which servers are inside.

use std::collections::HashSet;

use mimi_linearized::id::ServerName;
use ring::digest::{SHA256, digest};

use super::pattern::{Folded, ServerPattern};

/// Which servers are inside, apart from this one, which always is.
#[derive(Debug, Clone, Default)]
pub(super) enum Rules {
    /// All.
    #[default]
    Open,
    /// These alone.
    Allow(Vec<ServerPattern>),
    /// All but these.
    Deny(Vec<ServerPattern>),
    /// Those that a signed list has, as long as it holds.
    Signed(Members),
}

impl Rules {
    /// Whether a server is inside at `now`, in milliseconds since the Unix epoch.
    pub(super) fn allow(&self, server: &ServerName, now: i64) -> bool {
        match self {
            Self::Open => true,
            Self::Allow(patterns) => has(patterns, server),
            Self::Deny(patterns) => !has(patterns, server),
            Self::Signed(members) => members.allow(server, now),
        }
    }
}

fn has(patterns: &[ServerPattern], server: &ServerName) -> bool {
    let name = Folded::of(server);
    patterns.iter().any(|pattern| pattern.has_folded(&name))
}

/// What a signed list says.
#[derive(Debug, Clone, Default)]
pub(super) struct Members {
    /// Its version.
    pub(super) version: u64,
    /// Until when it holds, in milliseconds since the Unix epoch.
    pub(super) until: Option<i64>,
    /// Names in the form in which they are compared.
    pub(super) names: HashSet<String>,
    /// SHA-256 of such names.
    pub(super) hashes: HashSet<[u8; 32]>,
}

impl Members {
    fn allow(&self, server: &ServerName, now: i64) -> bool {
        if self.until.is_some_and(|until| until <= now) {
            return false;
        }
        let name = Folded::of(server);
        [name.host(), name.whole()].into_iter().any(|name| {
            self.names.contains(name)
                || (!self.hashes.is_empty() && sha256(name).is_some_and(|hash| self.hashes.contains(&hash)))
        })
    }
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    digest(&SHA256, text.as_bytes()).as_ref().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn name(text: &str) -> ServerName {
        ServerName::parse(text).unwrap()
    }

    #[test]
    fn each_mode_has_its_inside() {
        let patterns = || vec![ServerPattern::parse("*.example").unwrap()];
        let (inside, outside) = (name("a.example"), name("a.example.org"));
        for (rules, expected) in [
            (Rules::Open, [true, true]),
            (Rules::Allow(patterns()), [true, false]),
            (Rules::Deny(patterns()), [false, true]),
            (Rules::Allow(Vec::new()), [false, false]),
            (Rules::Deny(Vec::new()), [true, true]),
        ] {
            assert_eq!([&inside, &outside].map(|server| rules.allow(server, NOW)), expected, "{rules:?}");
        }
    }

    #[test]
    fn a_list_has_names_and_hashes_and_an_end() {
        let members = Members {
            version: 1,
            until: Some(NOW),
            names: ["a.example".to_owned(), "b.example:1".to_owned()].into(),
            hashes: [sha256("c.example").unwrap()].into(),
        };
        let rules = Rules::Signed(members);
        for (server, inside) in [
            ("a.example", true),
            ("A.Example:8448", true),
            ("b.example:1", true),
            ("b.example", false),
            ("c.example", true),
            ("C.example.:7", true),
            ("x.c.example", false),
        ] {
            assert_eq!(rules.allow(&name(server), NOW - 1), inside, "{server}");
            assert!(!rules.allow(&name(server), NOW), "{server}: the list is over");
        }
    }
}
