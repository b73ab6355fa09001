//! What every driver must do, as tests that run against each of them. A driver's own file adds what is its own: files, locks, threads.

use std::sync::Arc;

use super::memory::MemoryStorage;
use super::sqlite::SqliteStorage;
use super::*;

const THINGS: Collection = Collection("thing");

fn put(key: &str, value: &str, expect: Expect) -> Op {
    let value = Bytes::copy_from_slice(value.as_bytes());
    Op::Put { collection: THINGS, key: key.into(), value, expect }
}

pub(super) fn item(id: &str, lane: &str, due_ms: u64) -> NewItem {
    NewItem {
        id: id.into(),
        lane: lane.into(),
        body: Bytes::from_static(b"body"),
        payload: Bytes::from_static(b"payload"),
        accepted_ms: 1,
        due_ms,
        expire_ms: 1_000_000,
    }
}

pub(super) fn enqueue(id: &str, lane: &str, due_ms: u64) -> Op {
    Op::Enqueue { item: item(id, lane, due_ms), lane_limit: 1000 }
}

pub(super) fn row(id: &str, time_ms: u64) -> JournalRow {
    let (id, lane, status) = (id.into(), "l".into(), "done".into());
    JournalRow { id, lane, status, time_ms, body: Bytes::from_static(b"{}") }
}

fn at(now_ms: u64, limit: usize) -> Claim {
    Claim { now_ms, limit, until_ms: now_ms + 100, ..Claim::default() }
}

async fn get(storage: &dyn Storage, key: &str) -> Option<Entry> {
    let query = Query::Get { collection: THINGS, key: key.into() };
    match storage.read(query).await.unwrap() {
        Found::Entry(entry) => entry,
        other => panic!("{other:?}"),
    }
}

async fn keys(storage: &dyn Storage, prefix: &str, start: &str, limit: usize) -> Vec<String> {
    let (prefix, start) = (prefix.into(), start.into());
    let query = Query::List { collection: THINGS, prefix, start, limit };
    match storage.read(query).await.unwrap() {
        Found::Entries(entries) => entries.into_iter().map(|entry| entry.key).collect(),
        other => panic!("{other:?}"),
    }
}

async fn journal(storage: &dyn Storage, filter: JournalFilter) -> Vec<(u64, JournalRow)> {
    match storage.read(Query::Journal(filter)).await.unwrap() {
        Found::Journal(rows) => rows,
        other => panic!("{other:?}"),
    }
}

async fn claim_ids(storage: &dyn Storage, now_ms: u64, limit: usize) -> Vec<String> {
    let claimed = storage.claim(at(now_ms, limit)).await.unwrap();
    claimed.into_iter().map(|item| item.new.id).collect()
}

async fn parked(storage: &dyn Storage, lane: Option<&str>) -> Vec<ParkedItem> {
    let query = Query::Parked { lane: lane.map(Into::into), after: String::new(), limit: 9 };
    match storage.read(query).await.unwrap() {
        Found::Parked(parked) => parked,
        other => panic!("{other:?}"),
    }
}

async fn records_have_versions_that_never_repeat(storage: &dyn Storage) {
    let effects = storage.commit(vec![put("a", "1", Expect::Absent)]).await.unwrap();
    let [Effect::Version(first)] = effects[..] else { panic!("{effects:?}") };
    let again = storage.commit(vec![put("a", "2", Expect::Absent)]).await.unwrap_err();
    assert!(matches!(again, StorageError::Precondition { found: Some(v), .. } if v == first));
    let stale = storage.commit(vec![put("a", "2", Expect::Version(first + 9))]).await;
    assert!(matches!(stale, Err(StorageError::Precondition { .. })));
    storage.commit(vec![put("a", "2", Expect::Version(first))]).await.unwrap();
    let second = get(storage, "a").await.unwrap();
    assert!(second.version > first && second.value == "2");
    let delete = |expect| Op::Delete { collection: THINGS, key: "a".into(), expect };
    assert!(storage.commit(vec![delete(Expect::Version(first))]).await.is_err());
    let gone = storage.commit(vec![delete(Expect::Any), delete(Expect::Any)]).await.unwrap();
    assert_eq!(gone, [Effect::Removed(1), Effect::Removed(0)]);
    let missing = storage.commit(vec![delete(Expect::Version(1))]).await.unwrap_err();
    assert!(matches!(missing, StorageError::Precondition { found: None, .. }));
    storage.commit(vec![put("a", "3", Expect::Any)]).await.unwrap();
    assert!(get(storage, "a").await.unwrap().version > second.version, "not even after a delete");
}

