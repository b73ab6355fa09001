//! What came of invocations. Sync ones are remembered in memory, within a bound: see [`recent`].
//! Async ones get exactly one line in storage, written in the same commit that takes them out of the queue.
//!
//! Bounded by count and age; error texts are cut. It refuses to know who asked.

mod recent;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hearth_engine::{Outcome, Report};
use serde::{Deserialize, Serialize};

use self::recent::{Id, Recent, RecentCalls};
use crate::clock::Clock;
use crate::error::PlatformError;
use crate::platform::Platform;
use crate::revision::Revision;
use crate::storage::{
    Effect, Found, JournalFilter, JournalRow, Op, PRUNE_MAX, Query, ROWS_MAX, Storage, StorageError,
};

/// The longest error text that is kept, in bytes.
const ERROR_BYTES_MAX: usize = 2048;

/// What is remembered of invocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalConfig {
    /// Sync invocations kept in memory, beside at most 4,096 that the threads which served them have not handed on. Default 10,000.
    pub recent: usize,
    /// Async invocations kept in storage. Default 100,000.
    pub kept: u64,
    /// How long async invocations are kept. Default 3 days.
    pub age: Duration,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self { recent: 10_000, kept: 100_000, age: Duration::from_secs(3 * 24 * 3600) }
    }
}

/// How an invocation was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InvocationType {
    /// The caller waited for the outcome.
    Sync,
    /// The caller left it to the queue.
    Async,
}

/// What came of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The guest answered.
    Succeeded,
    /// The guest's fault, or ours. An async one is among the dead letters.
    Failed,
    /// Declined before it ran; only sync ones, async ones wait.
    Refused,
    /// It became too old in the queue and is among the dead letters.
    Expired,
    /// It was stopped on request.
    Cancelled,
}

impl Status {
    /// The word for it in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorNote {
    /// A stable word: the engine's name of the fault or refusal, `request`, `load`, `code`, `storage` or `failure`.
    pub kind: String,
    /// A sentence, cut to 2 KiB.
    pub message: String,
}

/// The figures of the attempt that ended an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// From admission to the answer, in microseconds.
    pub total_us: u64,
    /// The guest's own execution, in microseconds.
    pub run_us: u64,
    /// The same as billed, in milliseconds.
    pub billed_ms: u64,
    /// CPU time, in microseconds.
    pub cpu_us: u64,
    /// The most memory its instance held, in bytes.
    pub memory_peak_bytes: u64,
}

impl From<&Report> for Figures {
    fn from(report: &Report) -> Self {
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            total_us: us(report.total()),
            run_us: us(report.phases.run),
            billed_ms: us(report.billed) / 1000,
            cpu_us: us(report.cpu_time),
            memory_peak_bytes: report.memory_peak_bytes,
        }
    }
}

/// What is remembered of one invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvocationRecord {
    /// Its request id.
    pub request_id: Arc<str>,
    /// `service/function`.
    pub function: Arc<str>,
    /// How it was asked for.
    pub invocation_type: InvocationType,
    /// What came of it.
    pub status: Status,
    /// The attempt that ended it, from 1; 0 when none ran.
    pub attempt: u32,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub accepted_ms: u64,
    /// When it ended.
    pub ended_ms: u64,
    /// What went wrong, if anything did.
    pub error: Option<ErrorNote>,
    /// What it used, if it ran.
    pub figures: Option<Figures>,
    /// The request id of the event that tells its destination, if one is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Arc<str>>,
}

impl InvocationRecord {
    /// As a line of the journal in storage.
    pub(crate) fn row(&self) -> JournalRow {
        JournalRow {
            id: self.request_id.to_string(),
            lane: self.function.to_string(),
            status: self.status.as_str().to_owned(),
            time_ms: self.ended_ms,
            // Plain data of our own cannot fail to encode; an empty body would only lose figures.
            body: serde_json::to_vec(self).map(Bytes::from).unwrap_or_default(),
        }
    }
}

/// Which invocations, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InvocationFilter {
    /// Only of this function, as `service/function`.
    pub function: Option<String>,
    /// Only with this request id.
    pub request_id: Option<String>,
    /// Only with this status.
    pub status: Option<Status>,
    /// Only those that ended at this time or later, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// At most so many, 1 to 1,000.
    pub limit: usize,
}

impl InvocationFilter {
    fn takes(&self, record: &Recent) -> bool {
        self.function.as_deref().is_none_or(|function| function == &*record.function)
            && self.request_id.as_deref().is_none_or(|id| id == record.id.as_str())
            && self.status.is_none_or(|status| status == record.status)
            && self.since_ms.is_none_or(|since| record.ended_ms >= since)
    }
}

