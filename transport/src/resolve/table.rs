//! The static table: names whose address the operator gives.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr;

use mimi_linearized::id::{IdError, ServerName};

/// An entry of the static table: `NAME=IP:PORT`, as `--resolve` takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticEntry {
    /// The server name, with its port if it has one.
    pub name: ServerName,
    /// Where it is.
    pub address: SocketAddr,
}

/// Why a text is not `NAME=IP:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StaticEntryError {
    /// There is no `=`.
    #[error("it has to be NAME=IP:PORT, for example example.org=127.0.0.1:8448")]
    Form,
    /// What stands before the `=` is not a server name.
    #[error("the part before `=` is not a server name: {0}")]
    Name(#[from] IdError),
    /// What stands after the `=` is not an address and a port.
    #[error("`{0}` is not IP:PORT (an IPv6 address stands in brackets)")]
    Address(String),
}

impl FromStr for StaticEntry {
    type Err = StaticEntryError;

    fn from_str(text: &str) -> Result<Self, StaticEntryError> {
        let (name, address) = text.split_once('=').ok_or(StaticEntryError::Form)?;
        let name = ServerName::parse(name)?;
        let parsed = address.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
        Ok(Self { name, address: parsed.ok_or_else(|| StaticEntryError::Address(address.to_owned()))? })
    }
}

/// The entries, by name. A name with several is at each of them, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Table(HashMap<ServerName, Vec<SocketAddr>>);

impl Table {
    pub(super) fn insert(&mut self, entry: StaticEntry) {
        self.0.entry(entry.name).or_default().push(entry.address);
    }

    pub(super) fn get(&self, name: &ServerName) -> Option<&[SocketAddr]> {
        self.0.get(name).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_entries_are_read() {
        let name = |text| ServerName::parse(text).unwrap();
        let entry: StaticEntry = "example.org:1=[::1]:8448".parse().unwrap();
        let expected = StaticEntry { name: name("example.org:1"), address: "[::1]:8448".parse().unwrap() };
        assert_eq!(entry, expected);
        assert_eq!("example.org".parse::<StaticEntry>(), Err(StaticEntryError::Form));
        assert!(matches!("1.2.3.4=1.2.3.4:1".parse::<StaticEntry>(), Err(StaticEntryError::Name(_))));
        for bad in ["", "1.2.3.4", "1.2.3.4:0", "::1:8448", "localhost:1", "1.2.3.4:65536", " 1.2.3.4:1"] {
            let error = format!("example.org={bad}").parse::<StaticEntry>().unwrap_err();
            assert_eq!(error, StaticEntryError::Address(bad.to_owned()));
        }
    }
}
