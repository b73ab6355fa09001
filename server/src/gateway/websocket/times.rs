//! When a connection last moved. Two numbers that the sending and the receiving side share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Two moments of one connection.
#[derive(Debug)]
pub(super) struct Times {
    start: Instant,
    /// In milliseconds after the start, like the other.
    moved: AtomicU64,
    heard: AtomicU64,
}

impl Times {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), moved: AtomicU64::new(0), heard: AtomicU64::new(0) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A message went, either way.
    pub(super) fn moved(&self) {
        self.moved.store(self.now(), Ordering::Relaxed);
    }

    /// The client gave a sign of life.
    pub(super) fn heard(&self) {
        self.heard.store(self.now(), Ordering::Relaxed);
    }

    pub(super) fn last_moved(&self) -> Instant {
        self.start + Duration::from_millis(self.moved.load(Ordering::Relaxed))
    }

    pub(super) fn last_heard(&self) -> Instant {
        self.start + Duration::from_millis(self.heard.load(Ordering::Relaxed))
    }
}
