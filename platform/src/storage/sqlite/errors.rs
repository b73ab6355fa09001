//! SQLite's errors, told apart by what to do about them.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::storage::StorageError;

pub(super) fn storage_error(dir: &Path, error: &rusqlite::Error) -> StorageError {
    let (path, what) = (dir.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StorageError::Full { path },
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            StorageError::ReadOnly { path }
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StorageError::Corrupt { path, what }
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StorageError::Locked { path, pid: None }
        }
        _ => StorageError::Io { path, what },
    }
}
