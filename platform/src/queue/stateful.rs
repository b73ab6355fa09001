//! Stateful invocations: async ones that have a record from the moment they are accepted, under an id that is taken once.
//!
//! A record is written twice: in the commit that accepts it and in the one that ends it. What it does between is told by the queue. An
//! index by time stands beside the records. Both are bounded by age and by number.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Queue, Ticket, millis};
use crate::error::{Kind, PlatformError, RequestError};
use crate::name::{LATEST, Target};
use crate::platform::Platform;
use crate::storage::{
    Collection, Entry, Expect, Found, NewItem, Op, Query, ROWS_MAX, Storage, StorageError,
};

/// The records, by `service/function/id`.
pub(super) const RECORDS: Collection = Collection("stateful");
/// What there is in order of time, by `service/function/time/id`; the value is how it ended, or empty before.
pub(super) const BY_TIME: Collection = Collection("stateful_time");
/// The longest event or answer that a record shows, in bytes.
const SHOWN_BYTES_MAX: usize = 128 * 1024;
/// Most records on one page.
const PAGE_MAX: usize = 100;
/// Records that one page may look at; a filter that takes none of them must not read for ever.
const LOOKED_AT_MAX: usize = 4 * ROWS_MAX;
/// Records removed at once.
const CHUNK: usize = 256;

/// What a stateful invocation does or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatefulStatus {
    /// It waits for its first attempt.
    Enqueued,
    /// An attempt runs.
    Running,
    /// It waits for another attempt.
    Retrying,
    /// The function answered.
    Succeeded,
    /// It gave up.
    Failed,
    /// It was stopped on request.
    Stopped,
    /// It became too old.
    Expired,
}

impl StatefulStatus {
    /// Whether it has ended.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Enqueued | Self::Running | Self::Retrying)
    }

    /// Its name.
    fn as_str(self) -> &'static str {
        match self {
            Self::Enqueued => "enqueued",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Expired => "expired",
        }
    }
}

/// A stateful invocation as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatefulInvocation {
    /// Its service.
    pub service: String,
    /// A version, an alias or `LATEST`.
    pub qualifier: String,
    /// Its function.
    pub function: String,
    /// Its id, among those of its function.
    pub id: String,
    /// Its request id.
    pub request_id: String,
    /// What it does or did.
    pub status: StatefulStatus,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub accepted_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// Attempts that ran; while it has not ended, those that failed.
    pub attempts: u32,
    /// Its event, as text, cut to 128 KiB.
    pub payload: String,
    /// What the function answered, the same way.
    pub answer: String,
    /// Why it did not succeed.
    pub error: Option<String>,
    /// The request id of the event that tells its destination, if one is told.
    pub event: Option<String>,
}

/// Which of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatefulFilter {
    /// Only in this state.
    pub status: Option<StatefulStatus>,
    /// Only with ids that begin with this.
    pub prefix: String,
    /// Only accepted at this time or later, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// Only accepted before this time.
    pub until_ms: Option<u64>,
    /// The newest first.
    pub newest_first: bool,
    /// Where an earlier page ended.
    pub start: Option<String>,
    /// Most of them, 1 to 100.
    pub limit: usize,
}

/// A page of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatefulPage {
    /// Those found.
    pub items: Vec<StatefulInvocation>,
    /// Where the next page begins, if there may be more.
    pub next: Option<String>,
}

/// Bytes as a record shows them.
pub(super) fn shown(bytes: &Bytes) -> String {
    let cut = bytes.get(..bytes.len().min(SHOWN_BYTES_MAX)).unwrap_or_default();
    String::from_utf8_lossy(cut).into_owned()
}

fn group(service: &str, function: &str) -> String {
    format!("{service}/{function}/")
}

/// The part of an index key that stands for a time.
fn time_key(ms: u64) -> String {
    format!("{ms:020}")
}

impl StatefulInvocation {
    /// Its record when it was accepted; none if it is not stateful.
    pub(super) fn accepted(ticket: &Ticket, item: &NewItem) -> Option<Self> {
        Some(Self {
            service: ticket.service.clone(),
            qualifier: ticket.qualifier.clone().unwrap_or_else(|| LATEST.to_owned()),
            function: ticket.function.clone(),
            id: ticket.stateful.clone()?,
            request_id: item.id.clone(),
            status: StatefulStatus::Enqueued,
            accepted_ms: item.accepted_ms,
            ended_ms: None,
            attempts: 0,
            payload: shown(&item.payload),
            answer: String::new(),
            error: None,
            event: None,
        })
    }

