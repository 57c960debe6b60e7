//! How many connections come from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// An address as far as it stands for one peer: of IPv6 the first 64 bits, as whoever has one address there has all
/// those below it (RFC 4291 §2.5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Peer(IpAddr);

impl Peer {
    pub(super) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(network))
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// The connections that there are, by address.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    most: usize,
    open: Arc<Mutex<HashMap<Peer, usize>>>,
}

impl Connections {
    /// Counts up to so many connections of an address.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, open: Arc::default() }
    }

    /// Counts one more connection of an address, until what is returned is dropped. `None` if there are too many.
    pub(crate) fn open(&self, address: IpAddr) -> Option<Open> {
        let peer = Peer::of(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.get(&peer).copied().unwrap_or(0);
        if count >= self.most {
            return None;
        }
        open.insert(peer, count.saturating_add(1));
        Some(Open { peer, among: self.clone() })
    }
}

/// A connection that is counted.
#[derive(Debug)]
pub(crate) struct Open {
    peer: Peer,
    among: Connections,
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.among.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.peer) {
            Some(count) if *count > 1 => *count = count.saturating_sub(1),
            _ => drop(open.remove(&self.peer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_address_has_so_many() {
        let connections = Connections::new(2);
        let first = connections.open(address("192.0.2.1")).unwrap();
        let second = connections.open(address("::ffff:192.0.2.1")).unwrap();
        assert!(connections.open(address("192.0.2.1")).is_none());
        let _other = connections.open(address("192.0.2.2")).unwrap();
        drop(first);
        let third = connections.open(address("192.0.2.1")).unwrap();
        assert!(connections.open(address("192.0.2.1")).is_none());
        drop((second, third));
        assert_eq!(connections.open.lock().unwrap().len(), 1, "who has gone is forgotten");
    }

    #[test]
    fn a_network_counts_as_one() {
        let connections = Connections::new(1);
        let _one = connections.open(address("2001:db8:1:2::1")).unwrap();
        assert!(connections.open(address("2001:db8:1:2:ffff::2")).is_none());
        assert!(connections.open(address("2001:db8:1:3::1")).is_some());
    }
}
