//! How the invocations of one revision started. Each core counts on a line of memory that no other writes to: one for all would go from core to
//! core with every call.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::StartKind;
use crate::pool::{shard_count, thread_number};

/// A count for each kind of start.
pub(crate) type Counts = [u64; StartKind::ALL.len()];

#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([AtomicU64; StartKind::ALL.len()]);

/// The counts of all threads.
#[derive(Debug)]
pub(crate) struct Starts(Box<[Line]>);

impl Starts {
    /// Counts that begin where others ended.
    pub(crate) fn after(counts: Counts) -> Self {
        let mut lines: Box<[Line]> = (0..shard_count()).map(|_| Line::default()).collect();
        if let Some(first) = lines.first_mut() {
            *first = Line(counts.map(AtomicU64::new));
        }
        Self(lines)
    }

    pub(crate) fn count(&self, start: StartKind) {
        let line = self.0.get(thread_number() % self.0.len());
        if let Some(count) = line.and_then(|line| line.0.get(start as usize)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn all(&self) -> Counts {
        let mut all = Counts::default();
        for line in &self.0 {
            for (sum, count) in all.iter_mut().zip(&line.0) {
                *sum += count.load(Ordering::Relaxed);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_thread_counts_is_in_the_sum() {
        let mut before = Counts::default();
        before[StartKind::Warm as usize] = 5;
        let starts = Starts::after(before);
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    starts.count(StartKind::Warm);
                    starts.count(StartKind::Fresh);
                });
            }
        });
        let all = starts.all();
        assert_eq!((all[StartKind::Warm as usize], all[StartKind::Fresh as usize]), (45, 40));
        assert_eq!(all.iter().sum::<u64>(), 85);
    }
}
