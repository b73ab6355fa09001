//! The gate before a trigger or a route: so many requests a second with a burst, and so many at once with a short queue before them.
//!
//! The rate is a bucket of tokens kept as one number (the generic cell rate algorithm), exact and without a lock. Places are given first
//! come, first served; whoever waits has a deadline, and how many wait is bounded.

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

/// What a gate stands before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gated {
    /// A trigger, however requests come to it.
    Trigger,
    /// A route of a custom domain.
    Route,
}

impl std::fmt::Display for Gated {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Trigger => "trigger",
            Self::Route => "route",
        })
    }
}

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
    /// Limits as the field `hearth` of a configuration says them: `rate`, `burst`, `maxInFlight`, `queue`, `queueWaitMs`, all whole
    /// numbers. None sets none. `others` are the fields beside them that somebody else reads.
    ///
    /// # Errors
    /// What is unknown, no number, out of bounds or without what it belongs to.
    pub fn read(config: Option<&Value>, others: &[&str]) -> Result<Self, String> {
        match config {
            None | Some(Value::Null) => Ok(Self::default()),
            Some(Value::Object(limits)) => {
                Self::of_fields(limits, others).map_err(|why| format!("`hearth`: {why}"))
            }
            Some(_) => Err("`hearth` is not an object of limits".to_owned()),
        }
    }

    fn of_fields(config: &Map<String, Value>, others: &[&str]) -> Result<Self, String> {
        const KNOWN: [&str; 5] = ["rate", "burst", "maxInFlight", "queue", "queueWaitMs"];
        let is_known = |key: &str| KNOWN.contains(&key) || others.contains(&key);
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
    #[error("the {of} takes {rate} requests a second (burst {burst}) and more came; try again in {} ms", .retry_after.as_millis())]
    Rate {
        /// Whose limit it is.
        of: Gated,
        /// Requests a second.
        rate: u32,
        /// How many may come at once.
        burst: u32,
        /// When one would be let through.
        retry_after: Duration,
    },
    /// Too many at once, and too many wait.
    #[error(
        "{in_flight} requests are being served and {queue} wait; the limits of the {of} are reached"
    )]
    Full {
        /// Whose limits they are.
        of: Gated,
        /// The limit of requests at once.
        in_flight: u32,
        /// The limit of those that wait.
        queue: u32,
    },
    /// No place became free in time.
    #[error("the {of} serves {in_flight} requests at once; none of them ended within {} ms", .waited.as_millis())]
    WaitedTooLong {
        /// Whose limit it is.
        of: Gated,
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
            Self::Rate { of: Gated::Trigger, .. } => "trigger_rate",
            Self::Full { of: Gated::Trigger, .. } => "trigger_full",
            Self::WaitedTooLong { of: Gated::Trigger, .. } => "trigger_waited_too_long",
            Self::Rate { of: Gated::Route, .. } => "route_rate",
            Self::Full { of: Gated::Route, .. } => "route_full",
            Self::WaitedTooLong { of: Gated::Route, .. } => "route_waited_too_long",
        }
    }
}

/// A gate. Requests that are let through hold their [`Pass`] until they are done.
#[derive(Debug)]
pub struct Gate {
    of: Gated,
    limits: GateLimits,
    began: Instant,
    /// When the bucket would be full again, in nanoseconds since `began`.
    full_at: AtomicU64,
    places: Option<Arc<Semaphore>>,
    waiting: AtomicU32,
}

/// The right of one request to be served; its places are free again when this is dropped.
#[derive(Debug, Default)]
pub struct Pass {
    #[expect(dead_code, reason = "held for its drop")]
    place: Option<OwnedSemaphorePermit>,
    /// That of the gate before, where there were two.
    #[expect(dead_code, reason = "held for its drop")]
    before: Option<OwnedSemaphorePermit>,
}

/// Counts one that waits, also when its future is dropped.
struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    /// A gate with these limits, its bucket full.
    pub fn new(of: Gated, limits: GateLimits) -> Self {
        let places = limits.in_flight.map(|count| Arc::new(Semaphore::new(count as usize)));
        Self {
            of,
            limits,
            began: Instant::now(),
            full_at: AtomicU64::new(0),
            places,
            waiting: AtomicU32::new(0),
        }
    }

    /// Whether it has a limit; if not, it lets everybody through at once and counts nobody.
    pub fn is_limited(&self) -> bool {
        self.limits.rate.is_some() || self.places.is_some()
    }

    /// Lets one request through, now or after a wait.
    ///
    /// # Errors
    /// [`GateRefusal`] says which limit is reached.
    pub async fn enter(&self) -> Result<Pass, GateRefusal> {
        Ok(Pass { place: self.place().await?, before: None })
    }

    /// Lets one request through, past another gate that stands before this one. While it waits here it keeps its place there.
    ///
    /// # Errors
    /// [`GateRefusal`] says which limit of which gate is reached.
    pub async fn enter_after(&self, other: &Self) -> Result<Pass, GateRefusal> {
        let before = other.place().await?;
        Ok(Pass { place: self.place().await?, before })
    }

    /// A place of this gate, now or after a wait; none where it counts none.
    async fn place(&self) -> Result<Option<OwnedSemaphorePermit>, GateRefusal> {
        if self.limits.rate.is_some() {
            let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.take_token(now)?;
        }
        let Some(places) = &self.places else { return Ok(None) };
        // First come, first served: the semaphore hands nothing out past those who wait.
        if let Ok(permit) = places.clone().try_acquire_owned() {
            return Ok(Some(permit));
        }
        let (of, in_flight) = (self.of, self.limits.in_flight.unwrap_or(0));
        let queue = self.limits.queue;
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= queue {
            return Err(GateRefusal::Full { of, in_flight, queue });
        }
        let waited = self.limits.queue_wait;
        // Boxed, so that who need not wait does not carry the clock.
        match Box::pin(tokio::time::timeout(waited, places.clone().acquire_owned())).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            Ok(Err(_)) | Err(_) => Err(GateRefusal::WaitedTooLong { of, in_flight, waited }),
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
                return Err(GateRefusal::Rate { of: self.of, rate, burst, retry_after });
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
