//! The storage of a process that dies at one of its writes, and what is seen of the queue through it, over all lives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::*;
use crate::storage::{Claim, Effect, Found, Leased, Query};

/// Where a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// Before its nth write, counted from 1.
    Before(u64),
    /// When that write is on disk and nobody was told.
    After(u64),
    /// It lives, and its nth write fails for want of room.
    Fails(u64),
    Never,
}

/// What is seen over all lives.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What has its record.
    pub(super) ended: Mutex<BTreeSet<String>>,
    /// Leases given, by item.
    pub(super) leased: Mutex<BTreeMap<String, u32>>,
    /// Events that were sent to an address.
    pub(super) sent: Mutex<BTreeMap<String, u32>>,
    /// What was answered for: its id, and how it must end.
    pub(super) accepted: Mutex<BTreeMap<String, &'static str>>,
    /// What somebody asked to stop.
    pub(super) stopped: Mutex<BTreeSet<String>>,
    /// What was queued again, under which id.
    pub(super) redriven: Mutex<BTreeMap<String, String>>,
}

impl Seen {
    /// A lease on what is stopped in the same group of commits is given, and taken back before a guest is called.
    pub(super) fn runs(&self, id: &str) {
        let is_stopped = self.stopped.lock().contains(id);
        assert!(is_stopped || !self.ended.lock().contains(id), "{id} runs after its record");
    }
}

/// The storage of a process that dies.
#[derive(Debug)]
pub(super) struct Dying {
    pub(super) disk: Arc<dyn Storage>,
    pub(super) seen: Arc<Seen>,
    pub(super) death: Death,
    pub(super) writes: AtomicU64,
    pub(super) died: Notify,
}

impl Dying {
    async fn never<T>(&self) -> T {
        self.died.notify_one();
        std::future::pending().await
    }

    fn is_dead(&self) -> bool {
        match self.death {
            Death::Before(n) => self.writes.load(Ordering::SeqCst) >= n,
            Death::After(n) => self.writes.load(Ordering::SeqCst) > n,
            Death::Fails(_) | Death::Never => false,
        }
    }

    async fn write<T>(
        &self,
        work: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let number = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        match self.death {
            Death::Fails(n) if number == n => Err(StorageError::Full { path: "here".into() }),
            Death::Before(n) if number >= n => self.never().await,
            Death::After(n) if number > n => self.never().await,
            Death::After(n) if number == n => {
                drop(work.await);
                self.writes.fetch_add(1, Ordering::SeqCst);
                self.never().await
            }
            _ => work.await,
        }
    }
}

#[async_trait::async_trait]
impl Storage for Dying {
    async fn commit(&self, ops: Vec<Op>) -> Result<Vec<Effect>, StorageError> {
        let ends: Vec<String> = ops.iter().filter_map(ends).collect();
        self.write(async {
            let done = self.disk.commit(ops).await;
            // A stop that came too late removes nothing and ends nothing.
            if done.as_ref().is_ok_and(|effects| effects.first() != Some(&Effect::Removed(0))) {
                self.seen.ended.lock().extend(ends);
            }
            done
        })
        .await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Leased>, StorageError> {
        self.write(async {
            let leased = self.disk.claim(claim).await?;
            for item in &leased {
                self.seen.runs(&item.new.id);
                *self.seen.leased.lock().entry(item.new.id.clone()).or_default() += 1;
            }
            Ok(leased)
        })
        .await
    }

    async fn read(&self, query: Query) -> Result<Found, StorageError> {
        if self.is_dead() { self.never().await } else { self.disk.read(query).await }
    }

    fn wake(&self) -> Arc<Notify> {
        self.disk.wake()
    }
}

fn ends(op: &Op) -> Option<String> {
    match op {
        Op::Ack { id, .. } | Op::Park { id, .. } | Op::Cancel { id, .. } => Some(id.clone()),
        _ => None,
    }
}
