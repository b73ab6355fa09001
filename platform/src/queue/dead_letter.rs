//! Invocations that gave up: kept for a while, to be looked at.

use bytes::Bytes;

use super::{Queue, millis};
use crate::error::PlatformError;
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

impl Platform {
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
