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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back() {
        let clock = SystemClock::default();
        let before = clock.now_ms();
        assert!(before > 1_600_000_000_000);
        clock.latest.store(before + 60_000, Ordering::Relaxed);
        assert_eq!(clock.now_ms(), before + 60_000, "the system's clock was set back a minute");
        assert_eq!(to_ms(UNIX_EPOCH - std::time::Duration::from_secs(1)), 0);
    }
}
