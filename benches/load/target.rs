//! Who is asked for what: an address, and a request as the bytes that are sent each time.

use std::fmt::Write as _;
use std::net::{SocketAddr, ToSocketAddrs as _};

/// Where a request goes, and the request.
#[derive(Debug, Clone)]
pub struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) request: Vec<u8>,
}

/// Why there is no such target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetError {
    /// Not `http://host[:port]/path`.
    Url(String),
    /// A host without an address.
    Host(String),
    /// `HEAD`, whose answers look as if a body followed, or no method at all.
    Method(String),
    /// Not `name: value`, or a line break in it.
    Header(String),
}

impl std::error::Error for TargetError {}

impl std::fmt::Display for TargetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(url) => {
                write!(f, "{url} is no URL that can be asked; give http://host:port/path")
            }
            Self::Host(host) => write!(f, "{host} has no address; is the name right?"),
            Self::Method(method) => write!(f, "method {method} cannot be used; try GET or POST"),
            Self::Header(header) => write!(f, "{header:?} is no header; give 'name: value'"),
        }
    }
}

impl Target {
    /// A `GET` of that URL.
    ///
    /// # Errors
    /// When the URL is none of `http`, or its host has no address.
    pub fn get(url: &str) -> Result<Self, TargetError> {
        Self::new(url, "GET", &[], &[])
    }

    /// That method, those headers (`name: value`) and that body. `Host` and `Content-Length` are added.
    ///
    /// # Errors
    /// When the URL is none of `http`, its host has no address, or a header or the method cannot be sent.
    pub fn new(
        url: &str,
        method: &str,
        headers: &[String],
        body: &[u8],
    ) -> Result<Self, TargetError> {
        let bad_url = || TargetError::Url(url.to_owned());
        let uri: http::Uri = url.parse().map_err(|_| bad_url())?;
        let authority = uri.authority().ok_or_else(bad_url)?;
        if uri.scheme_str() != Some("http") {
            return Err(bad_url());
        }
        let bad_method = || TargetError::Method(method.to_owned());
        let method = http::Method::from_bytes(method.as_bytes()).map_err(|_| bad_method())?;
        if method == http::Method::HEAD {
            return Err(bad_method());
        }
        let port = authority.port_u16().unwrap_or(80);
        let no_address = || TargetError::Host(authority.host().to_owned());
        let mut addresses = (authority.host(), port).to_socket_addrs().map_err(|_| no_address())?;
        let address = addresses.next().ok_or_else(no_address)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {authority}\r\n");
        for header in headers {
            if !header.contains(':') || header.contains(['\r', '\n']) {
                return Err(TargetError::Header(header.clone()));
            }
            let _ = write!(head, "{header}\r\n");
        }
        if !body.is_empty() || method == http::Method::POST || method == http::Method::PUT {
            let _ = write!(head, "content-length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        Ok(Self { address, request })
    }

    /// Writes this over the last bytes of the request, so that a large body may differ from the one before without being made anew.
    /// What is longer than the request changes nothing.
    pub fn end_with(&mut self, end: &[u8]) {
        let begins = self.request.len().checked_sub(end.len());
        if let Some(last) = begins.and_then(|begins| self.request.get_mut(begins..)) {
            last.copy_from_slice(end);
        }
    }
}
