//! The chain: what was altered or taken away is found and named, and pruning is neither.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::record::{AuditRecord, Head, key_of};
use super::trail::{HEAD_KEY, HEADS, RECORDS};
use super::*;
use crate::clock::Clock;
use crate::storage::memory::MemoryStorage;
use crate::storage::{Collection, Expect, Found, Op, Query, Storage};

const THINGS: Collection = Collection("thing");

#[derive(Debug, Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now_ms(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

struct World {
    storage: Arc<dyn Storage>,
    clock: Arc<Hands>,
    trail: Arc<Trail>,
}

impl World {
    fn new(config: AuditConfig) -> Self {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        let clock = Arc::new(Hands::default());
        let trail = Trail::new(storage.clone(), clock.clone(), config);
        Self { storage, clock, trail }
    }

    /// One with so many records.
    async fn of(count: u64) -> Self {
        let world = Self::new(AuditConfig::default());
        world.change(count).await;
        world
    }

    async fn change(&self, count: u64) {
        let author = Author::new(self.trail.clone(), Origin::local());
        for number in 0..count {
            let (key, value) = (number.to_string(), "x".into());
            let put = Op::Put { collection: THINGS, key, value, expect: Expect::Any };
            author.commit(Change::new(Verb::Update, "thing", "t"), vec![put]).await.unwrap();
        }
    }

    async fn write(&self, collection: Collection, key: &str, value: impl Into<bytes::Bytes>) {
        let (key, value) = (key.to_owned(), value.into());
        let op = Op::Put { collection, key, value, expect: Expect::Any };
        self.storage.commit(vec![op]).await.unwrap();
    }

    async fn remove(&self, collection: Collection, key: &str) {
        let op = Op::Delete { collection, key: key.to_owned(), expect: Expect::Any };
        self.storage.commit(vec![op]).await.unwrap();
    }

    async fn value(&self, number: u64) -> String {
        let query = Query::Get { collection: RECORDS, key: key_of(number) };
        let Found::Entry(Some(entry)) = self.storage.read(query).await.unwrap() else { panic!() };
        String::from_utf8(entry.value.to_vec()).unwrap()
    }

    async fn report(&self) -> AuditReport {
        verify(&*self.storage, None).await.unwrap()
    }

    async fn problem(&self) -> String {
        self.report().await.problem.expect("something is wrong")
    }
}

#[tokio::test]
async fn a_trail_that_nobody_touched_fits() {
    let empty = World::new(AuditConfig::default());
    assert_eq!(empty.report().await, AuditReport::default());
    let world = World::of(1001).await;
    let report = world.report().await;
    assert_eq!((report.records, report.first, report.last), (1001, 1, 1001));
    assert_eq!(report.problem, None);
    // Another process goes on with it.
    let again = Trail::new(world.storage.clone(), world.clock.clone(), AuditConfig::default());
    let world = World { trail: again, ..world };
    world.change(2).await;
    let report = world.report().await;
    assert_eq!((report.last, report.problem), (1003, None));
}

#[tokio::test]
async fn what_is_stored_is_flat_and_in_one_order() {
    let stored = World::of(1).await.value(1).await;
    let (hash, content) = stored.split_once('\n').unwrap();
    assert_eq!(hash, crate::checksum::sha256(content.as_bytes()));
    let expected = concat!(
        r#"{"number":1,"time_ms":0,"who":"local","role":null,"request_id":null,"verb":"update","#,
        r#""noun":"thing","name":"t","became":null,"previous":""}"#
    );
    assert_eq!(content, expected);
}

#[tokio::test]
async fn what_was_altered_is_named() {
    let world = World::of(4).await;
    let was = world.value(2).await;
    // Every byte counts, and even what JSON does not.
    for other in [was.replace("thing", "thong"), format!("{was} "), was.replace("{", "{ ")] {
        world.write(RECORDS, &key_of(2), other).await;
        assert_eq!(world.problem().await, "audit record 2 is not what was written");
    }
    // With a hash that fits: then the next one does not.
    let content = was.split_once('\n').unwrap().1.replace("thing", "thong");
    let mut forged: AuditRecord = serde_json::from_str(&content).unwrap();
    let sealed = forged.seal().unwrap();
    world.write(RECORDS, &key_of(2), sealed.clone()).await;
    assert_eq!(world.problem().await, "audit record 3 does not follow record 2 as that is now");
    // In the place of another.
    world.write(RECORDS, &key_of(2), was).await;
    assert_eq!(world.report().await.problem, None);
    world.write(RECORDS, &key_of(3), sealed).await;
    assert_eq!(world.problem().await, "audit record 3 is not what was written");
}

