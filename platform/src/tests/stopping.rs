//! Stopping async invocations: in each state they may be in, twice, by many, and at the very moment they end.

use std::time::Duration;

use tokio::sync::Notify;

use super::*;
use crate::storage::memory::MemoryStorage;
use crate::storage::{Claim, Effect, Found, Leased, Query};

/// Storage that answers for the record of a stateful invocation only when that invocation has left the queue: the worst moment for
/// whoever found it queued and asks for its record next.
#[derive(Debug, Default)]
struct Late(MemoryStorage);

#[async_trait::async_trait]
impl Storage for Late {
    async fn commit(&self, ops: Vec<Op>) -> Result<Vec<Effect>, StorageError> {
        self.0.commit(ops).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Leased>, StorageError> {
        self.0.claim(claim).await
    }

    async fn read(&self, query: Query) -> Result<Found, StorageError> {
        if matches!(&query, Query::Get { collection: Collection("stateful"), .. }) {
            let lanes = || self.0.read(Query::Lanes { after: String::new(), limit: 1 });
            while lanes().await? != Found::Lanes(Vec::new()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        self.0.read(query).await
    }

    fn wake(&self) -> Arc<Notify> {
        self.0.wake()
    }
}

/// A platform over storage of the test's.
async fn over(dir: &std::path::Path, storage: Arc<dyn Storage>) -> Platform {
    let mut config = PlatformConfig::new(dir, engine());
    config.queue.poll = Duration::from_millis(5);
    let platform =
        Platform::open_with(config, storage, Arc::new(SystemClock::default())).await.unwrap();
    service(&platform, "s").await;
    platform.create_function("s", new_function("f", answering("x"))).await.unwrap();
    platform.create_function("s", new_function("slow", looping())).await.unwrap();
    platform.create_function("s", new_function("bad", trapping())).await.unwrap();
    platform
}

fn looping() -> Bytes {
    let wat = r#"(module (memory (export "memory") 1)
        (func (export "alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "handle") (param i32 i32) (result i64) (loop $l (br $l)) unreachable))"#;
    wat::parse_str(wat).unwrap().into()
}

async fn accept(platform: &Platform, function: &str, options: EnqueueOptions) -> String {
    let target = Target::latest("s", function);
    let options = EnqueueOptions { stateful: Some(true), ..options };
    let accepted = platform.enqueue(target, Bytes::from_static(b"{}"), options).await.unwrap();
    accepted.id.to_string()
}

async fn records(platform: &Platform, id: &str) -> Vec<Status> {
    let filter = InvocationFilter { limit: 99, ..InvocationFilter::default() };
    let all = platform.invocations(&filter).await.unwrap();
    all.iter().filter(|one| &*one.request_id == id).map(|one| one.status).collect()
}

async fn state(platform: &Platform, function: &str, id: &str) -> StatefulStatus {
    platform.stateful_invocation(Target::latest("s", function), id).await.unwrap().status
}

async fn becomes(platform: &Platform, function: &str, id: &str, wanted: StatefulStatus) {
    for _ in 0..2000 {
        if state(platform, function, id).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{id} did not become {wanted:?}");
}

/// Broke: who stopped an invocation that ended between two questions wrote `Stopped` over the record of its success. Whether a record
/// says that it has ended is asked now.
#[tokio::test]
async fn a_stop_that_comes_too_late_rewrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let platform = over(dir.path(), Arc::new(Late::default())).await;
    let id = accept(&platform, "f", EnqueueOptions::default()).await;
    let stopping = async {
        let error = platform.cancel(&id).await.unwrap_err();
        assert!(is(&error, |error| matches!(error, RequestError::NotFound { .. })), "{error}");
    };
    platform.run_queue(stopping).await;
    assert_eq!(records(&platform, &id).await, [Status::Succeeded]);
    assert_eq!(state(&platform, "f", &id).await, StatefulStatus::Succeeded);
}

#[tokio::test]
async fn in_each_state_a_stop_works_once_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let platform = over(dir.path(), Arc::new(MemoryStorage::new())).await;
    let now = EnqueueOptions::default;
    let late = EnqueueOptions { delay: Duration::from_secs(3600), ..now() };
    let queued = accept(&platform, "f", late).await;
    let running = accept(&platform, "slow", now()).await;
    let done = accept(&platform, "f", now()).await;
    let retrying = accept(&platform, "bad", EnqueueOptions { retries: Some(8), ..now() }).await;
    let parked = accept(&platform, "bad", EnqueueOptions { retries: Some(0), ..now() }).await;
    let work = async {
        becomes(&platform, "f", &queued, StatefulStatus::Enqueued).await;
        becomes(&platform, "slow", &running, StatefulStatus::Running).await;
        becomes(&platform, "f", &done, StatefulStatus::Succeeded).await;
        becomes(&platform, "bad", &retrying, StatefulStatus::Retrying).await;
        becomes(&platform, "bad", &parked, StatefulStatus::Failed).await;
        for (function, id, can, ends) in [
            ("f", &queued, true, StatefulStatus::Stopped),
            ("slow", &running, true, StatefulStatus::Stopped),
            ("bad", &retrying, true, StatefulStatus::Stopped),
            ("f", &done, false, StatefulStatus::Succeeded),
            ("bad", &parked, false, StatefulStatus::Failed),
        ] {
            let many = (0..10).map(|_| platform.cancel(id));
            let stopped = futures_util::future::join_all(many).await;
            let done = stopped.iter().filter(|result| result.is_ok()).count();
            assert_eq!(done, usize::from(can), "{ends:?}: {stopped:?}");
            assert!(platform.cancel(id).await.is_err(), "{ends:?}: once more");
            assert_eq!(state(&platform, function, id).await, ends);
            assert_eq!(records(&platform, id).await.len(), 1, "{ends:?}");
        }
        assert!(platform.cancel("nobody").await.is_err());
    };
    platform.run_queue(work).await;
    assert_eq!(platform.stats().queue_depth, 0);
    assert_eq!(platform.dead_letters(None, "", 9).await.unwrap().len(), 1, "only what gave up");
}
