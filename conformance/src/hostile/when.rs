//! When a lie is told.

use std::fmt;
use std::str::FromStr;

use mimi_linearized::id::ServerName;

/// When a lie is told. As a text it is `always`, `endpoint=NAME`, `after=N`, `first=N`, `for=SERVER`, or several of these
/// with `+` between them, all of which have to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// At every opportunity.
    Always,
    /// On this endpoint: the first segment of its path behind the version, such as `send_join`, or `keys` for the server's
    /// own keys. `send` is where servers send their transactions, so that on this endpoint it is both how the hostile
    /// server takes transactions and what is in those that it sends.
    Endpoint(String),
    /// Not before there were so many opportunities.
    After(u32),
    /// No more often than this.
    First(u32),
    /// To this server only.
    For(ServerName),
    /// When all of these hold. Opportunities are counted where all others of them hold.
    All(Vec<When>),
}

/// What a lie could be told on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Occasion<'o> {
    /// The endpoint; `None` for a connection.
    pub(super) endpoint: Option<&'o str>,
    /// To whom; `None` if that cannot be told yet.
    pub(super) server: Option<&'o ServerName>,
}

impl When {
    /// On this endpoint.
    #[must_use]
    pub fn endpoint(name: &str) -> Self {
        Self::Endpoint(name.to_owned())
    }

    /// When this holds, and the other too.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let mut all = match self {
            Self::All(all) => all,
            one => vec![one],
        };
        match other {
            Self::All(others) => all.extend(others),
            other => all.push(other),
        }
        Self::All(all)
    }

    /// Whether it holds for a connection, of which neither endpoint nor server is known.
    pub(super) fn suits_connections(&self) -> bool {
        match self {
            Self::Always | Self::After(_) | Self::First(_) => true,
            Self::Endpoint(_) | Self::For(_) => false,
            Self::All(all) => all.iter().all(Self::suits_connections),
        }
    }

    /// Whether the occasion is one, whatever the number of those before it.
    pub(super) fn is_occasion(&self, occasion: &Occasion<'_>) -> bool {
        match self {
            Self::Always | Self::After(_) | Self::First(_) => true,
            Self::Endpoint(name) => occasion.endpoint == Some(name),
            Self::For(server) => occasion.server == Some(server),
            Self::All(all) => all.iter().all(|when| when.is_occasion(occasion)),
        }
    }

    /// Whether it holds after so many occasions.
    pub(super) fn holds_after(&self, before: u32) -> bool {
        match self {
            Self::Always | Self::Endpoint(_) | Self::For(_) => true,
            Self::After(count) => before >= *count,
            Self::First(count) => before < *count,
            Self::All(all) => all.iter().all(|when| when.holds_after(before)),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Endpoint(name) => write!(f, "endpoint={name}"),
            Self::After(count) => write!(f, "after={count}"),
            Self::First(count) => write!(f, "first={count}"),
            Self::For(server) => write!(f, "for={server}"),
            Self::All(all) => {
                for (index, when) in all.iter().enumerate() {
                    write!(f, "{}{when}", if index == 0 { "" } else { "+" })?;
                }
                Ok(())
            }
        }
    }
}

/// A text that does not say when.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} says no time: it is always, endpoint=NAME, after=N, first=N or for=SERVER, or several with + between them"
)]
pub struct NoTime(String);

impl FromStr for When {
    type Err = NoTime;

    fn from_str(text: &str) -> Result<Self, NoTime> {
        let wrong = || NoTime(text.to_owned());
        let one = |part: &str| match part.split_once('=') {
            None if part == "always" => Some(Self::Always),
            Some(("endpoint", name)) if !name.is_empty() => Some(Self::endpoint(name)),
            Some(("after", count)) => count.parse().ok().map(Self::After),
            Some(("first", count)) => count.parse().ok().map(Self::First),
            Some(("for", server)) => ServerName::parse(server).ok().map(Self::For),
            _ => None,
        };
        let mut all: Vec<Self> = text.split('+').map(one).collect::<Option<_>>().ok_or_else(wrong)?;
        match (all.len(), all.pop()) {
            (1, Some(only)) => Ok(only),
            (_, Some(last)) => {
                all.push(last);
                Ok(Self::All(all))
            }
            (_, None) => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_it_is_read() {
        for text in [
            "always",
            "endpoint=send",
            "after=3",
            "first=1",
            "for=a.org:1",
            "endpoint=event+after=2+for=b.org",
        ] {
            assert_eq!(text.parse::<When>().unwrap().to_string(), text);
        }
        for text in ["", "sometimes", "endpoint=", "after=x", "first=-1", "for=@", "always+", "always+never"]
        {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
    }

    #[test]
    fn all_parts_have_to_hold() {
        let server = ServerName::parse("a.org").unwrap();
        let when: When = "endpoint=send+for=a.org+after=1+first=3".parse().unwrap();
        let on = |endpoint, server| Occasion { endpoint, server };
        assert!(when.is_occasion(&on(Some("send"), Some(&server))));
        assert!(!when.is_occasion(&on(Some("event"), Some(&server))));
        assert!(!when.is_occasion(&on(Some("send"), None)) && !when.is_occasion(&on(None, Some(&server))));
        let holds: Vec<bool> = (0..4).map(|before| when.holds_after(before)).collect();
        assert_eq!(holds, [false, true, true, false]);
        assert!(!when.suits_connections());
        assert!(When::After(1).and(When::First(2)).and(When::Always).suits_connections());
        assert!(!When::Always.and(When::endpoint("keys")).suits_connections());
    }
}