async fn a_batch_is_whole_or_nothing(storage: &dyn Storage) {
    let ops = vec![put("x", "1", Expect::Any), enqueue("q", "l", 0), put("x", "2", Expect::Absent)];
    assert!(storage.commit(ops).await.is_err());
    assert_eq!(get(storage, "x").await, None);
    assert!(claim_ids(storage, 10, 9).await.is_empty());
    let many = vec![put("x", "1", Expect::Any); OPS_MAX + 1];
    let error = storage.commit(many).await.unwrap_err();
    assert!(matches!(error, StorageError::BatchTooLarge { .. }));
}

async fn lists_are_ordered_and_bounded(storage: &dyn Storage) {
    let names = ["b", "a/1", "a/2", "a", "é", "a/10", "%", "a_"];
    storage.commit(names.map(|key| put(key, "", Expect::Any)).into()).await.unwrap();
    assert_eq!(keys(storage, "", "", 99).await, ["%", "a", "a/1", "a/10", "a/2", "a_", "b", "é"]);
    assert_eq!(keys(storage, "a/", "", 2).await, ["a/1", "a/10"]);
    assert_eq!(keys(storage, "a/", "a/2", 99).await, ["a/2"]);
    assert_eq!(keys(storage, "é", "", 99).await, ["é"]);
    assert!(keys(storage, "%", "a", 99).await.is_empty());
}

async fn an_item_is_leased_by_one_and_fenced(storage: &dyn Storage) {
    storage.commit(vec![enqueue("i", "l", 50)]).await.unwrap();
    assert!(storage.claim(at(49, 9)).await.unwrap().is_empty(), "not yet due");
    let first = storage.claim(at(50, 9)).await.unwrap().remove(0);
    assert_eq!((first.token, first.crashes, first.visible_ms), (1, 0, 150));
    assert_eq!((&first.new.payload[..], &first.new.body[..]), (&b"payload"[..], &b"body"[..]));
    assert!(storage.claim(at(149, 9)).await.unwrap().is_empty(), "leased");
    let extend = Op::Extend { id: "i".into(), token: 1, until_ms: 300 };
    storage.commit(vec![extend]).await.unwrap();
    assert!(storage.claim(at(299, 9)).await.unwrap().is_empty(), "extended");
    let second = storage.claim(at(300, 9)).await.unwrap().remove(0);
    assert_eq!((second.token, second.crashes), (2, 1), "its lease ended without a word");
    let (id, token) = (|| "i".to_owned(), 1);
    let late = [
        Op::Ack { id: id(), token, record: row("i", 1) },
        Op::Retry { id: id(), token, due_ms: 0, attempts: 9, deferrals: 9 },
        Op::Park { id: id(), token, attempts: 1, reason: "r".into(), record: row("i", 1) },
        Op::Extend { id: id(), token, until_ms: 9999 },
    ];
    for op in late {
        let error = storage.commit(vec![op]).await.unwrap_err();
        assert_eq!(error, StorageError::LeaseLost { id: id(), token: 1 });
    }
    assert!(journal(storage, JournalFilter { limit: 9, ..Default::default() }).await.is_empty());
    storage.commit(vec![Op::Ack { id: id(), token: 2, record: row("i", 5) }]).await.unwrap();
    let twice = storage.commit(vec![Op::Ack { id: id(), token: 2, record: row("i", 5) }]).await;
    assert!(matches!(twice, Err(StorageError::LeaseLost { .. })));
    let lines = journal(storage, JournalFilter { limit: 9, ..Default::default() }).await;
    assert_eq!(lines.len(), 1, "one terminal record");
}

async fn a_retry_gives_the_lease_back(storage: &dyn Storage) {
    storage.commit(vec![enqueue("i", "l", 0)]).await.unwrap();
    storage.claim(at(10, 1)).await.unwrap();
    let retry = Op::Retry { id: "i".into(), token: 1, due_ms: 70, attempts: 1, deferrals: 2 };
    storage.commit(vec![retry.clone()]).await.unwrap();
    assert!(storage.commit(vec![retry]).await.is_err(), "given back is lost");
    assert!(storage.claim(at(69, 9)).await.unwrap().is_empty());
    let again = storage.claim(at(70, 9)).await.unwrap().remove(0);
    let counts = (again.attempts, again.deferrals, again.crashes, again.token);
    assert_eq!(counts, (1, 2, 0, 2));
}

