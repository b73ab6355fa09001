//! When each request of a run at a constant rate is meant to be sent: known before the run, and moved by nothing that happens in it.

use std::time::Duration;

/// Times since the run began, one for each request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    per_second: f64,
    count: u64,
}

impl Schedule {
    /// As many requests as fit into that time, the first at its beginning.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is at least nothing, and below 2^52"
    )]
    pub fn new(per_second: f64, time: Duration) -> Self {
        let count = (per_second * time.as_secs_f64()).ceil().max(0.0) as u64;
        Self { per_second, count }
    }

    /// How many requests there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// When that request is meant to be sent; none behind the last. Counted from its number, so that nothing adds up.
    #[must_use]
    pub fn intended(&self, number: u64) -> Option<Duration> {
        #[expect(clippy::cast_precision_loss, reason = "numbers of requests are far below 2^52")]
        let seconds = number as f64 / self.per_second;
        (number < self.count).then(|| Duration::from_secs_f64(seconds))
    }
}
