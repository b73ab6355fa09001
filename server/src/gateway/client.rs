//! Who asks: the address of the client, and whether it asked encrypted. What a request says of that counts only from proxies that the
//! settings name; from anybody else it is taken away.

use std::net::IpAddr;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::http::header_value;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The address of the client, for the function.
const CLIENT_IP: HeaderName = HeaderName::from_static("x-fc-client-ip");

/// Whether it is a header in which proxies say for whom they ask.
fn is_forwarding(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "forwarded"
            | "x-forwarded-for"
            | "x-forwarded-proto"
            | "x-forwarded-host"
            | "x-forwarded-port"
            | "x-real-ip"
    )
}

/// Most addresses that are looked at in a list of proxies.
const HOPS_MAX: usize = 32;

/// Networks of proxies that are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TrustedProxies(Vec<(IpAddr, u32)>);

impl TrustedProxies {
    /// Reads addresses and networks (`10.0.0.0/8`), separated by commas.
    ///
    /// # Errors
    /// The piece that is neither.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let pieces = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
        pieces
            .map(|piece| network(piece).ok_or_else(|| piece.chars().take(64).collect()))
            .collect::<Result<_, String>>()
            .map(Self)
    }

    fn holds(&self, address: IpAddr) -> bool {
        self.0.iter().any(|(network, prefix)| match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                same(network.to_bits().into(), address.to_bits().into(), 32, *prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                same(network.to_bits(), address.to_bits(), 128, *prefix)
            }
            _ => false,
        })
    }
}

/// An address, or a network and how many of its bits count.
fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = if text.contains('/') { prefix.parse().ok()? } else { bits };
    (prefix <= bits).then_some((address, prefix))
}

/// Whether the first `prefix` of so many bits are the same.
fn same(a: u128, b: u128, bits: u32, prefix: u32) -> bool {
    let differing = a ^ b;
    differing.checked_shr(bits - prefix).unwrap_or(0) == 0
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    pub(super) is_encrypted: bool,
    /// Whether the other end of the connection is a proxy that is believed.
    is_proxied: bool,
}

impl Client {
    /// Who asks, from the other end of the connection and, if that is a proxy to be believed, from what it says.
    pub(super) fn of(
        (peer, is_encrypted): (IpAddr, bool),
        headers: &HeaderMap,
        trusted: &TrustedProxies,
    ) -> Self {
        let peer = peer.to_canonical();
        if !trusted.holds(peer) {
            return Self { address: peer, is_encrypted, is_proxied: false };
        }
        let text = |value: &'_ HeaderValue| value.to_str().ok().map(str::to_owned);
        let said: Vec<String> = headers.get_all(FOR).iter().filter_map(text).collect();
        let said = said.iter().flat_map(|line| line.split(',')).map(str::trim);
        let said: Vec<&str> = said.collect();
        let mut address = peer;
        // Each proxy adds whom it saw at the end: what stands before the first that is not believed is a claim.
        for hop in said.iter().rev().take(HOPS_MAX) {
            let Ok(hop) = hop.parse::<IpAddr>() else { break };
            address = hop.to_canonical();
            if !trusted.holds(address) {
                break;
            }
        }
        let proto = headers.get(PROTO).map(|value| value.as_bytes().eq_ignore_ascii_case(b"https"));
        Self { address, is_encrypted: proto.unwrap_or(is_encrypted), is_proxied: true }
    }

