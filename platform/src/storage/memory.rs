//! Storage in memory: what every driver must do, written as plainly as possible. For tests and for platforms that keep nothing.
//!
//! A batch works on a copy of the state, which replaces the state when all went well. That is slow for large states, and obvious.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    CLAIM_MAX, Claim, Collection, Effect, Entry, Expect, Expected, Found, Item, JournalRow, Leased,
    NewItem, OPS_MAX, Op, PRUNE_MAX, ParkedItem, Query, ROWS_MAX, Storage, StorageError,
};

/// Storage that is gone with the process.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    state: Mutex<State>,
    wake: Arc<Notify>,
}

#[derive(Debug, Default, Clone)]
struct State {
    /// The last version given.
    version: u64,
    records: BTreeMap<(Collection, String), (u64, Bytes)>,
    /// By position: the order of arrival.
    queue: BTreeMap<u64, Item>,
    parked: BTreeMap<String, (u64, ParkedItem)>,
    parked_last: u64,
    journal: BTreeMap<u64, JournalRow>,
    journal_last: u64,
    /// The lane that was served last.
    served: String,
}

impl MemoryStorage {
    /// Empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    /// As a driver does that is opened again: turns are not kept.
    #[cfg(test)]
    pub(super) fn begin_turns_anew(&self) {
        self.state.lock().served.clear();
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn commit(&self, ops: Vec<Op>) -> Result<Vec<Effect>, StorageError> {
        if ops.len() > OPS_MAX {
            return Err(StorageError::BatchTooLarge { count: ops.len(), limit: OPS_MAX });
        }
        let mut state = self.state.lock();
        let mut next = state.clone();
        let effects = ops.into_iter().map(|op| next.apply(op)).collect::<Result<_, _>>()?;
        *state = next;
        drop(state);
        self.wake.notify_one();
        Ok(effects)
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Leased>, StorageError> {
        Ok(self.state.lock().claim(&claim))
    }

    async fn read(&self, query: Query) -> Result<Found, StorageError> {
        Ok(self.state.lock().read(query))
    }

    fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }
}

impl State {
    fn apply(&mut self, op: Op) -> Result<Effect, StorageError> {
        match op {
            Op::Put { collection, key, value, expect } => {
                self.expect(collection, &key, expect)?;
                self.version += 1;
                self.records.insert((collection, key), (self.version, value));
                return Ok(Effect::Version(self.version));
            }
            Op::Delete { collection, key, expect } => {
                self.expect(collection, &key, expect)?;
                let gone = self.records.remove(&(collection, key)).is_some();
                return Ok(Effect::Removed(gone.into()));
            }
            Op::Enqueue { item, lane_limit } => self.enqueue(item, lane_limit)?,
            Op::Ack { id, token, record } => {
                let position = self.leased(&id, token)?;
                self.queue.remove(&position);
                self.append(record);
            }
            Op::Retry { id, token, due_ms, attempts, deferrals } => {
                let position = self.leased(&id, token)?;
                if let Some(item) = self.queue.get_mut(&position) {
                    (item.attempts, item.deferrals) = (attempts, deferrals);
                    (item.visible_ms, item.leased) = (due_ms, false);
                }
            }
            Op::Park { id, token, attempts, reason, record } => {
                let position = self.leased(&id, token)?;
                if let Some(mut item) = self.queue.remove(&position) {
                    item.attempts = attempts;
                    self.parked_last += 1;
                    let parked = ParkedItem { item, parked_ms: record.time_ms, reason };
                    self.parked.insert(id, (self.parked_last, parked));
                }
                self.append(record);
            }
            Op::Unpark { id } => {
                if self.parked.remove(&id).is_none() {
                    return Err(StorageError::NotParked { id });
                }
            }
            Op::Extend { id, token, until_ms } => {
                let position = self.leased(&id, token)?;
                if let Some(item) = self.queue.get_mut(&position) {
                    item.visible_ms = until_ms;
                }
            }
            Op::Cancel { id, record } => {
                let Some(position) = self.position(&id) else { return Ok(Effect::Removed(0)) };
                self.queue.remove(&position);
                self.append(record);
                return Ok(Effect::Removed(1));
            }
            Op::Reclaim { now_ms } => {
                for item in self.queue.values_mut().filter(|item| item.leased) {
                    item.visible_ms = item.visible_ms.min(now_ms);
                }
            }
            Op::Append { record } => self.append(record),
            Op::PruneJournal { before_ms, keep } => {
                return Ok(self.prune_journal(before_ms, keep));
            }
            Op::PruneParked { before_ms, keep } => return Ok(self.prune_parked(before_ms, keep)),
        }
        Ok(Effect::Done)
    }

