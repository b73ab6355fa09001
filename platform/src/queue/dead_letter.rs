//! Invocations that gave up: kept for a while, to be looked at and queued again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::{Queue, Ticket, millis};
use crate::audit::{Author, Change, Verb};
use crate::catalog::detached;
use crate::error::{Kind, PlatformError, RequestError};
use crate::name::InvocationId;
use crate::platform::Platform;
use crate::storage::{Effect, Found, Item, Op, PRUNE_MAX, ParkedItem, Query, StorageError};

/// Most dead letters on one page: each may carry a whole payload.
const DEAD_LETTERS_MAX: usize = 100;

/// An invocation that gave up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its request id.
    pub id: String,
    /// `service/function`.
    pub function: String,
    /// Why it gave up.
    pub reason: String,
    /// Its event.
    pub payload: Bytes,
    /// Attempts that the function failed.
    pub attempts: u32,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub accepted_ms: u64,
    /// When it gave up.
    pub parked_ms: u64,
}

impl From<ParkedItem> for DeadLetter {
    fn from(parked: ParkedItem) -> Self {
        let Item { new, attempts, .. } = parked.item;
        Self {
            id: new.id,
            function: new.lane,
            reason: parked.reason,
            payload: new.payload,
            attempts,
            accepted_ms: new.accepted_ms,
            parked_ms: parked.parked_ms,
        }
    }
}

impl Queue {
    async fn parked(&self, id: &str) -> Result<ParkedItem, PlatformError> {
        let query = Query::ParkedItem { id: id.to_owned() };
        let found = match self.storage.read(query).await? {
            Found::Parked(found) => found.into_iter().next(),
            _ => None,
        };
        found.ok_or_else(|| missing(id).into())
    }

    /// Queues a dead letter again in one commit: as a new invocation with the same event, all its attempts and its age before it.
    async fn redrive(&self, id: &str, author: &Author) -> Result<InvocationId, PlatformError> {
        let parked = self.parked(id).await?.item.new;
        let ticket = serde_json::from_slice::<Ticket>(&parked.body);
        let mut ticket = ticket.map_err(|error| PlatformError::Failure {
            what: "reading a dead letter",
            why: error.to_string(),
        })?;
        // Its record says how it ended, and its id stays taken.
        ticket.stateful = None;
        let age = parked.expire_ms.saturating_sub(parked.accepted_ms);
        let again = InvocationId::random();
        let mut item = self.item(&ticket, &again, parked.payload, Duration::from_millis(age))?;
        item.lane = parked.lane;
        let enqueue = Op::Enqueue { item, lane_limit: self.config.depth };
        let change = Change {
            became: Some(again.to_string()),
            ..Change::new(Verb::Redrive, "dead letter", id)
        };
        match author.commit(change, vec![Op::Unpark { id: id.to_owned() }, enqueue]).await {
            Ok(_) => {
                self.enqueued.fetch_add(1, Ordering::Relaxed);
                Ok(again)
            }
            Err(StorageError::NotParked { .. }) => Err(missing(id).into()),
            Err(StorageError::LaneFull { lane, limit }) => {
                let retry_after = Duration::from_secs(1);
                Err(RequestError::Throttled { function: lane, limit, retry_after }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes dead letters beyond the bounds.
    pub(crate) async fn prune_dead_letters(&self) -> Result<(), StorageError> {
        let before_ms = self.clock.now_ms().saturating_sub(millis(self.config.dead_letter_age));
        loop {
            let op = Op::PruneParked { before_ms, keep: self.config.dead_letters };
            let effects = self.storage.commit(vec![op]).await?;
            if effects.first() != Some(&Effect::Removed(PRUNE_MAX as u64)) {
                return Ok(());
            }
        }
    }
}

fn missing(id: &str) -> RequestError {
    RequestError::NotFound { kind: Kind::Invocation, name: id.to_owned() }
}

impl Platform {
    /// One of them.
    ///
    /// # Errors
    /// No such dead letter; storage.
    pub async fn dead_letter(&self, id: &str) -> Result<DeadLetter, PlatformError> {
        Ok(self.inner().queue.parked(id).await?.into())
    }

    /// Queues one again, as a new invocation under a new request id; it is a dead letter no more. Durable on return, whole or not at all.
    ///
    /// # Errors
    /// No such dead letter, or somebody else redrove it; the function's queue is full; storage.
    pub async fn redrive(&self, id: &str) -> Result<InvocationId, PlatformError> {
        let (inner, author, id) = (self.inner().clone(), self.author(), id.to_owned());
        detached(async move { inner.queue.redrive(&id, &author).await }).await
    }

    /// Invocations that gave up, in order of id, from after `after`; at most 100.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn dead_letters(
        &self,
        function: Option<&str>,
        after: &str,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, PlatformError> {
        let query = Query::Parked {
            lane: function.map(str::to_owned),
            after: after.to_owned(),
            limit: limit.clamp(1, DEAD_LETTERS_MAX),
        };
        let Found::Parked(parked) = self.inner().storage.read(query).await? else {
            return Ok(Vec::new());
        };
        Ok(parked.into_iter().map(DeadLetter::from).collect())
    }
}
