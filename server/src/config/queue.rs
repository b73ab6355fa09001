//! The queue of asynchronous invocations.

use std::time::Duration;

use hearth_platform::QueueConfig;
use hearth_platform::queue::RETRIES_MAX;
use serde::{Deserialize, Serialize};

use super::{ConfigError, Size, Span};

/// The queue of asynchronous invocations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueSection {
    /// Largest event that is queued. Default 128KiB.
    pub event_size: Size,
    /// Invocations queued for one function; more are refused. Default 1000000.
    pub depth: u64,
    /// Queued invocations that run at once; with 0 they only wait. One function takes no more of them than it leaves free. Default 128.
    pub concurrency: u32,
    /// Attempts after the first when the function fails, 0 to 8. Default 3.
    pub retries: u32,
    /// How old an invocation may become before it is no longer run. Default 24h.
    pub age: Span,
    /// The wait before the second attempt; it doubles with each. Default 500ms.
    pub backoff: Span,
    /// The longest wait between attempts. Default 5m.
    pub backoff_max: Span,
    /// Ends of the server, as by a crash, under one invocation before that gives up. Default 16.
    pub crashes: u32,
    /// Invocations that gave up and are kept to be looked at. Default 100000.
    pub dead_letters: u64,
    /// How long they are kept. Default 168h.
    pub dead_letter_age: Span,
    /// How long an HTTP destination may take to answer. Default 10s.
    pub destination_timeout: Span,
    /// Whether HTTP destinations may be at addresses that are not public: this machine's, private networks'. Default false.
    pub destination_private: bool,
    /// How long records of stateful invocations are kept. Default 168h.
    pub stateful_age: Span,
    /// How many of them are kept for one function. Default 100000.
    pub stateful_kept: u64,
}

/// How long an HTTP destination may take to answer.
const DESTINATION_TIMEOUT: Duration = Duration::from_secs(10);

impl Default for QueueSection {
    fn default() -> Self {
        let queue = QueueConfig::default();
        Self {
            event_size: Size(queue.payload_bytes),
            depth: queue.depth,
            concurrency: u32::try_from(queue.in_flight).unwrap_or(u32::MAX),
            retries: queue.retries,
            age: Span(queue.age),
            backoff: Span(queue.backoff),
            backoff_max: Span(queue.backoff_max),
            crashes: queue.crashes,
            dead_letters: queue.dead_letters,
            dead_letter_age: Span(queue.dead_letter_age),
            destination_timeout: Span(DESTINATION_TIMEOUT),
            destination_private: false,
            stateful_age: Span(queue.stateful_age),
            stateful_kept: queue.stateful_kept,
        }
    }
}

impl QueueSection {
    /// Refuses values under which no invocation would be accepted, or none would run.
    ///
    /// # Errors
    /// The first such value, and what it may be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |why: String| Err(ConfigError::Refused { why });
        if self.retries > RETRIES_MAX {
            return refuse(format!(
                "queue.retries is {}; it may be 0 to {RETRIES_MAX}",
                self.retries
            ));
        }
        if self.age.0.is_zero() {
            return refuse("queue.age is 0; nothing would run; say a time such as 24h".to_owned());
        }
        if self.backoff.0 > self.backoff_max.0 {
            return refuse(format!(
                "queue.backoff is {}, longer than queue.backoff_max with {}",
                self.backoff, self.backoff_max
            ));
        }
        Ok(())
    }

    /// The platform's own configuration; what runs at shutdown may go on for `drain`.
    pub fn to_queue(&self, drain: Span) -> QueueConfig {
        QueueConfig {
            payload_bytes: self.event_size.0,
            depth: self.depth,
            in_flight: self.concurrency as usize,
            retries: self.retries,
            age: self.age.0,
            backoff: self.backoff.0,
            backoff_max: self.backoff_max.0,
            drain: drain.0,
            crashes: self.crashes,
            dead_letters: self.dead_letters,
            dead_letter_age: self.dead_letter_age.0,
            stateful_age: self.stateful_age.0,
            stateful_kept: self.stateful_kept,
            ..QueueConfig::default()
        }
    }
}