    /// Says in the headers for the function who asks, in place of what was said by who is not believed.
    /// `peer` is the address of the other end.
    pub(super) fn say(&self, headers: &mut HeaderMap, peer: &HeaderValue) {
        let address = match self.is_proxied {
            false => peer.clone(),
            true => header_value(&self.address.to_string()),
        };
        match self.is_proxied {
            false => {
                let said = headers.keys().filter(|name| is_forwarding(name));
                for name in said.cloned().collect::<Vec<_>>() {
                    headers.remove(name);
                }
                let proto = if self.is_encrypted { "https" } else { "http" };
                headers.insert(PROTO, HeaderValue::from_static(proto));
                headers.insert(FOR, address.clone());
            }
            true => drop(headers.append(FOR, peer.clone())),
        }
        headers.insert(CLIENT_IP, address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks() {
        let trusted = TrustedProxies::parse("10.0.0.0/8, 192.0.2.7,2001:db8::/32,::1").unwrap();
        for address in ["10.255.0.1", "192.0.2.7", "2001:db8:ffff::1", "::1"] {
            assert!(trusted.holds(ip(address)), "{address}");
        }
        for address in ["11.0.0.1", "192.0.2.8", "2001:db9::1", "::2", "127.0.0.1"] {
            assert!(!trusted.holds(ip(address)), "{address}");
        }
        assert!(TrustedProxies::parse("0.0.0.0/0").unwrap().holds(ip("9.9.9.9")));
        assert!(TrustedProxies::parse("::/0").unwrap().holds(ip("::9")));
        assert_eq!(TrustedProxies::parse(""), Ok(TrustedProxies::default()));
        for bad in ["a", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129", "10.0.0", "1.2.3.4:5"]
        {
            assert_eq!(TrustedProxies::parse(bad), Err(bad.to_owned()));
        }
    }

    #[test]
    fn only_proxies_that_are_believed_say_for_whom_they_ask() {
        let trusted = TrustedProxies::parse("10.0.0.0/8").unwrap();
        let of = |peer: &str, list: &[(&'static str, &str)]| {
            let client = Client::of((ip(peer), false), &headers(list), &trusted);
            (client.address.to_string(), client.is_encrypted)
        };
        let lie = [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https")];
        assert_eq!(of("192.0.2.1", &lie), ("192.0.2.1".to_owned(), false));
        assert_eq!(of("10.0.0.1", &lie), ("1.2.3.4".to_owned(), true));
        assert_eq!(of("::ffff:10.0.0.1", &lie), ("1.2.3.4".to_owned(), true));
        let list = [("x-forwarded-for", "6.6.6.6, 1.2.3.4"), ("x-forwarded-for", "10.0.0.9")];
        assert_eq!(
            of("10.0.0.1", &list),
            ("1.2.3.4".to_owned(), false),
            "what is before it is a claim"
        );
        assert_eq!(of("10.0.0.1", &[]), ("10.0.0.1".to_owned(), false));
        assert_eq!(
            of("10.0.0.1", &[("x-forwarded-for", "unknown")]),
            ("10.0.0.1".to_owned(), false)
        );
        assert_eq!(of("10.0.0.1", &[("x-forwarded-for", "x, 10.0.0.2")]).0, "10.0.0.2");
    }

    #[test]
    fn the_function_is_told_the_truth_or_what_a_proxy_said() {
        let trusted = TrustedProxies::parse("10.0.0.0/8").unwrap();
        let told = |peer: &str| {
            let mut asked = headers(&[
                ("x-forwarded-for", "1.2.3.4"),
                ("forwarded", "for=1"),
                ("x-forwarded-host", "h"),
            ]);
            let said = peer.parse().unwrap();
            Client::of((ip(peer), false), &asked, &trusted).say(&mut asked, &said);
            let line = |name| {
                let values = asked.get_all(name).iter();
                values.map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(", ")
            };
            [
                line("x-forwarded-for"),
                line("x-forwarded-proto"),
                line("x-forwarded-host"),
                line("forwarded"),
                line("x-fc-client-ip"),
            ]
        };
        assert_eq!(told("192.0.2.1"), ["192.0.2.1", "http", "", "", "192.0.2.1"]);
        assert_eq!(told("10.0.0.1"), ["1.2.3.4, 10.0.0.1", "", "h", "for=1", "1.2.3.4"]);
    }
}
