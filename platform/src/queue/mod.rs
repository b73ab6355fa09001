//! Durable async invocations: accepted only when they are on disk, leased, run, settled. What is accepted ends in exactly one terminal
//! record.
//!
//! Bounded per function by a depth, by payload and by age; payloads stay on disk until their turn. The queue runs nothing itself: the
//! runner does, through the same line as a sync invocation.

mod attempt;
mod backoff;
mod destination;
mod runner;
#[cfg(test)]
mod runner_tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::error::{Kind, PlatformError, RequestError};
use crate::journal::{InvocationRecord, InvocationType, Status, note};
use crate::name::{InvocationId, Target};
use crate::platform::{Platform, PlatformStats};
use crate::storage::{
    Effect, Found, Item, Leased, NewItem, Op, PRUNE_MAX, Query, Storage, StorageError,
};

pub use destination::{Destination, DestinationKind};

/// Most dead letters on one page: each may carry a whole payload.
const DEAD_LETTERS_MAX: usize = 100;
/// Most attempts after the first that a caller may ask for.
pub const RETRIES_MAX: u32 = 8;

/// Bounds and timing of async invocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueConfig {
    /// Bytes of one payload. Default 128 KiB.
    pub payload_bytes: u64,
    /// Invocations queued for one function. Default 1,000,000.
    pub depth: u64,
    /// Queued invocations that run at once. Default 64.
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
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            payload_bytes: 128 * 1024,
            depth: 1_000_000,
            in_flight: 64,
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
        }
    }
}

/// How one invocation is to be queued. The default is: now, with the retries and the age that are set for the target, else the
/// platform's.
#[derive(Debug, Clone, Default)]
pub struct EnqueueOptions {
    /// Its id; a fresh one unless given. Queued and parked invocations cannot share one.
    pub id: Option<InvocationId>,
    /// Not before this time has passed.
    pub delay: Duration,
    /// Attempts after the first, at most [`RETRIES_MAX`].
    pub retries: Option<u32>,
    /// How old it may become.
    pub age: Option<Duration>,
    /// W3C `traceparent`.
    pub trace_parent: Option<String>,
    /// Name and type of the trigger that caused it.
    pub trigger: Option<(String, String)>,
}

