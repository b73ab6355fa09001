//! Who is in the engine, in one word: invocations, other guests at work, and what whoever comes in or leaves must know.
//!
//! Every invocation changes it twice. An atomic change costs as much as entering a small guest does, so the door, the clock and those who
//! wait for room share one, and what they ask of others comes back with it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::memory_meter::MemoryBudget;
use crate::room_queue::{RoomQueue, Waiting};

/// The lowest 32 bits count invocations.
const INVOCATION: u64 = 1;

/// The next 29 count guests that run for none: hooks, initializers, instances made ahead.
const OTHER: u64 = 1 << 32;

/// Somebody waits for an instance to go or to come to rest.
const ROOM_WANTED: u64 = 1 << 61;

/// Nobody is let in any more.
const DRAINING: u64 = 1 << 62;

/// The clock sleeps until it is woken.
const CLOCK_SLEEPS: u64 = 1 << 63;

/// The word, and who waits for room.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    word: AtomicU64,
    waiting: RoomQueue,
}

/// Somebody who waits for room, while this lives.
#[derive(Debug)]
pub(crate) struct Wanting<'a> {
    presence: &'a Presence,
    place: Waiting<'a>,
}

/// What the word said at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Present(u64);

impl Present {
    /// Invocations in the engine.
    pub(crate) fn invocations(self) -> u64 {
        self.0 & (OTHER - 1)
    }

    pub(crate) fn is_draining(self) -> bool {
        self.0 & DRAINING != 0
    }

    pub(crate) fn clock_sleeps(self) -> bool {
        self.0 & CLOCK_SLEEPS != 0
    }

    fn wants_room(self) -> bool {
        self.0 & ROOM_WANTED != 0
    }

    /// Whether no guest can be running.
    pub(crate) fn is_empty(self) -> bool {
        self.0 & !(DRAINING | CLOCK_SLEEPS | ROOM_WANTED) == 0
    }
}

/// All changes are `SeqCst`: whoever comes in sees a flag that was set, or whoever set it sees who came in.
impl Presence {
    pub(crate) fn now(&self) -> Present {
        Present(self.word.load(Ordering::SeqCst))
    }

    /// Counts an invocation in; returns what was there before.
    pub(crate) fn enter(&self) -> Present {
        Present(self.word.fetch_add(INVOCATION, Ordering::SeqCst))
    }

    /// Counts one out, whose instance is gone or at rest by now.
    pub(crate) fn leave(&self) {
        self.tell(Present(self.word.fetch_sub(INVOCATION, Ordering::SeqCst)));
    }

    /// The same for a guest that runs for no invocation.
    pub(crate) fn enter_other(&self) -> Present {
        Present(self.word.fetch_add(OTHER, Ordering::SeqCst))
    }

    pub(crate) fn leave_other(&self) {
        self.tell(Present(self.word.fetch_sub(OTHER, Ordering::SeqCst)));
    }

    /// Says that an instance went.
    pub(crate) fn free(&self) {
        self.tell(self.now());
    }

    fn tell(&self, seen: Present) {
        if seen.wants_room() {
            self.waiting.tell_first();
        }
    }

    /// Has whoever leaves say so from now on. Who looks for room after this and finds none does not miss any that comes free.
    pub(crate) fn want_room<'a>(&'a self, budget: &'a MemoryBudget) -> Wanting<'a> {
        let place = self.waiting.enter(budget, || {
            self.word.fetch_or(ROOM_WANTED, Ordering::SeqCst);
        });
        Wanting { presence: self, place }
    }

    pub(crate) fn drain(&self) {
        self.word.fetch_or(DRAINING, Ordering::SeqCst);
    }

    /// Says that the clock goes to sleep; returns what was there before.
    pub(crate) fn clock_falls_asleep(&self) -> Present {
        Present(self.word.fetch_or(CLOCK_SLEEPS, Ordering::SeqCst))
    }

    pub(crate) fn clock_is_awake(&self) {
        self.word.fetch_and(!CLOCK_SLEEPS, Ordering::SeqCst);
    }
}

impl Wanting<'_> {
    /// Ends when there may be room.
    pub(crate) async fn freed(&mut self) {
        self.place.told().await;
    }

    /// Says what there was no room for, in bytes, or nothing where it was a place.
    pub(crate) fn found_none(&mut self, wanted_bytes: Option<u64>) {
        self.place.found_none(wanted_bytes);
    }

    /// Says that there was room.
    pub(crate) fn found(&mut self) {
        self.place.found();
    }
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.place.leave(|| {
            self.presence.word.fetch_and(!ROOM_WANTED, Ordering::SeqCst);
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn who_leaves_tells_who_wants_room() {
        let (presence, budget) = (Presence::default(), MemoryBudget::new(1));
        presence.enter();
        presence.leave();
        let (mut first, second) = (presence.want_room(&budget), presence.want_room(&budget));
        assert!(presence.now().is_empty(), "who waits is counted as an invocation");
        assert!(first.freed().now_or_never().is_none(), "what was free before is not told");
        presence.enter();
        presence.leave();
        assert!(first.freed().now_or_never().is_some());
        drop(first);
        assert!(presence.now().wants_room());
        drop(second);
        assert!(!presence.now().wants_room());
    }

    #[test]
    fn counts_and_flags_do_not_touch_one_another() {
        let presence = Presence::default();
        assert!(presence.now().is_empty());
        presence.clock_falls_asleep();
        assert!(presence.enter().clock_sleeps());
        presence.enter_other();
        presence.drain();
        let seen = presence.enter();
        assert_eq!((seen.invocations(), seen.is_draining(), seen.is_empty()), (1, true, false));
        presence.leave();
        presence.leave();
        assert_eq!(presence.now().invocations(), 0);
        assert!(!presence.now().is_empty(), "the other guest still runs");
        presence.leave_other();
        assert!(presence.now().is_empty() && presence.now().clock_sleeps());
        presence.clock_is_awake();
        assert!(!presence.now().clock_sleeps() && presence.now().is_draining());
    }
}
