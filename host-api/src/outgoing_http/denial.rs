//! Why a request was not made: each reason typed, counted (in `counts.rs`), and told to the guest as a `wasi:http` error code.
//!
//! A guest learns the kind of reason and nothing about the network behind it: not which address a name had, nor why the host
//! may not go there.

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
    /// Functions called one another over HTTP too often to get here.
    #[error("functions call one another more than {limit} levels deep")]
    TooDeep {
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
            Denial::TooDeep { .. } => Self::LoopDetected,
            Denial::TooLate => Self::ConnectionTimeout,
            Denial::NoTls => Self::ConfigurationError,
        }
    }
}
