//! The runner with scripted attempts: what counts, what ends, what happens at shutdown and when a lease is lost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::attempt::{Attempted, Execute};
use super::*;
use crate::async_config::AsyncSettings;
use crate::audit::{Author, Origin, Trail};
use crate::clock::SystemClock;
use crate::error::RequestError;
use crate::journal::note;
use crate::name::InvocationId;
use crate::storage::memory::MemoryStorage;
use crate::storage::{Claim, JournalFilter, JournalRow};

type Script = dyn Fn(&str, u32) -> Attempted + Send + Sync;

/// Answers by item and number of the call; counts the calls.
pub(super) struct Scripted {
    script: Box<Script>,
    calls: Mutex<HashMap<String, u32>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
    takes: Duration,
}

#[async_trait]
impl Execute for Scripted {
    fn event(&self, told: &Told<'_>) -> Option<Bytes> {
        Some(told.request_id.to_owned().into())
    }

    fn settings(&self, _: Target<'_>) -> AsyncSettings {
        AsyncSettings::default()
    }

    async fn execute(&self, item: &Leased, _: &Ticket) -> Attempted {
        let now = self.running.fetch_add(1, SeqCst) + 1;
        self.most_running.fetch_max(now, SeqCst);
        let call = {
            let mut calls = self.calls.lock();
            let call = calls.entry(item.new.id.clone()).or_default();
            *call += 1;
            *call
        };
        tokio::time::sleep(self.takes).await;
        self.running.fetch_sub(1, SeqCst);
        (self.script)(&item.new.id, call)
    }
}

pub(super) fn scripted(
    takes: Duration,
    script: impl Fn(&str, u32) -> Attempted + Send + Sync + 'static,
) -> Arc<Scripted> {
    Arc::new(Scripted {
        script: Box::new(script),
        calls: Mutex::default(),
        running: AtomicUsize::new(0),
        most_running: AtomicUsize::new(0),
        takes,
    })
}

pub(super) fn quick() -> QueueConfig {
    QueueConfig {
        poll: Duration::from_millis(5),
        backoff: Duration::from_millis(4),
        backoff_max: Duration::from_millis(20),
        ..QueueConfig::default()
    }
}

async fn queue(config: QueueConfig) -> Arc<Queue> {
    let storage = Arc::new(MemoryStorage::new());
    Arc::new(Queue::open(storage, Arc::new(SystemClock::default()), config).await.unwrap())
}

pub(super) async fn add(queue: &Queue, id: &str, options: EnqueueOptions) {
    let ticket = Ticket {
        service: "s".into(),
        function: "f".into(),
        retries: queue.config.retries,
        ..Ticket::default()
    };
    let id = Some(InvocationId::parse(id).unwrap());
    let options = EnqueueOptions { id, ..options };
    queue.enqueue(&ticket, Bytes::from_static(b"{}"), &options).await.unwrap();
}

/// A running queue; ends when told.
pub(super) fn start(
    queue: &Arc<Queue>,
    executor: &Arc<Scripted>,
) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel();
    let (queue, executor) = (queue.clone(), executor.clone());
    let run = async move {
        let shutdown = async { drop(stopped.await) };
        runner::run(&queue, |queue| queue, executor, shutdown).await;
    };
    (stop, tokio::spawn(run))
}

