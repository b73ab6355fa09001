//! The tables, their migrations, and the settings that durability rests on, which are read back: a setting that did not take is an
//! error, not a hope.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::errors::storage_error;
use super::evidence;
use crate::storage::StorageError;

pub(super) const FILE: &str = "hearth.db";
/// "hrth": marks the file as this program's.
const APPLICATION_ID: i64 = 0x6872_7468;
/// Files up to this size are checked whole when they are opened; larger ones would delay the start too long.
const CHECKED_BYTES_MAX: i64 = 32 << 20;

/// The schema's history. Never change one that was released: append.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
    INSERT INTO counters VALUES ('version', 0);
    CREATE TABLE records (
        collection TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (collection, key)
    ) STRICT;
    -- One row per lane: how many items it holds, and a time before which none of them is due.
    CREATE TABLE lanes (lane TEXT PRIMARY KEY, depth INTEGER NOT NULL, next_ms INTEGER NOT NULL) STRICT;
    -- Payloads last: what is read often comes before them on the page.
    CREATE TABLE queue (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, lane TEXT NOT NULL,
        visible_ms INTEGER NOT NULL, leased INTEGER NOT NULL, token INTEGER NOT NULL,
        attempts INTEGER NOT NULL, deferrals INTEGER NOT NULL, crashes INTEGER NOT NULL,
        accepted_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL, expire_ms INTEGER NOT NULL,
        body BLOB NOT NULL, payload BLOB NOT NULL
    ) STRICT;
    CREATE INDEX queue_due ON queue (lane, visible_ms, seq);
    CREATE INDEX queue_leased ON queue (lane) WHERE leased = 1;
    CREATE TABLE parked (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, parked_ms INTEGER NOT NULL, reason TEXT NOT NULL,
        id TEXT NOT NULL UNIQUE, lane TEXT NOT NULL,
        visible_ms INTEGER NOT NULL, leased INTEGER NOT NULL, token INTEGER NOT NULL,
        attempts INTEGER NOT NULL, deferrals INTEGER NOT NULL, crashes INTEGER NOT NULL,
        accepted_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL, expire_ms INTEGER NOT NULL,
        body BLOB NOT NULL, payload BLOB NOT NULL
    ) STRICT;
    CREATE TABLE journal (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, lane TEXT NOT NULL,
        status TEXT NOT NULL, time_ms INTEGER NOT NULL, body BLOB NOT NULL
    ) STRICT;
    CREATE INDEX journal_id ON journal (id);
    CREATE INDEX journal_lane ON journal (lane, seq);
"];

/// The newest schema this program knows.
pub(super) const KNOWN: i64 = MIGRATIONS.len() as i64;

/// Opens the file for its writer and brings it up to date.
pub(super) fn open(dir: &Path) -> Result<Connection, StorageError> {
    let failed = |error: rusqlite::Error| storage_error(dir, &error);
    evidence::check(dir)?;
    let mut connection = Connection::open(dir.join(FILE)).map_err(failed)?;
    check_owner(&connection, dir)?;
    configure(&connection, dir)?;
    check_whole(&connection, dir)?;
    migrate(&mut connection, dir)?;
    // What is here at the start no longer hangs on the log. It waits for nobody, and need not be done: the disk may be full.
    let copied_back = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    if let Err(error) = copied_back.map_err(failed) {
        tracing::warn!(%error, hint = error.hint(), "the log could not be copied back");
    }
    Ok(connection)
}

/// Opens the file for a reader.
pub(super) fn open_reader(dir: &Path) -> Result<Connection, StorageError> {
    let failed = |error: rusqlite::Error| storage_error(dir, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(dir.join(FILE), flags).map_err(failed)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failed)?;
    Ok(connection)
}

/// Whether the file is ours, and not from a newer program; asked before anything is written.
fn check_owner(connection: &Connection, dir: &Path) -> Result<(), StorageError> {
    let pragma = |name: &str| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .map_err(|error| storage_error(dir, &error))
    };
    let (owner, found) = (pragma("application_id")?, pragma("user_version")?);
    if owner != APPLICATION_ID && (owner != 0 || found != 0) {
        let what = format!("{FILE} is another program's (application id {owner})");
        return Err(StorageError::Corrupt { path: dir.to_owned(), what });
    }
    if found > KNOWN {
        return Err(StorageError::NewerSchema { path: dir.to_owned(), found, known: KNOWN });
    }
    Ok(())
}

/// Beside durability: what a savepoint may have to undo stays in memory, where it would be written to a file of its own at each group;
/// statements keep the plan they were prepared with, where SQLite would parse those with a limit anew for each value of it; 8 MiB of the log before it is copied back, so that a page changed by many groups is copied once and nobody waits
/// long for the copying, and a cache that holds what is changed.
fn configure(connection: &Connection, dir: &Path) -> Result<(), StorageError> {
    let failed = |error: rusqlite::Error| storage_error(dir, &error);
    connection.busy_timeout(Duration::from_secs(5)).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failed)?;
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(failed)?;
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA mmap_size = 0;
             PRAGMA temp_store = MEMORY;
             PRAGMA journal_size_limit = 67108864; PRAGMA wal_autocheckpoint = 2048; PRAGMA cache_size = -32768;",
        )
        .map_err(failed)?;
    let synchronous: i64 =
        connection.pragma_query_value(None, "synchronous", |row| row.get(0)).map_err(failed)?;
    if mode == "wal" && synchronous == 2 {
        return Ok(());
    }
    let what = format!(
        "durable settings did not take: journal_mode is {mode}, synchronous is {synchronous}"
    );
    Err(StorageError::Io { path: dir.to_owned(), what })
}

fn check_whole(connection: &Connection, dir: &Path) -> Result<(), StorageError> {
    let failed = |error: rusqlite::Error| storage_error(dir, &error);
    let size: i64 = connection
        .query_row(
            "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
            [],
            |row| row.get(0),
        )
        .map_err(failed)?;
    if size > CHECKED_BYTES_MAX {
        return Ok(());
    }
    let found: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if found == "ok" {
        return Ok(());
    }
    Err(StorageError::Corrupt { path: dir.to_owned(), what: found.replace('\n', " ") })
}

/// Each step is one transaction with the number that says it was taken, so an interrupted one is taken again.
fn migrate(connection: &mut Connection, dir: &Path) -> Result<(), StorageError> {
    let failed = |error: rusqlite::Error| storage_error(dir, &error);
    let found: i64 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    for (number, step) in (1_i64..).zip(MIGRATIONS) {
        if number <= found {
            continue;
        }
        let transaction = connection.transaction().map_err(failed)?;
        transaction.execute_batch(step).map_err(failed)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        transaction.pragma_update(None, "user_version", number).map_err(failed)?;
        transaction.commit().map_err(failed)?;
    }
    Ok(())
}
