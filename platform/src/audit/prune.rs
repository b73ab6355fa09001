//! The bounds of the trail. What goes is its beginning, and a record says up to where and what its last hash was: that anchors what is
//! left, and nobody can cut off more and call it this.

use super::Origin;
use super::record::{AuditRecord, Change, Verb};
use super::trail::{RECORDS, Trail};
use crate::queue::millis;
use crate::storage::{Entry, Expect, Found, OPS_MAX, Op, Query, StorageError};

/// Records removed in one batch; beside them it holds the record of that.
const CHUNK: usize = 1000;
const _: () = assert!(CHUNK + super::trail::OPS <= OPS_MAX, "a batch is bounded");

/// The part of a bound by which the trail may be over it; or every round would remove as much as it adds by saying so.
const SLACK: u64 = 10;

impl Trail {
    /// Removes what is beyond the bounds.
    pub(crate) async fn prune(&self) -> Result<(), StorageError> {
        let _pruning = self.pruning.lock().await;
        let age = millis(self.config.age);
        let now_ms = self.clock.now_ms();
        let before_ms = |age: u64| now_ms.saturating_sub(age);
        let kept = self.config.kept.max(1);
        let (held, oldest) = match self.beginning(1).await?.first() {
            Some(entry) => (self.held(entry).await?, time_of(entry)),
            None => return Ok(()),
        };
        let is_over = held > kept.saturating_add(kept / SLACK);
        if !is_over && oldest >= before_ms(age.saturating_add(age / SLACK)) {
            return Ok(());
        }
        loop {
            let entries = self.beginning(CHUNK).await?;
            let Some(first) = entries.first() else { return Ok(()) };
            let excess = self.held(first).await?.saturating_sub(kept);
            let is_old = |entry: &&Entry| time_of(entry) < before_ms(age);
            let old = entries.iter().take_while(is_old).count();
            let count = usize::try_from(excess).unwrap_or(CHUNK).max(old).min(entries.len());
            let gone = entries.get(..count).unwrap_or_default();
            let Some(last) = gone.last() else { return Ok(()) };
            let mut change =
                Change::new(Verb::Prune, "audit records", span(number(first), number(last)));
            change.became = AuditRecord::read(last).map(|record| record.hash);
            let delete = |entry: &Entry| Op::Delete {
                collection: RECORDS,
                key: entry.key.clone(),
                expect: Expect::Any,
            };
            self.commit(&Origin::local(), &change, gone.iter().map(delete).collect()).await?;
            if count < CHUNK {
                return Ok(());
            }
        }
    }

    /// Records from the one that is the first now.
    async fn held(&self, first: &Entry) -> Result<u64, StorageError> {
        Ok(self.head().await?.number.saturating_add(1).saturating_sub(number(first)))
    }

    async fn beginning(&self, limit: usize) -> Result<Vec<Entry>, StorageError> {
        let (prefix, start) = (String::new(), String::new());
        let query = Query::List { collection: RECORDS, prefix, start, limit };
        match self.storage.read(query).await? {
            Found::Entries(entries) => Ok(entries),
            _ => Ok(Vec::new()),
        }
    }
}

fn number(entry: &Entry) -> u64 {
    entry.key.parse().unwrap_or_default()
}

/// A damaged record is as old as any.
fn time_of(entry: &Entry) -> u64 {
    AuditRecord::read(entry).map_or(0, |record| record.time_ms)
}

fn span(from: u64, to: u64) -> String {
    format!("{from}-{to}")
}

/// The last number of the part that a record says was pruned.
pub(super) fn pruned_to(record: &AuditRecord) -> Option<u64> {
    if record.deed.verb != Verb::Prune.as_str() {
        return None;
    }
    record.deed.name.split_once('-')?.1.parse().ok()
}
