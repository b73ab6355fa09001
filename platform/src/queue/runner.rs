//! The loop that works the queue down: claim as many as may run, attend to each on a task of its own, begin again.
//!
//! Bounded by `in_flight`. At shutdown it claims no more, lets what runs finish for a while, ends the rest and gives its leases back,
//! so that the next process need not wait for them. Nothing is acknowledged here.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::attempt::Execute;
use super::{Queue, millis};
use crate::storage::{CLAIM_MAX, Claim, Leased, Op, StorageError};

/// Between two claims while there is work: those that end meanwhile are replaced by one claim, which shares its sync, and not by one
/// each.
const GATHER: Duration = Duration::from_millis(1);

/// Runs until `shutdown` is ready. `owner` is what keeps the queue alive, `queue_of` finds the queue in it.
pub(super) async fn run<O: Send + Sync + 'static>(
    owner: &Arc<O>,
    queue_of: fn(&O) -> &Queue,
    executor: Arc<dyn Execute>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let queue = queue_of(owner);
    let wake = queue.storage.wake();
    let mut tasks = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        while tasks.try_join_next().is_some() {}
        let free = queue.config.in_flight.saturating_sub(tasks.len());
        let mut wait = queue.config.poll;
        let mut gather = Duration::ZERO;
        match queue.claim(free).await {
            Ok(items) if !items.is_empty() => {
                // More may be due: look again at once, unless all places are taken.
                wait = if items.len() == free { wait } else { Duration::ZERO };
                gather = GATHER;
                for (item, cancelled) in items {
                    let (owner, executor) = (owner.clone(), executor.clone());
                    tasks.spawn(async move {
                        queue_of(&owner).attend(&*executor, item, cancelled).await;
                    });
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, hint = error.hint(), "queue cannot be claimed from");
                wait = queue.config.poll.max(Duration::from_secs(1));
            }
        }
        if !gather.is_zero() {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = tokio::time::sleep(gather) => {}
            }
        }
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            () = wake.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    queue.drain(tasks).await;
}

impl Queue {
    /// Leases items and holds them before anybody who stops one can look for it.
    async fn claim(&self, free: usize) -> Result<Vec<(Leased, Arc<Notify>)>, StorageError> {
        if free == 0 {
            return Ok(Vec::new());
        }
        let now_ms = self.clock.now_ms();
        let until_ms = now_ms.saturating_add(millis(self.config.lease));
        let _claiming = self.claiming.lock().await;
        let claim = Claim { now_ms, limit: free.min(CLAIM_MAX), until_ms };
        let items = self.storage.claim(claim).await?;
        let hold = |item: Leased| {
            let cancelled = self.hold(&item);
            (item, cancelled)
        };
        Ok(items.into_iter().map(hold).collect())
    }

    async fn drain(&self, mut tasks: JoinSet<()>) {
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.config.drain, all).await.is_ok() {
            return;
        }
        // Dropping an attempt ends its guest.
        tasks.shutdown().await;
        let now_ms = self.clock.now_ms();
        let held: Vec<_> =
            self.held.iter().map(|held| (held.key().clone(), held.value().clone())).collect();
        tracing::info!(count = held.len(), "attempts ended by shutdown; they will run again");
        for (id, held) in held {
            let op = Op::Retry {
                id: id.clone(),
                token: held.token,
                due_ms: now_ms,
                attempts: held.attempts,
                deferrals: held.deferrals,
            };
            match self.storage.commit(vec![op]).await {
                Ok(_) | Err(StorageError::LeaseLost { .. }) => {}
                Err(error) => tracing::warn!(id, %error, "lease could not be given back"),
            }
            self.held.remove(&id);
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
