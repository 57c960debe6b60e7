//! From a server name to what to connect to (LM-04 §12.3).
//!
//! Implemented are the static table, step 1 (a name with an explicit port) and step 4 (a bare name: port 8448) of
//! LM-04 §12.3. Steps 2 and 3, `.well-known` delegation and SRV records, are not: a bare name goes straight to step 4.

mod policy;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;

use mimi_linearized::id::{IdError, ServerName};
use rustls::pki_types;

pub use policy::{AddressClass, AddressPolicy};

/// The port of a server whose name has none (LM-04 §12.3, step 4).
pub const DEFAULT_PORT: u16 = 8448;

/// Why a server name leads nowhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The name fits its grammar, but no connection may be tried (LM-04 §3.1, RFC 1123 §2.1).
    #[error("{0} is not the name of a host that can be contacted")]
    NotContactable(ServerName),
    /// The lookup failed.
    #[error("looking up {name}: {error}")]
    Lookup {
        /// The name.
        name: ServerName,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The name has no address.
    #[error("{0} has no address")]
    NoAddress(ServerName),
    /// All of the name's addresses are of classes that are not allowed.
    #[error("{name} is at {address}, and {class} addresses are not contacted")]
    Refused {
        /// The name.
        name: ServerName,
        /// The first of its addresses.
        address: SocketAddr,
        /// Its class.
        class: AddressClass,
    },
}

/// Where to connect to for a server, and what to expect there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The addresses, each to be tried in turn; at least one. They are what the address policy was applied to, so that
    /// no second lookup can slip in another.
    pub addresses: Vec<SocketAddr>,
    /// The name that the certificate has to be valid for (`LM-04/12.3/4`).
    pub tls_name: pki_types::ServerName<'static>,
    /// The value of `Host` or `:authority` (`LM-04/12.3/5`).
    pub host: String,
}

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

/// Resolves server names (`LM-04/12.3/1`).
#[derive(Debug, Clone, Default)]
pub struct Resolver {
    table: HashMap<ServerName, Vec<SocketAddr>>,
    policy: AddressPolicy,
}

impl Resolver {
    /// A resolver with an empty table.
    #[must_use]
    pub fn new(policy: AddressPolicy) -> Self {
        Self { table: HashMap::new(), policy }
    }

    /// Adds an entry to the table. Names in it are not looked up, and the address policy does not apply to them. A
    /// name with several entries is tried at each, in order.
    pub fn insert(&mut self, entry: StaticEntry) {
        self.table.entry(entry.name).or_default().push(entry.address);
    }

    /// Finds out where `server` is. Nothing is cached beyond what the system caches.
    ///
    /// Step 1 of LM-04 §12.3 (`LM-04/12.3/6`) or step 4 (`LM-04/12.3/13`): in both, the certificate is checked for the
    /// host name, and `Host` is the server name as it stands, with its port if it has one.
    ///
    /// # Errors
    /// [`ResolveError`] says why there is nothing to connect to.
    pub async fn resolve(&self, server: &ServerName) -> Result<Endpoint, ResolveError> {
        let tls_name = pki_types::ServerName::try_from(server.host().to_owned());
        let (true, Ok(tls_name)) = (server.is_contactable(), tls_name) else {
            return Err(ResolveError::NotContactable(server.clone()));
        };
        let addresses = match self.table.get(server) {
            Some(addresses) => addresses.clone(),
            None => self.look_up(server).await?,
        };
        Ok(Endpoint { addresses, tls_name, host: server.as_str().to_owned() })
    }

    async fn look_up(&self, server: &ServerName) -> Result<Vec<SocketAddr>, ResolveError> {
        let port = server.port().unwrap_or(DEFAULT_PORT);
        let found = tokio::net::lookup_host((server.host(), port)).await;
        let found = found.map_err(|error| ResolveError::Lookup { name: server.clone(), error })?;
        self.permitted(server, found)
    }

