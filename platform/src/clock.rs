//! Wall-clock time for records and leases, behind a port so that tests can move it. It never goes backwards within a process:
//! a clock set back by an operator must not bring leases back to life or reorder the journal.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// Milliseconds since the Unix epoch; never less than it said before.
    fn now_ms(&self) -> u64;
}

/// The system's clock, held against going back.
#[derive(Debug, Default)]
pub struct SystemClock {
    latest: AtomicU64,
}

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let now = to_ms(SystemTime::now());
        self.latest.fetch_max(now, Ordering::Relaxed).max(now)
    }
}

/// Milliseconds since the Unix epoch; 0 for times before it.
pub fn to_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A clock that moves only when told, for tests.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct ManualClock(pub(crate) AtomicU64);

#[cfg(test)]
impl ManualClock {
    pub(crate) fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

#[cfg(test)]
impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
