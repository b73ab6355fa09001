//! The queue while the clock is set forward, and after it was set back: nothing is lost, and everything ends once.

use std::sync::atomic::{AtomicU64, Ordering};

use super::runner_tests::{add, ended, quick, scripted, start};
use super::*;
use crate::queue::attempt::Attempted;
use crate::storage::memory::MemoryStorage;

/// A clock that runs as the system's, with an offset that a test sets.
#[derive(Debug, Default)]
struct Moved {
    system: crate::clock::SystemClock,
    ahead_ms: AtomicU64,
}

impl Clock for Moved {
    fn now_ms(&self) -> u64 {
        self.system.now_ms() + self.ahead_ms.load(Ordering::SeqCst)
    }
}

const DAY_MS: u64 = 24 * 3600 * 1000;

async fn on(storage: &Arc<MemoryStorage>, clock: &Arc<Moved>, config: QueueConfig) -> Arc<Queue> {
    Arc::new(Queue::open(storage.clone(), clock.clone(), config).await.unwrap())
}

#[tokio::test]
async fn a_leap_forward_ends_what_is_too_old_and_runs_what_is_not() {
    let (storage, clock) = (Arc::new(MemoryStorage::new()), Arc::new(Moved::default()));
    let queue = on(&storage, &clock, quick()).await;
    let week = Some(Duration::from_secs(7 * 24 * 3600));
    add(&queue, "old", EnqueueOptions::default()).await;
    add(&queue, "young", EnqueueOptions { age: week, ..EnqueueOptions::default() }).await;
    clock.ahead_ms.store(2 * DAY_MS, Ordering::SeqCst);
    let executor = scripted(Duration::ZERO, |_, _| Attempted::Succeeded(None, bytes::Bytes::new()));
    let (stop, running) = start(&queue, &executor);
    let mut rows = ended(&queue, 2).await;
    drop(stop);
    running.await.unwrap();
    rows.sort_by(|one, other| one.id.cmp(&other.id));
    let found: Vec<_> = rows.iter().map(|row| (row.id.as_str(), row.status.as_str())).collect();
    assert_eq!(found, [("old", "expired"), ("young", "succeeded")]);
}

#[tokio::test]
async fn a_leap_forward_while_it_runs_ends_in_one_record() {
    let (storage, clock) = (Arc::new(MemoryStorage::new()), Arc::new(Moved::default()));
    let queue = on(&storage, &clock, quick()).await;
    let week = Some(Duration::from_secs(7 * 24 * 3600));
    add(&queue, "i", EnqueueOptions { age: week, ..EnqueueOptions::default() }).await;
    let takes = Duration::from_millis(150);
    let executor = scripted(takes, |_, _| Attempted::Succeeded(None, bytes::Bytes::new()));
    let (stop, running) = start(&queue, &executor);
    tokio::time::sleep(Duration::from_millis(50)).await;
    // Its lease is over by the new time: it may be run again, and whoever has the older lease changes nothing.
    clock.ahead_ms.store(DAY_MS, Ordering::SeqCst);
    ended(&queue, 1).await;
    tokio::time::sleep(2 * takes).await;
    let rows = ended(&queue, 1).await;
    drop(stop);
    running.await.unwrap();
    assert_eq!((rows.len(), rows[0].status.as_str()), (1, "succeeded"));
}

#[tokio::test]
async fn what_was_leased_before_a_leap_back_runs_at_once() {
    let (storage, clock) = (Arc::new(MemoryStorage::new()), Arc::new(Moved::default()));
    clock.ahead_ms.store(DAY_MS, Ordering::SeqCst);
    let queue = on(&storage, &clock, quick()).await;
    add(&queue, "i", EnqueueOptions::default()).await;
    let now_ms = clock.now_ms();
    let claim =
        crate::storage::Claim { now_ms, limit: 1, until_ms: now_ms + 60_000, ..Default::default() };
    assert_eq!(queue.storage.claim(claim).await.unwrap().len(), 1);
    drop(queue);
    // The next process finds the clock a day earlier.
    clock.ahead_ms.store(0, Ordering::SeqCst);
    let queue = on(&storage, &clock, quick()).await;
    let executor = scripted(Duration::ZERO, |_, _| Attempted::Succeeded(None, bytes::Bytes::new()));
    let (stop, running) = start(&queue, &executor);
    let rows = ended(&queue, 1).await;
    drop(stop);
    running.await.unwrap();
    assert_eq!(rows[0].status, "succeeded");
}
