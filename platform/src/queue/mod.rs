//! Durable async invocations: accepted only when they are on disk, leased, run, settled. What is accepted ends in exactly one terminal
//! record.
//!
//! Bounded per function by a depth, by payload and by age; payloads stay on disk until their turn. The queue runs nothing itself: the
//! runner does, through the same line as a sync invocation.

mod accept;
mod attempt;
mod backoff;
mod cancel;
#[cfg(test)]
mod clock_tests;
mod dead_letter;
mod destination;
#[cfg(test)]
mod fairness_tests;
mod outcomes;
mod replay;
mod runner;
#[cfg(test)]
mod runner_tests;
mod settle;
mod stateful;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::error::PlatformError;
use crate::journal::{InvocationRecord, InvocationType, Status};
use crate::name::Target;
use crate::platform::{Platform, PlatformStats};
use crate::storage::{Found, Leased, Op, Query, Storage, StorageError};

pub use accept::{Accepted, EnqueueOptions};
pub use dead_letter::DeadLetter;
pub use destination::{Deliver, DeliveryError, Destination, DestinationKind, Told};
pub use replay::Replay;
pub use stateful::{StatefulFilter, StatefulInvocation, StatefulPage, StatefulStatus};

/// Most attempts after the first that a caller may ask for.
pub const RETRIES_MAX: u32 = 8;

/// Bounds and timing of async invocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueConfig {
    /// Bytes of one payload. Default 128 KiB.
    pub payload_bytes: u64,
    /// Invocations queued for one function. Default 1,000,000.
    pub depth: u64,
    /// Queued invocations that run at once; with 0 they only wait. One function takes no more of them than it leaves free: half when
    /// it is alone, so that none keeps the others waiting. Default 128.
    pub in_flight: usize,
    /// Attempts after the first when the function fails. Default 3.
    pub retries: u32,
    /// How old an invocation may become before it is no longer run. Default 24 hours.
    pub age: Duration,
    /// How long a lease lasts; it is extended at a third while the function runs. Default 60 s.
    pub lease: Duration,
    /// How often the queue is looked at when nothing hints. Default 200 ms.
    pub poll: Duration,
    /// The wait before the second attempt; it doubles with each. Default 500 ms.
    pub backoff: Duration,
    /// The longest wait between attempts. Default 5 minutes.
    pub backoff_max: Duration,
    /// How long running invocations may go on at shutdown; after it they are ended and their leases released. Default 10 s.
    pub drain: Duration,
    /// Leases of one invocation that may end without a word, as when the process dies under it, before it gives up. Default 16.
    pub crashes: u32,
    /// Dead letters kept. Default 100,000.
    pub dead_letters: u64,
    /// How long dead letters are kept. Default 7 days.
    pub dead_letter_age: Duration,
    /// Records of stateful invocations kept for one function. Default 100,000.
    pub stateful_kept: u64,
    /// How long they are kept. Default 7 days.
    pub stateful_age: Duration,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            payload_bytes: 128 * 1024,
            depth: 1_000_000,
            in_flight: 128,
            retries: 3,
            age: Duration::from_secs(24 * 3600),
            lease: Duration::from_secs(60),
            poll: Duration::from_millis(200),
            backoff: Duration::from_millis(500),
            backoff_max: Duration::from_secs(300),
            drain: Duration::from_secs(10),
            crashes: 16,
            dead_letters: 100_000,
            dead_letter_age: Duration::from_secs(7 * 24 * 3600),
            stateful_kept: 100_000,
            stateful_age: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// What the queue needs to run an item; kept with it as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ticket {
    pub(crate) service: String,
    pub(crate) qualifier: Option<String>,
    pub(crate) function: String,
    pub(crate) retries: u32,
    pub(crate) trace_parent: Option<String>,
    pub(crate) trigger: Option<(String, String)>,
    /// Who is told when it succeeded, and when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_success: Option<Destination>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_failure: Option<Destination>,
    /// Its id among the stateful invocations of its function, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stateful: Option<String>,
    /// How many destinations it came through.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) hops: u32,
    /// How many functions called one another to have it accepted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) depth: u32,
    /// Where to send the payload in place of running a function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// Whether the payload is a request that was kept, and no event.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) is_request: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Ticket {
    pub(crate) fn target(&self) -> Target<'_> {
        Target {
            service: &self.service,
            qualifier: self.qualifier.as_deref(),
            function: &self.function,
        }
    }
}

