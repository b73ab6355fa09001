//! TLS as a client sees it: certificates made for a test, and connections that say what they ask for and what they were shown.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::Start;

/// A certificate that signs itself.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// As PEM.
    pub pem: String,
    /// Its private key as PEM.
    pub key: String,
    /// As a client is shown it.
    pub der: CertificateDer<'static>,
}

impl Certificate {
    /// One for these names, valid now.
    #[must_use]
    pub fn of(names: &[&str]) -> Self {
        Self::between(names, 2020, 2090)
    }

    /// One for these names, valid from the beginning of one year to that of another.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn between(names: &[&str], from: i32, to: i32) -> Self {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names of hosts");
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { pem: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone() }
    }
}

impl Start {
    /// Has it speak TLS, and show a certificate to whoever names no domain with one of its own.
    ///
    /// # Panics
    /// When the certificate cannot be written down.
    #[must_use]
    pub fn showing(mut self, certificate: &Certificate) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let written = |name: &str, pem: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, pem).expect("a file");
            path.to_str().expect("a path in UTF-8").to_owned()
        };
        let (chain, key) =
            (written("chain.pem", &certificate.pem), written("key.pem", &certificate.key));
        self.folders.push(folder);
        self.with("--tls-listen", "127.0.0.1:0")
            .with("--tls-certificate", &chain)
            .with("--tls-private-key", &key)
    }
}

/// A connection that trusts a certificate, and the name it asks for.
#[derive(Debug)]
pub struct TlsClient(StreamOwned<ClientConnection, TcpStream>);

impl TlsClient {
    /// Shakes hands; why not, if not.
    ///
    /// # Errors
    /// The server refuses, or shows another certificate.
    ///
    /// # Panics
    /// When there is no connection.
    pub fn connect(
        address: SocketAddr,
        name: &str,
        trusted: &Certificate,
        versions: &[&'static rustls::SupportedProtocolVersion],
        protocols: &[&str],
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.der.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions of TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let session = ClientConnection::new(Arc::new(config), name).expect("a session");
        let socket = TcpStream::connect(address).expect("the server accepts");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket has a timeout");
        let mut stream = StreamOwned::new(session, socket);
        stream.conn.complete_io(&mut stream.sock).map_err(|why| why.to_string())?;
        Ok(Self(stream))
    }

    /// With all versions, and HTTP/1.1.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn plain(address: SocketAddr, name: &str, trusted: &Certificate) -> Result<Self, String> {
        Self::connect(address, name, trusted, rustls::ALL_VERSIONS, &["http/1.1"])
    }

    /// The protocol that both agreed on.
    #[must_use]
    pub fn protocol(&self) -> Option<String> {
        self.0.conn.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned())
    }

    /// Sends what is given and reads until the server closes.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn exchange(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.0.write_all(bytes).expect("it is taken");
        let mut answer = Vec::new();
        // A server that closes without a farewell has still answered.
        let _ = self.0.read_to_end(&mut answer);
        answer
    }

    /// Gets a path of a host over HTTP/1.1; the answer from its first byte to its last.
    pub fn get(&mut self, host: &str, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        String::from_utf8_lossy(&self.exchange(request.as_bytes())).into_owned()
    }
}
