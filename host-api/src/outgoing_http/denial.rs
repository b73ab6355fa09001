//! Why a request was not made: each reason typed, counted, and told to the guest as a `wasi:http` error code.
//!
//! A guest learns the kind of reason and nothing about the network behind it: not which address a name had, nor why the host
//! may not go there.

use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime_wasi_http::Error;

use super::address::AddressKind;

/// Why a request of a guest was refused before anything was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denial {
    /// The URI cannot be read as scheme, host and port.
    #[error("request URI is refused: {reason}")]
    BadUri {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The method opens a tunnel, which would take the connection out of this module's hands.
    #[error("method CONNECT is refused")]
    Tunnel,
    /// No grant covers the destination.
    #[error("no grant covers `{destination}`")]
    NotGranted {
        /// Scheme, host and port.
        destination: String,
    },
    /// The host is not one of the public internet, and its grant does not say `private`.
    #[error("`{host}` has only addresses that are not public ({kind:?})")]
    NotPublic {
        /// The host.
        host: String,
        /// The kind of the last address that was looked at.
        kind: AddressKind,
    },
    /// As many requests as the function may have at once are under way.
    #[error("{limit} requests of this function are under way, its limit")]
    TooMany {
        /// The limit.
        limit: u32,
    },
    /// The invocation's time is up.
    #[error("the deadline of the invocation has passed")]
    TooLate,
    /// This build has no TLS.
    #[error("https needs the feature `tls`, which this build lacks")]
    NoTls,
}

impl From<Denial> for Error {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::BadUri { .. } => Self::HttpRequestUriInvalid,
            Denial::Tunnel | Denial::NotGranted { .. } => Self::HttpRequestDenied,
            Denial::NotPublic { .. } => Self::DestinationIpProhibited,
            Denial::TooMany { .. } => Self::ConnectionLimitReached,
            Denial::TooLate => Self::ConnectionTimeout,
            Denial::NoTls => Self::ConfigurationError,
        }
    }
}

/// How often each thing happened since the function was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EgressCounts {
    /// Requests that were handed to a connection.
    pub sent: u64,
    /// Requests whose URI or method was refused.
    pub bad_request: u64,
    /// Requests that no grant covers.
    pub not_granted: u64,
    /// Requests to a host without a public address.
    pub not_public: u64,
    /// Requests over the limit of concurrent ones.
    pub too_many: u64,
    /// Requests past the deadline, and those this build cannot make.
    pub other: u64,
}

/// The running counters behind [`EgressCounts`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    sent: AtomicU64,
    bad_request: AtomicU64,
    not_granted: AtomicU64,
    not_public: AtomicU64,
    too_many: AtomicU64,
    other: AtomicU64,
}

impl Counters {
    pub(super) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn denied(&self, denial: &Denial) {
        let counter = match denial {
            Denial::BadUri { .. } | Denial::Tunnel => &self.bad_request,
            Denial::NotGranted { .. } => &self.not_granted,
            Denial::NotPublic { .. } => &self.not_public,
            Denial::TooMany { .. } => &self.too_many,
            Denial::TooLate | Denial::NoTls => &self.other,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> EgressCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        EgressCounts {
            sent: read(&self.sent),
            bad_request: read(&self.bad_request),
            not_granted: read(&self.not_granted),
            not_public: read(&self.not_public),
            too_many: read(&self.too_many),
            other: read(&self.other),
        }
    }
}
