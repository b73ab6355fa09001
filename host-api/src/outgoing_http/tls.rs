//! TLS for outgoing requests: rustls with the roots that Mozilla trusts, compiled in.
//!
//! Nothing can be configured: no client certificates, no other roots, no way to skip verification. Sessions are resumed within one
//! function only: what one tenant's handshake left is no other's to use.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock, OnceLock};

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tracing::debug;
use url::Host;
use wasmtime_wasi_http::Error;

use super::connect::Wire;

/// TLS sessions that one function's egress remembers.
const SESSIONS: usize = 32;

/// Made once: reading the roots takes longer than a handshake.
static CONFIG: LazyLock<Result<Arc<ClientConfig>, rustls::Error>> = LazyLock::new(|| {
    config(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }).map(Arc::new)
});

fn config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Whom to believe, and what earlier handshakes left.
#[derive(Debug, Default)]
pub(super) struct Trust(OnceLock<Option<Arc<ClientConfig>>>);

impl Trust {
    /// That of the host's own requests, which share their sessions.
    pub(super) fn of_host() -> Self {
        Self(OnceLock::from(CONFIG.as_ref().ok().cloned()))
    }

    #[cfg(test)]
    pub(super) fn of_roots(roots: RootCertStore) -> Self {
        Self(OnceLock::from(config(roots).ok().map(Arc::new)))
    }

    /// Encrypts `wire`, and makes sure that `host` is who answers.
    pub(super) async fn secure(
        &self,
        wire: TcpStream,
        host: &Host<String>,
    ) -> Result<Box<dyn Wire>, Error> {
        let config = self.0.get_or_init(|| {
            let mut config = ClientConfig::clone(CONFIG.as_ref().ok()?);
            config.resumption = Resumption::in_memory_sessions(SESSIONS);
            Some(Arc::new(config))
        });
        let config = config.as_ref().ok_or(Error::ConfigurationError)?;
        let name = match host {
            Host::Ipv4(address) => ServerName::from(IpAddr::V4(*address)),
            Host::Ipv6(address) => ServerName::from(IpAddr::V6(*address)),
            Host::Domain(name) => {
                ServerName::try_from(name.clone()).map_err(|_| Error::HttpRequestUriInvalid)?
            }
        };
        let connector = TlsConnector::from(config.clone());
        let stream = connector.connect(name, wire).await.map_err(|error| {
            debug!(%host, %error, "a TLS handshake failed");
            tls_error(&error)
        })?;
        Ok(Box::new(stream))
    }
}

fn tls_error(error: &std::io::Error) -> Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(_)) => Error::TlsCertificateError,
        Some(rustls::Error::AlertReceived(alert)) => {
            Error::TlsAlertReceived { alert_id: Some(u8::from(*alert)), alert_message: None }
        }
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
