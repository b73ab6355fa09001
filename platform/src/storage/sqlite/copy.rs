//! Copies the file while a server works with it, and looks at one from end to end.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use super::errors::storage_error;
use super::{evidence, schema};
use crate::storage::StorageError;
use crate::storage::lock::DirectoryLock;

/// Pages of one step: all, so that the copy is of one moment and no write makes it start again.
const ALL_PAGES: i32 = -1;

/// Problems of one file that are told, at most.
const PROBLEMS_MAX: usize = 100;

/// Copies the storage in `from`, as it is at this moment, to `to`, which must not hold one. Blocks; a server may go on meanwhile.
///
/// # Errors
/// `from` cannot be read or `to` not be written.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), StorageError> {
    // Where no server works with it, what is copied must be whole: to open it would wipe out what tells that something is missing.
    if DirectoryLock::take(from).is_ok() {
        evidence::check(from)?;
    }
    let source = schema::open_reader(from)?;
    let failed = |error: rusqlite::Error| storage_error(to, &error);
    let path = to.join(schema::FILE);
    let mut target = Connection::open(&path).map_err(failed)?;
    // Synced before this returns: a backup that is gone after a power cut was none.
    target.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    let copying = Backup::new(&source, &mut target).map_err(failed)?;
    copying.step(ALL_PAGES).map_err(failed)?;
    drop(copying);
    target.close().map_err(|(_, error)| failed(error))?;
    let synced = std::fs::File::open(to).and_then(|directory| directory.sync_all());
    synced.map_err(|error| crate::storage::lock::io_error(to, &error))
}

/// What is wrong with the storage in `dir`, page by page and index by index. Blocks.
///
/// # Errors
/// It cannot be read at all.
pub(crate) fn problems(dir: &Path) -> Result<Vec<String>, StorageError> {
    let failed = |error: rusqlite::Error| storage_error(dir, &error);
    // Whoever works with it changes the files while they are looked at.
    let _lock = DirectoryLock::take(dir)?;
    evidence::check(dir)?;
    let connection = schema::open_reader(dir)?;
    let sql = format!("PRAGMA integrity_check({PROBLEMS_MAX})");
    let mut statement = connection.prepare(&sql).map_err(failed)?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
    let told: Result<Vec<String>, rusqlite::Error> = rows.collect();
    Ok(told.map_err(failed)?.into_iter().filter(|line| line != "ok").collect())
}
