//! Which destinations a function's requests may have: patterns, and whether one covers a destination.
//!
//! A pattern is parsed into the same normal form as a destination, so matching compares equal things and knows no spelling.
//! It decides over names only; which addresses a name may resolve to is decided after resolution, in `address.rs`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Host;

use super::destination::{Destination, HttpScheme, normal_host, parse_port, split_port};

/// `scheme://host[:port]`, where the host may be `*.example.com` for every name below it, or `*` for every host, and the
/// port `*` for every port. Without a port it is the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DestinationPattern {
    scheme: HttpScheme,
    host: HostPattern,
    /// `None` is every port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum HostPattern {
    Every,
    /// Every name that ends with a dot and this.
    Below(String),
    Exactly(Host<String>),
}

/// A pattern that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("destination pattern `{pattern}` is refused: {reason}")]
pub struct PatternError {
    /// The pattern as it was written.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl DestinationPattern {
    /// Whether this pattern covers `destination`.
    #[must_use]
    pub fn covers(&self, destination: &Destination) -> bool {
        self.scheme == destination.scheme
            && self.port.is_none_or(|port| port == destination.port)
            && match &self.host {
                HostPattern::Every => true,
                HostPattern::Exactly(host) => *host == destination.host,
                HostPattern::Below(parent) => is_below(&destination.host, parent),
            }
    }

    /// Whether it covers every host there is.
    #[must_use]
    pub fn covers_every_host(&self) -> bool {
        self.host == HostPattern::Every
    }
}

/// An address is below no name, whatever its digits look like.
fn is_below(host: &Host<String>, parent: &str) -> bool {
    let Host::Domain(name) = host else { return false };
    name.strip_suffix(parent).and_then(|rest| rest.strip_suffix('.')).is_some_and(|x| !x.is_empty())
}

impl FromStr for DestinationPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        parse(text).map_err(|reason| PatternError { pattern: text.to_owned(), reason })
    }
}

fn parse(text: &str) -> Result<DestinationPattern, &'static str> {
    let (scheme, authority) =
        text.split_once("://").ok_or("it has no scheme; write `https://host`")?;
    let scheme = HttpScheme::from_name(scheme).ok_or("its scheme is neither http nor https")?;
    if authority.contains(['/', '?', '#', '\\']) {
        return Err("a path cannot be granted; write `scheme://host[:port]`");
    }
    if authority.contains('@') {
        return Err("user information cannot be granted");
    }
    let (host, port) = split_port(authority).ok_or("its port is not a number")?;
    let port = match port {
        None => Some(scheme.default_port()),
        Some("*") => None,
        Some(port) => Some(parse_port(port).ok_or("its port is not a number from 1 to 65535")?),
    };
    let host = match (host, host.strip_prefix("*.")) {
        ("*", _) => HostPattern::Every,
        (_, Some(parent)) => match normal_host(parent) {
            Some(Host::Domain(parent)) => HostPattern::Below(parent),
            _ => return Err("`*.` must be followed by a name"),
        },
        _ => HostPattern::Exactly(normal_host(host).ok_or("its host is no name and no address")?),
    };
    Ok(DestinationPattern { scheme, host, port })
}

impl TryFrom<String> for DestinationPattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl From<DestinationPattern> for String {
    fn from(pattern: DestinationPattern) -> Self {
        pattern.to_string()
    }
}

impl std::fmt::Display for DestinationPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://", self.scheme.name())?;
        match &self.host {
            HostPattern::Every => f.write_str("*")?,
            HostPattern::Below(parent) => write!(f, "*.{parent}")?,
            HostPattern::Exactly(host) => write!(f, "{host}")?,
        }
        match self.port {
            None => f.write_str(":*"),
            Some(port) if port == self.scheme.default_port() => Ok(()),
            Some(port) => write!(f, ":{port}"),
        }
    }
}

#[cfg(test)]
#[path = "allow_list_tests.rs"]
mod tests;
