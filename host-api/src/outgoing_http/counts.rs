//! What became of a function's outgoing requests, in figures. Counting is one relaxed addition; nothing here waits.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::Denial;

/// How often each thing happened since the function was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct EgressCounts {
    /// Requests that had an address to go to and were sent there, or tried to.
    pub sent: u64,
    /// Those of `sent` that took a connection which an earlier one had left.
    pub reused: u64,
    /// Requests that were granted and came to nothing: no address, no connection, a certificate that is not right, silence, an
    /// answer that breaks off or is too large.
    pub failed: u64,
    /// Bytes of request bodies that were taken over to be written.
    pub sent_bytes: u64,
    /// Bytes of response bodies that were handed on.
    pub received_bytes: u64,
    /// Requests whose URI or method was refused.
    pub bad_request: u64,
    /// Requests that no grant covers.
    pub not_granted: u64,
    /// Requests to a host without a public address.
    pub not_public: u64,
    /// Requests over the limit of concurrent ones.
    pub too_many: u64,
    /// Requests of a function that others called, too many levels deep.
    pub too_deep: u64,
    /// Requests past the deadline, and those this build cannot make.
    pub other: u64,
}

impl EgressCounts {
    /// Denied requests, by reason.
    #[must_use]
    pub fn denied(&self) -> [(&'static str, u64); 6] {
        [
            ("bad-request", self.bad_request),
            ("not-granted", self.not_granted),
            ("not-public", self.not_public),
            ("too-many", self.too_many),
            ("too-deep", self.too_deep),
            ("other", self.other),
        ]
    }
}

/// The running counters behind [`EgressCounts`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sent: Counter,
    pub(super) reused: Counter,
    pub(super) failed: Counter,
    pub(super) sent_bytes: Counter,
    pub(super) received_bytes: Counter,
    bad_request: Counter,
    not_granted: Counter,
    not_public: Counter,
    too_many: Counter,
    too_deep: Counter,
    other: Counter,
}

/// One figure that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn one(&self) {
        self.add(1);
    }

    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn denied(&self, denial: &Denial) {
        let counter = match denial {
            Denial::BadUri { .. } | Denial::Tunnel => &self.bad_request,
            Denial::NotGranted { .. } => &self.not_granted,
            Denial::NotPublic { .. } => &self.not_public,
            Denial::TooMany { .. } => &self.too_many,
            Denial::TooDeep { .. } => &self.too_deep,
            Denial::TooLate | Denial::NoTls => &self.other,
        };
        counter.one();
    }

    pub(super) fn read(&self) -> EgressCounts {
        EgressCounts {
            sent: self.sent.read(),
            reused: self.reused.read(),
            failed: self.failed.read(),
            sent_bytes: self.sent_bytes.read(),
            received_bytes: self.received_bytes.read(),
            bad_request: self.bad_request.read(),
            not_granted: self.not_granted.read(),
            not_public: self.not_public.read(),
            too_many: self.too_many.read(),
            too_deep: self.too_deep.read(),
            other: self.other.read(),
        }
    }
}
