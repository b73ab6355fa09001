//! Functions that keep their places, or have very much queued, beside functions that only want a turn.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::attempt::{Attempted, Execute};
use super::runner_tests::{ended, quick};
use super::*;
use crate::async_config::AsyncSettings;
use crate::clock::SystemClock;
use crate::name::InvocationId;
use crate::storage::memory::MemoryStorage;
use crate::storage::sqlite::SqliteStorage;

/// Functions whose name begins with `slow` never end; remembers what ran, and how many of each function run.
#[derive(Default)]
struct Functions {
    began: Mutex<Vec<String>>,
    running: Mutex<HashMap<String, usize>>,
}

#[async_trait]
impl Execute for Functions {
    fn event(&self, _: &Told<'_>) -> Option<Bytes> {
        None
    }

    fn settings(&self, _: Target<'_>) -> AsyncSettings {
        AsyncSettings::default()
    }

    async fn execute(&self, item: &Leased, ticket: &Ticket) -> Attempted {
        self.began.lock().push(item.new.lane.clone());
        *self.running.lock().entry(ticket.function.clone()).or_default() += 1;
        if ticket.function.starts_with("slow") {
            std::future::pending::<()>().await;
        }
        *self.running.lock().entry(ticket.function.clone()).or_default() -= 1;
        Attempted::Succeeded(None, Bytes::new())
    }
}

async fn add(queue: &Queue, function: &str, count: usize) {
    let (service, function) = ("s".to_owned(), function.to_owned());
    let ticket = Ticket { service, function, retries: 3, ..Ticket::default() };
    let (payload, age) = (Bytes::from_static(b"{}"), Duration::from_secs(3600));
    for _ in 0..count.div_ceil(1000) {
        let add = |_| {
            let id = InvocationId::random();
            let item = queue.item(&ticket, &id, payload.clone(), age).unwrap();
            Op::Enqueue { item, lane_limit: u64::MAX }
        };
        queue.storage.commit((0..count.min(1000)).map(add).collect()).await.unwrap();
    }
}

/// Runs the queue while `story` is told.
async fn beside<T>(
    queue: &Arc<Queue>,
    functions: &Arc<Functions>,
    story: impl Future<Output = T>,
) -> T {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let run = {
        let (queue, functions) = (queue.clone(), functions.clone());
        async move {
            runner::run(&queue, |queue| queue, functions, async { drop(stopped.await) }).await;
        }
    };
    let running = tokio::spawn(run);
    let told = story.await;
    drop(stop);
    running.await.unwrap();
    told
}

#[tokio::test]
async fn functions_that_never_end_leave_places_for_others() {
    let config = QueueConfig { in_flight: 16, drain: Duration::from_millis(1), ..quick() };
    let storage = Arc::new(MemoryStorage::new());
    let queue = Queue::open(storage, Arc::new(SystemClock::default()), config).await.unwrap();
    let (queue, functions) = (Arc::new(queue), Arc::new(Functions::default()));
    for slow in ["slow-1", "slow-2", "slow-3"] {
        add(&queue, slow, 40).await;
    }
    beside(&queue, &functions, async {
        add(&queue, "quick", 50).await;
        ended(&queue, 50).await;
        // One that never ends and comes last gets its place too.
        add(&queue, "slow-4", 1).await;
        while !functions.running.lock().contains_key("slow-4") {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let running = functions.running.lock().clone();
        for slow in ["slow-1", "slow-2", "slow-3"] {
            assert!((1..=8).contains(&running[slow]), "{running:?}");
        }
        assert!(running.values().sum::<usize>() <= 16, "{running:?}");
        add(&queue, "quick", 50).await;
        ended(&queue, 100).await;
    })
    .await;
}

#[tokio::test]
async fn a_hundred_thousand_of_one_function_let_the_ten_of_another_pass() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Arc::new(SqliteStorage::open(dir.path()).unwrap());
    let queue = Queue::open(storage, Arc::new(SystemClock::default()), quick()).await.unwrap();
    let (queue, functions) = (Arc::new(queue), Arc::new(Functions::default()));
    add(&queue, "hot", 100_000).await;
    beside(&queue, &functions, async {
        while functions.began.lock().len() < 500 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        add(&queue, "rare", 10).await;
        // Counted when they are there: however late this line runs, no more than was claimed by then goes before them.
        let before = functions.began.lock().len();
        let rare = |began: &Vec<String>| began.iter().filter(|lane| *lane == "s/rare").count();
        while rare(&functions.began.lock()) < 10 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let began = functions.began.lock();
        let last = began.iter().rposition(|lane| lane == "s/rare").unwrap();
        let ahead = last.saturating_sub(before);
        assert!(ahead < 4 * queue.config.in_flight, "{ahead} came before them");
    })
    .await;
}
