//! Why a server name leads nowhere.

use std::io;
use std::net::SocketAddr;

use mimi_linearized::id::ServerName;

use super::policy::AddressClass;

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
        /// What the name server or the system said; [`io::ErrorKind::TimedOut`] if nobody answered in time.
        #[source]
        error: io::Error,
    },
    /// The name has no address.
    #[error("{0} has no address")]
    NoAddress(ServerName),
    /// The name's SRV record says that there is no such service (RFC 2782, target `.`).
    #[error("{0} says by its SRV record that it has no such service")]
    NotOffered(ServerName),
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
