//! TLS: which certificate a client is shown is told by the name it asks for, and by that name's settings how it is spoken.
//!
//! Each identity has a configuration of its own, so that a session of one name is never resumed under another.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{Acceptor, ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// Who has a certificate.
pub trait Certificates: std::fmt::Debug + Send + Sync + 'static {
    /// What TLS is spoken with to clients that ask for this name, which is in lower case; none if nobody here has it.
    fn find(&self, server_name: &str) -> Option<Arc<Identity>>;
}

/// The oldest version that is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MinVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// A certificate with its private key, ready to be used.
#[derive(Debug, Clone)]
pub struct Identity(Arc<ServerConfig>);

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The text is no certificate or no key.
    #[error("{what} cannot be read: {why}")]
    Pem {
        /// Which of both.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// They do not fit together, or cannot be used.
    #[error("certificate and private key cannot be used: {0}")]
    Unfit(#[from] rustls::Error),
}

impl Identity {
    /// Reads both as PEM, the certificate first of its chain. HTTP/2 is offered where `h2` says so.
    ///
    /// # Errors
    /// Either cannot be read, or they do not fit together.
    pub fn from_pem(
        certificate: &[u8],
        private_key: &[u8],
        min_version: MinVersion,
        h2: bool,
    ) -> Result<Self, IdentityError> {
        let failed = |what| {
            move |error: rustls::pki_types::pem::Error| IdentityError::Pem {
                what,
                why: error.to_string(),
            }
        };
        let chain = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed("certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(private_key).map_err(failed("private key"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certified = Arc::new(CertifiedKey::from_der(chain, key, &provider)?);
        let versions: &[_] = match min_version {
            MinVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            MinVersion::Tls13 => &[&rustls::version::TLS13],
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Shown(Some(certified))));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if h2 {
            config.alpn_protocols.insert(0, b"h2".to_vec());
        }
        Ok(Self(Arc::new(config)))
    }
}

/// What is shown to every client of a configuration.
#[derive(Debug)]
struct Shown(Option<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
}

/// How a set of listeners speaks TLS.
#[derive(Debug)]
pub struct Tls {
    certificates: Arc<dyn Certificates>,
    default: Option<Identity>,
    /// For names that nobody has: the handshake ends in an alert.
    nobody: Identity,
}

impl Tls {
    /// Shows the certificate of who is asked for, to all others the default, if there is one.
    ///
    /// # Errors
    /// The library has no protocol version in common with itself, which does not happen.
    pub fn new(
        certificates: Arc<dyn Certificates>,
        default: Option<Identity>,
    ) -> Result<Self, IdentityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let nobody = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Shown(None)));
        Ok(Self { certificates, default, nobody: Identity(Arc::new(nobody)) })
    }

    /// Shakes hands; the name that the client asked for, in lower case, comes with it.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<Arc<str>>)> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let name = hello.client_hello().server_name().map(str::to_ascii_lowercase);
        let found = name.as_deref().and_then(|name| self.certificates.find(name));
        let identity = found.as_deref().or(self.default.as_ref()).unwrap_or(&self.nobody);
        let stream = hello.into_stream(identity.0.clone()).await?;
        Ok((stream, name.map(Arc::from)))
    }
}