    fn prune_journal(&mut self, before_ms: u64, keep: u64) -> Effect {
        let times = self.journal.iter().map(|(at, row)| (*at, row.time_ms));
        let gone = oldest(times.collect(), before_ms, keep);
        self.journal.retain(|at, _| !gone.contains(at));
        Effect::Removed(gone.len() as u64)
    }

    fn prune_parked(&mut self, before_ms: u64, keep: u64) -> Effect {
        let parked = self.parked.values();
        let mut times: Vec<_> = parked.map(|(at, parked)| (*at, parked.parked_ms)).collect();
        times.sort_unstable();
        let gone = oldest(times, before_ms, keep);
        self.parked.retain(|_, (at, _)| !gone.contains(at));
        Effect::Removed(gone.len() as u64)
    }

    fn expect(
        &self,
        collection: Collection,
        key: &str,
        expect: Expect,
    ) -> Result<(), StorageError> {
        let found = self.records.get(&(collection, key.to_owned())).map(|(version, _)| *version);
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

    fn enqueue(&mut self, new: NewItem, limit: u64) -> Result<(), StorageError> {
        if self.position(&new.id).is_some() || self.parked.contains_key(&new.id) {
            return Err(StorageError::Duplicate { id: new.id });
        }
        let held = self.queue.values().filter(|item| item.new.lane == new.lane).count();
        if held as u64 >= limit {
            return Err(StorageError::LaneFull { lane: new.lane, limit });
        }
        let position = self.queue.last_key_value().map_or(0, |(position, _)| *position) + 1;
        let item = Item {
            visible_ms: new.due_ms,
            new,
            attempts: 0,
            deferrals: 0,
            crashes: 0,
            leased: false,
            token: 0,
        };
        self.queue.insert(position, item);
        Ok(())
    }

    fn position(&self, id: &str) -> Option<u64> {
        self.queue.iter().find(|(_, item)| item.new.id == id).map(|(position, _)| *position)
    }

    fn leased(&self, id: &str, token: u64) -> Result<u64, StorageError> {
        let holds = |item: &Item| item.new.id == id && item.leased && item.token == token;
        let found = self.queue.iter().find(|(_, item)| holds(item));
        let lost = || StorageError::LeaseLost { id: id.to_owned(), token };
        found.map(|(position, _)| *position).ok_or_else(lost)
    }

    fn append(&mut self, record: JournalRow) {
        self.journal_last += 1;
        self.journal.insert(self.journal_last, record);
    }

    fn claim(&mut self, claim: &Claim) -> Vec<Leased> {
        let mut claimed: Vec<Leased> = Vec::new();
        let mut out = BTreeSet::new();
        while claimed.len() < claim.limit.min(CLAIM_MAX) {
            let due = |item: &&Item| item.visible_ms <= claim.now_ms;
            let mut lanes: Vec<_> =
                self.queue.values().filter(due).map(|item| item.new.lane.clone()).collect();
            lanes.retain(|lane| !out.contains(lane));
            lanes.sort_unstable();
            let after = lanes.iter().find(|lane| **lane > self.served);
            let Some(lane) = after.or_else(|| lanes.first()).cloned() else { break };
            let taken = claimed.iter().filter(|item| item.new.lane == lane).count();
            let held = claim.running.get(&lane).copied().unwrap_or(0) + taken;
            if !Claim::admits(held, claim.limit - claimed.len()) {
                out.insert(lane);
                continue;
            }
            let mine = |item: &Item| item.new.lane == lane && item.visible_ms <= claim.now_ms;
            let first = self
                .queue
                .iter_mut()
                .filter(|(_, item)| mine(item))
                .min_by_key(|(position, item)| (item.visible_ms, **position));
            let Some((_, item)) = first else { break };
            item.crashes += u32::from(item.leased);
            item.leased = true;
            item.token += 1;
            // An end of lease that is not in the future would lease the same item twice in one claim.
            item.visible_ms = claim.until_ms.max(claim.now_ms + 1);
            claimed.push(item.clone());
            self.served = lane;
        }
        claimed
    }

    fn read(&self, query: Query) -> Found {
        match query {
            Query::Get { collection, key } => {
                let found = self.records.get_key_value(&(collection, key));
                Found::Entry(found.map(entry))
            }
            Query::List { collection, prefix, start, limit } => {
                let records = self.records.iter().filter(|((other, key), _)| {
                    *other == collection && *key >= start && key.starts_with(&prefix)
                });
                Found::Entries(records.take(limit.min(ROWS_MAX)).map(entry).collect())
            }
            Query::ListDown { collection, prefix, before, limit } => {
                let records = self.records.iter().rev().filter(|((other, key), _)| {
                    *other == collection && *key < before && key.starts_with(&prefix)
                });
                Found::Entries(records.take(limit.min(ROWS_MAX)).map(entry).collect())
            }
            Query::Item { id } => {
                Found::Item(self.queue.values().find(|item| item.new.id == id).cloned())
            }
            Query::Lanes { after, limit } => {
                let mut lanes: BTreeMap<_, u64> = BTreeMap::new();
                for item in self.queue.values().filter(|item| item.new.lane > after) {
                    *lanes.entry(item.new.lane.clone()).or_default() += 1;
                }
                Found::Lanes(lanes.into_iter().take(limit.min(ROWS_MAX)).collect())
            }
            Query::Parked { lane, after, limit } => {
                let parked = self.parked.iter().filter(|(id, (_, parked))| {
                    **id > after && lane.as_ref().is_none_or(|lane| *lane == parked.item.new.lane)
                });
                let parked =
                    parked.take(limit.min(ROWS_MAX)).map(|(_, (_, parked))| parked.clone());
                Found::Parked(parked.collect())
            }
            Query::ParkedItem { id } => {
                let parked = self.parked.get(&id);
                Found::Parked(parked.map(|(_, parked)| parked.clone()).into_iter().collect())
            }
            Query::Journal(filter) => {
                let rows = self.journal.iter().rev().filter(|(at, row)| {
                    filter.lane.as_ref().is_none_or(|lane| *lane == row.lane)
                        && filter.id.as_ref().is_none_or(|id| *id == row.id)
                        && filter.status.as_ref().is_none_or(|status| *status == row.status)
                        && filter.since_ms.is_none_or(|since| row.time_ms >= since)
                        && filter.until_ms.is_none_or(|until| row.time_ms < until)
                        && filter.before.is_none_or(|before| **at < before)
                });
                let rows = rows.take(filter.limit.min(ROWS_MAX));
                Found::Journal(rows.map(|(at, row)| (*at, row.clone())).collect())
            }
        }
    }
}

fn entry(((_, key), (version, value)): (&(Collection, String), &(u64, Bytes))) -> Entry {
    Entry { key: key.clone(), version: *version, value: value.clone() }
}

/// Which of these go, given positions and times in order of position.
fn oldest(times: Vec<(u64, u64)>, before_ms: u64, keep: u64) -> Vec<u64> {
    let excess = (times.len() as u64).saturating_sub(keep);
    let oldest = times.into_iter().take(PRUNE_MAX).enumerate();
    let gone = oldest.filter(|(index, (_, time))| (*index as u64) < excess || *time < before_ms);
    gone.map(|(_, (position, _))| position).collect()
}
