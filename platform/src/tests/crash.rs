//! The queue of a process that dies at every single write to storage, before it is on disk or after: whatever was accepted ends in
//! exactly one record, what ends is told by exactly one event, and nothing is leased once it has its record.
//!
//! A death is storage that never answers again, and a runtime that is dropped with all that it ran. What a kill -9 does to a real
//! process and its files is tried in `tests/faults/kill.rs`; here no moment between two writes is left to chance.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::*;
use crate::storage::memory::MemoryStorage;
use crate::storage::sqlite::SqliteStorage;
use crate::storage::{Claim, Effect, Found, JournalFilter, JournalRow, Leased, Query};

/// Where a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// Before its nth write, counted from 1.
    Before(u64),
    /// When that write is on disk and nobody was told.
    After(u64),
    Never,
}

/// What is seen over all lives.
#[derive(Debug, Default)]
struct Seen {
    /// What has its record.
    ended: Mutex<BTreeSet<String>>,
    /// Leases given, by item.
    leased: Mutex<BTreeMap<String, u32>>,
    /// Events that were sent to an address.
    sent: Mutex<BTreeMap<String, u32>>,
    /// What was answered for: its id, and how it must end.
    accepted: Mutex<BTreeMap<String, &'static str>>,
    /// What was queued again, under which id.
    redriven: Mutex<BTreeMap<String, String>>,
}

impl Seen {
    fn runs(&self, id: &str) {
        assert!(!self.ended.lock().contains(id), "{id} runs after its record");
    }
}

/// The storage of a process that dies.
#[derive(Debug)]
struct Dying {
    disk: Arc<dyn Storage>,
    seen: Arc<Seen>,
    death: Death,
    writes: AtomicU64,
    died: Notify,
}

impl Dying {
    async fn never<T>(&self) -> T {
        self.died.notify_one();
        std::future::pending().await
    }

    fn is_dead(&self) -> bool {
        match self.death {
            Death::Before(n) => self.writes.load(Ordering::SeqCst) >= n,
            Death::After(n) => self.writes.load(Ordering::SeqCst) > n,
            Death::Never => false,
        }
    }

    async fn write<T>(&self, work: impl Future<Output = T>) -> T {
        let number = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        match self.death {
            Death::Before(n) if number >= n => self.never().await,
            Death::After(n) if number > n => self.never().await,
            Death::After(n) if number == n => {
                drop(work.await);
                self.writes.fetch_add(1, Ordering::SeqCst);
                self.never().await
            }
            _ => work.await,
        }
    }
}

#[async_trait::async_trait]
impl Storage for Dying {
    async fn commit(&self, ops: Vec<Op>) -> Result<Vec<Effect>, StorageError> {
        let ends: Vec<String> = ops.iter().filter_map(ends).collect();
        self.write(async {
            let done = self.disk.commit(ops).await;
            // A stop that came too late removes nothing and ends nothing.
            if done.as_ref().is_ok_and(|effects| effects.first() != Some(&Effect::Removed(0))) {
                self.seen.ended.lock().extend(ends);
            }
            done
        })
        .await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Leased>, StorageError> {
        self.write(async {
            let leased = self.disk.claim(claim).await?;
            for item in &leased {
                self.seen.runs(&item.new.id);
                *self.seen.leased.lock().entry(item.new.id.clone()).or_default() += 1;
            }
            Ok(leased)
        })
        .await
    }

    async fn read(&self, query: Query) -> Result<Found, StorageError> {
        if self.is_dead() { self.never().await } else { self.disk.read(query).await }
    }

    fn wake(&self) -> Arc<Notify> {
        self.disk.wake()
    }
}

fn ends(op: &Op) -> Option<String> {
    match op {
        Op::Ack { id, .. } | Op::Park { id, .. } | Op::Cancel { id, .. } => Some(id.clone()),
        _ => None,
    }
}

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
            Err(DeliveryError { address: address.to_owned(), why: "busy".into(), is_final: false })
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
            let platform = Platform::open_with(config, storage.clone(), clock).await.unwrap();
            work(platform, self.seen.clone()).await;
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
        let accepted = platform.enqueue(target, Bytes::from_static(b"{}"), options).await.unwrap();
        seen.accepted.lock().insert(accepted.id.to_string(), ends);
        accepted.id
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
        stop(&platform, stopped.as_str()).await;
        while platform.dead_letter(bad.as_str()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let again = platform.redrive(bad.as_str()).await.unwrap();
        seen.redriven.lock().insert(bad.to_string(), again.to_string());
        seen.accepted.lock().insert(again.to_string(), "failed");
        drained(&platform).await;
    };
    platform.run_queue(Box::pin(work)).await;
}

async fn stop(platform: &Platform, id: &str) {
    if let Err(error) = platform.cancel(id).await {
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
            stop(&platform, id).await;
        }
        // One that was on disk when its process died, but not answered for: nobody knows its id but the queue.
        let late = StatefulFilter { limit: 100, ..StatefulFilter::default() };
        let page = platform.stateful_invocations(Target::latest("s", "good"), &late).await.unwrap();
        for one in page.items.iter().filter(|one| !one.status.is_final()) {
            if !accepted.contains_key(&one.request_id) {
                stop(&platform, &one.request_id).await;
            }
        }
        drained(&platform).await;
    };
    platform.run_queue(Box::pin(work)).await;
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
