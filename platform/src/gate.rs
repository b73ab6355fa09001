//! The gate before a trigger: so many requests a second with a burst, and so many at once with a short queue before them.
//!
//! The rate is a bucket of tokens kept as one number (the generic cell rate algorithm), exact and without a lock. Places are given first
//! come, first served; whoever waits has a deadline, and how many wait is bounded.

use crate::websocket::WEBSOCKET_KEY;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest rate and burst, in requests.
const RATE_MAX: u32 = 1_000_000;
/// Most requests at once, and most that wait.
const IN_FLIGHT_MAX: u32 = 100_000;
/// The longest wait for a place.
const WAIT_MS_MAX: u32 = 60_000;
/// How long a request waits for a place unless told otherwise.
const WAIT_MS: u32 = 1000;

const NANOS: u64 = 1_000_000_000;

/// What a gate lets through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GateLimits {
    /// Requests a second and how many may come at once; none is no limit.
    pub rate: Option<(u32, u32)>,
    /// Requests at once; none is no limit.
    pub in_flight: Option<u32>,
    /// Requests that may wait for a place.
    pub queue: u32,
    /// How long one waits.
    pub queue_wait: Duration,
}

impl GateLimits {
    /// Limits as a configuration says them: `rate`, `burst`, `maxInFlight`, `queue`, `queueWaitMs`, all whole numbers.
    ///
    /// # Errors
    /// What is unknown, no number, out of bounds or without what it belongs to.
    pub fn read(config: &Map<String, Value>) -> Result<Self, String> {
        const KNOWN: [&str; 5] = ["rate", "burst", "maxInFlight", "queue", "queueWaitMs"];
        let is_known = |key: &str| KNOWN.contains(&key) || key == WEBSOCKET_KEY;
        if let Some(unknown) = config.keys().find(|key| !is_known(key)) {
            let shown: String = unknown.chars().take(64).collect();
            return Err(format!(
                "there is no limit `{}`; there are {}",
                shown.escape_debug(),
                KNOWN.join(", ")
            ));
        }
        let number = |name: &str, from: u32, to: u32| match config.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_u64()
                .and_then(|number| u32::try_from(number).ok())
                .filter(|number| (from..=to).contains(number))
                .map(Some)
                .ok_or_else(|| format!("`{name}` is not a whole number from {from} to {to}")),
        };
        let rate = number("rate", 1, RATE_MAX)?;
        let burst = number("burst", 1, RATE_MAX)?;
        let in_flight = number("maxInFlight", 1, IN_FLIGHT_MAX)?;
        let queue = number("queue", 0, IN_FLIGHT_MAX)?;
        let wait = number("queueWaitMs", 0, WAIT_MS_MAX)?;
        if burst.is_some() && rate.is_none() {
            return Err("`burst` means nothing without `rate`".to_owned());
        }
        if (queue.is_some() || wait.is_some()) && in_flight.is_none() {
            return Err("`queue` and `queueWaitMs` mean nothing without `maxInFlight`".to_owned());
        }
        Ok(Self {
            rate: rate.map(|rate| (rate, burst.unwrap_or(rate))),
            in_flight,
            queue: queue.unwrap_or(0),
            queue_wait: Duration::from_millis(wait.unwrap_or(WAIT_MS).into()),
        })
    }
}

/// Why a gate stayed shut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateRefusal {
    /// More requests than the rate allows.
    #[error("more than {rate} requests a second came (burst {burst}); try again in {} ms", .retry_after.as_millis())]
    Rate {
        /// Requests a second.
        rate: u32,
        /// How many may come at once.
        burst: u32,
        /// When one would be let through.
        retry_after: Duration,
    },
    /// Too many at once, and too many wait.
    #[error(
        "{in_flight} requests are being served and {queue} wait; the limits of the trigger are reached"
    )]
    Full {
        /// The limit of requests at once.
        in_flight: u32,
        /// The limit of those that wait.
        queue: u32,
    },
    /// No place became free in time.
    #[error("{in_flight} requests are being served; none of them ended within {} ms", .waited.as_millis())]
    WaitedTooLong {
        /// The limit of requests at once.
        in_flight: u32,
        /// How long it waited.
        waited: Duration,
    },
}

impl GateRefusal {
    /// When to try again.
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::Rate { retry_after, .. } => *retry_after,
            Self::Full { .. } | Self::WaitedTooLong { .. } => Duration::from_secs(1),
        }
    }

    /// The name of the reason in metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Rate { .. } => "trigger_rate",
            Self::Full { .. } => "trigger_full",
            Self::WaitedTooLong { .. } => "trigger_waited_too_long",
        }
    }
}

/// A gate. Requests that are let through hold their [`Pass`] until they are done.
#[derive(Debug)]
pub struct Gate {
    limits: GateLimits,
    began: Instant,
    /// When the bucket would be full again, in nanoseconds since `began`.
    full_at: AtomicU64,
    places: Option<Arc<Semaphore>>,
    waiting: AtomicU32,
}

/// The right of one request to be served; its place is free again when this is dropped.
#[derive(Debug, Default)]
pub struct Pass(#[expect(dead_code, reason = "held for its drop")] Option<OwnedSemaphorePermit>);

/// Counts one that waits, also when its future is dropped.
struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    /// A gate with these limits, its bucket full.
    pub fn new(limits: GateLimits) -> Self {
        let places = limits.in_flight.map(|count| Arc::new(Semaphore::new(count as usize)));
        Self {
            limits,
            began: Instant::now(),
            full_at: AtomicU64::new(0),
            places,
            waiting: AtomicU32::new(0),
        }
    }

    /// Lets one request through, now or after a wait.
    ///
    /// # Errors
    /// [`GateRefusal`] says which limit is reached.
    pub async fn enter(&self) -> Result<Pass, GateRefusal> {
        if self.limits.rate.is_some() {
            let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.take_token(now)?;
        }
        let Some(places) = &self.places else { return Ok(Pass(None)) };
        // First come, first served: the semaphore hands nothing out past those who wait.
        if let Ok(permit) = places.clone().try_acquire_owned() {
            return Ok(Pass(Some(permit)));
        }
        let in_flight = self.limits.in_flight.unwrap_or(0);
        let queue = self.limits.queue;
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= queue {
            return Err(GateRefusal::Full { in_flight, queue });
        }
        let waited = self.limits.queue_wait;
        // Boxed, so that who need not wait does not carry the clock.
        match Box::pin(tokio::time::timeout(waited, places.clone().acquire_owned())).await {
            Ok(Ok(permit)) => Ok(Pass(Some(permit))),
            Ok(Err(_)) | Err(_) => Err(GateRefusal::WaitedTooLong { in_flight, waited }),
        }
    }

    /// Takes a token at a time, in nanoseconds since the gate was made.
    fn take_token(&self, now: u64) -> Result<(), GateRefusal> {
        let Some((rate, burst)) = self.limits.rate else { return Ok(()) };
        let each = NANOS / u64::from(rate.max(1));
        let depth = each.saturating_mul(u64::from(burst));
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let next = full_at.max(now).saturating_add(each);
            let over = next.saturating_sub(now).saturating_sub(depth);
            if over > 0 {
                let retry_after = Duration::from_nanos(over);
                return Err(GateRefusal::Rate { rate, burst, retry_after });
            }
            match self.full_at.compare_exchange_weak(
                full_at,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(seen) => full_at = seen,
            }
        }
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
