//! The functions held loaded: a bound on how many, with the least recently used let go first.
//!
//! Touched only when a function is loaded, never on the way of a warm invocation.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::revision::Revision;

/// Revisions that hold a loaded function.
#[derive(Debug)]
pub(crate) struct Loaded {
    limit: usize,
    held: Mutex<Vec<Weak<Revision>>>,
}

impl Loaded {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), held: Mutex::new(Vec::new()) }
    }

    /// Counts `revision` as loaded and lets go of others beyond the limit. Who runs on one of those keeps it until done.
    pub(crate) fn admit(&self, revision: &Arc<Revision>) {
        let mut held = self.held.lock();
        held.retain(|weak| {
            weak.upgrade().is_some_and(|other| {
                other.loaded.load().is_some() && !Arc::ptr_eq(&other, revision)
            })
        });
        while held.len() >= self.limit {
            let oldest = held
                .iter()
                .enumerate()
                .min_by_key(|(_, weak)| weak.upgrade().map_or(0, |other| other.used_ms()))
                .map(|(index, _)| index);
            let Some(index) = oldest else { break };
            if let Some(other) = held.swap_remove(index).upgrade() {
                other.loaded.store(None);
            }
        }
        held.push(Arc::downgrade(revision));
    }

    /// The revisions that hold one now.
    pub(crate) fn revisions(&self) -> Vec<Arc<Revision>> {
        let held = self.held.lock().iter().filter_map(Weak::upgrade).collect::<Vec<_>>();
        held.into_iter().filter(|revision| revision.loaded.load().is_some()).collect()
    }

    pub(crate) fn count(&self) -> u64 {
        let loaded = |weak: &&Weak<Revision>| {
            weak.upgrade().is_some_and(|revision| revision.loaded.load().is_some())
        };
        self.held.lock().iter().filter(loaded).count() as u64
    }
}
