//! Where TLS is served, and with which certificate to those who ask for none that a custom domain has.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// The certificate that is shown to clients that name no custom domain with one of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSection {
    /// A file with the certificate and its chain as PEM. Default none: who names no custom domain is refused in the handshake.
    pub certificate: PathBuf,
    /// A file with its private key as PEM.
    pub private_key: PathBuf,
}

impl TlsSection {
    /// The two files, if there are any.
    pub fn files(&self) -> Option<(&PathBuf, &PathBuf)> {
        let some = !self.certificate.as_os_str().is_empty();
        some.then_some((&self.certificate, &self.private_key))
    }

    /// Checks that both are there, or none.
    ///
    /// # Errors
    /// [`ConfigError::Refused`] when only one is.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.certificate.as_os_str().is_empty() != self.private_key.as_os_str().is_empty() {
            let why = "tls.certificate and tls.private_key belong together; set both or none";
            return Err(ConfigError::Refused { why: why.to_owned() });
        }
        Ok(())
    }
}

/// Where TLS is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsListen {
    /// Nowhere.
    #[default]
    Off,
    /// Here.
    Address(SocketAddr),
}

impl TlsListen {
    /// The address, if there is one.
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::Address(address) => Some(address),
        }
    }
}

impl FromStr for TlsListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            _ => text
                .parse()
                .map(Self::Address)
                .map_err(|_| format!("`{text}` is not `off` or an address such as 0.0.0.0:9443")),
        }
    }
}

impl std::fmt::Display for TlsListen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl Serialize for TlsListen {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TlsListen {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_what_it_prints() {
        for text in ["off", "127.0.0.1:9443", "[::1]:9"] {
            assert_eq!(text.parse::<TlsListen>().unwrap().to_string(), text);
        }
        assert!("on".parse::<TlsListen>().is_err());
    }

    #[test]
    fn a_certificate_needs_its_key() {
        let half = TlsSection { certificate: "a.pem".into(), ..TlsSection::default() };
        assert!(half.validate().unwrap_err().to_string().contains("tls.private_key"));
        assert!(TlsSection::default().validate().is_ok());
    }
}
