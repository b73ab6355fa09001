//! Each operation as statements. All run inside the caller's savepoint; an error undoes the whole batch.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::errors::storage_error;
use crate::storage::{
    Collection, Effect, Expect, Expected, JournalRow, NewItem, Op, PRUNE_MAX, StorageError,
};

/// Applies a batch in order.
pub(super) fn all(
    connection: &Connection,
    dir: &Path,
    ops: Vec<Op>,
) -> Result<Vec<Effect>, StorageError> {
    let mut batch = Batch { connection, dir };
    ops.into_iter().map(|op| batch.apply(op)).collect()
}

/// Whether a batch may fail by a precondition after it wrote something. An operation checks before it writes, so the first may not.
pub(super) fn may_undo(ops: &[Op]) -> bool {
    ops.iter().skip(1).any(|op| match op {
        Op::Put { expect, .. } | Op::Delete { expect, .. } => *expect != Expect::Any,
        Op::Enqueue { .. }
        | Op::Ack { .. }
        | Op::Retry { .. }
        | Op::Park { .. }
        | Op::Unpark { .. }
        | Op::Extend { .. } => true,
        Op::Cancel { .. }
        | Op::Reclaim { .. }
        | Op::Append { .. }
        | Op::PruneJournal { .. }
        | Op::PruneParked { .. } => false,
    })
}

struct Batch<'a> {
    connection: &'a Connection,
    dir: &'a Path,
}

