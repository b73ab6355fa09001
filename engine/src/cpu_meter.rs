//! CPU time of one invocation, measured around each poll of its future.
//!
//! Reading the thread's CPU clock costs ten times a monotonic clock, so a poll shorter than one epoch tick counts its wall
//! time; from the first tick on the thread's own clock is used. The error is therefore at most one tick a poll. The poll
//! in progress is kept in a thread-local, because the epoch callback runs inside the store that the poll has borrowed.

use std::cell::Cell;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

thread_local! {
    static CURRENT: Cell<Option<Poll>> = const { Cell::new(None) };
}

/// CPU time that an invocation has used in finished polls.
#[derive(Debug, Default)]
pub(crate) struct CpuMeter {
    used: Duration,
    /// When the last poll ended.
    ended: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Poll {
    started: Instant,
    used_before: Duration,
    /// Wall time of the poll and CPU clock of the thread at the first tick in it.
    mark: Option<(Duration, Duration)>,
}

impl Poll {
    fn used(&self, now: Instant) -> Duration {
        let in_poll = match self.mark {
            Some((wall, cpu)) => wall + thread_cpu_time().saturating_sub(cpu),
            None => now.saturating_duration_since(self.started),
        };
        self.used_before + in_poll
    }
}

/// A poll in progress; ends when dropped. Polls nest when one guest calls another on the same thread.
#[derive(Debug)]
pub(crate) struct Measured<'a> {
    meter: &'a mut CpuMeter,
    outer: Option<Poll>,
}

impl CpuMeter {
    /// A meter that shows so much, measured elsewhere.
    pub(crate) fn showing(used: Duration) -> Self {
        Self { used, ended: None }
    }

    /// Begins to measure on this thread at `now`.
    pub(crate) fn enter(&mut self, now: Instant) -> Measured<'_> {
        let poll = Poll { started: now, used_before: self.used, mark: None };
        let outer = CURRENT.replace(Some(poll));
        Measured { meter: self, outer }
    }

    /// CPU time of all finished polls.
    pub(crate) fn used(&self) -> Duration {
        self.used
    }

    /// When the last poll ended; now, if there was none.
    pub(crate) fn ended(&self) -> Instant {
        self.ended.unwrap_or_else(Instant::now)
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        if let Some(poll) = CURRENT.replace(self.outer) {
            let now = Instant::now();
            self.meter.used = poll.used(now);
            self.meter.ended = Some(now);
        }
    }
}

/// Called on each epoch tick inside a guest: the CPU time of its invocation so far.
pub(crate) fn used_now(now: Instant) -> Duration {
    let Some(mut poll) = CURRENT.get() else { return Duration::ZERO };
    let used = poll.used(now);
    if poll.mark.is_none() {
        poll.mark = Some((now.saturating_duration_since(poll.started), thread_cpu_time()));
        CURRENT.set(Some(poll));
    }
    used
}

fn thread_cpu_time() -> Duration {
    // By the C library: a clock read past it ends a program that runs under valgrind, as the bench of counts does.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_add_up_and_nest() {
        let mut outer = CpuMeter::default();
        let mut inner = CpuMeter::default();
        {
            let _outer = outer.enter(Instant::now());
            {
                let _inner = inner.enter(Instant::now());
                std::hint::black_box((0..100_000_u64).sum::<u64>());
            }
            assert!(used_now(Instant::now()) >= inner.used(), "the outer poll contains the inner");
        }
        let first = outer.used();
        drop(outer.enter(Instant::now()));
        assert!(outer.used() >= first);
        assert_eq!(used_now(Instant::now()), Duration::ZERO, "nothing is measured outside a poll");
    }

    #[test]
    fn sleeping_after_the_first_tick_uses_no_cpu() {
        let mut meter = CpuMeter::default();
        {
            let _poll = meter.enter(Instant::now());
            used_now(Instant::now());
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(meter.used() < Duration::from_millis(25), "sleep was billed: {:?}", meter.used());
    }
}
