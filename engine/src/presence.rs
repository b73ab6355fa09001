//! Who is in the engine, in one word: invocations, other guests at work, and what whoever comes in must know.
//!
//! Every invocation changes it twice. An atomic change costs as much as entering a small guest does, so the door and the clock share
//! one, and what they ask of newcomers comes back with it.

use std::sync::atomic::{AtomicU64, Ordering};

/// The lowest 32 bits count invocations.
const INVOCATION: u64 = 1;

/// The next 30 count guests that run for none: hooks, initializers, instances made ahead.
const OTHER: u64 = 1 << 32;

/// Nobody is let in any more.
const DRAINING: u64 = 1 << 62;

/// The clock sleeps until it is woken.
const CLOCK_SLEEPS: u64 = 1 << 63;

/// The word.
#[derive(Debug, Default)]
pub(crate) struct Presence(AtomicU64);

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

    /// Whether no guest can be running.
    pub(crate) fn is_empty(self) -> bool {
        self.0 & !(DRAINING | CLOCK_SLEEPS) == 0
    }
}

/// All changes are `SeqCst`: whoever comes in sees a flag that was set, or whoever set it sees who came in.
impl Presence {
    pub(crate) fn now(&self) -> Present {
        Present(self.0.load(Ordering::SeqCst))
    }

    /// Counts an invocation in; returns what was there before.
    pub(crate) fn enter(&self) -> Present {
        Present(self.0.fetch_add(INVOCATION, Ordering::SeqCst))
    }

    pub(crate) fn leave(&self) {
        self.0.fetch_sub(INVOCATION, Ordering::SeqCst);
    }

    /// The same for a guest that runs for no invocation.
    pub(crate) fn enter_other(&self) -> Present {
        Present(self.0.fetch_add(OTHER, Ordering::SeqCst))
    }

    pub(crate) fn leave_other(&self) {
        self.0.fetch_sub(OTHER, Ordering::SeqCst);
    }

    pub(crate) fn drain(&self) {
        self.0.fetch_or(DRAINING, Ordering::SeqCst);
    }

    /// Says that the clock goes to sleep; returns what was there before.
    pub(crate) fn clock_falls_asleep(&self) -> Present {
        Present(self.0.fetch_or(CLOCK_SLEEPS, Ordering::SeqCst))
    }

    pub(crate) fn clock_is_awake(&self) {
        self.0.fetch_and(!CLOCK_SLEEPS, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
