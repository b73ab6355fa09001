//! Who is told how an invocation ended: another function, which is one more queued invocation, or an address that somebody else knows
//! how to send to, which is a queued item of its own with retries of its own. Either enters the queue in the commit that ends the
//! invocation it tells of.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::journal::{ErrorNote, Status};

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The name that the caller gave it; opaque here.
    pub name: String,
    /// How it is reached.
    pub kind: DestinationKind,
}

/// How a destination is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DestinationKind {
    /// By invoking a function asynchronously.
    Function {
        /// Its service.
        service: String,
        /// A version, an alias or `LATEST`; none is `LATEST`.
        qualifier: Option<String>,
        /// The function.
        function: String,
    },
    /// By sending to an address, which only who sends it understands.
    Endpoint {
        /// The address.
        address: String,
        /// What is the same of all addresses at one place: they share a turn.
        place: String,
    },
}

/// What a destination is told of an invocation that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<'a> {
    /// Its request id.
    pub request_id: &'a str,
    /// Its service.
    pub service: &'a str,
    /// A version, an alias or `LATEST`; none is `LATEST`.
    pub qualifier: Option<&'a str>,
    /// Its function.
    pub function: &'a str,
    /// What came of it.
    pub status: Status,
    /// What went wrong, if anything did.
    pub error: Option<&'a ErrorNote>,
    /// Attempts that ran.
    pub attempts: u32,
    /// When it ended, in milliseconds since the Unix epoch.
    pub ended_ms: u64,
    /// Its event.
    pub payload: &'a Bytes,
    /// What the function answered.
    pub answer: &'a Bytes,
}

/// Puts what destinations are told into words and sends it to those that are no functions.
pub trait Deliver: Send + Sync + std::fmt::Debug + 'static {
    /// The event for a destination. It is kept on disk until it is delivered.
    fn event(&self, told: &Told<'_>) -> Bytes;

    /// Sends an event to an address, within a time bound of its own. Dropping the future ends it.
    ///
    /// # Errors
    /// Why it is not known to have arrived; it is then tried again.
    fn send<'a>(
        &'a self,
        id: &'a str,
        address: &'a str,
        event: Bytes,
    ) -> BoxFuture<'a, Result<(), DeliveryError>>;
}

/// Why an event is not known to have arrived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address} was not told: {why}")]
pub struct DeliveryError {
    /// Where it was sent to.
    pub address: String,
    /// What happened.
    pub why: String,
    /// Whether trying again can help.
    pub is_final: bool,
    /// How long the one who was told wants to be left alone, if it said so. Waited for, up to the longest wait between attempts.
    pub retry_after: Option<Duration>,
}
