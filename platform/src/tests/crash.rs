//! The queue of a process that dies at every single write to storage, before it is on disk or after: whatever was accepted ends in
//! exactly one record, what ends is told by exactly one event, and nothing is leased once it has its record.
//!
//! A death is storage that never answers again, and a runtime that is dropped with all that it ran. What a kill -9 does to a real
//! process and its files is tried in `tests/faults/kill.rs`; here no moment between two writes is left to chance.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use super::dying::{Death, Dying, Seen};
use super::*;
use crate::storage::memory::MemoryStorage;
use crate::storage::sqlite::SqliteStorage;
use crate::storage::{Found, JournalFilter, JournalRow, Query};

/// Sends by remembering; the first time fails, so that events are tried again.
#[derive(Debug)]
struct Sends(Arc<Seen>);

impl Deliver for Sends {
    fn event(&self, told: &Told<'_>) -> Bytes {
        told.request_id.to_owned().into()
    }

    fn send<'a>(
        &'a self,
        id: &'a str,
        address: &'a str,
        _: Bytes,
    ) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            self.0.runs(id);
            let mut sent = self.0.sent.lock();
            let times = sent.entry(id.to_owned()).or_default();
            *times += 1;
            if *times > 1 {
                return Ok(());
            }
            Err(DeliveryError {
                address: address.to_owned(),
                why: "busy".into(),
                is_final: false,
                retry_after: None,
            })
        })
    }
}

/// What lives in the directory over all deaths.
struct House {
    dir: tempfile::TempDir,
    seen: Arc<Seen>,
    /// Kept between lives; none where a life opens the files itself.
    memory: Option<Arc<dyn Storage>>,
}

impl House {
    fn new(in_memory: bool) -> Self {
        let memory = in_memory.then(|| Arc::new(MemoryStorage::new()) as Arc<dyn Storage>);
        let house = Self { dir: tempfile::tempdir().unwrap(), seen: Arc::default(), memory };
        house.live(Death::Never, furnish);
        house
    }

    fn disk(&self) -> Arc<dyn Storage> {
        match &self.memory {
            Some(memory) => memory.clone(),
            None => Arc::new(SqliteStorage::open(self.dir.path()).unwrap()),
        }
    }

    /// One process from its start to its death, or to the end of its work; its writes.
    fn live<F: Future<Output = ()>>(
        &self,
        death: Death,
        work: impl FnOnce(Platform, Arc<Seen>) -> F,
    ) -> u64 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let storage = Arc::new(Dying {
            disk: self.disk(),
            seen: self.seen.clone(),
            death,
            writes: AtomicU64::new(0),
            died: Notify::new(),
        });
        let life = async {
            let allocator = hearth_engine::Allocator::OnDemand;
            let engine = Engine::builder()
                .config(EngineConfig { allocator, ..EngineConfig::default() })
                .artifact_dir(self.dir.path().join("artifacts"))
                .build()
                .unwrap();
            let mut config = PlatformConfig::new(self.dir.path(), engine);
            config.queue.poll = Duration::from_millis(1);
            config.queue.backoff = Duration::from_millis(1);
            config.queue.backoff_max = Duration::from_millis(2);
            config.deliver = Some(Arc::new(Sends(self.seen.clone())));
            let clock = Arc::new(SystemClock::default());
            match Platform::open_with(config, storage.clone(), clock).await {
                Ok(platform) => work(platform, self.seen.clone()).await,
                // A start that fails is tried again by the next life.
                Err(error) => assert!(matches!(death, Death::Fails(_)), "{error}"),
            }
        };
        runtime.block_on(async {
            tokio::select! {
                () = storage.died.notified() => assert!(death != Death::Never),
                () = life => {}
                () = tokio::time::sleep(Duration::from_secs(60)) => panic!("{death:?} hangs"),
            }
        });
        storage.writes.load(Ordering::SeqCst)
    }

    fn rows(&self) -> Vec<JournalRow> {
        let disk = self.disk();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let filter = JournalFilter { limit: 999, ..JournalFilter::default() };
        let found = runtime.block_on(disk.read(Query::Journal(filter))).unwrap();
        let Found::Journal(rows) = found else { panic!("a journal") };
        rows.into_iter().map(|(_, row)| row).collect()
    }
}

fn destination(name: &str) -> Destination {
    let kind = match name {
        "address" => DestinationKind::Endpoint { address: "there".into(), place: "there".into() },
        function => DestinationKind::Function {
            service: "s".into(),
            qualifier: None,
            function: function.into(),
        },
    };
    Destination { name: name.into(), kind }
}