/// A lease that this process holds.
#[derive(Debug, Clone)]
struct Held {
    token: u64,
    attempts: u32,
    deferrals: u32,
    cancelled: Arc<Notify>,
}

/// The queue over its storage.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Invocations that storage held when it was opened.
    waiting_at_start: u64,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: QueueConfig,
    held: DashMap<String, Held>,
    /// Held from before items are claimed until all of them are in `held`.
    claiming: tokio::sync::Mutex<()>,
    enqueued: AtomicU64,
    settled: AtomicU64,
    retried: AtomicU64,
    leases_lost: AtomicU64,
}

impl Queue {
    /// Takes back the leases of an earlier process: it is gone, the data directory is ours.
    pub(crate) async fn open(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        config: QueueConfig,
    ) -> Result<Self, StorageError> {
        storage.commit(vec![Op::Reclaim { now_ms: clock.now_ms() }]).await?;
        let waiting_at_start = waiting(&*storage).await?;
        Ok(Self {
            waiting_at_start,
            storage,
            clock,
            config,
            held: DashMap::new(),
            claiming: tokio::sync::Mutex::new(()),
            enqueued: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            leases_lost: AtomicU64::new(0),
        })
    }

    pub(crate) fn count_into(&self, stats: &mut PlatformStats) {
        stats.queue_running = self.held.len() as u64;
        stats.enqueued = self.enqueued.load(Ordering::Relaxed);
        let ever = self.waiting_at_start + stats.enqueued;
        stats.queue_depth = ever.saturating_sub(self.settled.load(Ordering::Relaxed));
        stats.settled = self.settled.load(Ordering::Relaxed);
        stats.retried = self.retried.load(Ordering::Relaxed);
        stats.leases_lost = self.leases_lost.load(Ordering::Relaxed);
    }

    /// A terminal record of an item, as far as the item tells.
    fn record(&self, item: &Leased, status: Status) -> InvocationRecord {
        InvocationRecord {
            request_id: item.new.id.as_str().into(),
            function: item.new.lane.as_str().into(),
            invocation_type: InvocationType::Async,
            status,
            attempt: item.attempts,
            accepted_ms: item.new.accepted_ms,
            ended_ms: self.clock.now_ms(),
            error: None,
            figures: None,
            event: None,
        }
    }
}

impl Platform {
    /// How many invocations are queued for each function that has any, in order of `service/function`, from after `after`; at most
    /// 1,000.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn queue_depths(&self, after: &str) -> Result<Vec<(String, u64)>, PlatformError> {
        let query = Query::Lanes { after: after.to_owned(), limit: crate::storage::ROWS_MAX };
        match self.inner().storage.read(query).await? {
            Found::Lanes(lanes) => Ok(lanes),
            _ => Ok(Vec::new()),
        }
    }

    /// Works the queue down until `shutdown` is ready, then lets what runs finish for a while, ends the rest and releases its leases.
    ///
    /// Call it once, inside a tokio runtime: attempts are spawned onto it.
    pub async fn run_queue(&self, shutdown: impl Future<Output = ()> + Send) {
        let executor: Arc<dyn attempt::Execute> = self.inner().clone();
        runner::run(&self.inner().clone(), |inner| &inner.queue, executor, shutdown).await;
    }
}

/// How many invocations storage holds.
async fn waiting(storage: &dyn Storage) -> Result<u64, StorageError> {
    let (mut waiting, mut after) = (0, String::new());
    loop {
        let query = Query::Lanes { after: after.clone(), limit: crate::storage::ROWS_MAX };
        let Found::Lanes(lanes) = storage.read(query).await? else { return Ok(waiting) };
        waiting += lanes.iter().map(|(_, depth)| depth).sum::<u64>();
        match lanes.last() {
            Some((last, _)) if lanes.len() >= crate::storage::ROWS_MAX => after.clone_from(last),
            _ => return Ok(waiting),
        }
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
