//! Wall-clock time for records and leases, behind a port so that tests can move it. It never goes backwards within a process, and it
//! does not leap when somebody sets the system's clock: leases would end while their work runs, and everything that waits would be too
//! old at once, or be due an hour late.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// Milliseconds since the Unix epoch; never less than it said before.
    fn now_ms(&self) -> u64;
}

/// How often the system's clock is looked at, in microseconds.
const LOOK_US: i64 = 1000;
const HOUR_US: i64 = 3_600_000_000;
/// What is no correction any more but the end of an error, as on a machine that is started without a battery: it is taken at once.
const LEAP_US: i64 = 24 * HOUR_US;

/// The system's clock. Where that is set while the process runs, this one goes after it at twice or at half the speed of time until both
/// agree; set forward by more than a day it leaps. The time that a machine slept is time that passed.
#[derive(Debug)]
pub struct SystemClock {
    /// Microseconds from the steady clock to this one.
    ahead_us: AtomicI64,
    /// When that was last looked at, in microseconds of the steady clock.
    looked_us: AtomicI64,
    latest_ms: AtomicU64,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::at(steady_us(), wall_us())
    }
}

impl SystemClock {
    fn at(steady_us: i64, wall_us: i64) -> Self {
        Self {
            ahead_us: AtomicI64::new(wall_us.saturating_sub(steady_us)),
            looked_us: AtomicI64::new(steady_us),
            latest_ms: AtomicU64::new(0),
        }
    }

    /// What it shows when the steady clock and the system's show these; the second is asked only when it is looked at.
    fn shows(&self, steady_us: i64, wall_us: impl FnOnce() -> i64) -> u64 {
        let mut ahead = self.ahead_us.load(Ordering::Relaxed);
        // Every invocation asks, on every core: within a millisecond nothing is written that others read.
        if steady_us.saturating_sub(self.looked_us.load(Ordering::Relaxed)) >= LOOK_US {
            ahead = self.look(steady_us, wall_us());
        }
        let now_ms = u64::try_from(steady_us.saturating_add(ahead) / 1000).unwrap_or(0);
        let latest_ms = self.latest_ms.load(Ordering::Relaxed);
        if now_ms <= latest_ms {
            return latest_ms;
        }
        self.latest_ms.fetch_max(now_ms, Ordering::Relaxed).max(now_ms)
    }

    /// Goes after the system's clock; how far it is ahead of the steady one then.
    fn look(&self, steady_us: i64, wall_us: i64) -> i64 {
        // Of many who ask at once, one is told that time has passed.
        let passed =
            steady_us.saturating_sub(self.looked_us.fetch_max(steady_us, Ordering::Relaxed));
        let ahead = self.ahead_us.load(Ordering::Relaxed);
        let behind = wall_us.saturating_sub(steady_us).saturating_sub(ahead);
        let step = if behind > LEAP_US && passed > 0 {
            tracing::warn!(
                hours = behind / HOUR_US,
                "the system's clock was set forward by more than a day"
            );
            behind
        } else {
            behind.clamp(-passed.max(0) / 2, passed.max(0))
        };
        self.ahead_us.fetch_add(step, Ordering::Relaxed).saturating_add(step)
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        self.shows(steady_us(), wall_us)
    }
}

/// A clock that nobody sets and that goes on while the machine sleeps.
#[cfg(target_os = "linux")]
fn steady_us() -> i64 {
    // By the C library: a clock read past it ends a program that runs under valgrind, as the bench of counts lets the server do.
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME);
    now.map_or(0, |now| now.tv_sec().saturating_mul(1_000_000).saturating_add(now.tv_nsec() / 1000))
}

/// A clock that nobody sets.
#[cfg(not(target_os = "linux"))]
fn steady_us() -> i64 {
    static BEGIN: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    i64::try_from(BEGIN.elapsed().as_micros()).unwrap_or(i64::MAX)
}

fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Milliseconds since the Unix epoch; 0 for times before it.
pub fn to_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const HOUR: i64 = 3600 * SECOND;
    const BEGIN: i64 = 500_000 * HOUR;

    /// Milliseconds that a clock shows since it began at `BEGIN`, asked as often as a queue that polls asks.
    fn shown(clock: &SystemClock, from: i64, until: i64, set: i64) -> i64 {
        let mut last = 0;
        for steady in (from..=until).step_by(200_000) {
            let now = clock.shows(steady, || BEGIN + steady + set);
            assert!(now >= last, "it went back");
            last = now;
        }
        i64::try_from(last).unwrap() - BEGIN / 1000
    }

    #[test]
    fn it_goes_with_the_system() {
        let clock = SystemClock::default();
        let apart = clock.now_ms().abs_diff(to_ms(SystemTime::now()));
        assert!(apart < 1000, "{apart} ms apart");
        assert_eq!(to_ms(UNIX_EPOCH - std::time::Duration::from_secs(1)), 0);
        let clock = SystemClock::at(0, BEGIN);
        assert_eq!(shown(&clock, 0, HOUR, 0), 3_600_000);
        // A clock that is disciplined drifts by some parts in a million.
        assert_eq!(shown(&clock, HOUR, 2 * HOUR, 700), 7_200_000);
        assert_eq!(shown(&clock, 2 * HOUR, 3 * HOUR, -700), 10_799_999);
    }

    #[test]
    fn set_forward_it_catches_up_at_twice_the_speed() {
        let clock = SystemClock::at(0, BEGIN);
        shown(&clock, 0, 10 * SECOND, 0);
        assert_eq!(shown(&clock, 10 * SECOND, 10 * SECOND, HOUR), 10_000, "it does not leap");
        // A lease of a minute, extended at each third of it, outlasts that.
        assert_eq!(shown(&clock, 10 * SECOND, 30 * SECOND, HOUR), 50_000);
        assert_eq!(shown(&clock, 30 * SECOND, 2 * HOUR, HOUR), 3 * 3_600_000, "both agree");
    }

    #[test]
    fn set_back_it_goes_on_at_half_the_speed() {
        let clock = SystemClock::at(0, BEGIN);
        shown(&clock, 0, 10 * SECOND, 0);
        assert_eq!(shown(&clock, 10 * SECOND, 10 * SECOND, -HOUR), 10_000, "it does not go back");
        // What is due in a minute is done in two, and not in an hour.
        assert_eq!(shown(&clock, 10 * SECOND, 130 * SECOND, -HOUR), 70_000);
        assert_eq!(shown(&clock, 130 * SECOND, 3 * HOUR, -HOUR), 2 * 3_600_000, "both agree");
    }

    #[test]
    fn an_error_of_years_is_corrected_at_once() {
        let clock = SystemClock::at(0, BEGIN);
        shown(&clock, 0, 10 * SECOND, 0);
        let years = 50 * 365 * 24 * HOUR;
        let now = shown(&clock, 11 * SECOND, 12 * SECOND, years);
        assert_eq!(now, years / 1000 + 12_000);
    }

    #[test]
    fn the_time_a_machine_slept_has_passed() {
        let clock = SystemClock::at(0, BEGIN);
        shown(&clock, 0, 10 * SECOND, 0);
        assert_eq!(shown(&clock, 8 * HOUR, 8 * HOUR, 0), 8 * 3_600_000);
    }

    #[test]
    fn it_never_goes_back_whoever_asks() {
        let clock = SystemClock::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut last = 0;
                    for _ in 0..20_000 {
                        let now = clock.now_ms();
                        assert!(now >= last);
                        last = now;
                    }
                });
            }
        });
    }
}
