//! The readers: each question is one statement, so its answer is of one moment.

use std::path::Path;

use bytes::Bytes;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::{mpsc, oneshot};

use super::apply::{int, unsigned};
use super::claim::{COLUMNS, item};
use super::errors::storage_error;
use crate::storage::{
    Entry, Found, JournalFilter, JournalRow, ParkedItem, Query, ROWS_MAX, StorageError,
};

/// A question that waits for a reader.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) query: Query,
    pub(super) reply: oneshot::Sender<Result<Found, StorageError>>,
}

/// Answers until all who ask are gone.
pub(super) fn run(
    connection: &Connection,
    dir: &Path,
    questions: &Mutex<mpsc::Receiver<Question>>,
) {
    loop {
        // One reader waits holding the lock, the others wait for it: whoever has it takes the next question.
        let next = questions.lock().blocking_recv();
        let Some(Question { query, reply }) = next else { return };
        let found = answer(connection, query).map_err(|error| storage_error(dir, &error));
        // Nobody waits any more: nothing to do.
        let _ = reply.send(found);
    }
}

fn answer(connection: &Connection, query: Query) -> rusqlite::Result<Found> {
    match query {
        Query::Get { collection, key } => {
            let sql = "SELECT key, version, value FROM records WHERE collection = ?1 AND key = ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement.query_row(params![collection.0, key], entry).optional()?;
            Ok(Found::Entry(found))
        }
        Query::List { collection, prefix, start, limit } => {
            // Keys with one prefix stand together: the list begins at the later of both and ends where the prefix does.
            let sql = "SELECT key, version, value FROM records
                       WHERE collection = ?1 AND key >= ?2 AND substr(key, 1, length(?3)) = ?3
                       ORDER BY key LIMIT ?4";
            let start = if start < prefix { &prefix } else { &start };
            let values = params![collection.0, start, prefix, rows(limit)];
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(values, entry)?;
            Ok(Found::Entries(rows.collect::<rusqlite::Result<_>>()?))
        }
        Query::ListDown { collection, prefix, before, limit } => {
            let sql = "SELECT key, version, value FROM records
                       WHERE collection = ?1 AND key >= ?2 AND key < ?3 AND substr(key, 1, length(?2)) = ?2
                       ORDER BY key DESC LIMIT ?4";
            let values = params![collection.0, prefix, before, rows(limit)];
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(values, entry)?;
            Ok(Found::Entries(rows.collect::<rusqlite::Result<_>>()?))
        }
        Query::Item { id } => {
            let sql = format!("SELECT {COLUMNS} FROM queue WHERE id = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(Found::Item(statement.query_row([id], |row| item(row, 0)).optional()?))
        }
        Query::Lanes { after, limit } => {
            let sql = "SELECT lane, depth FROM lanes WHERE lane > ?1 AND depth > 0
                       ORDER BY lane LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let lane = |row: &Row<'_>| Ok((row.get(0)?, unsigned(row.get(1)?)));
            let rows = statement.query_map(params![after, rows(limit)], lane)?;
            Ok(Found::Lanes(rows.collect::<rusqlite::Result<_>>()?))
        }
        Query::Parked { lane, after, limit } => {
            let sql = format!(
                "SELECT parked_ms, reason, {COLUMNS} FROM parked
                 WHERE id > ?1 AND (?2 IS NULL OR lane = ?2) ORDER BY id LIMIT ?3"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![after, lane, rows(limit)], parked)?;
            Ok(Found::Parked(rows.collect::<rusqlite::Result<_>>()?))
        }
        Query::ParkedItem { id } => {
            let sql = format!("SELECT parked_ms, reason, {COLUMNS} FROM parked WHERE id = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map([id], parked)?;
            Ok(Found::Parked(rows.collect::<rusqlite::Result<_>>()?))
        }
        Query::Journal(filter) => Ok(Found::Journal(journal(connection, &filter)?)),
    }
}

fn journal(
    connection: &Connection,
    filter: &JournalFilter,
) -> rusqlite::Result<Vec<(u64, JournalRow)>> {
    let mut sql =
        String::from("SELECT seq, id, lane, status, time_ms, body FROM journal WHERE seq < ?1");
    let mut values: Vec<Box<dyn rusqlite::ToSql>> =
        vec![Box::new(filter.before.map_or(i64::MAX, int))];
    let mut and = |condition: &str, value: Box<dyn rusqlite::ToSql>| {
        values.push(value);
        sql.push_str(&format!(" AND {condition} ?{}", values.len()));
    };
    // Only what is asked for appears, so that the index for it is found.
    if let Some(lane) = &filter.lane {
        and("lane =", Box::new(lane.clone()));
    }
    if let Some(id) = &filter.id {
        and("id =", Box::new(id.clone()));
    }
    if let Some(status) = &filter.status {
        and("status =", Box::new(status.clone()));
    }
    if let Some(since) = filter.since_ms {
        and("time_ms >=", Box::new(int(since)));
    }
    if let Some(until) = filter.until_ms {
        and("time_ms <", Box::new(int(until)));
    }
    sql.push_str(&format!(" ORDER BY seq DESC LIMIT {}", filter.limit.min(ROWS_MAX)));
    let mut statement = connection.prepare_cached(&sql)?;
    let values = rusqlite::params_from_iter(values.iter().map(|value| &**value));
    let rows = statement.query_map(values, |row| {
        let line = JournalRow {
            id: row.get(1)?,
            lane: row.get(2)?,
            status: row.get(3)?,
            time_ms: unsigned(row.get(4)?),
            body: row.get::<_, Vec<u8>>(5).map(Bytes::from)?,
        };
        Ok((unsigned(row.get(0)?), line))
    })?;
    rows.collect()
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let value = row.get::<_, Vec<u8>>(2).map(Bytes::from)?;
    Ok(Entry { key: row.get(0)?, version: unsigned(row.get(1)?), value })
}

fn parked(row: &Row<'_>) -> rusqlite::Result<ParkedItem> {
    let (parked_ms, reason) = (unsigned(row.get(0)?), row.get(1)?);
    Ok(ParkedItem { item: item(row, 2)?, parked_ms, reason })
}

fn rows(limit: usize) -> i64 {
    int(limit.min(ROWS_MAX) as u64)
}
