//! Ending an invocation before its time, whether it waits or runs.

use std::sync::atomic::Ordering;

use super::stateful::{self, StatefulInvocation, StatefulStatus};
use super::{Queue, Ticket};
use crate::audit::{Author, Change, Verb};
use crate::catalog::detached;
use crate::error::{Kind, PlatformError, RequestError};
use crate::journal::{Status, note};
use crate::platform::Platform;
use crate::storage::{Effect, Expect, Found, Leased, Op, Query, StorageError};

impl Queue {
    /// Ends an invocation that is queued or running.
    pub(super) async fn cancel(&self, id: &str, author: &Author) -> Result<(), PlatformError> {
        let missing = || RequestError::NotFound { kind: Kind::Invocation, name: id.to_owned() };
        let Found::Item(Some(item)) = self.storage.read(Query::Item { id: id.to_owned() }).await?
        else {
            return Err(missing().into());
        };
        let mut record = self.record(&item, Status::Cancelled);
        record.error = Some(note("cancelled", "stopped on request"));
        let mut ops = vec![Op::Cancel { id: id.to_owned(), record: record.row() }];
        ops.extend(self.stopped(&item, record.ended_ms).await?.into_iter().flatten());
        let change = Change::new(Verb::Stop, "invocation", format!("{} {id}", item.new.lane));
        match author.commit(change, ops).await {
            Ok(done) if done.first() != Some(Effect::Removed(0)) => {}
            // It ended between the question and the commit; the trail says that somebody wanted to stop it.
            Ok(_) | Err(StorageError::Precondition { .. }) => return Err(missing().into()),
            Err(error) => return Err(error.into()),
        }
        self.settled.fetch_add(1, Ordering::Relaxed);
        // A claim that came before the commit may have it and not have said so yet; one that comes after cannot have it.
        drop(self.claiming.lock().await);
        if let Some(held) = self.held.get(id) {
            held.cancelled.notify_one();
        }
        Ok(())
    }

    /// The change of its record, if it is stateful: only if it has not ended, or an end would be written over. It may have ended since
    /// the item was read; if it ends from here on, the version no longer fits.
    async fn stopped(
        &self,
        item: &Leased,
        ended_ms: u64,
    ) -> Result<Option<[Op; 2]>, PlatformError> {
        let Ok(ticket) = serde_json::from_slice::<Ticket>(&item.new.body) else { return Ok(None) };
        let Some(mut record) = StatefulInvocation::accepted(&ticket, &item.new) else {
            return Ok(None);
        };
        let query = Query::Get { collection: stateful::RECORDS, key: record.key() };
        let Found::Entry(Some(entry)) = self.storage.read(query).await? else { return Ok(None) };
        if stateful::decode(&entry)?.status.is_final() {
            return Ok(None);
        }
        record.status = StatefulStatus::Stopped;
        record.attempts = item.attempts;
        record.ended_ms = Some(ended_ms);
        Ok(Some(record.leave(Expect::Version(entry.version))?))
    }
}

impl Platform {
    /// Stops an invocation that is queued or running. It ends as cancelled, and a running guest is ended.
    ///
    /// # Errors
    /// No such invocation, or it ended already; storage.
    pub async fn cancel(&self, id: &str) -> Result<(), PlatformError> {
        let (inner, author, id) = (self.inner().clone(), self.author(), id.to_owned());
        // To its end: what is stopped on disk must be ended here as well.
        detached(async move { inner.queue.cancel(&id, &author).await }).await
    }
}
