//! Why storage declined or failed, in terms an operator or a caller can act on. No driver's error type shows here.

use std::path::PathBuf;

use super::{Collection, Expect};

/// What a write required, as text for its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected(pub Expect);

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Expect::Any => f.write_str("any version"),
            Expect::Absent => f.write_str("none"),
            Expect::Version(version) => write!(f, "version {version}"),
        }
    }
}

/// Why storage declined or failed. Cheap to clone: all batches of one group commit may have to be told the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A record does not stand as the write requires. Nothing was written.
    #[error(
        "record `{key}` of `{}` is not as expected: wanted {expected}, found {}",
        .collection.0,
        .found.map_or_else(|| "none".to_owned(), |version| format!("version {version}"))
    )]
    Precondition {
        /// Where.
        collection: Collection,
        /// Which.
        key: String,
        /// What was required.
        expected: Expected,
        /// The version it stands at; none when there is no such record.
        found: Option<u64>,
    },
    /// An item with this id is queued or parked already.
    #[error("item `{id}` is queued already")]
    Duplicate {
        /// Which.
        id: String,
    },
    /// The lane holds as many items as it may.
    #[error("queue of `{lane}` holds {limit} items, as many as it may")]
    LaneFull {
        /// Which lane.
        lane: String,
        /// Its limit.
        limit: u64,
    },
    /// There is no such parked item, or no more.
    #[error("item `{id}` is not parked")]
    NotParked {
        /// Which.
        id: String,
    },
    /// The lease was overtaken, given back or settled: whoever holds it must drop its result.
    #[error("lease {token} on item `{id}` is lost")]
    LeaseLost {
        /// Which item.
        id: String,
        /// The lease's token.
        token: u64,
    },
    /// The batch has more operations than one may have.
    #[error("batch of {count} operations is over the limit of {limit}")]
    BatchTooLarge {
        /// Its operations.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// The disk is full, or the account's share of it.
    #[error("storage in {path} is full")]
    Full {
        /// The directory.
        path: PathBuf,
    },
    /// The directory or file cannot be written.
    #[error("storage in {path} is read-only")]
    ReadOnly {
        /// The directory.
        path: PathBuf,
    },
    /// Another process has the directory.
    #[error(
        "data directory {path} is in use by {}",
        .pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who, if it said so.
        pid: Option<u32>,
    },
    /// What is on disk is not what was written.
    #[error("storage in {path} is corrupt: {what}")]
    Corrupt {
        /// The directory.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A newer program wrote it.
    #[error("storage in {path} has schema {found}; this program knows schemas up to {known}")]
    NewerSchema {
        /// The directory.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest known.
        known: i64,
    },
    /// The operating system or the database failed.
    #[error("storage in {path} failed: {what}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What was said.
        what: String,
    },
    /// Storage was shut down, or its writer died.
    #[error("storage is closed")]
    Closed,
}

impl StorageError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Precondition { .. } => "read the record again and decide anew",
            Self::Duplicate { .. } => "use another id, or take it as accepted",
            Self::LaneFull { .. } => "wait until the function has worked its queue down",
            Self::NotParked { .. } => "list what is parked; somebody else may have taken it",
            Self::LeaseLost { .. } => "drop the result; another run owns the item now",
            Self::BatchTooLarge { .. } => "split the batch",
            Self::Full { .. } => {
                "free disk space or move the data directory; writing resumes by itself"
            }
            Self::ReadOnly { .. } => "check the mount and the permissions of the data directory",
            Self::Locked { .. } => {
                "stop the other process, or give this one another data directory"
            }
            Self::Corrupt { .. } => {
                "stop the server, keep a copy of the directory, and restore a backup"
            }
            Self::NewerSchema { .. } => {
                "run the newer program, or restore a backup from before the upgrade"
            }
            Self::Io { .. } => "look at the system's log; the disk may be failing",
            Self::Closed => "restart the server",
        }
    }

    /// Whether the state declined: what was asked for does not fit what is there, and the medium is well.
    pub(crate) fn is_precondition(&self) -> bool {
        matches!(
            self,
            Self::Precondition { .. }
                | Self::Duplicate { .. }
                | Self::LaneFull { .. }
                | Self::NotParked { .. }
                | Self::LeaseLost { .. }
        )
    }

    /// Whether the same request may work later, with nothing changed but time.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Full { .. }
                | Self::ReadOnly { .. }
                | Self::Locked { .. }
                | Self::Io { .. }
                | Self::LaneFull { .. }
        )
    }
}
