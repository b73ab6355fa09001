//! Leasing due items, lanes taking turns.
//!
//! How many items each lane has due is counted first, the turns are dealt in memory, and each lane is asked once for all of its share.
//!
//! A lane's `next_ms` is a time before which none of its items is due. It may be too early, never too late: a turn that finds nothing
//! sets it right, or removes the row of a lane that holds nothing. So idle lanes cost a claim nothing.

use std::collections::VecDeque;

use rusqlite::{Connection, Row, params};

use super::apply::{int, unsigned};
use crate::storage::{CLAIM_MAX, Claim, Item, Leased, NewItem};

/// The columns of an item, in the order that [`item`] reads them.
pub(super) const COLUMNS: &str = "id, lane, visible_ms, leased, token, attempts, deferrals, crashes, \
                                  accepted_ms, due_ms, expire_ms, body, payload";

/// A lane in one claim.
struct Share {
    lane: String,
    /// Items that are due, as far as they matter.
    due: usize,
    /// Places it held before.
    running: usize,
    /// Items it gets.
    turns: usize,
}

/// Leases due items; `served` is the lane that was served last.
pub(super) fn claim(
    connection: &Connection,
    served: &mut String,
    claim: &Claim,
) -> rusqlite::Result<Vec<Leased>> {
    let mut shares = shares(connection, served, claim)?;
    let Some(last) = deal(&mut shares, claim) else { return Ok(Vec::new()) };
    let mut leased = Vec::with_capacity(shares.len());
    for share in &shares {
        leased.push(lease(connection, share, claim)?);
    }
    *served = last;
    // In the order of their turns.
    let mut claimed = Vec::new();
    loop {
        let before = claimed.len();
        claimed.extend(leased.iter_mut().filter_map(VecDeque::pop_front));
        if claimed.len() == before {
            return Ok(claimed);
        }
    }
}

/// The lanes that have something due, in the order of their turns; enough of them to fill the claim.
fn shares(connection: &Connection, served: &str, claim: &Claim) -> rusqlite::Result<Vec<Share>> {
    let limit = claim.limit.min(CLAIM_MAX);
    // Any of those that run may get none.
    let lanes_max = if limit == 0 { 0 } else { limit.saturating_add(claim.running.len()) };
    loop {
        let mut shares = Vec::new();
        let mut corrected = false;
        for lane in due_lanes(connection, served, claim.now_ms, lanes_max)? {
            let due: i64 = connection
                .prepare_cached(
                    "SELECT count(*) FROM (SELECT 1 FROM queue WHERE lane = ?1 AND visible_ms <= ?2 LIMIT ?3)",
                )?
                .query_row(params![lane, int(claim.now_ms), int(limit as u64)], |row| row.get(0))?;
            if due == 0 {
                correct(connection, &lane)?;
                corrected = true;
            } else {
                let running = claim.running.get(&lane).copied().unwrap_or(0);
                let due = usize::try_from(due).unwrap_or(0);
                shares.push(Share { lane, due, running, turns: 0 });
            }
        }
        // Those that had nothing may have kept others off the list.
        if !corrected || shares.len() >= lanes_max {
            return Ok(shares);
        }
    }
}

/// Deals the turns; answers the lane that had the last.
fn deal(shares: &mut [Share], claim: &Claim) -> Option<String> {
    let (limit, mut dealt, mut last) = (claim.limit.min(CLAIM_MAX), 0, None);
    let mut turns: VecDeque<usize> = (0..shares.len()).collect();
    while dealt < limit {
        let Some(place) = turns.pop_front() else { break };
        let Some(share) = shares.get_mut(place) else { continue };
        let held = share.running.saturating_add(share.turns);
        if share.turns == share.due || !Claim::admits(held, claim.limit.saturating_sub(dealt)) {
            continue;
        }
        share.turns += 1;
        dealt += 1;
        last = Some(place);
        turns.push_back(place);
    }
    last.and_then(|place| shares.get(place)).map(|share| share.lane.clone())
}

/// Lanes that may have due items, in the order of their turns.
fn due_lanes(
    connection: &Connection,
    served: &str,
    now_ms: u64,
    limit: usize,
) -> rusqlite::Result<Vec<String>> {
    let mut after = connection.prepare_cached(
        "SELECT lane FROM lanes WHERE lane > ?1 AND next_ms <= ?2 ORDER BY lane LIMIT ?3",
    )?;
    let mut upto = connection.prepare_cached(
        "SELECT lane FROM lanes WHERE lane <= ?1 AND next_ms <= ?2 ORDER BY lane LIMIT ?3",
    )?;
    let mut lanes = Vec::new();
    for statement in [&mut after, &mut upto] {
        let left = limit.saturating_sub(lanes.len());
        let rows = statement
            .query_map(params![served, int(now_ms), int(left as u64)], |row| row.get(0))?;
        for lane in rows {
            lanes.push(lane?);
        }
    }
    Ok(lanes)
}

/// Leases a lane's share: those that have been due longest.
fn lease(
    connection: &Connection,
    share: &Share,
    claim: &Claim,
) -> rusqlite::Result<VecDeque<Leased>> {
    if share.turns == 0 {
        return Ok(VecDeque::new());
    }
    // An end of lease that is not in the future would lease the same item twice.
    let until_ms = claim.until_ms.max(claim.now_ms.saturating_add(1));
    let mut items = connection.prepare_cached(
        "SELECT id, lane, visible_ms, leased, token, attempts, deferrals, crashes,
                accepted_ms, due_ms, expire_ms, body, payload, seq
         FROM queue WHERE lane = ?1 AND visible_ms <= ?2 ORDER BY visible_ms, seq LIMIT ?3",
    )?;
    let values = params![share.lane, int(claim.now_ms), int(share.turns as u64)];
    let found = items
        .query_map(values, |row| Ok((row.get::<_, i64>(13)?, item(row, 0)?)))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut update = connection.prepare_cached(
        "UPDATE queue SET crashes = ?2, leased = 1, token = ?3, visible_ms = ?4 WHERE seq = ?1",
    )?;
    let mut leased = VecDeque::with_capacity(found.len());
    for (seq, mut item) in found {
        item.crashes = item.crashes.saturating_add(item.leased.into());
        item.token = item.token.saturating_add(1);
        (item.leased, item.visible_ms) = (true, until_ms);
        update.execute(params![seq, item.crashes, int(item.token), int(until_ms)])?;
        leased.push_back(item);
    }
    Ok(leased)
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