/// The journal.
#[derive(Debug)]
pub(crate) struct Journal {
    config: JournalConfig,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    recent: RecentCalls,
}

impl Journal {
    pub(crate) fn new(
        config: JournalConfig,
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let recent = RecentCalls::new(config.recent);
        Self { config, storage, clock, recent }
    }

    /// Remembers a sync invocation, which came as this attempt at this time.
    pub(crate) fn remember(
        &self,
        revision: &Revision,
        (request_id, attempt, accepted_ms): (&str, u32, u64),
        result: Result<&Outcome, &PlatformError>,
    ) {
        let (status, error, figures) = judge(result);
        self.recent.push(Recent {
            id: Id::of(request_id),
            function: revision.label().clone(),
            status,
            attempt,
            accepted_ms,
            ended_ms: self.clock.now_ms(),
            error: error.map(Box::new),
            figures,
        });
    }

    /// The same for one that nobody waited for to its end.
    pub(crate) fn remember_cancelled(
        &self,
        revision: &Revision,
        (request_id, attempt, accepted_ms): (&str, u32, u64),
    ) {
        self.recent.push(Recent {
            id: Id::of(request_id),
            function: revision.label().clone(),
            status: Status::Cancelled,
            attempt,
            accepted_ms,
            ended_ms: self.clock.now_ms(),
            error: None,
            figures: None,
        });
    }

    /// Lines of both kinds, newest first.
    pub(crate) async fn find(
        &self,
        filter: &InvocationFilter,
    ) -> Result<Vec<InvocationRecord>, StorageError> {
        let limit = filter.limit.clamp(1, ROWS_MAX);
        let query = Query::Journal(JournalFilter {
            lane: filter.function.clone(),
            id: filter.request_id.clone(),
            status: filter.status.map(|status| status.as_str().to_owned()),
            since_ms: filter.since_ms,
            limit,
            ..JournalFilter::default()
        });
        let mut found = Vec::new();
        if let Found::Journal(rows) = self.storage.read(query).await? {
            found.extend(
                rows.iter().filter_map(|(_, row)| {
                    serde_json::from_slice::<InvocationRecord>(&row.body).ok()
                }),
            );
        }
        found.extend(self.recent.find(limit, |call| filter.takes(call)));
        found.sort_by_key(|record| std::cmp::Reverse(record.ended_ms));
        found.truncate(limit);
        Ok(found)
    }

    /// Removes lines beyond the bounds from storage.
    pub(crate) async fn prune(&self) -> Result<(), StorageError> {
        let age = u64::try_from(self.config.age.as_millis()).unwrap_or(u64::MAX);
        let before_ms = self.clock.now_ms().saturating_sub(age);
        loop {
            let op = Op::PruneJournal { before_ms, keep: self.config.kept };
            let effects = self.storage.commit(vec![op]).await?;
            if effects.first() != Some(&Effect::Removed(PRUNE_MAX as u64)) {
                return Ok(());
            }
        }
    }
}

/// What a result is in a record.
pub(crate) fn judge(
    result: Result<&Outcome, &PlatformError>,
) -> (Status, Option<ErrorNote>, Option<Figures>) {
    match result {
        Ok(outcome) => {
            let figures = Some(Figures::from(&outcome.report));
            match &outcome.result {
                Ok(_) => (Status::Succeeded, None, figures),
                Err(fault) => {
                    (Status::Failed, Some(note(fault.as_str(), &fault.to_string())), figures)
                }
            }
        }
        Err(error @ PlatformError::Refused(refusal)) => {
            (Status::Refused, Some(note(refusal.as_str(), &error.to_string())), None)
        }
        Err(error) => (Status::Failed, Some(note_of(error)), None),
    }
}

pub(crate) fn note_of(error: &PlatformError) -> ErrorNote {
    let kind = match error {
        PlatformError::Request(_) => "request",
        PlatformError::Load(_) => "load",
        PlatformError::Refused(refusal) => refusal.as_str(),
        PlatformError::Code(_) => "code",
        PlatformError::Object(_) => "object",
        PlatformError::Storage(_) => "storage",
        PlatformError::Failure { .. } => "failure",
    };
    note(kind, &error.to_string())
}

pub(crate) fn note(kind: &str, message: &str) -> ErrorNote {
    let message = message.get(..message.floor_char_boundary(ERROR_BYTES_MAX)).unwrap_or_default();
    ErrorNote { kind: kind.to_owned(), message: message.to_owned() }
}

impl Platform {
    /// What came of invocations, newest first: async ones from storage, sync ones as far as memory holds them.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn invocations(
        &self,
        filter: &InvocationFilter,
    ) -> Result<Vec<InvocationRecord>, PlatformError> {
        Ok(self.inner().journal.find(filter).await?)
    }
}
