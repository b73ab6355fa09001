//! The queue of asynchronous invocations.

use serde::{Deserialize, Serialize};

/// The queue of asynchronous invocations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueSection {
    /// Queued invocations that run at once. Default 64.
    pub concurrency: u32,
}

impl Default for QueueSection {
    fn default() -> Self {
        Self { concurrency: 64 }
    }
}
