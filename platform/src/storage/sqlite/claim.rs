//! Leasing due items, lanes taking turns.
//!
//! A lane's `next_ms` is a time before which none of its items is due. It may be too early, never too late: a turn that finds nothing
//! sets it right, or removes the row of a lane that holds nothing. So idle lanes cost a claim nothing.

use std::collections::VecDeque;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::apply::{int, unsigned};
use crate::storage::{CLAIM_MAX, Claim, Item, Leased, NewItem};

/// The columns of an item, in the order that [`item`] reads them.
pub(super) const COLUMNS: &str = "id, lane, visible_ms, leased, token, attempts, deferrals, crashes, \
                                  accepted_ms, due_ms, expire_ms, body, payload";

/// Leases due items; `served` is the lane that was served last.
pub(super) fn claim(
    connection: &Connection,
    served: &mut String,
    claim: Claim,
) -> rusqlite::Result<Vec<Leased>> {
    let limit = claim.limit.min(CLAIM_MAX);
    let mut claimed = Vec::new();
    while claimed.len() < limit {
        let mut lanes = due_lanes(connection, served, claim.now_ms, limit - claimed.len())?;
        if lanes.is_empty() {
            break;
        }
        while claimed.len() < limit {
            let Some(lane) = lanes.pop_front() else { break };
            match lease(connection, &lane, claim)? {
                Some(item) => {
                    claimed.push(item);
                    served.clone_from(&lane);
                    lanes.push_back(lane);
                }
                None => correct(connection, &lane)?,
            }
        }
    }
    Ok(claimed)
}

/// Lanes that may have due items, in the order of their turns.
fn due_lanes(
    connection: &Connection,
    served: &str,
    now_ms: u64,
    limit: usize,
) -> rusqlite::Result<VecDeque<String>> {
    let mut after = connection.prepare_cached(
        "SELECT lane FROM lanes WHERE lane > ?1 AND next_ms <= ?2 ORDER BY lane LIMIT ?3",
    )?;
    let mut upto = connection.prepare_cached(
        "SELECT lane FROM lanes WHERE lane <= ?1 AND next_ms <= ?2 ORDER BY lane LIMIT ?3",
    )?;
    let mut lanes = VecDeque::new();
    for statement in [&mut after, &mut upto] {
        let left = limit.saturating_sub(lanes.len());
        let rows = statement
            .query_map(params![served, int(now_ms), int(left as u64)], |row| row.get(0))?;
        for lane in rows {
            lanes.push_back(lane?);
        }
    }
    Ok(lanes)
}

/// Leases the item of a lane that has been due longest.
fn lease(connection: &Connection, lane: &str, claim: Claim) -> rusqlite::Result<Option<Leased>> {
    const SQL: &str = "UPDATE queue SET
            crashes = crashes + leased, leased = 1, token = token + 1, visible_ms = ?3
        WHERE seq = (SELECT seq FROM queue WHERE lane = ?1 AND visible_ms <= ?2
                     ORDER BY visible_ms, seq LIMIT 1)
        RETURNING id, lane, visible_ms, leased, token, attempts, deferrals, crashes,
                  accepted_ms, due_ms, expire_ms, body, payload";
    // An end of lease that is not in the future would lease the same item twice in one claim.
    let until_ms = claim.until_ms.max(claim.now_ms.saturating_add(1));
    connection
        .prepare_cached(SQL)?
        .query_row(params![lane, int(claim.now_ms), int(until_ms)], |row| item(row, 0))
        .optional()
}

fn correct(connection: &Connection, lane: &str) -> rusqlite::Result<()> {
    let next: Option<i64> = connection
        .prepare_cached("SELECT min(visible_ms) FROM queue WHERE lane = ?1")?
        .query_row([lane], |row| row.get(0))?;
    match next {
        Some(next) => connection
            .prepare_cached("UPDATE lanes SET next_ms = ?2 WHERE lane = ?1")?
            .execute(params![lane, next])?,
        None => connection.prepare_cached("DELETE FROM lanes WHERE lane = ?1")?.execute([lane])?,
    };
    Ok(())
}

/// Reads the columns of an item, from column `at` on.
pub(super) fn item(row: &Row<'_>, at: usize) -> rusqlite::Result<Item> {
    let time = |column: usize| row.get::<_, i64>(at + column).map(unsigned);
    let bytes = |column: usize| row.get::<_, Vec<u8>>(at + column).map(bytes::Bytes::from);
    Ok(Item {
        new: NewItem {
            id: row.get(at)?,
            lane: row.get(at + 1)?,
            body: bytes(11)?,
            payload: bytes(12)?,
            accepted_ms: time(8)?,
            due_ms: time(9)?,
            expire_ms: time(10)?,
        },
        visible_ms: time(2)?,
        leased: row.get(at + 3)?,
        token: time(4)?,
        attempts: row.get(at + 5)?,
        deferrals: row.get(at + 6)?,
        crashes: row.get(at + 7)?,
    })
}