async fn ids_are_unique_in_queue_and_parked(storage: &dyn Storage) {
    storage.commit(vec![enqueue("i", "l", 0)]).await.unwrap();
    let duplicate = StorageError::Duplicate { id: "i".into() };
    assert_eq!(storage.commit(vec![enqueue("i", "m", 0)]).await, Err(duplicate.clone()));
    storage.claim(at(1, 1)).await.unwrap();
    let park = Op::Park {
        id: "i".into(),
        token: 1,
        attempts: 2,
        reason: "why".into(),
        record: row("i", 77),
    };
    storage.commit(vec![park]).await.unwrap();
    assert_eq!(storage.commit(vec![enqueue("i", "l", 0)]).await, Err(duplicate));
    let letters = parked(storage, Some("l")).await;
    assert_eq!((letters[0].reason.as_str(), letters[0].parked_ms), ("why", 77));
    assert_eq!(letters[0].item.new, item("i", "l", 0));
    assert!(parked(storage, Some("m")).await.is_empty());
    assert_eq!(letters[0].item.attempts, 2);
    assert!(claim_ids(storage, 999, 9).await.is_empty());
    let again = || vec![Op::Unpark { id: "i".into() }, enqueue("j", "l", 0)];
    storage.commit(again()).await.unwrap();
    let gone = StorageError::NotParked { id: "i".into() };
    assert_eq!(storage.commit(again()).await, Err(gone), "and nothing was enqueued");
    assert_eq!(claim_ids(storage, 999, 9).await, ["j"]);
}

async fn a_lane_has_a_limit(storage: &dyn Storage) {
    let add = |id: &str| Op::Enqueue { item: item(id, "l", 0), lane_limit: 2 };
    storage.commit(vec![add("a"), add("b")]).await.unwrap();
    let full = storage.commit(vec![add("c")]).await.unwrap_err();
    assert_eq!(full, StorageError::LaneFull { lane: "l".into(), limit: 2 });
    storage.claim(at(1, 1)).await.unwrap();
    assert!(storage.commit(vec![add("c")]).await.is_err(), "a leased item still counts");
    storage.commit(vec![Op::Ack { id: "a".into(), token: 1, record: row("a", 1) }]).await.unwrap();
    storage.commit(vec![add("c"), enqueue("d", "m", 0)]).await.unwrap();
    let query = Query::Lanes { after: String::new(), limit: 9 };
    let lanes = storage.read(query).await.unwrap();
    assert_eq!(lanes, Found::Lanes(vec![("l".into(), 2), ("m".into(), 1)]));
}

async fn lanes_take_turns(storage: &dyn Storage) {
    let hot = (0..50).map(|n| enqueue(&format!("hot{n:02}"), "hot", 0)).collect();
    storage.commit(hot).await.unwrap();
    let others = vec![enqueue("b1", "b", 9), enqueue("b2", "b", 8), enqueue("z1", "z", 9)];
    storage.commit(others).await.unwrap();
    assert_eq!(claim_ids(storage, 10, 6).await, ["b2", "hot00", "z1", "b1", "hot01"]);
    assert_eq!(claim_ids(storage, 10, 4).await, ["hot02", "hot03"]);
    storage.commit(vec![enqueue("b3", "b", 0)]).await.unwrap();
    assert_eq!(claim_ids(storage, 10, 2).await, ["b3", "hot04"], "after the lane served last");
}

async fn a_lane_takes_no_more_than_it_leaves(storage: &dyn Storage) {
    let many =
        |lane: &'static str| (0..20).map(move |n| enqueue(&format!("{lane}{n:02}"), lane, 0));
    storage.commit(many("b").collect()).await.unwrap();
    let claim = |limit, running: &[(&str, usize)]| {
        let running = running.iter().map(|(lane, held)| ((*lane).to_owned(), *held)).collect();
        storage.claim(Claim { running, ..at(10, limit) })
    };
    let first = claim(8, &[]).await.unwrap();
    assert_eq!(first.len(), 4, "as many of 8 places are left for others");
    assert!(claim(4, &[("b", 4)]).await.unwrap().is_empty());
    storage.commit(many("a").chain(many("c")).collect()).await.unwrap();
    let lanes: Vec<_> =
        claim(4, &[("b", 4)]).await.unwrap().into_iter().map(|item| item.new.lane).collect();
    assert_eq!(lanes, ["c", "a", "c"], "and one is left for whoever comes next");
    let running = [("b", 4), ("a", 1), ("c", 2)];
    assert!(claim(1, &running).await.unwrap().is_empty());
    storage.commit(many("d").collect()).await.unwrap();
    assert_eq!(claim(1, &running).await.unwrap()[0].new.lane, "d");
    assert!(claim(0, &[]).await.unwrap().is_empty());
}