/// Functions and what holds for their invocations.
async fn furnish(platform: Platform, _: Arc<Seen>) {
    service(&platform, "s").await;
    for (name, code) in [("good", answering("x")), ("told", answering("y")), ("bad", trapping())] {
        platform.create_function("s", new_function(name, code)).await.unwrap();
    }
    let settings = AsyncSettings { stateful: Some(true), retries: Some(1), ..Default::default() };
    for (name, settings) in [
        ("good", AsyncSettings { on_success: Some(destination("told")), ..settings.clone() }),
        ("bad", AsyncSettings { on_failure: Some(destination("address")), ..settings.clone() }),
        ("told", AsyncSettings { on_success: Some(destination("address")), ..settings }),
    ] {
        platform.put_async_config(Target::latest("s", name), settings).await.unwrap();
    }
}

/// One of everything: what succeeds, gives up, is too old, is stopped, and is queued again.
async fn everything(platform: Platform, seen: Arc<Seen>) {
    let accept = async |function, ends: &'static str, options: EnqueueOptions| {
        let target = Target::latest("s", function);
        let event = || Bytes::from_static(b"{}");
        let accepted = persist(async || platform.enqueue(target, event(), options.clone()).await);
        let id = accepted.await.unwrap().id;
        seen.accepted.lock().insert(id.to_string(), ends);
        id
    };
    let work = async {
        let hour = Duration::from_secs(3600);
        let late = EnqueueOptions { delay: hour, ..EnqueueOptions::default() };
        let old = EnqueueOptions { age: Some(Duration::ZERO), ..EnqueueOptions::default() };
        let (_, bad, stopped, _, _) = tokio::join!(
            accept("good", "succeeded", EnqueueOptions::default()),
            accept("bad", "failed", EnqueueOptions::default()),
            accept("good", "cancelled", late),
            accept("good", "expired", old),
            accept("good", "succeeded", EnqueueOptions::default()),
        );
        stop(&platform, &seen, stopped.as_str()).await;
        while platform.dead_letter(bad.as_str()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let again = persist(async || platform.redrive(bad.as_str()).await).await.unwrap();
        seen.redriven.lock().insert(bad.to_string(), again.to_string());
        seen.accepted.lock().insert(again.to_string(), "failed");
        drained(&platform).await;
    };
    Box::pin(worked_down_during(&platform, work)).await;
}

async fn worked_down_during(platform: &Platform, work: impl Future<Output = ()>) {
    let (stop, running) = leases::run(platform);
    Box::pin(work).await;
    drop(stop);
    running.await.unwrap();
}

/// As a caller does who is told to come back.
async fn persist<T>(call: impl AsyncFn() -> Result<T, PlatformError>) -> Result<T, PlatformError> {
    loop {
        match call().await {
            Err(PlatformError::Storage(error)) if error.is_retryable() => {}
            other => return other,
        }
    }
}

async fn stop(platform: &Platform, seen: &Seen, id: &str) {
    seen.stopped.lock().insert(id.to_owned());
    if let Err(error) = persist(async || platform.cancel(id).await).await {
        assert!(is(&error, |error| matches!(error, RequestError::NotFound { .. })), "{error}");
    }
}

async fn drained(platform: &Platform) {
    while platform.stats().queue_depth > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let depths = platform.queue_depths("").await.unwrap();
    assert!(depths.is_empty(), "the figure says that nothing is queued, but {depths:?}");
}

/// What the next process does: the caller stops again what may not have been stopped, and all is worked down.
async fn the_rest(platform: Platform, seen: Arc<Seen>) {
    let work = async {
        let accepted = seen.accepted.lock().clone();
        for (id, _) in accepted.iter().filter(|(_, ends)| **ends == "cancelled") {
            stop(&platform, &seen, id).await;
        }
        // One that was on disk when its process died, but not answered for: nobody knows its id but the queue.
        let late = StatefulFilter { limit: 100, ..StatefulFilter::default() };
        let page = platform.stateful_invocations(Target::latest("s", "good"), &late).await.unwrap();
        for one in page.items.iter().filter(|one| !one.status.is_final()) {
            if !accepted.contains_key(&one.request_id) {
                stop(&platform, &seen, &one.request_id).await;
            }
        }
        drained(&platform).await;
    };
    Box::pin(worked_down_during(&platform, work)).await;
}

/// What must hold in the end.
fn audit(house: &House, story: &[Death]) {
    let rows = house.rows();
    let by_id: BTreeMap<&str, &JournalRow> =
        rows.iter().map(|row| (row.id.as_str(), row)).collect();
    assert_eq!(by_id.len(), rows.len(), "{story:?}: something ended twice: {rows:?}");
    let ended: BTreeSet<&str> = by_id.keys().copied().collect();
    // More may have ended than was seen: what was handed over when a process died may be written after it.
    let seen = house.seen.ended.lock().clone();
    assert!(seen.iter().all(|id| ended.contains(id.as_str())), "{story:?}: an end was unmade");
    for (id, status) in &*house.seen.accepted.lock() {
        let row = by_id.get(id.as_str());
        assert_eq!(row.map(|row| row.status.as_str()), Some(*status), "{story:?}: {id}");
    }
    let told = told(&rows);
    let good = rows.iter().filter(|row| row.lane == "s/good" && row.status == "succeeded").count();
    let arrived = rows.iter().filter(|row| row.lane == "s/told").count();
    let failed = rows.iter().filter(|row| row.lane == "s/bad").count();
    let sent = rows.iter().filter(|row| row.lane == ">there").count();
    assert_eq!((arrived, sent), (good, arrived + failed), "{story:?}: one event for each end");
    assert_eq!(told.len(), arrived + sent, "{story:?}: and each event of one end");
    assert!(told.iter().all(|id| ended.contains(id.as_str())), "{story:?}");
    for (id, times) in &*house.seen.sent.lock() {
        let leases = house.seen.leased.lock()[id];
        assert!(*times <= leases, "{story:?}: {id} was sent {times} times with {leases} leases");
    }
    letters_and_records_agree(house, &rows, story);
}