    pub(super) fn key(&self) -> String {
        format!("{}{}", group(&self.service, &self.function), self.id)
    }

    fn time_key(&self) -> String {
        let group = group(&self.service, &self.function);
        format!("{group}{}/{}", time_key(self.accepted_ms), self.id)
    }

    pub(super) fn put(&self, expect: Expect) -> Result<Op, PlatformError> {
        let value = serde_json::to_vec(self).map_err(|error| PlatformError::Failure {
            what: "encoding a stateful invocation",
            why: error.to_string(),
        })?;
        Ok(Op::Put { collection: RECORDS, key: self.key(), value: value.into(), expect })
    }

    /// What enters storage when it is accepted; fails if its id is taken.
    pub(super) fn enter(&self) -> Result<[Op; 2], PlatformError> {
        Ok([self.put(Expect::Absent)?, self.index(Bytes::new())])
    }

    /// What enters storage when it has ended.
    pub(super) fn leave(&self, expect: Expect) -> Result<[Op; 2], PlatformError> {
        let ended = Bytes::from_static(self.status.as_str().as_bytes());
        Ok([self.put(expect)?, self.index(ended)])
    }

    fn index(&self, value: Bytes) -> Op {
        let (collection, key) = (BY_TIME, self.time_key());
        Op::Put { collection, key, value, expect: Expect::Any }
    }

    /// Whether the index tells already that a filter leaves it out.
    fn is_left_out(index: &Entry, filter: &StatefulFilter) -> bool {
        let id = index.key.rsplit('/').next().unwrap_or_default();
        let ended_otherwise = |status: StatefulStatus| {
            !index.value.is_empty() && index.value[..] != *status.as_str().as_bytes()
        };
        !id.starts_with(&filter.prefix) || filter.status.is_some_and(ended_otherwise)
    }

    fn takes(&self, qualifier: Option<&str>, filter: &StatefulFilter) -> bool {
        qualifier.is_none_or(|qualifier| qualifier == self.qualifier)
            && filter.status.is_none_or(|status| status == self.status)
            && self.id.starts_with(&filter.prefix)
    }
}

