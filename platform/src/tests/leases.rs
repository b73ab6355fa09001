//! Leases when a process stalls or its store fails: whoever lost one changes nothing and stops, and the next one ends the work once.
//! And what is done with dead letters meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::*;
use crate::storage::memory::MemoryStorage;
use crate::storage::{Claim, Effect, Found, Leased, Query};

const LEASE: Duration = Duration::from_millis(300);

/// One process's way to a store that others use as well.
#[derive(Debug, Default)]
struct Way {
    store: Arc<MemoryStorage>,
    /// Nothing gets through, as when the process is stopped.
    is_stopped: AtomicBool,
    /// Stops with the next lease that it gets.
    stops_with_a_lease: AtomicBool,
    /// Every write fails.
    is_down: AtomicBool,
    asked: AtomicU64,
}

impl Way {
    async fn pass(&self, writes: bool) -> Result<(), StorageError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        while self.is_stopped.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if writes && self.is_down.load(Ordering::SeqCst) {
            return Err(StorageError::Io { path: "here".into(), what: "down".into() });
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Storage for Way {
    async fn commit(&self, ops: Vec<Op>) -> Result<Vec<Effect>, StorageError> {
        self.pass(true).await?;
        self.store.commit(ops).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Leased>, StorageError> {
        self.pass(true).await?;
        let leased = self.store.claim(claim).await?;
        let stops = !leased.is_empty() && self.stops_with_a_lease.load(Ordering::SeqCst);
        self.is_stopped.fetch_or(stops, Ordering::SeqCst);
        Ok(leased)
    }

    async fn read(&self, query: Query) -> Result<Found, StorageError> {
        self.pass(false).await?;
        self.store.read(query).await
    }

    fn wake(&self) -> Arc<Notify> {
        self.store.wake()
    }
}

async fn process(dir: &std::path::Path, way: &Arc<Way>) -> Platform {
    let mut config = PlatformConfig::new(dir, engine());
    config.queue.poll = Duration::from_millis(10);
    config.queue.lease = LEASE;
    config.queue.backoff = Duration::from_millis(5);
    config.queue.drain = Duration::ZERO;
    config.deliver = Some(Arc::new(attempts::Nowhere));
    let clock = Arc::new(SystemClock::default());
    Platform::open_with(config, way.clone(), clock).await.unwrap()
}

fn way(store: &Arc<MemoryStorage>) -> Arc<Way> {
    Arc::new(Way { store: store.clone(), ..Way::default() })
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..4000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not happen");
}

async fn records(platform: &Platform) -> Vec<InvocationRecord> {
    let filter = InvocationFilter { limit: 99, ..InvocationFilter::default() };
    platform.invocations(&filter).await.unwrap()
}

/// Works its queue down until told to stop.
fn run(platform: &Platform) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel();
    let platform = platform.clone();
    let shutdown = async { drop(stopped.await) };
    (stop, tokio::spawn(async move { platform.run_queue(shutdown).await }))
}

async fn accept(platform: &Platform, function: &str) -> String {
    let target = Target::latest("s", function);
    let accepted = platform.enqueue(target, Bytes::from_static(b"{}"), EnqueueOptions::default());
    accepted.await.unwrap().id.to_string()
}

/// As a process that is stopped for twice its lease: it had run the work, and wants to write its end when another has.
#[tokio::test]
async fn who_was_stopped_beyond_its_lease_changes_nothing() {
    let (one_dir, two_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Arc::new(MemoryStorage::new());
    let (stalled, well) = (way(&store), way(&store));
    let one = process(one_dir.path(), &stalled).await;
    service(&one, "s").await;
    one.create_function("s", new_function("f", answering("x"))).await.unwrap();
    one.create_function("s", new_function("told", answering("y"))).await.unwrap();
    let kind =
        DestinationKind::Function { service: "s".into(), qualifier: None, function: "told".into() };
    let on_success = Some(Destination { name: "told".into(), kind });
    let settings = AsyncSettings { on_success, ..AsyncSettings::default() };
    one.put_async_config(Target::latest("s", "f"), settings).await.unwrap();
    let two = process(two_dir.path(), &well).await;
    copy_code(one_dir.path(), two_dir.path());
    let id = accept(&one, "f").await;
    stalled.stops_with_a_lease.store(true, Ordering::SeqCst);
    let (stop_one, one_ends) = run(&one);
    until("its stop", async || stalled.is_stopped.load(Ordering::SeqCst)).await;
    let (stop_two, two_ends) = run(&two);
    until("the end of both", async || records(&two).await.len() == 2).await;
    tokio::time::sleep(2 * LEASE).await;
    stalled.stops_with_a_lease.store(false, Ordering::SeqCst);
    stalled.is_stopped.store(false, Ordering::SeqCst);
    until("its loss", async || one.stats().leases_lost == 1).await;
    drop((stop_one, stop_two));
    one_ends.await.unwrap();
    two_ends.await.unwrap();
    let all = records(&one).await;
    let functions: Vec<&str> = all.iter().map(|record| &*record.function).collect();
    assert_eq!(functions, ["s/told", "s/f"], "each ended once");
    assert_eq!((&*all[1].request_id, all[1].attempt), (id.as_str(), 1));
    assert_eq!((one.stats().settled, two.stats().settled), (0, 2), "a late result is no end");
}

/// The second process has a directory of its own; code is not what is tried here.
fn copy_code(from: &std::path::Path, to: &std::path::Path) {
    for shard in std::fs::read_dir(from.join("code")).unwrap().map(Result::unwrap) {
        let target = to.join("code").join(shard.file_name());
        std::fs::create_dir_all(&target).unwrap();
        for file in std::fs::read_dir(shard.path()).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), target.join(file.file_name())).unwrap();
        }
    }
}