/// The events that records name; each is named once.
fn told(rows: &[JournalRow]) -> BTreeSet<String> {
    let record = |row: &JournalRow| serde_json::from_slice::<InvocationRecord>(&row.body).unwrap();
    let events: Vec<String> =
        rows.iter().filter_map(|row| record(row).event.map(|event| event.to_string())).collect();
    let told: BTreeSet<String> = events.iter().cloned().collect();
    assert_eq!(told.len(), events.len(), "two ends share an event");
    told
}

fn letters_and_records_agree(house: &House, rows: &[JournalRow], story: &[Death]) {
    house.live(Death::Never, |platform, seen| async move {
        let letters = platform.dead_letters(None, "", 100).await.unwrap();
        let letters: BTreeSet<String> = letters.into_iter().map(|letter| letter.id).collect();
        let gave_up = rows.iter().filter(|row| ["failed", "expired"].contains(&&*row.status));
        let mut gave_up: BTreeSet<String> = gave_up.map(|row| row.id.clone()).collect();
        for (before, again) in &*seen.redriven.lock() {
            assert!(gave_up.remove(before) && gave_up.contains(again), "{story:?}");
        }
        // A redrive that was on disk and not answered for: its letter is gone, and there is one invocation more.
        let bad = rows.iter().filter(|row| row.lane == "s/bad").count();
        let letters_of_bad = letters
            .iter()
            .filter(|id| rows.iter().any(|row| row.id == **id && row.lane == "s/bad"));
        assert_eq!(letters_of_bad.count(), bad.min(1), "{story:?}: one lineage, one letter");
        gave_up.retain(|id| rows.iter().any(|row| row.id == *id && row.lane != "s/bad"));
        assert!(
            letters.is_superset(&gave_up),
            "{story:?}: {gave_up:?} gave up, letters {letters:?}"
        );
        let filter = StatefulFilter { limit: 100, ..StatefulFilter::default() };
        for function in ["good", "bad", "told"] {
            let target = Target::latest("s", function);
            let page = platform.stateful_invocations(target, &filter).await.unwrap();
            for one in page.items {
                let row = rows.iter().find(|row| row.id == one.request_id);
                let status = match row.map(|row| row.status.as_str()) {
                    Some("succeeded") => StatefulStatus::Succeeded,
                    Some("failed") => StatefulStatus::Failed,
                    Some("expired") => StatefulStatus::Expired,
                    Some("cancelled") => StatefulStatus::Stopped,
                    other => panic!("{story:?}: {} has the record {other:?}", one.id),
                };
                assert_eq!(one.status, status, "{story:?}: {}", one.id);
            }
        }
    });
}

/// Lives one after another, the last of which lives on; the writes of the first.
fn story(in_memory: bool, deaths: &[Death]) -> u64 {
    let house = House::new(in_memory);
    let mut writes = 0;
    for (number, death) in deaths.iter().enumerate() {
        if number == 0 {
            writes = house.live(*death, everything);
        } else {
            house.live(*death, the_rest);
        }
    }
    house.live(Death::Never, the_rest);
    audit(&house, deaths);
    writes
}

#[test]
fn a_death_at_any_write_loses_nothing_and_repeats_no_end() {
    let writes = story(true, &[Death::Never]);
    assert!(writes > 20, "{writes} writes are not the whole story");
    // How writes fall together differs from life to life: a few more than were counted.
    for number in 1..writes + 5 {
        story(true, &[Death::Before(number)]);
        story(true, &[Death::After(number)]);
    }
}

#[test]
fn nor_does_a_write_that_fails() {
    for number in 1..story(true, &[Death::Never]) + 5 {
        story(true, &[Death::Fails(number)]);
    }
}

#[test]
fn nor_does_a_death_while_the_one_before_is_made_good() {
    for number in 1..24 {
        let first = number * 5 % 31 + 2;
        story(true, &[Death::After(first), Death::Before(number), Death::After(number / 2 + 1)]);
    }
}

#[test]
fn nor_does_it_where_the_disk_is_sqlite() {
    for number in (1..40).step_by(3) {
        story(false, &[Death::Before(number), Death::After(number / 3 + 1)]);
        story(false, &[Death::After(number)]);
    }
}
