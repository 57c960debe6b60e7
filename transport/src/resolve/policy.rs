//! Which addresses a server may be made to connect to.
//!
//! The names that a server resolves come from other people: a room id, a user id, a request's origin. Without a bound
//! anybody could have it send requests into the network that it stands in.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of address it is, as far as that matters for connecting to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressClass {
    /// Reachable from anywhere.
    Global,
    /// The machine itself: 127.0.0.0/8, `::1`.
    Loopback,
    /// A private network: RFC 1918, RFC 6598 (carrier-grade NAT), RFC 4193 (unique local), site-local, the local
    /// prefix of NAT64 (RFC 8215), and the range for benchmarks (RFC 2544).
    Private,
    /// The link itself: 169.254.0.0/16, fe80::/10. Cloud machines find their credentials there.
    LinkLocal,
    /// No address: 0.0.0.0/8, `::`. Many systems take it for the machine itself.
    Unspecified,
    /// A group: 224.0.0.0/4, ff00::/8, and the limited broadcast address.
    Multicast,
    /// For documentation: 192.0.2.0/24 and its kin, 2001:db8::/32, 3fff::/20.
    Documentation,
    /// Not assigned to anything one could connect to.
    Reserved,
}

impl AddressClass {
    /// The class of an address. An IPv6 address that stands for an IPv4 address (mapped, compatible, NAT64, 6to4) has
    /// that one's class.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => class_v4(address),
            IpAddr::V6(address) => class_v6(address),
        }
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Global => "global",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Unspecified => "unspecified",
            Self::Multicast => "multicast",
            Self::Documentation => "documentation",
            Self::Reserved => "reserved",
        })
    }
}

fn class_v4(address: Ipv4Addr) -> AddressClass {
    match address.octets() {
        [0, ..] => AddressClass::Unspecified,
        [127, ..] => AddressClass::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] | [198, 18..=19, ..] => {
            AddressClass::Private
        }
        [169, 254, ..] => AddressClass::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => AddressClass::Documentation,
        [224..=239, ..] | [255, 255, 255, 255] => AddressClass::Multicast,
        [240..=255, ..] | [192, 0, 0, _] => AddressClass::Reserved,
        _ => AddressClass::Global,
    }
}

fn class_v6(address: Ipv6Addr) -> AddressClass {
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        class_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressClass::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressClass::Loopback,
        // Mapped (RFC 4291 §2.5.5.2), compatible (§2.5.5.1), translated (RFC 2765), NAT64 (RFC 6052), 6to4 (RFC 3056).
        [0, 0, 0, 0, 0, 0xffff | 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => embedded(high, low),
        [0x64, 0xff9b, 1, ..] | [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => AddressClass::Private,
        [0xfe80..=0xfebf, ..] => AddressClass::LinkLocal,
        [0xff00..=0xffff, ..] => AddressClass::Multicast,
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => AddressClass::Documentation,
        // Of 2001::/23, which is for protocols (Teredo, benchmarks, ORCHID), nothing is a server.
        [0x2001, 0..=0x01ff, ..] => AddressClass::Reserved,
        // Global unicast addresses are assigned from 2000::/3 only.
        [0x2000..=0x3fff, ..] => AddressClass::Global,
        _ => AddressClass::Reserved,
    }
}

/// Which classes of address are allowed beside global ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AddressPolicy {
    /// Loopback, private and link-local addresses are allowed (`--allow-private`).
    pub allow_private: bool,
    /// Loopback addresses are allowed: the server's own listener is on loopback.
    pub allow_loopback: bool,
}

impl AddressPolicy {
    /// Whether a connection to `address` may be made.
    #[must_use]
    pub fn allows(self, address: IpAddr) -> bool {
        match AddressClass::of(address) {
            AddressClass::Global => true,
            AddressClass::Loopback => self.allow_private || self.allow_loopback,
            AddressClass::Private | AddressClass::LinkLocal => self.allow_private,
            AddressClass::Unspecified
            | AddressClass::Multicast
            | AddressClass::Documentation
            | AddressClass::Reserved => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn class(address: &str) -> AddressClass {
        AddressClass::of(address.parse().unwrap())
    }

    #[test]
    fn addresses_have_their_class() {
        for (class_of, addresses) in [
            (
                AddressClass::Global,
                "1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0 192.0.1.1 198.17.0.1 \
                 2606:4700::1111 2a00:1450::1 2001:4860:4860::8888 2001:200::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 \
                 2002:808:808::1",
            ),
            (
                AddressClass::Loopback,
                "127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1 ::127.0.0.1 ::ffff:0:7f00:1 64:ff9b::127.0.0.1 \
                 2002:7f00:1::",
            ),
            (
                AddressClass::Private,
                "10.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1 100.127.255.255 198.18.0.1 198.19.255.255 \
                 fc00::1 fd12:3456::1 fec0::1 64:ff9b:1::1 ::ffff:10.0.0.1 ::ffff:192.168.1.1 64:ff9b::a00:1 \
                 2002:a00:1::1",
            ),
            (AddressClass::LinkLocal, "169.254.169.254 fe80::1 febf::1 ::ffff:169.254.169.254"),
            (AddressClass::Unspecified, "0.0.0.0 0.1.2.3 :: ::ffff:0.0.0.0"),
            (AddressClass::Multicast, "224.0.0.1 239.255.255.255 255.255.255.255 ff02::1 ::ffff:224.0.0.1"),
            (
                AddressClass::Documentation,
                "192.0.2.1 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1 ::ffff:192.0.2.1",
            ),
            (AddressClass::Reserved, "240.0.0.1 192.0.0.1 100::1 2001::1 2001:2::1 4000::1 8000::1"),
        ] {
            for address in addresses.split_whitespace() {
                assert_eq!(class(address), class_of, "{address}");
            }
        }
    }

    #[test]
    fn the_policy_opens_what_it_says() {
        let allowed = |policy: AddressPolicy| {
            [
                "1.1.1.1",
                "127.0.0.1",
                "::1",
                "10.0.0.1",
                "fe80::1",
                "0.0.0.0",
                "ff02::1",
                "192.0.2.1",
                "240.0.0.1",
            ]
            .map(|address| policy.allows(address.parse().unwrap()))
        };
        let [yes, no] = [true, false];
        assert_eq!(allowed(AddressPolicy::default()), [yes, no, no, no, no, no, no, no, no]);
        let loopback = AddressPolicy { allow_loopback: true, ..AddressPolicy::default() };
        assert_eq!(allowed(loopback), [yes, yes, yes, no, no, no, no, no, no]);
        let private = AddressPolicy { allow_private: true, ..AddressPolicy::default() };
        assert_eq!(allowed(private), [yes, yes, yes, yes, yes, no, no, no, no]);
    }

    proptest! {
        #[test]
        fn a_mapped_address_has_the_class_of_what_it_maps(octets in any::<[u8; 4]>()) {
            let address = Ipv4Addr::from(octets);
            let mapped = AddressClass::of(address.to_ipv6_mapped().into());
            prop_assert_eq!(mapped, AddressClass::of(address.into()));
        }
    }
}