#[tokio::test]
async fn what_was_taken_away_is_named() {
    let gone = async |numbers: std::ops::RangeInclusive<u64>| {
        let world = World::of(5).await;
        for number in numbers {
            world.remove(RECORDS, &key_of(number)).await;
        }
        world.problem().await
    };
    assert_eq!(gone(5..=5).await, "audit record 5 is missing");
    assert_eq!(gone(2..=3).await, "audit records 2 to 3 are missing");
    assert_eq!(gone(1..=5).await, "audit records 1 to 5 are missing");
    let first = "audit record 1 is missing, and no record says that they were pruned";
    assert_eq!(gone(1..=1).await, first);
    // The last, with a head that says so.
    let world = World::of(5).await;
    world.remove(RECORDS, &key_of(5)).await;
    let head = Head { number: 4, hash: "0".repeat(64) };
    world.write(HEADS, HEAD_KEY, serde_json::to_vec(&head).unwrap()).await;
    assert_eq!(world.problem().await, "audit record 4 is not the one that was the last");
    world.remove(HEADS, HEAD_KEY).await;
    assert_eq!(world.problem().await, "the head of the audit trail is missing");
    // Nor does that keep changes from being made, and what is gone stays found.
    world.change(1).await;
    let world = World::of(5).await;
    world.remove(RECORDS, &key_of(5)).await;
    let again = Trail::new(world.storage.clone(), world.clock.clone(), AuditConfig::default());
    let world = World { trail: again, ..world };
    world.change(1).await;
    assert_eq!(world.problem().await, "audit record 5 is missing");
}

#[tokio::test]
async fn a_head_that_was_noted_finds_a_chain_that_was_written_anew() {
    let world = World::of(3).await;
    let AuditReport { last: number, hash, .. } = world.report().await;
    let noted: AuditHead = format!("{number}:{}", &hash[..16]).parse().unwrap();
    world.change(2).await;
    assert_eq!(verify(&*world.storage, Some(&noted)).await.unwrap().problem, None);
    let other = World::new(AuditConfig::default());
    other.clock.0.store(1, Relaxed);
    other.change(5).await;
    assert_eq!(other.report().await.problem, None, "by itself it fits");
    let report = verify(&*other.storage, Some(&noted)).await.unwrap();
    assert_eq!(report.problem.as_deref(), Some("audit record 3 is another than the noted one"));
    let short = World::of(2).await;
    let report = verify(&*short.storage, Some(&noted)).await.unwrap();
    assert_eq!(report.problem.as_deref(), Some("audit record 3 is missing"));
    for text in
        ["", "3", "3:", "0:0123456789abcdef", "3:xyz", "3:0123456789abcdeg", "-1:0123456789abcdef"]
    {
        assert!(text.parse::<AuditHead>().is_err(), "{text}");
    }
}

#[tokio::test]
async fn pruning_keeps_the_bounds_and_says_what_it_removed() {
    let age = Duration::from_millis(1000);
    let world = World::new(AuditConfig { kept: 10, age });
    world.change(11).await;
    world.trail.prune().await.unwrap();
    assert_eq!(world.report().await.records, 11, "within the slack");
    world.change(2500).await;
    world.trail.prune().await.unwrap();
    let report = world.report().await;
    assert_eq!(report.problem, None);
    assert!((10..=11).contains(&report.records), "{report:?}");
    let last = world.value(report.last).await;
    assert!(last.contains(&format!("\"name\":\"2001-{}\"", report.first - 1)), "{last}");
    world.trail.prune().await.unwrap();
    assert_eq!(world.report().await, report, "it does not prune what it says itself");
    // Who cuts off more is found.
    world.remove(RECORDS, &key_of(report.first)).await;
    assert!(world.problem().await.ends_with("no record says that they were pruned"));
    let world = World::new(AuditConfig { kept: 1000, age });
    world.change(3).await;
    world.clock.0.store(1100, Relaxed);
    world.trail.prune().await.unwrap();
    assert_eq!(world.report().await.records, 3);
    world.clock.0.store(1101, Relaxed);
    world.trail.prune().await.unwrap();
    let report = world.report().await;
    assert_eq!((report.records, report.first, report.problem), (1, 4, None), "all were too old");
}

#[tokio::test]
async fn changes_at_once_are_one_chain() {
    let world = World::of(0).await;
    let mut tasks = Vec::new();
    // A second hand on the same storage stands for batches whose callers went away.
    let other = Trail::new(world.storage.clone(), world.clock.clone(), AuditConfig::default());
    for number in 0..100 {
        let trail = if number % 10 == 0 { other.clone() } else { world.trail.clone() };
        let author = Author::new(trail, Origin::local());
        tasks.push(tokio::spawn(async move {
            let (key, value) = (number.to_string(), "x".into());
            let put = Op::Put { collection: THINGS, key, value, expect: Expect::Absent };
            author.commit(Change::new(Verb::Create, "thing", "t"), vec![put]).await
        }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let report = world.report().await;
    assert_eq!((report.records, report.problem), (100, None));
}