async fn batches_together_stand_for_themselves(storage: &dyn Storage) {
    storage.commit(vec![enqueue("i", "l", 0), enqueue("j", "l", 0)]).await.unwrap();
    storage.claim(at(1, 9)).await.unwrap();
    let ack = |id: &str, token| Op::Ack { id: id.into(), token, record: row(id, 1) };
    let batches = vec![
        vec![ack("i", 1), put("told", "1", Expect::Any)],
        vec![ack("j", 7), put("not", "1", Expect::Any)],
        vec![],
        vec![put("half", "1", Expect::Any), put("told", "2", Expect::Absent)],
        vec![enqueue("k", "l", 0)],
        vec![put("after", "1", Expect::Any)],
    ];
    let results = storage.commit_each(batches).await;
    let stood: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(stood, [true, false, true, false, true, true]);
    assert!(matches!(results[1], Err(StorageError::LeaseLost { token: 7, .. })));
    for (key, is_there) in [("told", true), ("not", false), ("half", false), ("after", true)] {
        assert_eq!(get(storage, key).await.is_some(), is_there, "{key}");
    }
    let too_many = storage.commit_each(vec![vec![]; BATCHES_MAX + 1]).await;
    assert_eq!(too_many.len(), BATCHES_MAX + 1);
    assert!(too_many.iter().all(Result::is_err));
    let large = vec![put("x", "1", Expect::Any); OPS_MAX + 1];
    let refused = storage.commit_each(vec![vec![put("x", "1", Expect::Any)], large]).await;
    assert!(refused.iter().all(Result::is_err) && get(storage, "x").await.is_none());
}

async fn cancel_beats_the_lease(storage: &dyn Storage) {
    storage.commit(vec![enqueue("i", "l", 0)]).await.unwrap();
    storage.claim(at(1, 1)).await.unwrap();
    let cancel = || Op::Cancel { id: "i".into(), record: row("i", 3) };
    assert_eq!(storage.commit(vec![cancel()]).await.unwrap(), [Effect::Removed(1)]);
    assert_eq!(storage.commit(vec![cancel()]).await.unwrap(), [Effect::Removed(0)]);
    let ack = Op::Ack { id: "i".into(), token: 1, record: row("i", 4) };
    assert!(matches!(storage.commit(vec![ack]).await, Err(StorageError::LeaseLost { .. })));
    let lines = journal(storage, JournalFilter { limit: 9, ..Default::default() }).await;
    assert_eq!(lines.len(), 1, "one terminal record");
}

async fn a_new_owner_takes_leases_back(storage: &dyn Storage) {
    storage.commit(vec![enqueue("a", "l", 0), enqueue("b", "m", 5000)]).await.unwrap();
    storage.claim(at(10, 1)).await.unwrap();
    storage.commit(vec![Op::Reclaim { now_ms: 20 }]).await.unwrap();
    let again = storage.claim(at(20, 9)).await.unwrap();
    assert_eq!(again.len(), 1, "what is not leased stays as it is");
    assert_eq!((again[0].token, again[0].crashes), (2, 1));
}

