//! Sync invocations in memory, the last so many of them: a disk write per call would cost more than the call.
//!
//! Each core notes its calls in a few pages of its own and hands them on by the batch. In one memory for all, each note would go where
//! another core wrote ten thousand calls ago, and every call would wait for that memory on its way from there.

use std::collections::VecDeque;
use std::sync::Arc;

use hearth_engine::thread_number;
use parking_lot::Mutex;

use super::{ErrorNote, Figures, InvocationRecord, InvocationType, Status};

/// Calls that a core notes before it hands them on.
const BATCH: usize = 64;
/// The same while whoever reads holds the memory of all; then it waits for it.
const BATCH_MAX: usize = 4 * BATCH;
/// Places for notes, taken by threads in turn: most threads that call have one alone.
const PLACES: usize = 16;

/// A sync invocation as the ring holds it: small, and without memory of its own where nothing went wrong. What falls out of the ring was
/// written ten thousand calls ago, and freeing it would wait for memory that no cache holds any more.
#[derive(Debug)]
pub(super) struct Recent {
    pub(super) id: Id,
    pub(super) function: Arc<str>,
    pub(super) status: Status,
    pub(super) attempt: u32,
    pub(super) accepted_ms: u64,
    pub(super) ended_ms: u64,
    pub(super) error: Option<Box<ErrorNote>>,
    pub(super) figures: Option<Figures>,
}

/// A request id; ours have this length.
#[derive(Debug)]
pub(super) enum Id {
    Usual([u8; 36]),
    Other(Arc<str>),
}

impl Id {
    pub(super) fn of(id: &str) -> Self {
        id.as_bytes().try_into().map_or_else(|_| Self::Other(id.into()), Self::Usual)
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Usual(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
            Self::Other(id) => id,
        }
    }
}

impl From<&Recent> for InvocationRecord {
    fn from(recent: &Recent) -> Self {
        Self {
            request_id: recent.id.as_str().into(),
            function: recent.function.clone(),
            invocation_type: InvocationType::Sync,
            status: recent.status,
            attempt: recent.attempt,
            accepted_ms: recent.accepted_ms,
            ended_ms: recent.ended_ms,
            error: recent.error.as_deref().cloned(),
            figures: recent.figures,
            event: None,
        }
    }
}

/// A place for notes, on lines of memory of its own: processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place(Mutex<Vec<Recent>>);

/// The last calls; beside those that all have handed on, each thread's newest.
#[derive(Debug)]
pub(super) struct RecentCalls {
    most: usize,
    places: [Place; PLACES],
    all: Mutex<VecDeque<Recent>>,
}

impl RecentCalls {
    /// A memory for so many calls, at least one.
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), places: Default::default(), all: Mutex::default() }
    }

    /// Notes a call.
    pub(super) fn push(&self, call: Recent) {
        let Some(place) = self.places.get(thread_number() % PLACES) else { return };
        let mut notes = place.0.lock();
        notes.push(call);
        if notes.len() < BATCH.min(self.most) {
            return;
        }
        let all = match notes.len() < BATCH_MAX {
            true => self.all.try_lock(),
            false => Some(self.all.lock()),
        };
        if let Some(mut all) = all {
            self.hand_on(&mut notes, &mut all);
        }
    }

    fn hand_on(&self, notes: &mut Vec<Recent>, all: &mut VecDeque<Recent>) {
        all.extend(notes.drain(..));
        let over = all.len().saturating_sub(self.most);
        all.drain(..over);
    }

    /// At most `limit` of the calls that `wanted` wants: those that ended last, newest first.
    pub(super) fn find(
        &self,
        limit: usize,
        wanted: impl Fn(&Recent) -> bool,
    ) -> Vec<InvocationRecord> {
        // All at once, or what is handed on meanwhile would be found twice or not at all.
        let mut places: Vec<_> = self.places.iter().map(|place| place.0.lock()).collect();
        let mut all = self.all.lock();
        places.iter_mut().for_each(|notes| self.hand_on(notes, &mut all));
        drop(places);
        let mut found: Vec<_> = all.iter().filter(|call| wanted(call)).collect();
        found.sort_by_key(|call| std::cmp::Reverse(call.ended_ms));
        found.truncate(limit);
        found.into_iter().map(InvocationRecord::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: u64) -> Recent {
        Recent {
            id: Id::of(&number.to_string()),
            function: "s/f".into(),
            status: Status::Succeeded,
            attempt: 1,
            accepted_ms: number,
            ended_ms: number,
            error: None,
            figures: None,
        }
    }

    fn ended(found: &[InvocationRecord]) -> Vec<u64> {
        found.iter().map(|record| record.ended_ms).collect()
    }

    #[test]
    fn the_last_calls_are_found_newest_first_wherever_they_are_noted() {
        for (most, calls) in [(1, 5), (10, 9), (10, 35), (100, 64), (100, 300), (1000, 999)] {
            let memory = RecentCalls::new(most);
            (0..calls).for_each(|number| memory.push(call(number)));
            let newest: Vec<u64> = (0..calls).rev().take(most).collect();
            assert_eq!(ended(&memory.find(usize::MAX, |_| true)), newest, "{most} of {calls}");
            let even = memory.find(3, |call| call.ended_ms % 2 == 0);
            let expected: Vec<u64> =
                newest.into_iter().filter(|number| number % 2 == 0).take(3).collect();
            assert_eq!(ended(&even), expected, "{most} of {calls}");
        }
    }

    #[test]
    fn calls_of_many_threads_are_kept_once_each_while_others_read() {
        let (threads, each) = (20, 1000);
        let memory = RecentCalls::new(threads * each);
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let memory = &memory;
                scope.spawn(move || {
                    for number in 0..each {
                        memory.push(call((thread * each + number) as u64));
                    }
                });
            }
            for _ in 0..20 {
                let mut found = ended(&memory.find(usize::MAX, |_| true));
                let count = found.len();
                found.dedup();
                assert_eq!(found.len(), count, "none is found twice");
            }
        });
        let all: Vec<u64> = (0..(threads * each) as u64).rev().collect();
        assert_eq!(ended(&memory.find(usize::MAX, |_| true)), all);
    }
}