    /// What the policy leaves of the addresses found.
    fn permitted(
        &self,
        server: &ServerName,
        found: impl Iterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, ResolveError> {
        let (allowed, refused): (Vec<_>, Vec<_>) =
            found.partition(|address| self.policy.allows(address.ip()));
        match (allowed.is_empty(), refused.first()) {
            (false, _) => Ok(allowed),
            (true, None) => Err(ResolveError::NoAddress(server.clone())),
            (true, Some(address)) => Err(ResolveError::Refused {
                name: server.clone(),
                address: *address,
                class: AddressClass::of(address.ip()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServerName {
        ServerName::parse(text).unwrap()
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn static_entries_are_read() {
        let entry: StaticEntry = "example.org:1=[::1]:8448".parse().unwrap();
        assert_eq!(entry, StaticEntry { name: name("example.org:1"), address: address("[::1]:8448") });
        assert_eq!("example.org".parse::<StaticEntry>(), Err(StaticEntryError::Form));
        assert!(matches!("1.2.3.4=1.2.3.4:1".parse::<StaticEntry>(), Err(StaticEntryError::Name(_))));
        for bad in ["", "1.2.3.4", "1.2.3.4:0", "::1:8448", "localhost:1", "1.2.3.4:65536", " 1.2.3.4:1"] {
            let error = format!("example.org={bad}").parse::<StaticEntry>().unwrap_err();
            assert_eq!(error, StaticEntryError::Address(bad.to_owned()));
        }
    }

    #[tokio::test]
    async fn the_table_comes_first_and_is_not_judged() {
        let mut resolver = Resolver::new(AddressPolicy::default());
        for entry in ["example.org=127.0.0.1:5", "example.org=10.0.0.1:6", "example.org:7=[::1]:7"] {
            resolver.insert(entry.parse().unwrap());
        }
        let endpoint = resolver.resolve(&name("example.org")).await.unwrap();
        assert_eq!(endpoint.addresses, [address("127.0.0.1:5"), address("10.0.0.1:6")]);
        assert_eq!(endpoint.host, "example.org");
        assert_eq!(endpoint.tls_name, pki_types::ServerName::try_from("example.org").unwrap());
        let endpoint = resolver.resolve(&name("example.org:7")).await.unwrap();
        assert_eq!(endpoint.addresses, [address("[::1]:7")]);
        assert_eq!(endpoint.host, "example.org:7", "Host has the port");
        assert_eq!(endpoint.tls_name, pki_types::ServerName::try_from("example.org").unwrap(), "TLS has not");
    }

    #[tokio::test]
    async fn names_are_looked_up_at_their_port_or_8448() {
        let policy = AddressPolicy { allow_loopback: true, ..AddressPolicy::default() };
        let resolver = Resolver::new(policy);
        for (server, port) in [("localhost:1234", 1234), ("localhost", DEFAULT_PORT)] {
            let endpoint = resolver.resolve(&name(server)).await.unwrap();
            assert!(!endpoint.addresses.is_empty());
            assert!(
                endpoint.addresses.iter().all(|a| a.ip().is_loopback() && a.port() == port),
                "{endpoint:?}"
            );
            assert_eq!(endpoint.host, server);
        }
    }

    #[tokio::test]
    async fn loopback_is_refused_unless_allowed() {
        let error = Resolver::default().resolve(&name("localhost")).await.unwrap_err();
        assert!(matches!(error, ResolveError::Refused { class: AddressClass::Loopback, .. }), "{error}");
    }

    #[tokio::test]
    async fn names_that_cannot_be_contacted_are_refused() {
        let mut resolver = Resolver::default();
        for server in ["-a.org", "a..org", "a.org:0", "a.org:65536"] {
            resolver.insert(StaticEntry { name: name(server), address: address("127.0.0.1:1") });
            let error = resolver.resolve(&name(server)).await.unwrap_err();
            assert!(matches!(error, ResolveError::NotContactable(_)), "{error}");
        }
    }

    #[test]
    fn only_addresses_that_are_allowed_are_left() {
        let resolver = Resolver::default();
        let filter = |addresses: &[&str]| {
            resolver.permitted(&name("example.org"), addresses.iter().map(|text| address(text)))
        };
        assert_eq!(filter(&["10.0.0.1:1", "8.8.8.8:1", "[fe80::1]:1"]).unwrap(), [address("8.8.8.8:1")]);
        assert!(matches!(filter(&[]), Err(ResolveError::NoAddress(_))));
        assert!(matches!(
            filter(&["10.0.0.1:1", "127.0.0.1:1"]),
            Err(ResolveError::Refused { class: AddressClass::Private, .. })
        ));
    }
}