async fn the_journal_is_filtered_and_pruned(storage: &dyn Storage) {
    let line = |n: u64| JournalRow {
        lane: if n.is_multiple_of(2) { "even" } else { "odd" }.into(),
        status: if n < 5 { "old" } else { "new" }.into(),
        ..row(&format!("i{n}"), n * 10)
    };
    let ops = (0..10).map(|n| Op::Append { record: line(n) }).collect();
    storage.commit(ops).await.unwrap();
    let all = JournalFilter { limit: 99, ..JournalFilter::default() };
    let ids = |rows: Vec<(u64, JournalRow)>| -> Vec<String> {
        rows.into_iter().map(|(_, row)| row.id).collect()
    };
    let odd = JournalFilter { lane: Some("odd".into()), limit: 2, ..all.clone() };
    let page = journal(storage, odd.clone()).await;
    let before = Some(page[1].0);
    assert_eq!(ids(page), ["i9", "i7"]);
    assert_eq!(ids(journal(storage, JournalFilter { before, ..odd }).await), ["i5", "i3"]);
    let one = JournalFilter { id: Some("i4".into()), ..all.clone() };
    assert_eq!(ids(journal(storage, one).await), ["i4"]);
    let some = JournalFilter {
        status: Some("new".into()),
        since_ms: Some(60),
        until_ms: Some(80),
        ..all.clone()
    };
    assert_eq!(ids(journal(storage, some).await), ["i7", "i6"]);
    let prune = |before_ms, keep| vec![Op::PruneJournal { before_ms, keep }];
    assert_eq!(storage.commit(prune(20, 100)).await.unwrap(), [Effect::Removed(2)]);
    assert_eq!(storage.commit(prune(0, 3)).await.unwrap(), [Effect::Removed(5)]);
    assert_eq!(ids(journal(storage, all).await), ["i9", "i8", "i7"]);
}

async fn parked_items_are_pruned(storage: &dyn Storage) {
    for n in 0..4 {
        let id = format!("i{n}");
        storage.commit(vec![enqueue(&id, "l", 0)]).await.unwrap();
        storage.claim(at(1, 1)).await.unwrap();
        let record = row(&id, n * 10);
        storage
            .commit(vec![Op::Park { id, token: 1, attempts: 1, reason: "r".into(), record }])
            .await
            .unwrap();
    }
    let prune = |before_ms, keep| vec![Op::PruneParked { before_ms, keep }];
    assert_eq!(storage.commit(prune(10, 100)).await.unwrap(), [Effect::Removed(1)]);
    assert_eq!(storage.commit(prune(0, 1)).await.unwrap(), [Effect::Removed(2)]);
    let left = parked(storage, None).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].item.new.id, "i3");
}

async fn an_enqueue_wakes(storage: &dyn Storage) {
    let wake = storage.wake();
    storage.commit(vec![enqueue("i", "l", 0)]).await.unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(5), wake.notified()).await.unwrap();
}

async fn neighbours_are_not_harmed(storage: Arc<dyn Storage>) {
    storage.commit(vec![put("taken", "", Expect::Any)]).await.unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let storage = storage.clone();
            tokio::spawn(async move {
                let first = put(&format!("n{n:02}"), "", Expect::Any);
                let second = if n % 3 == 0 { "taken" } else { "free" };
                let expect = if n % 3 == 0 { Expect::Absent } else { Expect::Any };
                storage.commit(vec![first, put(second, "", expect)]).await.is_ok()
            })
        })
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), n % 3 != 0, "batch {n}");
        let there = get(&*storage, &format!("n{n:02}")).await.is_some();
        assert_eq!(there, n % 3 != 0, "batch {n}");
    }
}

macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod memory_driver {
            $(#[tokio::test] async fn $name() { super::$name(&MemoryStorage::new()).await; })*
            use super::MemoryStorage;
        }
        mod sqlite_driver {
            $(#[tokio::test] async fn $name() {
                let dir = tempfile::tempdir().unwrap();
                super::$name(&SqliteStorage::open(dir.path()).unwrap()).await;
            })*
            use super::SqliteStorage;
        }
    };
}

contract!(
    records_have_versions_that_never_repeat,
    a_batch_is_whole_or_nothing,
    lists_are_ordered_and_bounded,
    an_item_is_leased_by_one_and_fenced,
    a_retry_gives_the_lease_back,
    ids_are_unique_in_queue_and_parked,
    a_lane_has_a_limit,
    lanes_take_turns,
    a_lane_takes_no_more_than_it_leaves,
    batches_together_stand_for_themselves,
    cancel_beats_the_lease,
    a_new_owner_takes_leases_back,
    the_journal_is_filtered_and_pruned,
    parked_items_are_pruned,
    an_enqueue_wakes,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_in_memory() {
    neighbours_are_not_harmed(Arc::new(MemoryStorage::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_in_one_group_commit() {
    let dir = tempfile::tempdir().unwrap();
    neighbours_are_not_harmed(Arc::new(SqliteStorage::open(dir.path()).unwrap())).await;
}
