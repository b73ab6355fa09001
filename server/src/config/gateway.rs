//! Bounds of requests that functions answer themselves, by HTTP triggers and custom domains.

use serde::{Deserialize, Serialize};

use super::{ConfigError, Size, Span};
use crate::gateway::TrustedProxies;

/// Bounds of requests to HTTP functions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewaySection {
    /// Path and query of a request, as the function sees them. Default 4KiB; more is answered 400.
    pub path_size: Size,
    /// All header lines of a request together. Default 8KiB; more is answered 400, and above `http.header_size` 431.
    pub header_size: Size,
    /// Body of a request. Default 32MiB; 0 is no bound, for large uploads: bodies pass through and are not held.
    pub body_size: Size,
    /// Body of a request that becomes an event, by a trigger of type `apig`. Default 4MiB, at most 24MiB; more is answered 400. It is
    /// held whole, and the event carries it in Base64, which takes a third more and has to fit into `http.event_size` and the engine's limit.
    pub event_body_size: Size,
    /// Time between two pings to the client of a WebSocket; one that stays silent for three times as long is cut off. Default 30s; 0 asks
    /// nobody.
    pub websocket_ping: Span,
    /// Addresses and networks (`10.0.0.0/8`), separated by commas, of proxies before this server: what they say in `x-forwarded-for` and
    /// `x-forwarded-proto` is believed and passed on. Default none; from anybody else it is taken away.
    pub trusted_proxies: String,
    /// Host names, separated by commas, under which this server's own paths answer whatever custom domains there are. Default none;
    /// addresses and `localhost` are always its own.
    pub own_hosts: String,
}

impl Default for GatewaySection {
    fn default() -> Self {
        Self {
            path_size: Size(4 << 10),
            header_size: Size(8 << 10),
            body_size: Size(32 << 20),
            event_body_size: Size(4 << 20),
            websocket_ping: Span::seconds(30),
            trusted_proxies: String::new(),
            own_hosts: String::new(),
        }
    }
}

impl GatewaySection {
    /// Checks all bounds.
    ///
    /// # Errors
    /// [`ConfigError::Refused`] names the first setting that is out of bounds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
        };
        let checks = [
            (
                "gateway.path_size",
                (256..=64 << 10).contains(&self.path_size.0),
                "must be 256B to 64KiB",
            ),
            (
                "gateway.header_size",
                (1 << 10..=1 << 20).contains(&self.header_size.0),
                "must be 1KiB to 1MiB",
            ),
            (
                "gateway.event_body_size",
                self.event_body_size.0 <= 24 << 20,
                "must be at most 24MiB",
            ),
            (
                "gateway.trusted_proxies",
                TrustedProxies::parse(&self.trusted_proxies).is_ok(),
                "must be addresses or networks such as 10.0.0.0/8, separated by commas",
            ),
            (
                "gateway.own_hosts",
                self.own_hosts.is_empty() || self.own().all(is_name),
                "must be names of hosts without ports, separated by commas",
            ),
        ];
        match checks.iter().find(|(_, holds, _)| !holds) {
            None => Ok(()),
            Some((setting, _, why)) => {
                Err(ConfigError::Refused { why: format!("setting `{setting}` {why}") })
            }
        }
    }

    fn own(&self) -> impl Iterator<Item = &str> {
        self.own_hosts.split(',').map(str::trim)
    }

    /// Whether the server's own paths answer under a host whatever domains there are.
    pub fn is_own_host(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.own().any(|own| own.eq_ignore_ascii_case(host))
    }
}
