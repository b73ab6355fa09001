//! Attempts by a clock that a test sets: when exactly each one may run, what counts as one, and what becomes of what is too old.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::storage::memory::MemoryStorage;
use crate::storage::{Found, Item, Query};

/// A clock that stands still until it is set.
#[derive(Debug, Default)]
pub(super) struct Set(AtomicU64);

impl Clock for Set {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

const BEGIN_MS: u64 = 1_700_000_000_000;
/// Waits of the queue, in milliseconds.
const FIRST_MS: u64 = 60_000;
const LONGEST_MS: u64 = 150_000;

/// A platform with its storage and its clock.
pub(super) struct World {
    pub(super) platform: Platform,
    pub(super) storage: Arc<MemoryStorage>,
    pub(super) clock: Arc<Set>,
    _dir: tempfile::TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (storage, clock) = (Arc::new(MemoryStorage::new()), Arc::new(Set::default()));
        clock.0.store(BEGIN_MS, Ordering::SeqCst);
        let mut config = PlatformConfig::new(dir.path(), engine());
        config.queue.poll = Duration::from_millis(2);
        config.queue.backoff = Duration::from_millis(FIRST_MS);
        config.queue.backoff_max = Duration::from_millis(LONGEST_MS);
        config.deliver = Some(Arc::new(Nowhere));
        let platform = Platform::open_with(config, storage.clone(), clock.clone()).await.unwrap();
        service(&platform, "s").await;
        Self { platform, storage, clock, _dir: dir }
    }

    pub(super) async fn deploy(&self, name: &str, code: Bytes) {
        let settings = FunctionSettings { timeout_s: 1, ..FunctionSettings::default() };
        let function = NewFunction { settings, ..new_function(name, code) };
        self.platform.create_function("s", function).await.unwrap();
    }