async fn journal(queue: &Queue) -> Vec<JournalRow> {
    let filter = JournalFilter { limit: 999, ..JournalFilter::default() };
    let Found::Journal(rows) = queue.storage.read(Query::Journal(filter)).await.unwrap() else {
        return Vec::new();
    };
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Waits until so many terminal records are there.
pub(super) async fn ended(queue: &Queue, count: usize) -> Vec<JournalRow> {
    for _ in 0..2000 {
        let rows = journal(queue).await;
        if rows.len() >= count {
            return rows;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{count} records did not come");
}

async fn parked(queue: &Queue) -> usize {
    let query = Query::Parked { lane: None, after: String::new(), limit: 99 };
    match queue.storage.read(query).await.unwrap() {
        Found::Parked(parked) => parked.len(),
        _ => 0,
    }
}

#[tokio::test]
async fn success_ends_in_one_record() {
    let queue = queue(quick()).await;
    let executor = scripted(Duration::ZERO, |_, _| Attempted::Succeeded(None, Bytes::new()));
    for n in 0..200 {
        add(&queue, &format!("i{n}"), EnqueueOptions::default()).await;
    }
    let (stop, running) = start(&queue, &executor);
    let rows = ended(&queue, 200).await;
    drop(stop);
    running.await.unwrap();
    assert!(rows.iter().all(|row| row.status == "succeeded"));
    assert!(executor.calls.lock().values().all(|calls| *calls == 1));
    assert!(executor.most_running.load(SeqCst) <= queue.config.in_flight);
    assert_eq!(parked(&queue).await, 0);
}

#[tokio::test]
async fn faults_count_and_end_among_the_dead_letters() {
    let queue = queue(quick()).await;
    let executor = scripted(Duration::ZERO, |id, call| match (id, call) {
        ("recovers", 3..) => Attempted::Succeeded(None, Bytes::new()),
        _ => Attempted::Faulted(note("trap", "boom"), None),
    });
    add(&queue, "recovers", EnqueueOptions::default()).await;
    add(&queue, "fails", EnqueueOptions::default()).await;
    let (stop, running) = start(&queue, &executor);
    let rows = ended(&queue, 2).await;
    drop(stop);
    running.await.unwrap();
    let calls = executor.calls.lock().clone();
    assert_eq!((calls["recovers"], calls["fails"]), (3, 4), "first and three retries");
    let failed = rows.iter().find(|row| row.id == "fails").unwrap();
    assert_eq!(failed.status, "failed");
    let record: InvocationRecord = serde_json::from_slice(&failed.body).unwrap();
    assert_eq!((record.attempt, record.error.unwrap().kind.as_str()), (4, "trap"));
    assert_eq!(parked(&queue).await, 1);
}

#[tokio::test]
async fn refusals_do_not_count() {
    let queue = queue(quick()).await;
    let executor = scripted(Duration::ZERO, |_, call| match call {
        ..=9 => Attempted::Deferred(note("queue_full", "busy")),
        _ => Attempted::Succeeded(None, Bytes::new()),
    });
    add(&queue, "i", EnqueueOptions::default()).await;
    let (stop, running) = start(&queue, &executor);
    let rows = ended(&queue, 1).await;
    drop(stop);
    running.await.unwrap();
    let record: InvocationRecord = serde_json::from_slice(&rows[0].body).unwrap();
    assert_eq!((record.status, record.attempt), (Status::Succeeded, 1));
}

#[tokio::test]
async fn what_can_never_run_is_parked_at_once() {
    let queue = queue(quick()).await;
    let executor = scripted(Duration::ZERO, |_, _| Attempted::Rejected(note("request", "gone")));
    add(&queue, "i", EnqueueOptions::default()).await;
    let (stop, running) = start(&queue, &executor);
    let rows = ended(&queue, 1).await;
    drop(stop);
    running.await.unwrap();
    assert_eq!((rows[0].status.as_str(), executor.calls.lock()["i"]), ("failed", 1));
    assert_eq!(parked(&queue).await, 1);
}

#[tokio::test]
async fn age_bounds_refusals() {
    let queue = queue(quick()).await;
    let executor = scripted(Duration::ZERO, |_, _| Attempted::Deferred(note("busy", "")));
    let options = EnqueueOptions { age: Some(Duration::from_millis(80)), ..Default::default() };
    add(&queue, "i", options).await;
    let (stop, running) = start(&queue, &executor);
    let rows = ended(&queue, 1).await;
    drop(stop);
    running.await.unwrap();
    assert_eq!(rows[0].status, "expired");
    assert_eq!(parked(&queue).await, 1);
}

/// Storage that writes the first outcome and fails all the same.
#[derive(Debug, Default)]
struct Doubtful(MemoryStorage, AtomicUsize);

#[async_trait]
impl crate::storage::Storage for Doubtful {
    async fn commit(&self, ops: Vec<Op>) -> Result<Vec<crate::storage::Effect>, StorageError> {
        let ends = ops.iter().any(|op| matches!(op, Op::Ack { .. }));
        let done = self.0.commit(ops).await;
        if ends && self.1.fetch_add(1, SeqCst) == 0 {
            return Err(StorageError::Io { path: "disk".into(), what: "it went away".into() });
        }
        done
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Leased>, StorageError> {
        self.0.claim(claim).await
    }

    async fn read(&self, query: Query) -> Result<Found, StorageError> {
        self.0.read(query).await
    }

    fn wake(&self) -> Arc<Notify> {
        self.0.wake()
    }
}

#[tokio::test]
async fn an_end_that_storage_was_not_sure_of_is_an_end() {
    let storage = Arc::new(Doubtful::default());
    let queue = Queue::open(storage.clone(), Arc::new(SystemClock::default()), quick()).await;
    let queue = Arc::new(queue.unwrap());
    let executor = scripted(Duration::ZERO, |_, _| Attempted::Succeeded(None, Bytes::new()));
    add(&queue, "i", EnqueueOptions::default()).await;
    let (stop, running) = start(&queue, &executor);
    ended(&queue, 1).await;
    let mut stats = PlatformStats::default();
    while stats.settled + stats.leases_lost == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        queue.count_into(&mut stats);
    }
    drop(stop);
    running.await.unwrap();
    assert_eq!((stats.settled, stats.leases_lost, stats.queue_depth), (1, 0, 0));
    assert_eq!(
        (storage.1.load(SeqCst), journal(&queue).await.len()),
        (2, 1),
        "tried twice, written once"
    );
}

#[tokio::test]
async fn a_destination_that_asks_for_a_wait_is_left_alone_for_it() {
    let queue = queue(QueueConfig { backoff_max: Duration::from_millis(150), ..quick() }).await;
    let executor = scripted(Duration::ZERO, |_, call| match call {
        1 => Attempted::Declined(note("delivery", "busy"), Duration::from_secs(3600)),
        _ => Attempted::Succeeded(None, Bytes::new()),
    });
    let begun = std::time::Instant::now();
    add(&queue, "i", EnqueueOptions::default()).await;
    let (stop, running) = start(&queue, &executor);
    let rows = ended(&queue, 1).await;
    drop(stop);
    running.await.unwrap();
    let record: InvocationRecord = serde_json::from_slice(&rows[0].body).unwrap();
    assert_eq!((record.status, record.attempt), (Status::Succeeded, 2), "and it counts");
    assert!(begun.elapsed() >= Duration::from_millis(150), "up to the longest wait, and no longer");
}

#[tokio::test]
async fn a_delay_is_waited_for() {
    let queue = queue(quick()).await;
    let executor = scripted(Duration::ZERO, |_, _| Attempted::Succeeded(None, Bytes::new()));
    let begun = std::time::Instant::now();
    let options = EnqueueOptions { delay: Duration::from_millis(60), ..Default::default() };
    add(&queue, "i", options).await;
    let (stop, running) = start(&queue, &executor);
    ended(&queue, 1).await;
    drop(stop);
    running.await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn a_long_attempt_keeps_its_lease() {
    // Long beside what a busy machine holds a thread up for.
    let config = QueueConfig { lease: Duration::from_millis(1500), ..quick() };
    let queue = queue(config).await;
    let executor =
        scripted(Duration::from_secs(3), |_, _| Attempted::Succeeded(None, Bytes::new()));
    add(&queue, "i", EnqueueOptions::default()).await;
    let (stop, running) = start(&queue, &executor);
    let rows = ended(&queue, 1).await;
    drop(stop);
    running.await.unwrap();
    assert_eq!((rows[0].status.as_str(), executor.calls.lock()["i"]), ("succeeded", 1));
}

#[tokio::test]
async fn a_lost_lease_drops_the_result() {
    let queue = queue(quick()).await;
    let executor =
        scripted(Duration::from_millis(100), |_, _| Attempted::Succeeded(None, Bytes::new()));
    add(&queue, "i", EnqueueOptions::default()).await;
    let (stop, running) = start(&queue, &executor);
    while executor.running.load(SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Somebody else takes it over, as after a long pause of this process.
    queue.storage.commit(vec![Op::Reclaim { now_ms: 0 }]).await.unwrap();
    let now_ms = queue.clock.now_ms();
    let claim = Claim { now_ms, limit: 9, until_ms: now_ms + 60_000, ..Claim::default() };
    let mut taken = queue.storage.claim(claim.clone()).await.unwrap();
    while taken.is_empty() {
        // The runner itself was quicker: wait for its second lease to be taken over as well.
        queue.storage.commit(vec![Op::Reclaim { now_ms: 0 }]).await.unwrap();
        taken = queue.storage.claim(claim.clone()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(journal(&queue).await.is_empty(), "its result was dropped");
    let mut stats = PlatformStats::default();
    queue.count_into(&mut stats);
    assert!(stats.leases_lost >= 1);
    drop(stop);
    running.await.unwrap();
}

#[tokio::test]
async fn shutdown_gives_leases_back_and_acknowledges_nothing() {
    let config = QueueConfig { drain: Duration::from_millis(20), ..quick() };
    let queue = queue(config).await;
    let executor =
        scripted(Duration::from_secs(60), |_, _| Attempted::Succeeded(None, Bytes::new()));
    add(&queue, "i", EnqueueOptions::default()).await;
    let (stop, running) = start(&queue, &executor);
    while executor.running.load(SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    drop(stop);
    running.await.unwrap();
    assert!(journal(&queue).await.is_empty());
    let query = Query::Item { id: "i".into() };
    let Found::Item(Some(item)) = queue.storage.read(query).await.unwrap() else { panic!() };
    let counts = (item.leased, item.attempts, item.deferrals, item.crashes);
    assert_eq!(counts, (false, 0, 0, 0));
    assert!(item.visible_ms <= queue.clock.now_ms(), "the next process need not wait");
}

#[tokio::test]
async fn running_and_queued_invocations_can_be_cancelled_once() {
    let queue = queue(quick()).await;
    let executor =
        scripted(Duration::from_secs(60), |_, _| Attempted::Succeeded(None, Bytes::new()));
    add(&queue, "running", EnqueueOptions::default()).await;
    let hour = Duration::from_secs(3600);
    add(&queue, "queued", EnqueueOptions { delay: hour, ..EnqueueOptions::default() }).await;
    let (stop, running) = start(&queue, &executor);
    while executor.running.load(SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let trail = Trail::new(
        queue.storage.clone(),
        queue.clock.clone(),
        crate::audit::AuditConfig::default(),
    );
    let author = Author::new(trail, Origin::local());
    for id in ["running", "queued"] {
        queue.cancel(id, &author).await.unwrap();
        assert!(queue.cancel(id, &author).await.is_err(), "{id} twice");
    }
    let begun = std::time::Instant::now();
    drop(stop);
    running.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "the running one was ended");
    let rows = journal(&queue).await;
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.status == "cancelled"));
}

#[tokio::test]
async fn what_crashes_its_runner_again_and_again_gives_up() {
    let config = QueueConfig { crashes: 2, ..quick() };
    let queue = queue(config).await;
    add(&queue, "i", EnqueueOptions::default()).await;
    for _ in 0..3 {
        let now_ms = queue.clock.now_ms();
        queue.storage.claim(Claim { now_ms, limit: 1, ..Claim::default() }).await.unwrap();
        queue.storage.commit(vec![Op::Reclaim { now_ms: 0 }]).await.unwrap();
    }
    let executor = scripted(Duration::ZERO, |_, _| Attempted::Succeeded(None, Bytes::new()));
    let (stop, running) = start(&queue, &executor);
    let rows = ended(&queue, 1).await;
    drop(stop);
    running.await.unwrap();
    assert_eq!(rows[0].status, "failed");
    assert!(executor.calls.lock().is_empty(), "it did not run again");
}

#[tokio::test]
async fn bounds_refuse_before_anything_is_accepted() {
    let queue = queue(QueueConfig { depth: 1, payload_bytes: 4, ..quick() }).await;
    let ticket =
        Ticket { service: "s".into(), function: "f".into(), retries: 0, ..Ticket::default() };
    let options = EnqueueOptions::default();
    let enqueue = |payload: &'static [u8]| queue.enqueue(&ticket, payload.into(), &options);
    let error = enqueue(b"12345").await.unwrap_err();
    let large = RequestError::TooLarge { what: "event", size_bytes: 5, limit_bytes: 4 };
    assert!(matches!(error, PlatformError::Request(found) if found == large));
    enqueue(b"1234").await.unwrap();
    let error = enqueue(b"1234").await.unwrap_err();
    assert!(matches!(error, PlatformError::Request(RequestError::Throttled { limit: 1, .. })));
}
