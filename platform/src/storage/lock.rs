//! One process per data directory: a locked file that names its holder. The lock goes with the process, however it ends; the file
//! stays.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::StorageError;

/// Holds a data directory until dropped.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the directory.
    pub(super) fn take(dir: &Path) -> Result<Self, StorageError> {
        let path = dir.join("hearth.lock");
        let failed = |error: std::io::Error| io_error(dir, &error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The pid is only there to help; an unreadable one changes nothing.
                let _ = file.take(32).read_to_string(&mut text);
                let pid = text.trim().parse().ok();
                return Err(StorageError::Locked { path: dir.to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let pid = std::process::id();
        let write = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{pid}"))
            .and_then(|()| file.flush());
        write.map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// An error of the operating system, told apart by what to do about it.
pub(super) fn io_error(dir: &Path, error: &std::io::Error) -> StorageError {
    let path = dir.to_owned();
    match error.kind() {
        std::io::ErrorKind::StorageFull
        | std::io::ErrorKind::QuotaExceeded
        | std::io::ErrorKind::FileTooLarge => StorageError::Full { path },
        std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied => {
            StorageError::ReadOnly { path }
        }
        _ => StorageError::Io { path, what: error.to_string() },
    }
}
