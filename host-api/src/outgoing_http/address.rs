//! Which addresses a request may connect to: the public ones, unless the grant says otherwise.
//!
//! The rule is applied to every address after resolution and to nothing else. IPv6 addresses that carry an IPv4 address are
//! judged by it as well, since a router or a socket may unwrap them. The tables follow the IANA special-purpose registries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not one of the public internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// This machine: 127/8, `::1`.
    Loopback,
    /// "This network", which systems take for this machine: 0/8, `::`.
    Unspecified,
    /// The same link, where cloud providers put their metadata: 169.254/16, `fe80::/10`.
    LinkLocal,
    /// Private networks: 10/8, 172.16/12, 192.168/16, `fc00::/7`, and the retired `fec0::/10`.
    Private,
    /// Shared address space of providers: 100.64/10.
    Shared,
    /// 224/4, `ff00::/8`.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// For examples and measurements only: 192.0.2/24, 198.51.100/24, 203.0.113/24, 198.18/15, `2001:db8::/32`, `3fff::/20`.
    Documentation,
    /// Reserved for protocols or the future: 192.0.0/24, 192.88.99/24, 240/4, `100::/64`, `2001::/23`, and whatever IPv6 has
    /// not given out outside `2000::/3`.
    Reserved,
}

/// What speaks against connecting to `address`; `None` for a public one.
#[must_use]
pub fn not_public(address: IpAddr) -> Option<AddressKind> {
    match address {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => not_public_v6(address),
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<AddressKind> {
    let [a, b, c, d] = address.octets();
    Some(match (a, b, c, d) {
        (255, 255, 255, 255) => AddressKind::Broadcast,
        (0, ..) => AddressKind::Unspecified,
        (127, ..) => AddressKind::Loopback,
        (169, 254, ..) => AddressKind::LinkLocal,
        (10, ..) | (172, 16..=31, ..) | (192, 168, ..) => AddressKind::Private,
        (100, 64..=127, ..) => AddressKind::Shared,
        (224..=239, ..) => AddressKind::Multicast,
        (192, 0, 2, _) | (198, 51, 100, _) | (203, 0, 113, _) | (198, 18..=19, ..) => {
            AddressKind::Documentation
        }
        (192, 0, 0, _) | (192, 88, 99, _) | (240..=255, ..) => AddressKind::Reserved,
        _ => return None,
    })
}

fn not_public_v6(address: Ipv6Addr) -> Option<AddressKind> {
    // Before unwrapping: `::` and `::1` look like IPv4-compatible addresses.
    if address.is_unspecified() {
        return Some(AddressKind::Unspecified);
    }
    if address.is_loopback() {
        return Some(AddressKind::Loopback);
    }
    if let Some(inner) = embedded_v4(address) {
        // A carrier of a public address is refused as well: no host on the public internet has one, and what unwraps it is
        // unknown.
        return not_public_v4(inner).or(Some(AddressKind::Reserved));
    }
    let [a, b, ..] = address.segments();
    Some(match (a, b) {
        (0xfe80..=0xfebf, _) => AddressKind::LinkLocal,
        (0xfc00..=0xfdff | 0xfec0..=0xfeff, _) => AddressKind::Private,
        (0xff00.., _) => AddressKind::Multicast,
        (0x2001, 0x0db8) | (0x3fff, 0..=0x0fff) => AddressKind::Documentation,
        (0x2001, 0..=0x01ff) => AddressKind::Reserved,
        (0x2000..=0x3fff, _) => return None,
        _ => AddressKind::Reserved,
    })
}

/// The IPv4 address inside an IPv6 address: mapped (`::ffff:0:0/96`), translated (`::ffff:0:0:0/96`), compatible (`::/96`),
/// 6to4 (`2002::/16`), NAT64 (`64:ff9b::/96`, and `64:ff9b:1::/48` by its last 32 bits) and Teredo (`2001::/32`, inverted).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    Some(match segments {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => {
            join(high, low)
        }
        [0x64, 0xff9b, 0 | 1, _, _, _, high, low] => join(high, low),
        [0x2002, high, low, ..] => join(high, low),
        [0x2001, 0, _, _, _, _, high, low] => join(!high, !low),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use AddressKind as Kind;
    use proptest::prelude::*;

    fn kind(text: &str) -> Option<AddressKind> {
        not_public(text.parse().unwrap())
    }

    #[test]
    fn addresses_that_are_refused() {
        let table = [
            ("127.0.0.1", Kind::Loopback),
            ("127.255.255.254", Kind::Loopback),
            ("0.0.0.0", Kind::Unspecified),
            ("0.1.2.3", Kind::Unspecified),
            ("169.254.169.254", Kind::LinkLocal),
            ("10.0.0.1", Kind::Private),
            ("172.16.0.1", Kind::Private),
            ("172.31.255.255", Kind::Private),
            ("192.168.1.1", Kind::Private),
            ("100.64.0.1", Kind::Shared),
            ("100.127.255.255", Kind::Shared),
            ("224.0.0.1", Kind::Multicast),
            ("255.255.255.255", Kind::Broadcast),
            ("192.0.2.1", Kind::Documentation),
            ("198.51.100.7", Kind::Documentation),
            ("203.0.113.9", Kind::Documentation),
            ("198.19.0.1", Kind::Documentation),
            ("192.0.0.8", Kind::Reserved),
            ("192.88.99.1", Kind::Reserved),
            ("240.0.0.1", Kind::Reserved),
            ("::", Kind::Unspecified),
            ("::1", Kind::Loopback),
            ("::ffff:127.0.0.1", Kind::Loopback),
            ("::ffff:169.254.169.254", Kind::LinkLocal),
            ("::ffff:0:10.0.0.1", Kind::Private),
            ("::127.0.0.1", Kind::Loopback),
            ("::8.8.8.8", Kind::Reserved),
            ("2002:7f00:1::", Kind::Loopback),
            ("2002:a00:1::5", Kind::Private),
            ("64:ff9b::127.0.0.1", Kind::Loopback),
            ("64:ff9b::8.8.8.8", Kind::Reserved),
            ("64:ff9b:1::10.0.0.1", Kind::Private),
            ("2001:0:0:0:0:0:80ff:fffe", Kind::Loopback),
            ("fe80::1", Kind::LinkLocal),
            ("febf::1", Kind::LinkLocal),
            ("fec0::1", Kind::Private),
            ("fc00::1", Kind::Private),
            ("fd00:ec2::254", Kind::Private),
            ("ff02::1", Kind::Multicast),
            ("2001:db8::1", Kind::Documentation),
            ("3fff::1", Kind::Documentation),
            ("2001:2::1", Kind::Reserved),
            ("100::1", Kind::Reserved),
            ("5f00::1", Kind::Reserved),
        ];
        for (text, expected) in table {
            assert_eq!(kind(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn addresses_that_are_public() {
        let table = [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.0.1",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "2a00:1450::1",
        ];
        for text in table {
            assert_eq!(kind(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_carrier_lets_an_inner_address_through(inner: u32) {
            let inner = Ipv4Addr::from(inner);
            let [a, b, c, d] = inner.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let carriers = [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, !high, !low),
            ];
            for carrier in carriers {
                prop_assert!(not_public(carrier.into()).is_some(), "{}", carrier);
            }
        }
    }
}
