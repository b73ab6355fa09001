//! How a connection ends, and the close code that says so: those of RFC 6455, section 7.4.1.

use hearth_engine::{CLOSE_REASON_BYTES_MAX, Fault, Refusal};
use hearth_platform::PlatformError;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;

use super::BROKEN_OFF;
use super::invocations::Told;

/// How a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// This end closes it.
    Closing(u16, String),
    /// The client closed it.
    Closed(u16, String),
    /// It is of no use any more.
    Broken(&'static str),
}

impl End {
    pub(super) fn closing(code: u16, reason: &str) -> Self {
        Self::Closing(code, reason.to_owned())
    }

    pub(super) fn of_error(error: &Error) -> Self {
        match error {
            Error::Capacity(_) => Self::closing(1009, "the message is too large"),
            Error::Utf8(_) => Self::closing(1007, "the text is not UTF-8"),
            Error::Protocol(why) if !is_gone(error) => Self::Closing(1002, why.to_string()),
            _ => Self::Broken("the connection broke off"),
        }
    }

    /// The end that an invocation is, if it is one.
    pub(super) fn of_told(told: &Told) -> Option<Self> {
        match told {
            Ok(outcome) => match &outcome.result {
                // What a function reports by itself is its own affair.
                Ok(_) | Err(Fault::Returned { .. }) => None,
                Err(Fault::Cancelled) => Some(Self::closing(1001, "the server is going away")),
                Err(_) => Some(Self::closing(1011, "the function failed")),
            },
            Err(PlatformError::Refused(refusal)) => Some(match refusal {
                Refusal::PayloadTooLarge { .. } => Self::closing(1009, "the message is too large"),
                Refusal::Draining => Self::closing(1001, "the server is going away"),
                _ => Self::closing(1013, "too much at once, try again later"),
            }),
            Err(PlatformError::Request(_)) => Some(Self::closing(1001, "the function is gone")),
            Err(_) => Some(Self::closing(1011, "an internal error has occurred")),
        }
    }

    /// What the function is told.
    pub(super) fn told(self) -> (u16, String) {
        match self {
            Self::Closing(code, reason) | Self::Closed(code, reason) => (code, reason),
            Self::Broken(why) => (BROKEN_OFF, why.to_owned()),
        }
    }
}

/// Whether the client left without a word.
fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))
}

/// What fits a close frame.
pub(super) fn fitting(reason: &str) -> &str {
    reason.get(..reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX)).unwrap_or_default()
}
