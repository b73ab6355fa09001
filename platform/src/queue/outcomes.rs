//! What was decided about leased items, on its way to storage: many at a time, each for itself.
//!
//! An attempt gives its place back when its outcome is handed over here, so that the next ones run while this one is written. What waits
//! here is bounded; when storage does not take it, attempts keep their places and nothing more is claimed.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Queue;
use super::backoff::backoff;
use crate::storage::{BATCHES_MAX, Found, Op, Query, StorageError};

/// Outcomes that may wait to be written.
pub(super) const WAITING_MAX: usize = 2 * BATCHES_MAX;

/// What is to be written about one item. The first operation fails if its lease is lost.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) id: String,
    pub(super) token: u64,
    pub(super) ops: Vec<Op>,
    /// It is tried for as long as the lease may last.
    pub(super) give_up: Instant,
    /// Whether storage failed in a way that leaves open whether it was written.
    pub(super) may_be_written: bool,
}

impl Outcome {
    fn is_retry(&self) -> bool {
        matches!(self.ops.first(), Some(Op::Retry { .. }))
    }

    fn events(&self) -> u64 {
        self.ops.iter().filter(|op| matches!(op, Op::Enqueue { .. })).count() as u64
    }
}

impl Queue {
    /// Writes outcomes until nobody can send any more.
    pub(super) async fn write_outcomes(&self, mut outcomes: mpsc::Receiver<Outcome>) {
        let mut batch = Vec::new();
        while outcomes.recv_many(&mut batch, BATCHES_MAX).await > 0 {
            self.write(std::mem::take(&mut batch)).await;
        }
    }

    async fn write(&self, mut outcomes: Vec<Outcome>) {
        for times in 0.. {
            let batches = outcomes.iter().map(|outcome| outcome.ops.clone()).collect();
            let results = self.storage.commit_each(batches).await;
            let mut left = Vec::new();
            for (mut outcome, result) in outcomes.into_iter().zip(results) {
                match result {
                    Ok(_) if outcome.is_retry() => self.count_retry(),
                    Ok(_) => self.count_settled(outcome.events()),
                    Err(StorageError::LeaseLost { .. }) if self.was_written(&outcome).await => {
                        self.count_settled(outcome.events());
                    }
                    Err(StorageError::LeaseLost { .. }) => self.lost(),
                    Err(error) => {
                        outcome.may_be_written |= matches!(error, StorageError::Io { .. });
                        tracing::warn!(id = outcome.id, %error, "outcome could not be written");
                        if error.is_retryable() && Instant::now() < outcome.give_up {
                            left.push(outcome);
                            continue;
                        }
                        self.lost();
                    }
                }
                self.release(&outcome.id, outcome.token);
            }
            if left.is_empty() {
                return;
            }
            outcomes = left;
            tokio::time::sleep(backoff(Duration::from_millis(50), Duration::from_secs(5), times))
                .await;
        }
    }

    /// Whether a lease is lost because an earlier try, of which storage could not say how it ended, did end the item.
    async fn was_written(&self, outcome: &Outcome) -> bool {
        if !outcome.may_be_written || outcome.is_retry() {
            return false;
        }
        let query = Query::Item { id: outcome.id.clone() };
        matches!(self.storage.read(query).await, Ok(Found::Item(None)))
    }
}
