//! Random sequences of operations against both drivers: each must answer the same, and hold the same in the end.

use proptest::prelude::*;

use super::contract::{item, row};
use super::memory::MemoryStorage;
use super::sqlite::SqliteStorage;
use super::*;

/// One step; small ranges make collisions likely.
#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Op>),
    Many(Vec<Vec<Op>>),
    Claim(Claim),
    Read(Query),
}

const THINGS: [Collection; 2] = [Collection("a"), Collection("b")];

fn key() -> impl Strategy<Value = String> {
    prop_oneof![Just("k"), Just("k/1"), Just("k/2"), Just("z"), Just("")].prop_map(str::to_owned)
}

fn id() -> impl Strategy<Value = String> {
    (0..6_u8).prop_map(|n| format!("i{n}"))
}

fn expect() -> impl Strategy<Value = Expect> {
    prop_oneof![
        3 => Just(Expect::Any),
        1 => Just(Expect::Absent),
        2 => (1..12_u64).prop_map(Expect::Version),
    ]
}

fn lane() -> impl Strategy<Value = String> {
    (0..3_u8).prop_map(|n| format!("l{n}"))
}

fn op() -> impl Strategy<Value = Op> {
    let collection = || prop::sample::select(THINGS.to_vec());
    let token = || 0..4_u64;
    let time = || 0..300_u64;
    prop_oneof![
        3 => (collection(), key(), expect()).prop_map(|(collection, key, expect)| {
            Op::Put { collection, key, value: Bytes::from_static(b"v"), expect }
        }),
        1 => (collection(), key(), expect())
            .prop_map(|(collection, key, expect)| Op::Delete { collection, key, expect }),
        6 => (id(), lane(), time(), 1..4_u64).prop_map(|(id, lane, due, lane_limit)| {
            Op::Enqueue { item: item(&id, &lane, due), lane_limit }
        }),
        3 => (id(), token(), time())
            .prop_map(|(id, token, time)| Op::Ack { record: row(&id, time), id, token }),
        3 => (id(), token(), time(), 0..3_u32, 0..3_u32).prop_map(
            |(id, token, due_ms, attempts, deferrals)| Op::Retry { id, token, due_ms, attempts, deferrals }
        ),
        2 => (id(), token(), time(), 0..3_u32).prop_map(|(id, token, time, attempts)| {
            Op::Park { record: row(&id, time), id, token, attempts, reason: "r".to_owned() }
        }),
        2 => (id(), token(), time())
            .prop_map(|(id, token, until_ms)| Op::Extend { id, token, until_ms }),
        1 => (id(), time()).prop_map(|(id, time)| Op::Cancel { record: row(&id, time), id }),
        1 => id().prop_map(|id| Op::Unpark { id }),
        1 => time().prop_map(|now_ms| Op::Reclaim { now_ms }),
        1 => time().prop_map(|time| Op::Append { record: row("x", time) }),
        1 => (time(), 0..5_u64)
            .prop_map(|(before_ms, keep)| Op::PruneJournal { before_ms, keep }),
        1 => (time(), 0..3_u64)
            .prop_map(|(before_ms, keep)| Op::PruneParked { before_ms, keep }),
    ]
}

fn running() -> impl Strategy<Value = HashMap<String, usize>> {
    prop::collection::hash_map(lane(), 0..4_usize, 0..3)
}

fn query() -> impl Strategy<Value = Query> {
    prop_oneof![
        (prop::sample::select(THINGS.to_vec()), key(), key(), 0..4_usize).prop_map(
            |(collection, prefix, start, limit)| Query::List { collection, prefix, start, limit }
        ),
        (prop::sample::select(THINGS.to_vec()), key(), key(), 0..4_usize).prop_map(
            |(collection, prefix, before, limit)| Query::ListDown {
                collection,
                prefix,
                before,
                limit
            }
        ),
        id().prop_map(|id| Query::Item { id }),
        id().prop_map(|id| Query::ParkedItem { id }),
        (prop::option::of(lane()), prop::option::of(0..300_u64), 0..5_usize).prop_map(
            |(lane, since_ms, limit)| {
                Query::Journal(JournalFilter { lane, since_ms, limit, ..JournalFilter::default() })
            }
        ),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => prop::collection::vec(op(), 1..4).prop_map(Step::Commit),
        3 => prop::collection::vec(prop::collection::vec(op(), 0..3), 0..4).prop_map(Step::Many),
        4 => (0..300_u64, 0..6_usize, 0..200_u64, running()).prop_map(|(now_ms, limit, lease, running)| {
            Step::Claim(Claim { now_ms, limit, until_ms: now_ms + lease, running })
        }),
        2 => query().prop_map(Step::Read),
    ]
}

/// Everything that can be seen.
fn everything() -> Vec<Query> {
    let all = |collection| Query::List {
        collection,
        prefix: String::new(),
        start: String::new(),
        limit: 99,
    };
    let mut queries = vec![
        all(Collection("a")),
        all(Collection("b")),
        Query::Lanes { after: String::new(), limit: 99 },
        Query::Parked { lane: None, after: String::new(), limit: 99 },
        Query::Journal(JournalFilter { limit: 99, ..JournalFilter::default() }),
    ];
    queries.extend((0..6).map(|n| Query::Item { id: format!("i{n}") }));
    queries
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn both_drivers_do_the_same(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut sqlite = SqliteStorage::open(dir.path()).unwrap();
        let memory = MemoryStorage::new();
        let last = steps.len() / 2;
        for (number, step) in steps.into_iter().enumerate() {
            match step.clone() {
                Step::Commit(ops) => {
                    let expected = runtime.block_on(memory.commit(ops.clone()));
                    let found = runtime.block_on(sqlite.commit(ops));
                    prop_assert_eq!(found, expected, "step {} {:?}", number, step);
                }
                Step::Many(batches) => {
                    let expected = runtime.block_on(memory.commit_each(batches.clone()));
                    let found = runtime.block_on(sqlite.commit_each(batches));
                    prop_assert_eq!(found, expected, "step {} {:?}", number, step);
                }
                Step::Claim(claim) => {
                    let expected = runtime.block_on(memory.claim(claim.clone()));
                    let found = runtime.block_on(sqlite.claim(claim));
                    prop_assert_eq!(found, expected, "step {} {:?}", number, step);
                }
                Step::Read(query) => {
                    let expected = runtime.block_on(memory.read(query.clone()));
                    let found = runtime.block_on(sqlite.read(query));
                    prop_assert_eq!(found, expected, "step {} {:?}", number, step);
                }
            }
            if number == last {
                // What is on disk is the whole of it; only whose turn it is begins anew.
                drop(sqlite);
                sqlite = SqliteStorage::open(dir.path()).unwrap();
                memory.begin_turns_anew();
            }
        }
        for query in everything() {
            let expected = runtime.block_on(memory.read(query.clone()));
            prop_assert_eq!(runtime.block_on(sqlite.read(query)), expected);
        }
    }
}
