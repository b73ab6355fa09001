//! The loop that works the queue down: claim as many as may run, attend to each on a task of its own, begin again.
//!
//! Bounded by `in_flight`; a function takes no more places than it leaves free, so that none keeps the others waiting. At shutdown it
//! claims no more, lets what runs finish for a while, ends the rest and gives its leases back, so that the next process need not wait
//! for them. Nothing is acknowledged here.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::attempt::Execute;
use super::outcomes::{Outcome, WAITING_MAX};
use super::{Queue, millis};
use crate::storage::{BATCHES_MAX, CLAIM_MAX, Claim, Leased, Op, StorageError};

/// Between two claims: those that end or come due meanwhile share the next one, and its sync.
const GATHER: Duration = Duration::from_millis(1);
/// A claim of so many shares its sync well enough.
const BUSY: usize = 64;
/// What outcomes have at least to be written in at shutdown.
const WRITE_OUT: Duration = Duration::from_secs(2);

/// Attempts that run, and how many places each lane has taken.
#[derive(Default)]
struct Running {
    tasks: JoinSet<()>,
    lane_of: HashMap<Id, String>,
    lanes: HashMap<String, usize>,
}

impl Running {
    fn free(&self, places: usize) -> usize {
        places.saturating_sub(self.tasks.len())
    }

    fn spawn(&mut self, lane: String, attempt: impl Future<Output = ()> + Send + 'static) {
        *self.lanes.entry(lane.clone()).or_default() += 1;
        self.lane_of.insert(self.tasks.spawn(attempt).id(), lane);
    }

    /// One ended, however it did.
    fn left(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        let Some(lane) = self.lane_of.remove(&id) else { return };
        if let Some(held) = self.lanes.get_mut(&lane) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                self.lanes.remove(&lane);
            }
        }
    }
}

/// Runs until `shutdown` is ready. `owner` is what keeps the queue alive, `queue_of` finds the queue in it.
pub(super) async fn run<O: Send + Sync + 'static>(
    owner: &Arc<O>,
    queue_of: fn(&O) -> &Queue,
    executor: Arc<dyn Execute>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let queue = queue_of(owner);
    let wake = queue.storage.wake();
    let (outcomes, decided) = mpsc::channel(WAITING_MAX);
    let mut writer = JoinSet::new();
    let writes_for = owner.clone();
    writer.spawn(async move { queue_of(&writes_for).write_outcomes(decided).await });
    let mut running = Running::default();
    tokio::pin!(shutdown);
    loop {
        while let Some(ended) = running.tasks.try_join_next_with_id() {
            running.left(ended);
        }
        let free = running.free(queue.config.in_flight);
        let mut wait = queue.config.poll;
        let (next, mut busy) = (Instant::now() + GATHER, false);
        match queue.claim(free, &running.lanes).await {
            Ok(items) => {
                // More may be due: look again soon, unless all places are taken.
                if items.len() == CLAIM_MAX && free > CLAIM_MAX {
                    wait = Duration::ZERO;
                }
                busy = items.len() >= BUSY;
                for (item, cancelled) in items {
                    let (owner, executor) = (owner.clone(), executor.clone());
                    let outcomes = outcomes.clone();
                    running.spawn(item.new.lane.clone(), async move {
                        queue_of(&owner).attend(&*executor, item, cancelled, &outcomes).await;
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, hint = error.hint(), "queue cannot be claimed from");
                wait = queue.config.poll.max(Duration::from_secs(1));
            }
        }
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = running.tasks.join_next_with_id(), if !running.tasks.is_empty() => running.left(ended),
            () = wake.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
        if busy {
            continue;
        }
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            () = tokio::time::sleep_until(next) => {}
        }
    }
    queue.drain(running.tasks, outcomes, writer).await;
}

impl Queue {
    /// Leases items and holds them before anybody who stops one can look for it.
    async fn claim(
        &self,
        free: usize,
        running: &HashMap<String, usize>,
    ) -> Result<Vec<(Leased, Arc<Notify>)>, StorageError> {
        if free == 0 {
            return Ok(Vec::new());
        }
        let now_ms = self.clock.now_ms();
        let until_ms = now_ms.saturating_add(millis(self.config.lease));
        let _claiming = self.claiming.lock().await;
        let claim = Claim { now_ms, limit: free, until_ms, running: running.clone() };
        let items = self.storage.claim(claim).await?;
        let hold = |item: Leased| {
            let cancelled = self.hold(&item);
            (item, cancelled)
        };
        Ok(items.into_iter().map(hold).collect())
    }

    async fn drain(
        &self,
        mut tasks: JoinSet<()>,
        outcomes: mpsc::Sender<Outcome>,
        mut writer: JoinSet<()>,
    ) {
        let all = async { while tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(self.config.drain, all).await;
        // Dropping an attempt ends its guest.
        tasks.shutdown().await;
        drop(outcomes);
        let written = async { while writer.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(self.config.drain.max(WRITE_OUT), written).await;
        writer.shutdown().await;
        self.give_back().await;
    }

    /// Gives back the leases that are left.
    async fn give_back(&self) {
        let now_ms = self.clock.now_ms();
        let held: Vec<_> =
            self.held.iter().map(|held| (held.key().clone(), held.value().clone())).collect();
        if held.is_empty() {
            return;
        }
        tracing::info!(count = held.len(), "attempts ended by shutdown; they will run again");
        for some in held.chunks(BATCHES_MAX) {
            let batches = some.iter().map(|(id, held)| {
                let (id, token) = (id.clone(), held.token);
                let (attempts, deferrals) = (held.attempts, held.deferrals);
                vec![Op::Retry { id, token, due_ms: now_ms, attempts, deferrals }]
            });
            let results = self.storage.commit_each(batches.collect()).await;
            for ((id, held), result) in some.iter().zip(results) {
                match result {
                    Ok(_) | Err(StorageError::LeaseLost { .. }) => {}
                    Err(error) => tracing::warn!(id, %error, "lease could not be given back"),
                }
                self.release(id, held.token);
            }
        }
    }

    /// Counts one that ended, and the events that entered the queue with its end.
    pub(super) fn count_settled(&self, events: u64) {
        self.enqueued.fetch_add(events, Ordering::Relaxed);
        self.settled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_retry(&self) {
        self.retried.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lost(&self) {
        self.leases_lost.fetch_add(1, Ordering::Relaxed);
    }
}
