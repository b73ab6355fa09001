//! Writing the trail: the one place where a change and its record become one batch.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, MutexGuard};

use super::record::{AuditRecord, Change, Deed, Head, key_of};
use super::{AuditConfig, Origin};
use crate::clock::Clock;
use crate::storage::{Collection, Effect, Expect, Found, Op, Query, Storage, StorageError};

/// Records by number.
pub(super) const RECORDS: Collection = Collection("audit");
/// Where the trail stands, under [`HEAD_KEY`].
pub(super) const HEADS: Collection = Collection("audit_head");
pub(super) const HEAD_KEY: &str = "head";

/// Times that a batch is made anew because the trail went on meanwhile: changes that were handed to storage and whose callers went away.
const ATTEMPTS: usize = 8;

/// The operations that a record takes beside those of its change.
pub(super) const OPS: usize = 2;

/// The trail of one storage.
#[derive(Debug)]
pub(crate) struct Trail {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(super) config: AuditConfig,
    /// Held from one record to the next; none where storage has to be asked.
    head: Mutex<Option<Head>>,
    /// Held by whoever must find the first record where it was.
    pub(super) pruning: Mutex<()>,
}

/// The trail, and on whose behalf changes are written to it.
#[derive(Debug, Clone)]
pub(crate) struct Author {
    trail: Arc<Trail>,
    by: Origin,
}

impl Author {
    pub(crate) fn new(trail: Arc<Trail>, by: Origin) -> Self {
        Self { trail, by }
    }

    /// Commits a change with its record.
    pub(crate) async fn commit(
        &self,
        change: Change,
        ops: Vec<Op>,
    ) -> Result<Committed, StorageError> {
        self.trail.commit(&self.by, &change, ops).await
    }
}

/// What the operations of a change did.
#[derive(Debug)]
pub(crate) struct Committed(Vec<Effect>);

impl Committed {
    /// The version of the last record that was written, 0 if none was.
    pub(crate) fn version(&self) -> u64 {
        let versions = self.0.iter().rev().filter_map(|effect| match effect {
            Effect::Version(version) => Some(*version),
            _ => None,
        });
        versions.into_iter().next().unwrap_or_default()
    }

    /// What the first operation did, if storage said so.
    pub(crate) fn first(&self) -> Option<Effect> {
        self.0.first().copied()
    }
}

impl Trail {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        config: AuditConfig,
    ) -> Arc<Self> {
        let (head, pruning) = (Mutex::default(), Mutex::default());
        Arc::new(Self { storage, clock, config, head, pruning })
    }

    /// Commits a change with its record, whole or not at all. Where it is unknown whether storage wrote it, storage is asked.
    pub(super) async fn commit(
        &self,
        by: &Origin,
        change: &Change,
        ops: Vec<Op>,
    ) -> Result<Committed, StorageError> {
        let mut head = self.head.lock().await;
        let mut attempts = ATTEMPTS;
        loop {
            // Taken, and given back when it is known how this ends: a caller who goes away meanwhile leaves storage to be asked.
            let last = match head.take() {
                Some(last) => last,
                None => self.stored_head().await?,
            };
            let mut record = AuditRecord::following(&last, by, change, self.clock.now_ms());
            let value = record.seal().map_err(|error| self.failed(&error))?;
            let mut batch = self.written(&record, &value)?;
            batch.extend(ops.iter().cloned());
            attempts -= 1;
            match self.storage.commit(batch).await {
                Ok(mut effects) => {
                    effects.drain(..OPS.min(effects.len()));
                    *head = Some(logged(&record));
                    return Ok(Committed(effects));
                }
                Err(StorageError::Precondition { collection: RECORDS, .. }) if attempts > 0 => {}
                Err(error @ StorageError::Io { .. }) => {
                    let found = self.read(RECORDS, key_of(record.number)).await;
                    if !matches!(found, Ok(Some((_, found))) if found == value) {
                        return Err(error);
                    }
                    *head = Some(logged(&record));
                    return self.effects_of(&ops).await;
                }
                Err(error) => {
                    *head = Some(last);
                    return Err(error);
                }
            }
        }
    }

    /// The operations that write a record.
    fn written(&self, record: &AuditRecord, value: &Bytes) -> Result<Vec<Op>, StorageError> {
        let head = serde_json::to_vec(&record.head()).map_err(|error| self.failed(&error))?;
        Ok(vec![
            Op::Put {
                collection: RECORDS,
                key: key_of(record.number),
                value: value.clone(),
                expect: Expect::Absent,
            },
            Op::Put {
                collection: HEADS,
                key: HEAD_KEY.to_owned(),
                value: head.into(),
                expect: Expect::Any,
            },
        ])
    }

    /// What is known of the effects of a batch that turned out to be written.
    async fn effects_of(&self, ops: &[Op]) -> Result<Committed, StorageError> {
        let last = ops.iter().rev().find_map(|op| match op {
            Op::Put { collection, key, .. } => Some((*collection, key.clone())),
            _ => None,
        });
        let Some((collection, key)) = last else { return Ok(Committed(Vec::new())) };
        let found = self.read(collection, key).await?;
        Ok(Committed(found.map(|(version, _)| Effect::Version(version)).into_iter().collect()))
    }

    /// Where the trail stands.
    pub(super) async fn head(&self) -> Result<Head, StorageError> {
        let mut head: MutexGuard<'_, Option<Head>> = self.head.lock().await;
        if let Some(head) = &*head {
            return Ok(head.clone());
        }
        let stored = self.stored_head().await?;
        *head = Some(stored.clone());
        Ok(stored)
    }

    /// Where the trail stands by what is stored: the head, or the last record where that is further. A head that cannot be read does
    /// not keep changes from being made and recorded; verifying tells it.
    async fn stored_head(&self) -> Result<Head, StorageError> {
        let head = self.read(HEADS, HEAD_KEY.to_owned()).await?;
        let head = head.and_then(|(_, value)| serde_json::from_slice::<Head>(&value).ok());
        let head = head.unwrap_or_default();
        let (prefix, before) = (String::new(), "~".to_owned());
        let query = Query::ListDown { collection: RECORDS, prefix, before, limit: 1 };
        let Found::Entries(entries) = self.storage.read(query).await? else { return Ok(head) };
        let Some(last) = entries.first() else { return Ok(head) };
        let number = last.key.parse().unwrap_or_default();
        if number <= head.number {
            return Ok(head);
        }
        let hash = AuditRecord::read(last).map(|record| record.hash).unwrap_or_default();
        tracing::error!(
            number,
            head = head.number,
            "the audit trail goes on after its head; verify it"
        );
        Ok(Head { number, hash })
    }

    async fn read(
        &self,
        collection: Collection,
        key: String,
    ) -> Result<Option<(u64, Bytes)>, StorageError> {
        match self.storage.read(Query::Get { collection, key }).await? {
            Found::Entry(found) => Ok(found.map(|entry| (entry.version, entry.value))),
            _ => Ok(None),
        }
    }

    fn failed(&self, error: &serde_json::Error) -> StorageError {
        StorageError::Io { path: "audit".into(), what: format!("encoding a record: {error}") }
    }
}

/// Says in the log where the trail stands with a record: what a log that is kept elsewhere tells is not for whoever writes this file.
fn logged(record: &AuditRecord) -> Head {
    let AuditRecord { number, hash, deed: Deed { who, verb, noun, name, .. }, .. } = record;
    tracing::info!(target: "hearth::audit", number, %who, %verb, %noun, %name, %hash, "changed");
    record.head()
}
