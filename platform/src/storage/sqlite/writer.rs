//! The one writer: takes what waits, applies each batch inside a savepoint of one transaction, commits once, then answers all.
//!
//! So many callers share one sync, and a batch whose precondition fails harms none of its neighbours. If the transaction itself is
//! lost, everybody in it is told so.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{Notify, mpsc, oneshot};

use super::errors::storage_error;
use super::reserve::{self, Reserve};
use super::{apply, claim};
use crate::storage::{Claim, Effect, Leased, Op, StorageError};

/// Most batches in one transaction: enough to share a sync, few enough that nobody waits long for it.
const GROUP_MAX: usize = 256;

type Reply<T> = oneshot::Sender<Result<T, StorageError>>;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    Commit { ops: Vec<Op>, reply: Reply<Vec<Effect>> },
    Each { batches: Vec<Vec<Op>>, reply: oneshot::Sender<Vec<Applied>> },
    Claim { claim: Claim, reply: Reply<Vec<Leased>> },
}

/// What came of a batch.
pub(super) type Applied = Result<Vec<Effect>, StorageError>;

/// An answer that waits for the commit.
enum Pending {
    Commit(Reply<Vec<Effect>>, Applied),
    Each(oneshot::Sender<Vec<Applied>>, Vec<Applied>),
    Claim(Reply<Vec<Leased>>, Result<Vec<Leased>, StorageError>),
}

impl Pending {
    /// Answers; with `lost` when the transaction is gone, unless the batch failed by itself.
    fn answer(self, lost: Option<&StorageError>) {
        fn settle<T>(
            result: Result<T, StorageError>,
            lost: Option<&StorageError>,
        ) -> Result<T, StorageError> {
            match (result, lost) {
                (Ok(_), Some(error)) => Err(error.clone()),
                (result, _) => result,
            }
        }
        // A caller who went away is nobody's concern: the batch stands all the same.
        match self {
            Self::Commit(reply, result) => drop(reply.send(settle(result, lost))),
            Self::Each(reply, results) => {
                let results = results.into_iter().map(|result| settle(result, lost));
                drop(reply.send(results.collect()));
            }
            Self::Claim(reply, result) => drop(reply.send(settle(result, lost))),
        }
    }
}

/// The writer's state.
pub(super) struct Writer {
    connection: Connection,
    reserve: Reserve,
    /// Whether only what frees something is written at the moment.
    is_full: bool,
    dir: PathBuf,
    wake: Arc<Notify>,
    /// The lane that was served last.
    served: String,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        reserve: Reserve,
        dir: PathBuf,
        wake: Arc<Notify>,
    ) -> Self {
        Self { connection, reserve, is_full: false, dir, wake, served: String::new() }
    }

    /// Works until all senders are gone and all jobs done.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut batches = first.batches();
            let mut group = vec![first];
            while batches < GROUP_MAX {
                let Ok(job) = jobs.try_recv() else { break };
                batches += job.batches();
                group.push(job);
            }
            self.write(group);
        }
    }

    pub(super) fn write(&mut self, group: Vec<Job>) {
        self.is_full = self.reserve.is_needed();
        let served = self.served.clone();
        let woken = group.iter().any(Job::wakes);
        let mut pending = Vec::with_capacity(group.len());
        let lost = self.write_group(group, &mut pending).err();
        if let Some(error) = &lost {
            tracing::warn!(%error, count = pending.len(), "a group of writes was not committed");
            self.served = served;
            if !self.connection.is_autocommit() {
                // Fails only if the transaction is gone already, which is what is wanted.
                let _ = self.connection.execute_batch("ROLLBACK");
            }
        }
        for answer in pending {
            answer.answer(lost.as_ref());
        }
        if woken && lost.is_none() {
            self.wake.notify_one();
        }
    }

    /// Fills `pending` with one answer per job; an error means that nothing was written.
    fn write_group(
        &mut self,
        group: Vec<Job>,
        pending: &mut Vec<Pending>,
    ) -> Result<(), StorageError> {
        let mut lost = self.control("BEGIN IMMEDIATE").err();
        for job in group {
            pending.push(match job {
                Job::Commit { ops, reply } => Pending::Commit(reply, self.apply(ops, &mut lost)),
                Job::Each { batches, reply } => {
                    let applied = batches.into_iter().map(|ops| self.apply(ops, &mut lost));
                    Pending::Each(reply, applied.collect())
                }
                Job::Claim { claim, reply } => {
                    let leased = self.unless(&mut lost, false, |writer| {
                        claim::claim(&writer.connection, &mut writer.served, &claim)
                            .map_err(|error| storage_error(&writer.dir, &error))
                    });
                    Pending::Claim(reply, leased)
                }
            });
        }
        match lost {
            Some(error) => Err(error),
            None => self.control("COMMIT"),
        }
    }

    fn apply(&mut self, ops: Vec<Op>, lost: &mut Option<StorageError>) -> Applied {
        if self.is_full && !ops.is_empty() && !reserve::frees(&ops) {
            return Err(StorageError::Full { path: self.dir.clone() });
        }
        let may_undo = apply::may_undo(&ops);
        self.unless(lost, may_undo, |writer| apply::all(&writer.connection, &writer.dir, ops))
    }

    /// Does one job of a transaction, unless that is lost already. A job that may fail after it wrote something stands inside a
    /// savepoint; any other either fails by a precondition before it writes, or takes the whole transaction with it.
    fn unless<T>(
        &mut self,
        lost: &mut Option<StorageError>,
        may_undo: bool,
        job: impl FnOnce(&mut Self) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        if let Some(error) = lost {
            return Err(error.clone());
        }
        let result = if may_undo { self.guarded(job) } else { job(self) };
        if let Err(error) = &result
            && (self.connection.is_autocommit() || !(may_undo || error.is_precondition()))
        {
            *lost = Some(error.clone());
        }
        result
    }

    /// Runs one job inside a savepoint.
    fn guarded<T>(
        &mut self,
        job: impl FnOnce(&mut Self) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.control("SAVEPOINT batch")?;
        let result = job(self);
        match &result {
            Ok(_) => self.control("RELEASE batch")?,
            // After some errors SQLite has rolled back everything; then there is no savepoint to return to.
            Err(_) if self.connection.is_autocommit() => {}
            Err(_) => self.control("ROLLBACK TO batch; RELEASE batch")?,
        }
        result
    }

    fn control(&self, statement: &str) -> Result<(), StorageError> {
        // Statements without rows; the cache spares parsing the two that stand alone.
        let done = if statement.contains(';') {
            self.connection.execute_batch(statement)
        } else {
            self.connection.prepare_cached(statement).and_then(|mut s| s.execute([])).map(drop)
        };
        done.map_err(|error| storage_error(&self.dir, &error))
    }
}

impl Job {
    fn batches(&self) -> usize {
        match self {
            Self::Commit { .. } | Self::Claim { .. } => 1,
            Self::Each { batches, .. } => batches.len(),
        }
    }

    /// Whether it may make something due.
    fn wakes(&self) -> bool {
        let due = |op: &Op| {
            matches!(
                op,
                Op::Enqueue { .. } | Op::Retry { .. } | Op::Extend { .. } | Op::Reclaim { .. }
            )
        };
        match self {
            Self::Commit { ops, .. } => ops.iter().any(due),
            Self::Each { batches, .. } => batches.iter().flatten().any(due),
            Self::Claim { .. } => false,
        }
    }
}
