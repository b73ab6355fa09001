//! The storage interface: everything that must survive the process goes through [`Storage::commit`].
//!
//! A batch of [`Op`]s is applied whole or not at all and is durable when the call returns. Three kinds of state live here: versioned
//! records in collections, the queue with its leases, and the journal of what came of invocations. The interface knows nothing of
//! services or functions beyond a *lane*: the text that keeps one function's queued items apart from another's. Two drivers implement
//! it, [`memory`] (the executable specification) and [`sqlite`]; `contract` is the suite that both pass.

pub mod code_store;
#[cfg(test)]
mod contract;
mod error;
mod lock;
pub mod memory;
#[cfg(test)]
mod model_test;
pub mod sqlite;
pub(crate) mod whole_file;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

pub use error::{Expected, StorageError};

/// Most operations in one batch.
pub const OPS_MAX: usize = 1024;
/// Most rows one read returns, whatever its limit says.
pub const ROWS_MAX: usize = 1000;
/// Most items one claim leases, whatever it asks for.
pub const CLAIM_MAX: usize = 256;
/// Most batches [`Storage::commit_each`] takes.
pub const BATCHES_MAX: usize = 256;
/// Most rows one prune removes; call again while it removes that many.
pub const PRUNE_MAX: usize = 1000;

/// Names a group of records. The names are compiled in, so a driver may keep them as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Collection(pub &'static str);

/// What a write requires of the record as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// That there is no such record.
    Absent,
    /// That the record stands at this version.
    Version(u64),
}

/// An item to put into the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewItem {
    /// Unique in the queue and among the parked.
    pub id: String,
    /// Whose turn it takes: items of one lane are ordered by due time, lanes take turns.
    pub lane: String,
    /// What the queue's owner needs to run it; opaque here and small.
    pub body: Bytes,
    /// The event; opaque, kept on disk only.
    pub payload: Bytes,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub accepted_ms: u64,
    /// When it may first be claimed.
    pub due_ms: u64,
    /// When it is too old to run. The driver keeps it; the runner acts on it.
    pub expire_ms: u64,
}

/// An item as it stands in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What was enqueued; `due_ms` is as it was at first.
    pub new: NewItem,
    /// Attempts that counted.
    pub attempts: u32,
    /// Times it was put off without an attempt.
    pub deferrals: u32,
    /// Leases that ended without a word.
    pub crashes: u32,
    /// When it can be claimed next: its due time, or the end of its lease.
    pub visible_ms: u64,
    /// Whether somebody holds a lease on it.
    pub leased: bool,
    /// The token of the latest lease; 0 before the first.
    pub token: u64,
}

/// An item that gave up, kept for its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedItem {
    /// The item; its lease fields are those of its last lease.
    pub item: Item,
    /// When it was parked.
    pub parked_ms: u64,
    /// Why.
    pub reason: String,
}

/// A lease on an item: the right to run and settle it until `visible_ms`, unless the token is overtaken.
pub type Leased = Item;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// The invocation.
    pub id: String,
    /// Its lane.
    pub lane: String,
    /// What came of it, as one short word.
    pub status: String,
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The rest; opaque here and small.
    pub body: Bytes,
}

