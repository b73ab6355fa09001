//! Bounds of connections and requests.

use serde::{Deserialize, Serialize};

use super::{ConfigError, Size, Span};

/// Bounds of connections and requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSection {
    /// Threads that serve requests and run guests, each with its own listener. Default 0: one per core.
    pub threads: u32,
    /// Connections at once over all threads; more wait in the system's accept queue. Default 10000.
    pub connections: u32,
    /// Whether HTTP/2 is served beside HTTP/1.1: to clients that begin with its preface, and over TLS to those that choose it.
    /// Default true.
    pub h2: bool,
    /// Requests at once on one HTTP/2 connection; more are refused, which clients try again. Default 128.
    pub h2_streams: u32,
    /// Whether responses of HTTP functions are compressed for clients that take it. Default true.
    pub compression: bool,
    /// All header lines of a request together. Default 32KiB; more is answered 431.
    pub header_size: Size,
    /// Header lines of a request. Default 100; more is answered 431.
    pub headers: u32,
    /// Body of an invocation. Default 6MiB, at most 32MiB.
    pub event_size: Size,
    /// Body of any other request: an upload, encoded as it is sent; also the largest object that is read as code. Default 100MiB.
    pub upload_size: Size,
    /// Memory for the bodies of all requests that are being read or served. Default 512MiB; more are answered 429.
    pub body_budget: Size,
    /// Time to send the header of a request, from its first byte. Default 10s.
    pub header_timeout: Span,
    /// Time to send the body of a request. Default 2m.
    pub body_timeout: Span,
    /// A connection without a request is closed after this time. Default 75s.
    pub idle_timeout: Span,
    /// A client that takes nothing of its answer for this time is cut off. Default 30s.
    pub write_timeout: Span,
}

impl Default for HttpSection {
    fn default() -> Self {
        Self {
            threads: 0,
            connections: 10_000,
            h2: true,
            h2_streams: 128,
            compression: true,
            header_size: Size(32 << 10),
            headers: 100,
            event_size: Size(6 << 20),
            upload_size: Size(100 << 20),
            body_budget: Size(512 << 20),
            header_timeout: Span::seconds(10),
            body_timeout: Span::seconds(120),
            idle_timeout: Span::seconds(75),
            write_timeout: Span::seconds(30),
        }
    }
}

impl HttpSection {
    /// Checks all bounds.
    ///
    /// # Errors
    /// [`ConfigError::Refused`] names the first setting that is out of bounds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let timeouts =
            [self.header_timeout, self.body_timeout, self.idle_timeout, self.write_timeout];
        let checks = [
            ("http.threads", self.threads <= 1024, "must be at most 1024"),
            ("http.connections", self.connections >= 1, "must be at least 1"),
            ("http.h2_streams", (1..=1000).contains(&self.h2_streams), "must be 1 to 1000"),
            (
                "http.header_size",
                (4 << 10..=1 << 20).contains(&self.header_size.0),
                "must be 4KiB to 1MiB",
            ),
            ("http.headers", (16..=1000).contains(&self.headers), "must be 16 to 1000"),
            ("http.event_size", self.event_size.0 <= 32 << 20, "must be at most 32MiB"),
            ("http.upload_size", self.upload_size.0 <= 1 << 30, "must be at most 1GiB"),
            (
                "http.body_budget",
                self.body_budget.0 >= self.upload_size.0,
                "must be at least http.upload_size",
            ),
            (
                "http timeouts",
                timeouts.iter().all(|timeout| timeout.0.as_millis() >= 100),
                "must be at least 100ms",
            ),
        ];
        match checks.iter().find(|(_, holds, _)| !holds) {
            None => Ok(()),
            Some((setting, _, why)) => {
                Err(ConfigError::Refused { why: format!("setting `{setting}` {why}") })
            }
        }
    }
}