    pub(super) async fn accept(&self, function: &str, options: EnqueueOptions) -> String {
        let target = Target::latest("s", function);
        let payload = Bytes::from_static(b"{}");
        self.platform.enqueue(target, payload, options).await.unwrap().id.to_string()
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    pub(super) fn set(&self, now_ms: u64) {
        self.clock.0.store(now_ms, Ordering::SeqCst);
        self.storage.wake().notify_one();
    }

    pub(super) async fn item(&self, id: &str) -> Option<Item> {
        match self.storage.read(Query::Item { id: id.to_owned() }).await.unwrap() {
            Found::Item(item) => item,
            _ => None,
        }
    }

    pub(super) async fn record(&self, id: &str) -> Option<InvocationRecord> {
        let request_id = Some(id.to_owned());
        let filter = InvocationFilter { request_id, limit: 9, ..InvocationFilter::default() };
        let mut found = self.platform.invocations(&filter).await.unwrap();
        assert!(found.len() < 2, "{id} ended twice");
        found.pop()
    }

    /// The item once it waits after so many attempts and deferrals.
    pub(super) async fn waits(&self, id: &str, attempts: u32, deferrals: u32) -> Item {
        for _ in 0..4000 {
            if let Some(item) = self.item(id).await
                && (item.leased, item.attempts, item.deferrals) == (false, attempts, deferrals)
            {
                return item;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!(
            "{:?} does not wait after {attempts}, {:?}",
            self.item(id).await,
            self.record(id).await
        );
    }

    pub(super) async fn ends(&self, id: &str) -> InvocationRecord {
        for _ in 0..4000 {
            if let Some(record) = self.record(id).await {
                return record;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("{:?} does not end", self.item(id).await);
    }

    /// Time for everything that may run now to have begun.
    pub(super) async fn a_while(&self) {
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Tells of an end with why it came.
#[derive(Debug)]
pub(super) struct Nowhere;

impl Deliver for Nowhere {
    fn event(&self, told: &Told<'_>) -> Bytes {
        told.error.map_or_else(String::new, |error| error.kind.clone()).into()
    }

    fn send<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Bytes,
    ) -> futures_util::future::BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async { Ok(()) })
    }
}

fn bad(name: &str) -> Bytes {
    let path = format!("{}/../guest-examples/bad/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap().into()
}

#[tokio::test]
async fn every_kind_of_fault_is_tried_again_at_its_time_and_not_before() {
    for (guest, kind) in [
        ("trap", "trap"),
        ("fail", "returned"),
        ("memory-hog", "memory_limit"),
        ("stack-overflow", "stack_overflow"),
        ("infinite-loop", "timeout"),
    ] {
        let world = World::new().await;
        world.deploy("f", bad(guest)).await;
        let id = world.accept("f", EnqueueOptions::default()).await;
        let work = async {
            for attempts in 1..=3 {
                let item = world.waits(&id, attempts, 0).await;
                let whole = (FIRST_MS << (attempts - 1)).min(LONGEST_MS);
                let wait = item.visible_ms - world.now_ms();
                assert!(
                    (whole / 2..=whole).contains(&wait),
                    "{guest} {attempts}: {wait} of {whole}"
                );
                world.set(item.visible_ms - 1);
                world.a_while().await;
                let item_then = world.item(&id).await.expect("it waits still");
                assert_eq!(
                    (item_then.leased, item_then.attempts),
                    (false, attempts),
                    "{guest}: too early"
                );
                world.set(item.visible_ms);
            }
            let record = world.ends(&id).await;
            assert_eq!((record.status, record.attempt), (Status::Failed, 4), "{guest}");
            assert_eq!(record.error.unwrap().kind, kind);
        };
        world.platform.run_queue(Box::pin(work)).await;
    }
}

#[tokio::test]
async fn who_finds_no_place_waits_without_an_attempt_until_there_is_one_or_it_is_too_old() {
    let world = World::new().await;
    let spinning = FunctionSettings { timeout_s: 60, ..FunctionSettings::default() };
    let spinning = NewFunction { settings: spinning, ..new_function("f", bad("infinite-loop")) };
    world.platform.create_function("s", spinning).await.unwrap();
    let target = Target::latest("s", "f");
    world.platform.put_on_demand_config(target, 1, None).await.unwrap();
    let holding = world.platform.clone();
    let held = tokio::spawn(async move {
        let invocation = Invocation::new(&b"x"[..]);
        holding.invoke(Target::latest("s", "f"), invocation).await.map(drop)
    });
    world.a_while().await;
    let minutes = |count: u64| Some(Duration::from_secs(60 * count));
    let patient =
        world.accept("f", EnqueueOptions { age: minutes(600), ..Default::default() }).await;
    let hasty = world.accept("f", EnqueueOptions { age: minutes(10), ..Default::default() }).await;
    let work = async {
        for deferrals in 1..=6 {
            let item = world.waits(&patient, 0, deferrals).await;
            let whole = (FIRST_MS << (deferrals - 1)).min(LONGEST_MS);
            let wait = item.visible_ms - world.now_ms();
            assert!((whole / 2..=whole).contains(&wait), "{deferrals}: {wait} of {whole}");
            world.set(item.visible_ms);
        }
        world.set(BEGIN_MS + 10 * 60_000);
        let record = world.ends(&hasty).await;
        assert_eq!((record.status, record.attempt), (Status::Expired, 0));
        // There is a place, and other code: the first attempt is the first.
        held.abort();
        let code = Some(CodeUpload::Wasm(answering("x")));
        let change = FunctionChange { code, ..FunctionChange::default() };
        world.platform.update_function("s", "f", change).await.unwrap();
        world.set(world.now_ms() + LONGEST_MS);
        let record = world.ends(&patient).await;
        assert_eq!((record.status, record.attempt), (Status::Succeeded, 1));
    };
    world.platform.run_queue(Box::pin(work)).await;
}

/// Of its age: while it waits for its first attempt, while it waits for another, and while it runs.
#[tokio::test]
async fn what_becomes_too_old_ends_once_and_tells_why() {
    let world = World::new().await;
    world.deploy("good", answering("x")).await;
    world.deploy("bad", trapping()).await;
    world.deploy("slow", bad("infinite-loop")).await;
    let kind = DestinationKind::Endpoint { address: "there".into(), place: "there".into() };
    let there = Some(Destination { name: "there".into(), kind });
    for function in ["good", "bad", "slow"] {
        let settings = AsyncSettings { on_failure: there.clone(), ..AsyncSettings::default() };
        world.platform.put_async_config(Target::latest("s", function), settings).await.unwrap();
    }
    let age = Duration::from_millis(FIRST_MS / 4);
    let expires = BEGIN_MS + FIRST_MS / 4;
    let young = EnqueueOptions { age: Some(age), ..EnqueueOptions::default() };
    let delay = Duration::from_millis(FIRST_MS);
    let queued = world.accept("good", EnqueueOptions { delay, ..young.clone() }).await;
    let retrying = world.accept("bad", young.clone()).await;
    let running = world.accept("slow", young).await;
    let work = async {
        let item = world.waits(&retrying, 1, 0).await;
        assert_eq!(item.visible_ms, expires, "it does not wait beyond its age");
        world.set(expires - 1);
        world.a_while().await;
        assert!(world.record(&retrying).await.is_none(), "not before its time");
        world.set(expires);
        let retrying = world.ends(&retrying).await;
        assert_eq!((retrying.status, retrying.attempt), (Status::Expired, 1));
        // What runs may end; it failed, and is too old for another attempt.
        let running = world.ends(&running).await;
        assert_eq!((running.status, running.attempt), (Status::Expired, 1));
        // Its delay is longer than its age.
        world.set(BEGIN_MS + FIRST_MS);
        let queued = world.ends(&queued).await;
        assert_eq!((queued.status, queued.attempt), (Status::Expired, 0));
        for ended in [queued, retrying, running] {
            assert_eq!(ended.error.unwrap().kind, "expired");
            let event = ended.event.expect("its destination is told");
            let record = world.ends(&event).await;
            assert_eq!(record.status, Status::Succeeded);
        }
    };
    world.platform.run_queue(Box::pin(work)).await;
    let filter = InvocationFilter { limit: 99, ..InvocationFilter::default() };
    assert_eq!(world.platform.invocations(&filter).await.unwrap().len(), 6, "one event for each");
}

/// The record of a stateful invocation holds its id taken, for as long as it is kept; one that has not ended is kept whatever its age.
#[tokio::test]
async fn an_id_is_free_again_when_its_record_is_too_old() {
    let world = World::new().await;
    world.deploy("f", answering("x")).await;
    let named = |id: &str, delay| EnqueueOptions {
        stateful_id: Some(InvocationId::parse(id).unwrap()),
        age: Some(Duration::from_secs(30 * 86_400)),
        delay: Duration::from_secs(delay),
        ..EnqueueOptions::default()
    };
    let target = Target::latest("s", "f");
    let first = world.accept("f", named("order", 0)).await;
    world.accept("f", named("later", 20 * 86_400)).await;
    let work = async {
        world.ends(&first).await;
        for (day, is_free) in [(6, false), (8, true)] {
            world.set(BEGIN_MS + day * 86_400_000);
            world.platform.upkeep().await.unwrap();
            let again = world.platform.enqueue(target, Bytes::new(), named("order", 0)).await;
            assert_eq!(again.is_ok(), is_free, "after {day} days");
            let later = world.platform.enqueue(target, Bytes::new(), named("later", 0)).await;
            assert!(later.is_err(), "it waits still");
        }
    };
    world.platform.run_queue(Box::pin(work)).await;
}