/// One change. `token` is the lease's: an operation whose token is not the item's latest, or whose lease was given back, fails with
/// [`StorageError::LeaseLost`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Writes a record; answers [`Effect::Version`].
    Put {
        /// Where.
        collection: Collection,
        /// Its key.
        key: String,
        /// The record; opaque.
        value: Bytes,
        /// What must hold before.
        expect: Expect,
    },
    /// Removes a record; answers [`Effect::Removed`] with 0 or 1.
    Delete {
        /// Where.
        collection: Collection,
        /// Its key.
        key: String,
        /// What must hold before.
        expect: Expect,
    },
    /// Adds an item to the queue.
    Enqueue {
        /// The item.
        item: NewItem,
        /// Items that its lane may hold, this one included; more fails with [`StorageError::LaneFull`].
        lane_limit: u64,
    },
    /// The item is done: it leaves the queue and `record` enters the journal.
    Ack {
        /// Which.
        id: String,
        /// The lease.
        token: u64,
        /// What came of it.
        record: JournalRow,
    },
    /// The item goes back to the queue and its lease ends.
    Retry {
        /// Which.
        id: String,
        /// The lease.
        token: u64,
        /// When it may be claimed again.
        due_ms: u64,
        /// Attempts that counted so far.
        attempts: u32,
        /// Times it was put off so far.
        deferrals: u32,
    },
    /// The item gave up: it leaves the queue for the parked, and `record` enters the journal.
    Park {
        /// Which.
        id: String,
        /// The lease.
        token: u64,
        /// Attempts that counted.
        attempts: u32,
        /// Why.
        reason: String,
        /// What came of it; its time is when the item was parked.
        record: JournalRow,
    },
    /// A parked item is parked no longer; fails with [`StorageError::NotParked`] if it is not.
    Unpark {
        /// Which.
        id: String,
    },
    /// The lease lasts longer.
    Extend {
        /// Which.
        id: String,
        /// The lease.
        token: u64,
        /// Until when.
        until_ms: u64,
    },
    /// The item leaves the queue whoever holds its lease, and `record` enters the journal. Answers [`Effect::Removed`] with 0 when
    /// it is not queued; then nothing enters the journal.
    Cancel {
        /// Which.
        id: String,
        /// What came of it.
        record: JournalRow,
    },
    /// Ends every lease now and counts it as a crash when claimed again. Only for the one owner of a data directory, at its start:
    /// whoever held those leases is gone.
    Reclaim {
        /// Now.
        now_ms: u64,
    },
    /// Adds a line to the journal.
    Append {
        /// The line.
        record: JournalRow,
    },
    /// Removes the oldest lines of the journal: those before `before_ms` among the oldest [`PRUNE_MAX`], and as many more as exceed
    /// `keep`. Answers [`Effect::Removed`].
    PruneJournal {
        /// Older lines go.
        before_ms: u64,
        /// More lines than this go.
        keep: u64,
    },
    /// The same for parked items.
    PruneParked {
        /// Items parked earlier go.
        before_ms: u64,
        /// More items than this go.
        keep: u64,
    },
}

/// What one operation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The version that a written record now stands at. Versions grow over all collections and never repeat.
    Version(u64),
    /// How many rows were removed.
    Removed(u64),
    /// Nothing to tell.
    Done,
}

/// Asks for leases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// Now, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Places that are free. No more items are leased, and at most [`CLAIM_MAX`].
    pub limit: usize,
    /// When the leases end unless extended.
    pub until_ms: u64,
    /// How many places each lane has taken already.
    pub running: HashMap<String, usize>,
}

impl Claim {
    /// Whether a lane that holds so many places may take one more of so many that are free: as long as it holds fewer.
    ///
    /// That is the dynamic threshold of shared-memory switches (Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998):
    /// one busy lane gets half of the places, two a third each, and the last is never taken by a lane that has one already.
    #[must_use]
    pub fn admits(held: usize, free: usize) -> bool {
        held < free
    }
}

/// A record as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Its version.
    pub version: u64,
    /// Its value.
    pub value: Bytes,
}

/// Which lines of the journal, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalFilter {
    /// Only of this lane.
    pub lane: Option<String>,
    /// Only of this invocation.
    pub id: Option<String>,
    /// Only with this status.
    pub status: Option<String>,
    /// Only at this time or later.
    pub since_ms: Option<u64>,
    /// Only before this time.
    pub until_ms: Option<u64>,
    /// Only lines older than the one with this position; for paging.
    pub before: Option<u64>,
    /// Most lines, at most [`ROWS_MAX`].
    pub limit: usize,
}

/// One question. Reads never see half a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// One record.
    Get {
        /// Where.
        collection: Collection,
        /// Its key.
        key: String,
    },
    /// Records in the order of their keys.
    List {
        /// Where.
        collection: Collection,
        /// Only keys that begin with this.
        prefix: String,
        /// Only this key or later ones.
        start: String,
        /// Most records, at most [`ROWS_MAX`].
        limit: usize,
    },
    /// The same from the last key to the first.
    ListDown {
        /// Where.
        collection: Collection,
        /// Only keys that begin with this.
        prefix: String,
        /// Only keys before this.
        before: String,
        /// Most records, at most [`ROWS_MAX`].
        limit: usize,
    },
    /// One queued item.
    Item {
        /// Which.
        id: String,
    },
    /// How many items each of the lanes that hold any has, in order of lane.
    Lanes {
        /// Only lanes after this.
        after: String,
        /// Most lanes, at most [`ROWS_MAX`].
        limit: usize,
    },
    /// Parked items in the order of their ids.
    Parked {
        /// Only of this lane.
        lane: Option<String>,
        /// Only ids after this.
        after: String,
        /// Most items, at most [`ROWS_MAX`].
        limit: usize,
    },
    /// One parked item; answered by [`Found::Parked`].
    ParkedItem {
        /// Which.
        id: String,
    },
    /// Lines of the journal.
    Journal(JournalFilter),
}

