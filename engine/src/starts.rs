//! How invocations started, counted by kind.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::StartKind;

/// A count for each kind of start.
pub(crate) type Counts = [u64; StartKind::ALL.len()];

/// Those that one thread counts, or few.
#[derive(Debug, Default)]
pub(crate) struct Starts([AtomicU64; StartKind::ALL.len()]);

impl Starts {
    pub(crate) fn count(&self, start: StartKind) {
        if let Some(count) = self.0.get(start as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds so many that were counted elsewhere.
    pub(crate) fn add(&self, counts: &Counts) {
        for (own, count) in self.0.iter().zip(counts) {
            own.fetch_add(*count, Ordering::Relaxed);
        }
    }

    pub(crate) fn add_to(&self, sums: &mut Counts) {
        for (sum, own) in sums.iter_mut().zip(&self.0) {
            *sum += own.load(Ordering::Relaxed);
        }
    }
}