/// An invocation that gave up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its request id.
    pub id: String,
    /// `service/function`.
    pub function: String,
    /// Why it gave up.
    pub reason: String,
    /// Its event.
    pub payload: Bytes,
    /// Attempts that the function failed.
    pub attempts: u32,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub accepted_ms: u64,
    /// When it gave up.
    pub parked_ms: u64,
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

    /// Puts an item on disk.
    pub(crate) async fn enqueue(
        &self,
        ticket: &Ticket,
        payload: Bytes,
        options: &EnqueueOptions,
    ) -> Result<InvocationId, PlatformError> {
        let (size_bytes, limit_bytes) = (payload.len() as u64, self.config.payload_bytes);
        if size_bytes > limit_bytes {
            let what = "event";
            return Err(RequestError::TooLarge { what, size_bytes, limit_bytes }.into());
        }
        let id = options.id.clone().unwrap_or_else(InvocationId::random);
        let now = self.clock.now_ms();
        let body = serde_json::to_vec(ticket).map_err(|error| PlatformError::Failure {
            what: "encoding a queued invocation",
            why: error.to_string(),
        })?;
        let item = NewItem {
            id: id.to_string(),
            lane: format!("{}/{}", ticket.service, ticket.function),
            body: body.into(),
            payload,
            accepted_ms: now,
            due_ms: now.saturating_add(millis(options.delay)),
            expire_ms: now.saturating_add(millis(options.age.unwrap_or(self.config.age))),
        };
        let op = Op::Enqueue { item, lane_limit: self.config.depth };
        match self.storage.commit(vec![op]).await {
            Ok(_) => {
                self.enqueued.fetch_add(1, Ordering::Relaxed);
                Ok(id)
            }
            Err(StorageError::LaneFull { lane, limit }) => {
                let retry_after = Duration::from_secs(1);
                Err(RequestError::Throttled { function: lane, limit, retry_after }.into())
            }
            Err(StorageError::Duplicate { id }) => {
                Err(RequestError::AlreadyExists { kind: Kind::Invocation, name: id }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ends an invocation that is queued or running.
    async fn cancel(&self, id: &str) -> Result<(), PlatformError> {
        let missing = || RequestError::NotFound { kind: Kind::Invocation, name: id.to_owned() };
        let Found::Item(Some(item)) = self.storage.read(Query::Item { id: id.to_owned() }).await?
        else {
            return Err(missing().into());
        };
        let error = note("cancelled", "stopped on request");
        let mut record = self.record(&item, Status::Cancelled);
        record.error = Some(error);
        let op = Op::Cancel { id: id.to_owned(), record: record.row() };
        let effects = self.storage.commit(vec![op]).await?;
        if effects.first() != Some(&Effect::Removed(1)) {
            return Err(missing().into());
        }
        self.settled.fetch_add(1, Ordering::Relaxed);
        if let Some(held) = self.held.get(id) {
            held.cancelled.notify_one();
        }
        Ok(())
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
        }
    }

    /// Removes dead letters beyond the bounds.
    pub(crate) async fn prune_dead_letters(&self) -> Result<(), StorageError> {
        let before_ms = self.clock.now_ms().saturating_sub(millis(self.config.dead_letter_age));
        loop {
            let op = Op::PruneParked { before_ms, keep: self.config.dead_letters };
            let effects = self.storage.commit(vec![op]).await?;
            if effects.first() != Some(&Effect::Removed(PRUNE_MAX as u64)) {
                return Ok(());
            }
        }
    }
}

impl Platform {
    /// Accepts an invocation to be run later. It is on disk when this returns, and ends in exactly one terminal record.
    ///
    /// # Errors
    /// The target does not exist; the payload is too large; the function's queue is full; the id is taken; storage. Nothing was
    /// accepted then, except after [`StorageError::Io`], when it is unknown.
    pub async fn enqueue(
        &self,
        target: Target<'_>,
        payload: Bytes,
        options: EnqueueOptions,
    ) -> Result<InvocationId, PlatformError> {
        self.inner().resolve(target)?;
        let queue = &self.inner().queue;
        let settings = self.inner().catalog.async_settings(target);
        let retries = options.retries.or(settings.retries).unwrap_or(queue.config.retries);
        if retries > RETRIES_MAX {
            let why = format!("{retries} is more than {RETRIES_MAX}");
            return Err(RequestError::invalid("retries", why).into());
        }
        let ticket = Ticket {
            service: target.service.to_owned(),
            qualifier: target.qualifier.map(str::to_owned),
            function: target.function.to_owned(),
            retries,
            trace_parent: options.trace_parent.clone(),
            trigger: options.trigger.clone(),
            on_success: settings.on_success,
            on_failure: settings.on_failure,
        };
        let age = options.age.or_else(|| settings.age_s.map(Duration::from_secs));
        queue.enqueue(&ticket, payload, &EnqueueOptions { age, ..options }).await
    }

    /// Stops an invocation that is queued or running. It ends as cancelled, and a running guest is ended.
    ///
    /// # Errors
    /// No such invocation, or it ended already; storage.
    pub async fn cancel(&self, id: &str) -> Result<(), PlatformError> {
        self.inner().queue.cancel(id).await
    }

    /// Invocations that gave up, in order of id, from after `after`; at most 100.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn dead_letters(
        &self,
        function: Option<&str>,
        after: &str,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, PlatformError> {
        let query = Query::Parked {
            lane: function.map(str::to_owned),
            after: after.to_owned(),
            limit: limit.clamp(1, DEAD_LETTERS_MAX),
        };
        let Found::Parked(parked) = self.inner().storage.read(query).await? else {
            return Ok(Vec::new());
        };
        let letters = parked.into_iter().map(|parked| {
            let Item { new, attempts, .. } = parked.item;
            DeadLetter {
                id: new.id,
                function: new.lane,
                reason: parked.reason,
                payload: new.payload,
                attempts,
                accepted_ms: new.accepted_ms,
                parked_ms: parked.parked_ms,
            }
        });
        Ok(letters.collect())
    }

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