/// The answer to a [`Query`], of the kind that it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// To [`Query::Get`].
    Entry(Option<Entry>),
    /// To [`Query::List`] and [`Query::ListDown`].
    Entries(Vec<Entry>),
    /// To [`Query::Item`].
    Item(Option<Item>),
    /// To [`Query::Lanes`].
    Lanes(Vec<(String, u64)>),
    /// To [`Query::Parked`].
    Parked(Vec<ParkedItem>),
    /// To [`Query::Journal`], with each line's position.
    Journal(Vec<(u64, JournalRow)>),
}

/// A place that keeps state. The only write path is [`commit`](Storage::commit) (and [`claim`](Storage::claim), which only moves
/// leases).
#[async_trait]
pub trait Storage: Send + Sync + std::fmt::Debug + 'static {
    /// Applies all operations in order, atomically; durable on return. Dropping the future does not undo a batch that was handed over.
    ///
    /// # Errors
    /// The first operation that cannot be applied, or why nothing can be written. Nothing was applied, except after
    /// [`StorageError::Io`], when it is unknown.
    async fn commit(&self, ops: Vec<Op>) -> Result<Vec<Effect>, StorageError>;

    /// Applies each batch for itself, as [`commit`](Storage::commit) does, and answers each. Together they share what a commit costs.
    /// With more than [`BATCHES_MAX`] of them, or one that is too large, none is applied.
    async fn commit_each(&self, batches: Vec<Vec<Op>>) -> Vec<Result<Vec<Effect>, StorageError>> {
        if let Err(error) = check_batches(&batches) {
            return vec![Err(error); batches.len()];
        }
        let mut results = Vec::with_capacity(batches.len());
        for ops in batches {
            results.push(self.commit(ops).await);
        }
        results
    }

    /// Leases due items. Lanes with due items take turns in the order of their names, going on after the lane served last; each turn
    /// takes the lane's item that has been due longest. A lane whose turn is not [admitted](Claim::admits) has no more turns in this
    /// claim.
    ///
    /// # Errors
    /// Why nothing can be leased.
    async fn claim(&self, claim: Claim) -> Result<Vec<Leased>, StorageError>;

    /// Answers a question.
    ///
    /// # Errors
    /// Why it cannot be answered.
    async fn read(&self, query: Query) -> Result<Found, StorageError>;

    /// Is notified when something may have become due. A hint: polling is the truth.
    fn wake(&self) -> Arc<Notify>;
}

/// Refuses more batches than may stand together, and any that is too large.
fn check_batches(batches: &[Vec<Op>]) -> Result<(), StorageError> {
    let largest = batches.iter().map(Vec::len).max().unwrap_or(0);
    for (count, limit) in [(batches.len(), BATCHES_MAX), (largest, OPS_MAX)] {
        if count > limit {
            return Err(StorageError::BatchTooLarge { count, limit });
        }
    }
    Ok(())
}

impl dyn Storage {
    /// Reads all records of a collection, in pages, and hands each to `take`.
    ///
    /// # Errors
    /// Of [`Storage::read`], or what `take` says.
    pub async fn each<E: From<StorageError>>(
        &self,
        collection: Collection,
        mut take: impl FnMut(Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut start = String::new();
        loop {
            let query = Query::List { collection, prefix: String::new(), start, limit: ROWS_MAX };
            let Found::Entries(entries) = self.read(query).await? else { return Ok(()) };
            let full = entries.len() == ROWS_MAX;
            // The least key after the last one: itself with the lowest character appended.
            start = entries.last().map(|entry| format!("{}\0", entry.key)).unwrap_or_default();
            for entry in entries {
                take(entry)?;
            }
            if !full {
                return Ok(());
            }
        }
    }
}
