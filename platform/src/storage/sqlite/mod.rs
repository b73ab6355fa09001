//! Storage in one SQLite file: write-ahead log, synced at every commit, one process per directory.
//!
//! One thread writes and commits many callers' batches at once, two read. Callers wait on channels of bounded length, so no async
//! worker ever waits for the disk. This folder is the only place that knows SQL.
//!
//! Parameters are written `?1`: `$1` would be a name here, numbered by where it first appears.

mod apply;
mod claim;
mod copy;
mod errors;
mod evidence;
mod reader;
mod reserve;
mod schema;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc, oneshot};

use super::lock::DirectoryLock;
use super::{
    Claim, Effect, Found, Leased, OPS_MAX, Op, Query, Storage, StorageError, check_batches,
};
pub(crate) use copy::{copy, problems};
use reader::Question;
use writer::Job;

/// Batches that may wait for the writer; more callers wait for a place.
const JOBS_WAITING: usize = 1024;
/// Questions that may wait for a reader.
const QUESTIONS_WAITING: usize = 256;
const READERS: usize = 2;

/// Storage in one SQLite file.
#[derive(Debug)]
pub struct SqliteStorage {
    jobs: Option<mpsc::Sender<Job>>,
    questions: Option<mpsc::Sender<Question>>,
    /// The writer's first.
    threads: Vec<JoinHandle<()>>,
    wake: Arc<Notify>,
    _lock: DirectoryLock,
}

impl SqliteStorage {
    /// Opens the storage in `dir`, making both if they are not there. Blocks while it reads and migrates.
    ///
    /// # Errors
    /// Another process has the directory; it cannot be written; the file is damaged, is another program's or a newer one's.
    pub fn open(dir: &Path) -> Result<Self, StorageError> {
        std::fs::create_dir_all(dir).map_err(|error| super::lock::io_error(dir, &error))?;
        let lock = DirectoryLock::take(dir)?;
        let reserve = reserve::Reserve::open(dir);
        let connection = schema::open(dir)?;
        let wake = Arc::new(Notify::new());
        let (jobs, waiting_jobs) = mpsc::channel(JOBS_WAITING);
        let (questions, waiting_questions) = mpsc::channel(QUESTIONS_WAITING);
        let waiting_questions = Arc::new(parking_lot::Mutex::new(waiting_questions));
        let mut threads = Vec::new();
        let writer = writer::Writer::new(connection, reserve, dir.to_owned(), wake.clone());
        let write = move || {
            crate::priority::run_behind_callers();
            writer.run(waiting_jobs);
        };
        threads.push(spawn("storage-writer", dir, write)?);
        for _ in 0..READERS {
            let connection = schema::open_reader(dir)?;
            let (dir_of, waiting) = (dir.to_owned(), waiting_questions.clone());
            let run = move || reader::run(&connection, &dir_of, &waiting);
            threads.push(spawn("storage-reader", dir, run)?);
        }
        Ok(Self { jobs: Some(jobs), questions: Some(questions), threads, wake, _lock: lock })
    }

    async fn hand(&self, job: Job) -> Result<(), StorageError> {
        let jobs = self.jobs.as_ref().ok_or(StorageError::Closed)?;
        jobs.send(job).await.map_err(|_| StorageError::Closed)
    }
}

fn spawn(
    name: &str,
    dir: &Path,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StorageError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|error| super::lock::io_error(dir, &error))
}

#[async_trait]
impl Storage for SqliteStorage {
    async fn commit(&self, ops: Vec<Op>) -> Result<Vec<Effect>, StorageError> {
        if ops.len() > OPS_MAX {
            return Err(StorageError::BatchTooLarge { count: ops.len(), limit: OPS_MAX });
        }
        let (reply, answer) = oneshot::channel();
        self.hand(Job::Commit { ops, reply }).await?;
        answer.await.map_err(|_| StorageError::Closed)?
    }

    async fn commit_each(&self, batches: Vec<Vec<Op>>) -> Vec<Result<Vec<Effect>, StorageError>> {
        let count = batches.len();
        if let Err(error) = check_batches(&batches) {
            return vec![Err(error); count];
        }
        let (reply, answer) = oneshot::channel();
        let applied = match self.hand(Job::Each { batches, reply }).await {
            Ok(()) => answer.await.map_err(|_| StorageError::Closed),
            Err(error) => Err(error),
        };
        applied.unwrap_or_else(|error| vec![Err(error); count])
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Leased>, StorageError> {
        let (reply, answer) = oneshot::channel();
        self.hand(Job::Claim { claim, reply }).await?;
        answer.await.map_err(|_| StorageError::Closed)?
    }

    async fn read(&self, query: Query) -> Result<Found, StorageError> {
        let questions = self.questions.as_ref().ok_or(StorageError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let question = Question { query, reply };
        questions.send(question).await.map_err(|_| StorageError::Closed)?;
        answer.await.map_err(|_| StorageError::Closed)?
    }

    fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }
}

impl Drop for SqliteStorage {
    /// Ends the threads once they have done what was handed to them; only then is the directory free for another. The writer, who is
    /// the first of them, ends last: it alone can copy the log back, so that one file is left.
    fn drop(&mut self) {
        self.questions = None;
        while let Some(thread) = self.threads.pop() {
            if self.threads.is_empty() {
                self.jobs = None;
            }
            if thread.join().is_err() {
                tracing::error!("a storage thread had panicked");
            }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