impl Queue {
    async fn stateful(&self, key: String) -> Result<Option<StatefulInvocation>, PlatformError> {
        let query = || Query::Get { collection: RECORDS, key: key.clone() };
        for _ in 0..2 {
            let Found::Entry(Some(entry)) = self.storage.read(query()).await? else {
                return Ok(None);
            };
            let mut record = decode(&entry)?;
            if record.status.is_final() {
                return Ok(Some(record));
            }
            let id = record.request_id.clone();
            // Not queued any more: it ended between the two questions, and its record says how.
            if let Found::Item(Some(item)) = self.storage.read(Query::Item { id }).await? {
                record.attempts = item.attempts;
                record.status = match (item.leased, item.attempts + item.deferrals) {
                    (true, _) => StatefulStatus::Running,
                    (false, 0) => StatefulStatus::Enqueued,
                    (false, _) => StatefulStatus::Retrying,
                };
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Removes records of stateful invocations that ended, beyond the bounds of age and number.
    pub(crate) async fn prune_stateful(&self) -> Result<(), PlatformError> {
        let before_ms = self.clock.now_ms().saturating_sub(millis(self.config.stateful_age));
        let mut start = String::new();
        while let Some(group) = next_group(&*self.storage, &start).await? {
            self.prune_group(&group, before_ms).await?;
            // The next function: `0` comes after `/`.
            start = format!("{}0", group.trim_end_matches('/'));
        }
        Ok(())
    }

    async fn prune_group(&self, group: &str, before_ms: u64) -> Result<(), PlatformError> {
        let page = |start| Query::List {
            collection: BY_TIME,
            prefix: group.to_owned(),
            start,
            limit: ROWS_MAX,
        };
        let mut held = 0_u64;
        let mut start = String::new();
        while let Found::Entries(entries) = self.storage.read(page(start.clone())).await? {
            held += entries.len() as u64;
            let Some(last) = entries.last().filter(|_| entries.len() == ROWS_MAX) else { break };
            start = format!("{}\0", last.key);
        }
        let excess = held.saturating_sub(self.config.stateful_kept);
        let old = format!("{group}{}", time_key(before_ms));
        let (mut seen, mut start) = (0_u64, String::new());
        while let Found::Entries(entries) = self.storage.read(page(start)).await? {
            let count = entries.len();
            start = entries.last().map(|entry| format!("{}\0", entry.key)).unwrap_or_default();
            let mut ops = Vec::new();
            for entry in entries {
                seen += 1;
                if seen > excess && entry.key >= old {
                    break;
                }
                ops.extend(self.removal(group, &entry).await?);
            }
            let removed_all = ops.len() / 2 == count;
            for chunk in ops.chunks(2 * CHUNK) {
                self.storage.commit(chunk.to_vec()).await?;
            }
            if !removed_all || count < ROWS_MAX {
                break;
            }
        }
        Ok(())
    }

    /// What removes a record and its place in the index, if it has ended.
    async fn removal(&self, group: &str, index: &Entry) -> Result<Vec<Op>, PlatformError> {
        let id = index.key.rsplit('/').next().unwrap_or_default();
        let key = format!("{group}{id}");
        let query = Query::Get { collection: RECORDS, key: key.clone() };
        let Found::Entry(found) = self.storage.read(query).await? else { return Ok(Vec::new()) };
        let ended = match &found {
            Some(entry) => decode(entry)?.status.is_final(),
            None => true,
        };
        if !ended {
            return Ok(Vec::new());
        }
        let gone = |collection, key| Op::Delete { collection, key, expect: Expect::Any };
        Ok(vec![gone(BY_TIME, index.key.clone()), gone(RECORDS, key)])
    }
}

/// The first function from `start` on that has stateful invocations, as its group.
async fn next_group(storage: &dyn Storage, start: &str) -> Result<Option<String>, StorageError> {
    let (prefix, start) = (String::new(), start.to_owned());
    let query = Query::List { collection: BY_TIME, prefix, start, limit: 1 };
    let Found::Entries(entries) = storage.read(query).await? else { return Ok(None) };
    Ok(entries.first().and_then(|entry| {
        let mut parts = entry.key.split('/');
        Some(group(parts.next()?, parts.next()?))
    }))
}

pub(super) fn decode(entry: &Entry) -> Result<StatefulInvocation, PlatformError> {
    serde_json::from_slice(&entry.value).map_err(|error| PlatformError::Failure {
        what: "reading a stateful invocation",
        why: format!("its record `{}` is damaged: {error}", entry.key),
    })
}

fn missing(id: &str) -> RequestError {
    RequestError::NotFound { kind: Kind::Invocation, name: id.to_owned() }
}

impl Platform {
    /// A stateful invocation of a function, whatever its qualifier.
    ///
    /// # Errors
    /// No such target; no such invocation, or its record is no longer kept; storage.
    pub async fn stateful_invocation(
        &self,
        target: Target<'_>,
        id: &str,
    ) -> Result<StatefulInvocation, PlatformError> {
        self.inner().catalog.service(target.service)?.function_at(target)?;
        let key = format!("{}{id}", group(target.service, target.function));
        let found = self.inner().queue.stateful(key).await?;
        found.ok_or_else(|| missing(id).into())
    }

    /// Stateful invocations of a function in order of time: those of the target's qualifier, or all if it names none.
    ///
    /// # Errors
    /// No such target; a limit out of bounds; storage.
    pub async fn stateful_invocations(
        &self,
        target: Target<'_>,
        filter: &StatefulFilter,
    ) -> Result<StatefulPage, PlatformError> {
        self.inner().catalog.service(target.service)?.function_at(target)?;
        if !(1..=PAGE_MAX).contains(&filter.limit) {
            let why = format!("{} is not 1 to {PAGE_MAX}", filter.limit);
            return Err(RequestError::invalid("limit", why).into());
        }
        let group = group(target.service, target.function);
        let queue = &self.inner().queue;
        let mut walk = Walk::new(&group, filter);
        let mut items = Vec::new();
        while let Some(entries) = walk.page(&*queue.storage).await? {
            for entry in entries {
                if items.len() == filter.limit || walk.looked_at == LOOKED_AT_MAX {
                    let next = entry.key.strip_prefix(&group).map(str::to_owned);
                    return Ok(StatefulPage { items, next });
                }
                walk.looked_at += 1;
                if StatefulInvocation::is_left_out(&entry, filter) {
                    continue;
                }
                let id = entry.key.rsplit('/').next().unwrap_or_default();
                let record = queue.stateful(format!("{group}{id}")).await?;
                items.extend(record.filter(|found| found.takes(target.qualifier, filter)));
            }
        }
        Ok(StatefulPage { items, next: None })
    }

    /// Stops a stateful invocation. One that runs is ended, one that waits never runs.
    ///
    /// # Errors
    /// No such target or invocation; it has ended already; storage.
    pub async fn stop_stateful(&self, target: Target<'_>, id: &str) -> Result<(), PlatformError> {
        let found = self.stateful_invocation(target, id).await?;
        let ended = || RequestError::invalid("invocation_id", format!("`{id}` has ended already"));
        if found.status.is_final() {
            return Err(ended().into());
        }
        match self.cancel(&found.request_id).await {
            Err(PlatformError::Request(RequestError::NotFound { .. })) => Err(ended().into()),
            result => result,
        }
    }

    /// Functions that have stateful invocations, as service and function, from after `after` (`service/function`) on.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn stateful_functions(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, String)>, PlatformError> {
        let mut start = if after.is_empty() { String::new() } else { format!("{after}0") };
        let mut found = Vec::new();
        while found.len() < limit.clamp(1, PAGE_MAX) {
            let Some(group) = next_group(&*self.inner().storage, &start).await? else { break };
            let name = group.trim_end_matches('/');
            start = format!("{name}0");
            let (service, function) = name.split_once('/').unwrap_or_default();
            found.push((service.to_owned(), function.to_owned()));
        }
        Ok(found)
    }
}

/// A walk along the index of one function.
struct Walk<'a> {
    group: &'a str,
    newest_first: bool,
    /// The next key, in the direction of the walk.
    at: String,
    /// The bound on its other side.
    until: Option<String>,
    looked_at: usize,
    is_over: bool,
}

impl<'a> Walk<'a> {
    fn new(group: &'a str, filter: &StatefulFilter) -> Self {
        let key = |rest: &str| format!("{group}{rest}");
        let since = filter.since_ms.map(|ms| key(&time_key(ms)));
        let until = filter.until_ms.map(|ms| key(&time_key(ms)));
        let start = filter.start.as_deref().map(key);
        let (at, until) = if filter.newest_first {
            // A page begins with its key, and what walks down begins before one. After all digits comes `~`.
            let start = start.map(|key| format!("{key}\0"));
            (start.or(until).unwrap_or_else(|| key("~")), since)
        } else {
            (start.or(since).unwrap_or_default(), until)
        };
        let newest_first = filter.newest_first;
        Self { group, newest_first, at, until, looked_at: 0, is_over: false }
    }

    async fn page(&mut self, storage: &dyn Storage) -> Result<Option<Vec<Entry>>, StorageError> {
        if self.is_over {
            return Ok(None);
        }
        let (collection, prefix, limit) = (BY_TIME, self.group.to_owned(), ROWS_MAX);
        let query = if self.newest_first {
            Query::ListDown { collection, prefix, before: self.at.clone(), limit }
        } else {
            Query::List { collection, prefix, start: self.at.clone(), limit }
        };
        let Found::Entries(mut entries) = storage.read(query).await? else { return Ok(None) };
        self.is_over = entries.len() < limit;
        if let Some(until) = &self.until {
            let all = entries.len();
            // What is at a time comes after the time alone.
            let newest_first = self.newest_first;
            entries
                .retain(|entry| if newest_first { entry.key > *until } else { entry.key < *until });
            self.is_over |= entries.len() < all;
        }
        if let Some(last) = entries.last() {
            self.at = last.key.clone();
            if !self.newest_first {
                self.at.push('\0');
            }
        }
        Ok(Some(entries))
    }
}
