//! The audit trail: one record of every change of what exists, written in the commit that makes the change.
//!
//! A change without its record cannot exist: both are one batch. Records are numbered without a gap and each holds the hash of the one
//! before, so what was altered or taken away later is found ([`verify`]). Whoever can write the whole file can also write another chain:
//! that is found with a head that was noted elsewhere, which every change logs. Bounded by count and age. No secret, code, event or
//! environment value enters a record: of what something became it holds the first digits of a digest.

mod find;
mod prune;
mod record;
#[cfg(test)]
mod tests;
mod trail;
mod verify;

use std::sync::Arc;
use std::time::Duration;

pub use find::{AuditFilter, AuditPage};
pub use record::{AuditRecord, Deed};
pub(crate) use record::{Change, Verb};
pub(crate) use trail::{Author, Trail};
pub(crate) use verify::verify;
pub use verify::{AuditHead, AuditReport};

use crate::key::{AccessKey, Role};

/// How much of the trail is kept. Up to a tenth more of either is held before anything is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditConfig {
    /// Records kept. Default 100,000.
    pub kept: u64,
    /// How long they are kept. Default 180 days.
    pub age: Duration,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { kept: 100_000, age: Duration::from_secs(180 * 24 * 3600) }
    }
}

/// On whose behalf something is changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    key: Option<(Arc<str>, Role)>,
    request_id: Option<Arc<str>>,
}

impl Origin {
    /// Somebody whom nobody asks for a key: this process, its embedder, or a caller of a server that has no keys.
    pub fn local() -> Self {
        Self::default()
    }

    /// The holder of a key.
    pub fn of_key(key: &AccessKey) -> Self {
        Self { key: Some((key.id.clone(), key.role)), request_id: None }
    }

    /// The same, in the request of that id.
    #[must_use]
    pub fn in_request(self, request_id: Arc<str>) -> Self {
        Self { request_id: Some(request_id), ..self }
    }
}
