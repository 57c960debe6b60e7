//! Server names (LM-04 §3.1).

use std::net::Ipv4Addr;

use super::{IdError, check_part, identifier};

/// The longest host part, in bytes (LM-04 §3.1).
const MAX_HOST_BYTES: usize = 255;

identifier! {
    /// The name of a server: a host name, with an explicit port if need be (LM-04 §3.1).
    ///
    /// Literal IP addresses are refused in every spelling that a resolver might take for one. A name that fits the
    /// grammar can still be one that nobody can reach: see [`ServerName::is_contactable`].
    ServerName, check
}

fn check(text: &str) -> Result<(), IdError> {
    let (host, port) = split(text);
    if text.starts_with('[') {
        return Err(IdError::IpLiteral);
    }
    check_part("the host", host, MAX_HOST_BYTES, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))?;
    if let Some(port) = port
        && (port.is_empty() || port.len() > 5 || !port.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err(IdError::Port);
    }
    if is_ip_literal(host) { Err(IdError::IpLiteral) } else { Ok(()) }
}

fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

/// Whether resolvers would read `host` as an IPv4 address: dotted quad, or one of the older spellings (`127.1`,
/// `0x7f.1`), all of which end in a numeric label, which no domain does.
fn is_ip_literal(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.parse::<Ipv4Addr>().is_ok() {
        return true;
    }
    let last = host.rsplit('.').next().unwrap_or(host);
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()),
    }
}

impl ServerName {
    /// A name that is part of an identifier whose grammar was checked already.
    pub(super) fn from_checked(text: &str) -> Self {
        Self(text.into())
    }

    /// The host, without the port.
    #[must_use]
    pub fn host(&self) -> &str {
        split(self.as_str()).0
    }

    /// The explicit port, if there is one that a TCP connection can use.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        split(self.as_str()).1.and_then(|port| port.parse().ok()).filter(|port| *port != 0)
    }

    /// Whether the name follows RFC 1123 §2.1, so that a connection may be tried (LM-04 §3.1): labels of 1 to 63
    /// characters that neither begin nor end with `-`, and a port from 1 to 65535 where one is given.
    #[must_use]
    pub fn is_contactable(&self) -> bool {
        let (host, port) = split(self.as_str());
        let labels_fit = host
            .split('.')
            .all(|label| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-'));
        labels_fit && (port.is_none() || self.port().is_some())
    }
}
