//! Where a request wants to go, in one normal form: scheme, host, port.
//!
//! Both the allow list and the connection use this form and nothing else, so what was checked is what is called. Host names are
//! lower case, in their ASCII form and without a trailing dot; numbers in any notation that other programs take for an IPv4
//! address (`2130706433`, `0x7f.1`) are one. It resolves nothing.

use std::net::IpAddr;

use http::Uri;
use url::Host;

use super::Denial;

/// The schemes a request may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HttpScheme {
    /// Unencrypted.
    Http,
    /// Over TLS.
    Https,
}

impl HttpScheme {
    /// The scheme called `name`, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("http") {
            Some(Self::Http)
        } else if name.eq_ignore_ascii_case("https") {
            Some(Self::Https)
        } else {
            None
        }
    }

    /// Its name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port where none is given.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Where a request wants to go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The scheme.
    pub scheme: HttpScheme,
    /// The host, in its normal form.
    pub host: Host<String>,
    /// The port, never 0.
    pub port: u16,
}

impl Destination {
    /// Reads the destination of a request's URI.
    ///
    /// # Errors
    /// [`Denial::BadUri`] when there is no host, user information stands before it, or it is no name and no address.
    pub fn of(uri: &Uri) -> Result<Self, Denial> {
        let bad = |reason| Denial::BadUri { reason };
        let scheme = uri.scheme_str().and_then(HttpScheme::from_name);
        let scheme = scheme.ok_or_else(|| bad("its scheme is neither http nor https"))?;
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?.as_str();
        if authority.contains('@') {
            return Err(bad("user information stands before its host"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| bad("its port is not a number"))?;
        let host =
            normal_host(host).ok_or_else(|| bad("its host is neither a name nor an address"))?;
        let port = match port {
            None => scheme.default_port(),
            Some(text) => {
                parse_port(text).ok_or_else(|| bad("its port is not a number from 1 to 65535"))?
            }
        };
        Ok(Self { scheme, host, port })
    }

    /// The address, where the host is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        }
    }

    /// The value of the `host` header: the port is left out where it is the scheme's own.
    #[must_use]
    pub fn host_header(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}:{}", self.scheme.name(), self.host, self.port)
    }
}

/// Splits `host:port`; the colons of a bracketed address are its own. `None` when something else follows the bracket.
pub(super) fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(end) = authority.strip_prefix('[').and_then(|_| authority.rfind(']')) {
        let (host, rest) = authority.split_at_checked(end.checked_add(1)?)?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None if rest.is_empty() => Some((host, None)),
            None => None,
        };
    }
    match authority.split_once(':') {
        None => Some((authority, None)),
        Some((host, port)) => Some((host, Some(port))),
    }
}

/// A port from 1 to 65535, in decimal digits alone: `FromStr` would also take a sign.
pub(super) fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port: u16 = digits.then(|| text.parse().ok())??;
    (port != 0).then_some(port)
}

/// The normal form of a host as the WHATWG URL standard defines it, without a trailing dot. Percent signs are refused, since
/// they would make the host that is checked differ from the one that is written.
pub(super) fn normal_host(text: &str) -> Option<Host<String>> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() || text.ends_with('.') || text.contains('%') {
        return None;
    }
    match Host::parse(text).ok()? {
        Host::Domain(name) if name.ends_with('.') || name.contains('*') => None,
        Host::Domain(name) if name.split('.').any(str::is_empty) => None,
        host => Some(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str) -> Result<String, Denial> {
        Destination::of(&uri.parse().unwrap()).map(|found| found.to_string())
    }

    #[test]
    fn every_spelling_has_one_form() {
        let table = [
            ("http://example.com", "http://example.com:80"),
            ("HTTPS://EXAMPLE.com./x?y", "https://example.com:443"),
            ("http://example.com:8080", "http://example.com:8080"),
            ("http://xn--bcher-kva.example", "http://xn--bcher-kva.example:80"),
            ("http://2130706433/", "http://127.0.0.1:80"),
            ("http://0x7f.1/", "http://127.0.0.1:80"),
            ("http://0177.0.0.1/", "http://127.0.0.1:80"),
            ("http://127.1./", "http://127.0.0.1:80"),
            ("http://[::ffff:127.0.0.1]:81/", "http://[::ffff:7f00:1]:81"),
            ("http://localhost./", "http://localhost:80"),
        ];
        for (uri, form) in table {
            assert_eq!(of(uri).as_deref(), Ok(form), "{uri}");
        }
    }

    #[test]
    fn what_is_no_plain_destination_is_refused() {
        let table = [
            "http://a@b/",
            "http://user:pass@example.com/",
            "http://example.com@127.0.0.1/",
            "http://example.com:0/",
            "http://example.com:65536/",
            "http://example.com:/",
            "http://ex%61mple.com/",
            "http://a..b/",
            "http://.../",
            "http://1.2.3.4.5/",
            "http://256.256.256.256/",
            "ftp://example.com/",
            "/no/host",
        ];
        for uri in table {
            let Ok(uri) = uri.parse::<Uri>() else { continue };
            assert!(Destination::of(&uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn international_names_are_compared_in_ascii() {
        let name = normal_host("BÜCHER.example").unwrap();
        assert_eq!(name, Host::Domain("xn--bcher-kva.example".to_owned()));
        assert_eq!(normal_host("ⓔxample。com"), normal_host("example.com"));
    }

    #[test]
    fn the_host_header_leaves_the_usual_port_out() {
        let header = |uri: &str| Destination::of(&uri.parse().unwrap()).unwrap().host_header();
        assert_eq!(header("https://EXAMPLE.com.:443"), "example.com");
        assert_eq!(header("http://example.com:443"), "example.com:443");
        assert_eq!(header("http://[::1]"), "[::1]");
    }
}
