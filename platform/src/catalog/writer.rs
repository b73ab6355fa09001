//! Writing to the catalog: whose hand it is, and the one place where a change of it is committed, with its record in the audit trail.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::Catalog;
use super::scaling::Gone;
use crate::audit::{Author, Change};
use crate::error::PlatformError;
use crate::storage::{Collection, Expect, OPS_MAX, Op};

/// The catalog in the hand of whoever changes it; reads as the catalog does.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    catalog: Arc<Catalog>,
    author: Author,
}

impl Deref for Writer {
    type Target = Catalog;

    fn deref(&self) -> &Catalog {
        &self.catalog
    }
}

impl Writer {
    pub(crate) fn new(catalog: Arc<Catalog>, author: Author) -> Self {
        Self { catalog, author }
    }

    /// Writes one record; returns the version it stands at.
    pub(super) async fn put(
        &self,
        change: Change,
        collection: Collection,
        key: String,
        record: &impl Serialize,
        expect: Expect,
    ) -> Result<u64, PlatformError> {
        let value = encode(record)?;
        let change = change.stored_as(&value);
        self.commit(change, vec![Op::Put { collection, key, value, expect }]).await
    }

    pub(super) async fn delete(
        &self,
        change: Change,
        collection: Collection,
        key: String,
    ) -> Result<(), PlatformError> {
        self.commit(change, vec![Op::Delete { collection, key, expect: Expect::Any }]).await?;
        Ok(())
    }

    /// Removes a record with the configs that go with it. More of them than one batch holds go before, each batch with a record of its
    /// own.
    pub(super) async fn delete_with(
        &self,
        change: Change,
        gone: Vec<Gone>,
        collection: Collection,
        key: String,
    ) -> Result<(), PlatformError> {
        let mut chunks = gone.chunks(Gone::CHUNK).peekable();
        let mut ops = Vec::new();
        let mut last: &[Gone] = &[];
        while let Some(chunk) = chunks.next() {
            let removing = chunk.iter().map(Gone::op).collect();
            if chunks.peek().is_some() {
                self.commit(Gone::change(&change, chunk), removing).await?;
                self.forget(chunk);
            } else {
                (ops, last) = (removing, chunk);
            }
        }
        ops.push(Op::Delete { collection, key, expect: Expect::Any });
        self.commit(change, ops).await?;
        self.forget(last);
        Ok(())
    }

    /// Commits one change of what exists; returns the version of the last record written, 0 if none was.
    pub(super) async fn commit(&self, change: Change, ops: Vec<Op>) -> Result<u64, PlatformError> {
        debug_assert!(ops.len() < OPS_MAX, "a batch is bounded");
        Ok(self.author.commit(change, ops).await?.version())
    }

    /// Commits what nobody sees yet, or no more: what a version that is being made will name, and what a removed one named.
    pub(super) async fn commit_unseen(&self, ops: Vec<Op>) -> Result<(), PlatformError> {
        self.storage.commit(ops).await?;
        Ok(())
    }
}

pub(super) fn encode(record: &impl Serialize) -> Result<Bytes, PlatformError> {
    serde_json::to_vec(record).map(Bytes::from).map_err(|error| PlatformError::Failure {
        what: "encoding a record",
        why: error.to_string(),
    })
}

/// Runs a change to its end even when its caller goes away.
pub(crate) async fn detached<T: Send + 'static>(
    change: impl Future<Output = Result<T, PlatformError>> + Send + 'static,
) -> Result<T, PlatformError> {
    tokio::spawn(change).await.unwrap_or_else(|error| {
        Err(PlatformError::Failure { what: "a change", why: error.to_string() })
    })
}