/// The largest time or count that SQLite holds stands for all larger ones.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Batch<'_> {
    fn apply(&mut self, op: Op) -> Result<Effect, StorageError> {
        match op {
            Op::Put { collection, key, value, expect } => {
                self.expect(collection, &key, expect)?;
                return self.put(collection, &key, &value);
            }
            Op::Delete { collection, key, expect } => {
                self.expect(collection, &key, expect)?;
                let sql = "DELETE FROM records WHERE collection = ?1 AND key = ?2";
                return self.run(sql, params![collection.0, key]).map(removed);
            }
            Op::Enqueue { item, lane_limit } => self.enqueue(&item, lane_limit)?,
            Op::Ack { id, token, record } => {
                self.take(&id, token)?;
                self.append(&record)?;
            }
            Op::Retry { id, token, due_ms, attempts, deferrals } => {
                let sql =
                    "UPDATE queue SET visible_ms = ?3, attempts = ?4, deferrals = ?5, leased = 0
                           WHERE id = ?1 AND token = ?2 AND leased = 1 RETURNING lane";
                let values = params![id, int(token), int(due_ms), attempts, deferrals];
                let lane = self.text(sql, values)?.ok_or(StorageError::LeaseLost { id, token })?;
                self.due(&lane, due_ms)?;
            }
            Op::Park { id, token, attempts, reason, record } => {
                self.park(&id, (token, attempts), &reason, &record)?;
                self.append(&record)?;
            }
            Op::Unpark { id } => {
                if self.run("DELETE FROM parked WHERE id = ?1", params![id])? == 0 {
                    return Err(StorageError::NotParked { id });
                }
            }
            Op::Extend { id, token, until_ms } => {
                let sql = "UPDATE queue SET visible_ms = ?3
                           WHERE id = ?1 AND token = ?2 AND leased = 1 RETURNING lane";
                let values = params![id, int(token), int(until_ms)];
                let lane = self.text(sql, values)?.ok_or(StorageError::LeaseLost { id, token })?;
                self.due(&lane, until_ms)?;
            }
            Op::Cancel { id, record } => {
                let sql = "DELETE FROM queue WHERE id = ?1 RETURNING lane";
                let Some(lane) = self.text(sql, params![id])? else {
                    return Ok(Effect::Removed(0));
                };
                self.leave(&lane)?;
                self.append(&record)?;
                return Ok(Effect::Removed(1));
            }
            Op::Reclaim { now_ms } => self.reclaim(now_ms)?,
            Op::Append { record } => self.append(&record)?,
            Op::PruneJournal { before_ms, keep } => {
                return self.prune("SELECT count(*) FROM journal", PRUNE_JOURNAL, before_ms, keep);
            }
            Op::PruneParked { before_ms, keep } => {
                return self.prune("SELECT count(*) FROM parked", PRUNE_PARKED, before_ms, keep);
            }
        }
        Ok(Effect::Done)
    }

    fn expect(
        &self,
        collection: Collection,
        key: &str,
        expect: Expect,
    ) -> Result<(), StorageError> {
        if expect == Expect::Any {
            return Ok(());
        }
        let sql = "SELECT version FROM records WHERE collection = ?1 AND key = ?2";
        let found = self.number(sql, params![collection.0, key])?.map(unsigned);
        let holds = match expect {
            Expect::Any => true,
            Expect::Absent => found.is_none(),
            Expect::Version(version) => found == Some(version),
        };
        if holds {
            return Ok(());
        }
        let (key, expected) = (key.to_owned(), Expected(expect));
        Err(StorageError::Precondition { collection, key, expected, found })
    }

    fn put(&self, collection: Collection, key: &str, value: &[u8]) -> Result<Effect, StorageError> {
        let next = "UPDATE counters SET value = value + 1 WHERE name = 'version' RETURNING value";
        let Some(version) = self.number(next, [])? else {
            let what = "its counter of versions is gone".to_owned();
            return Err(StorageError::Corrupt { path: self.dir.to_owned(), what });
        };
        let sql = "INSERT INTO records (collection, key, version, value) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (collection, key) DO UPDATE SET version = ?3, value = ?4";
        self.run(sql, params![collection.0, key, version, value])?;
        Ok(Effect::Version(unsigned(version)))
    }

    fn enqueue(&self, item: &NewItem, limit: u64) -> Result<(), StorageError> {
        let duplicate = || StorageError::Duplicate { id: item.id.clone() };
        if self.number("SELECT 1 FROM parked WHERE id = ?1", params![item.id])?.is_some() {
            return Err(duplicate());
        }
        let sql = "SELECT depth FROM lanes WHERE lane = ?1";
        let full = self.number(sql, params![item.lane])?.map_or(0, unsigned) >= limit;
        // An id that is taken is told first, as it is what the caller can do something about.
        if full {
            let taken = self.number("SELECT 1 FROM queue WHERE id = ?1", params![item.id])?;
            let lane = item.lane.clone();
            return Err(taken.map_or(StorageError::LaneFull { lane, limit }, |_| duplicate()));
        }
        let sql = "INSERT INTO queue (id, lane, visible_ms, leased, token, attempts, deferrals, crashes,
                       accepted_ms, due_ms, expire_ms, body, payload)
                   VALUES (?1, ?2, ?3, 0, 0, 0, 0, 0, ?4, ?3, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING";
        let (due, expire) = (int(item.due_ms), int(item.expire_ms));
        let values = params![
            item.id,
            item.lane,
            due,
            int(item.accepted_ms),
            expire,
            &item.body[..],
            &item.payload[..]
        ];
        if self.run(sql, values)? == 0 {
            return Err(duplicate());
        }
        let sql = "INSERT INTO lanes (lane, depth, next_ms) VALUES (?1, 1, ?2)
                   ON CONFLICT (lane) DO UPDATE SET depth = depth + 1, next_ms = min(next_ms, ?2)";
        self.run(sql, params![item.lane, due]).map(drop)
    }

    /// Removes a leased item.
    fn take(&self, id: &str, token: u64) -> Result<(), StorageError> {
        let sql = "DELETE FROM queue WHERE id = ?1 AND token = ?2 AND leased = 1 RETURNING lane";
        let lane = self.text(sql, params![id, int(token)])?;
        let lane = lane.ok_or_else(|| StorageError::LeaseLost { id: id.to_owned(), token })?;
        self.leave(&lane)
    }

    fn park(
        &self,
        id: &str,
        (token, attempts): (u64, u32),
        reason: &str,
        record: &JournalRow,
    ) -> Result<(), StorageError> {
        let sql =
            "INSERT INTO parked (parked_ms, reason, id, lane, visible_ms, leased, token, attempts,
                       deferrals, crashes, accepted_ms, due_ms, expire_ms, body, payload)
                   SELECT ?3, ?4, id, lane, visible_ms, leased, token, ?5,
                       deferrals, crashes, accepted_ms, due_ms, expire_ms, body, payload
                   FROM queue WHERE id = ?1 AND token = ?2 AND leased = 1";
        self.run(sql, params![id, int(token), int(record.time_ms), reason, attempts])?;
        self.take(id, token)
    }

    /// A lane holds one item less. Its row goes when a claim next finds it empty.
    fn leave(&self, lane: &str) -> Result<(), StorageError> {
        self.run("UPDATE lanes SET depth = depth - 1 WHERE lane = ?1", params![lane]).map(drop)
    }

    /// A lane may have something due from then on.
    fn due(&self, lane: &str, at_ms: u64) -> Result<(), StorageError> {
        let sql = "UPDATE lanes SET next_ms = min(next_ms, ?2) WHERE lane = ?1";
        self.run(sql, params![lane, int(at_ms)]).map(drop)
    }

    fn reclaim(&self, now_ms: u64) -> Result<(), StorageError> {
        let lanes = "UPDATE lanes SET next_ms = min(next_ms, ?1)
                     WHERE lane IN (SELECT lane FROM queue WHERE leased = 1)";
        self.run(lanes, params![int(now_ms)])?;
        let items = "UPDATE queue SET visible_ms = min(visible_ms, ?1) WHERE leased = 1";
        self.run(items, params![int(now_ms)]).map(drop)
    }

    fn append(&self, row: &JournalRow) -> Result<(), StorageError> {
        let sql =
            "INSERT INTO journal (id, lane, status, time_ms, body) VALUES (?1, ?2, ?3, ?4, ?5)";
        let values = params![row.id, row.lane, row.status, int(row.time_ms), &row.body[..]];
        self.run(sql, values).map(drop)
    }

    fn prune(
        &self,
        count: &str,
        prune: &str,
        before_ms: u64,
        keep: u64,
    ) -> Result<Effect, StorageError> {
        let held = self.number(count, [])?.map_or(0, unsigned);
        let values = params![int(PRUNE_MAX as u64), int(held.saturating_sub(keep)), int(before_ms)];
        self.run(prune, values).map(removed)
    }

    fn run(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, StorageError> {
        let done = self.connection.prepare_cached(sql).and_then(|mut s| s.execute(values));
        done.map_err(|error| storage_error(self.dir, &error))
    }

    fn text(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Option<String>, StorageError> {
        self.first(sql, values)
    }

    fn number(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Option<i64>, StorageError> {
        self.first(sql, values)
    }

    /// The first column of the one row that a statement gives.
    fn first<T: rusqlite::types::FromSql>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Option<T>, StorageError> {
        let row = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut s| s.query_row(values, |row| row.get(0)).optional());
        row.map_err(|error| storage_error(self.dir, &error))
    }
}

const PRUNE_JOURNAL: &str = "DELETE FROM journal WHERE seq IN (
    SELECT seq FROM (SELECT seq, time_ms, row_number() OVER (ORDER BY seq) AS place
                     FROM (SELECT seq, time_ms FROM journal ORDER BY seq LIMIT ?1))
    WHERE place <= ?2 OR time_ms < ?3)";
const PRUNE_PARKED: &str = "DELETE FROM parked WHERE seq IN (
    SELECT seq FROM (SELECT seq, parked_ms, row_number() OVER (ORDER BY seq) AS place
                     FROM (SELECT seq, parked_ms FROM parked ORDER BY seq LIMIT ?1))
    WHERE place <= ?2 OR parked_ms < ?3)";

/// Counters, versions and times are never negative.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn removed(rows: usize) -> Effect {
    Effect::Removed(rows as u64)
}