#[tokio::test]
async fn who_cannot_extend_its_lease_stops_and_drops_the_result() {
    let dir = tempfile::tempdir().unwrap();
    let way = way(&Arc::default());
    let platform = process(dir.path(), &way).await;
    service(&platform, "s").await;
    let settings = FunctionSettings { timeout_s: 600, ..FunctionSettings::default() };
    let wat = r#"(module (memory (export "memory") 1)
        (func (export "alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "handle") (param i32 i32) (result i64) (loop $l (br $l)) unreachable))"#;
    let code = wat::parse_str(wat).unwrap().into();
    let spinning = NewFunction { settings, ..new_function("f", code) };
    platform.create_function("s", spinning).await.unwrap();
    let id = accept(&platform, "f").await;
    let runs = || platform.engine().stats().invocations;
    let (stop, running) = run(&platform);
    until("it runs", async || runs() == 1).await;
    tokio::time::sleep(2 * LEASE).await;
    assert_eq!((runs(), platform.stats().leases_lost), (1, 0), "it is extended meanwhile");
    way.is_down.store(true, Ordering::SeqCst);
    until("its end without a store", async || runs() == 0).await;
    assert_eq!(platform.stats().leases_lost, 1);
    assert!(records(&platform).await.is_empty(), "nothing is known of it");
    way.is_down.store(false, Ordering::SeqCst);
    until("it runs again", async || runs() == 1).await;
    platform.cancel(&id).await.unwrap();
    drop(stop);
    running.await.unwrap();
    let all = records(&platform).await;
    assert_eq!((all.len(), all[0].status), (1, Status::Cancelled), "{all:?}");
}

#[tokio::test]
async fn a_dead_letter_is_queued_again_once_however_many_ask_and_whatever_fails() {
    let dir = tempfile::tempdir().unwrap();
    let way = way(&Arc::default());
    let platform = process(dir.path(), &way).await;
    service(&platform, "s").await;
    platform.create_function("s", new_function("bad", trapping())).await.unwrap();
    let settings = AsyncSettings { retries: Some(0), ..AsyncSettings::default() };
    platform.put_async_config(Target::latest("s", "bad"), settings).await.unwrap();
    let id = accept(&platform, "bad").await;
    let letters = async || platform.dead_letters(None, "", 9).await.unwrap();
    let (stop, running) = run(&platform);
    until("its letter", async || letters().await.len() == 1).await;
    way.is_down.store(true, Ordering::SeqCst);
    let error = platform.redrive(&id).await.unwrap_err();
    assert!(matches!(error, PlatformError::Storage(_)), "{error}");
    way.is_down.store(false, Ordering::SeqCst);
    assert_eq!(letters().await[0].id, id, "it is a letter still");
    let many = futures_util::future::join_all((0..20).map(|_| platform.redrive(&id))).await;
    let mut done = many.iter().filter_map(|one| one.as_ref().ok());
    let again = done.next().expect("one of them").to_string();
    assert_eq!(done.next(), None, "it was queued twice");
    until("its second end", async || letters().await.len() == 1).await;
    let letter = letters().await.remove(0);
    assert_eq!((letter.id, letter.attempts), (again, 1), "a new series of attempts");
    drop(stop);
    running.await.unwrap();
    assert_eq!(records(&platform).await.len(), 2);
}

/// Storage is asked at the rhythm of the queue's polls, whatever waits, and whatever the store answers.
#[tokio::test]
async fn what_waits_keeps_nobody_busy() {
    let dir = tempfile::tempdir().unwrap();
    let way = way(&Arc::default());
    let platform = process(dir.path(), &way).await;
    service(&platform, "s").await;
    platform.create_function("s", new_function("f", answering("x"))).await.unwrap();
    for _ in 0..50 {
        let delay = Duration::from_secs(3600);
        let options = EnqueueOptions { delay, ..EnqueueOptions::default() };
        platform.enqueue(Target::latest("s", "f"), Bytes::new(), options).await.unwrap();
    }
    let (stop, running) = run(&platform);
    for is_down in [false, true] {
        way.is_down.store(is_down, Ordering::SeqCst);
        let before = way.asked.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let asked = way.asked.load(Ordering::SeqCst) - before;
        assert!(asked <= 100, "{asked} questions in fifty polls");
    }
    drop(stop);
    running.await.unwrap();
}
