//! Wakes a poll at a moment, to the microsecond where the system can: a poll's own timeout is of whole milliseconds, which at some thousand
//! requests a second would send each of them late.

use std::io;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

/// Rings once at the moment it was set to.
pub(crate) struct Alarm {
    #[cfg(target_os = "linux")]
    timer: std::os::fd::OwnedFd,
    set_to: Option<Instant>,
}

#[cfg(target_os = "linux")]
impl Alarm {
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        use std::os::fd::AsRawFd as _;

        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let mut source = mio::unix::SourceFd(&timer.as_raw_fd());
        registry.register(&mut source, token, mio::Interest::READABLE)?;
        Ok(Self { timer, set_to: None })
    }

    /// Rings then and not before; the timeout that a poll needs besides.
    pub(crate) fn set(&mut self, at: Instant, longest: Duration) -> io::Result<Duration> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        if self.set_to != Some(at) {
            // Nothing stops a timer, so at least a nanosecond.
            let until = at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
            let never = Timespec { tv_sec: 0, tv_nsec: 0 };
            let until = Timespec::try_from(until).map_err(io::Error::other)?;
            let once = Itimerspec { it_interval: never, it_value: until };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
            self.set_to = Some(at);
        }
        Ok(longest)
    }
}

#[cfg(not(target_os = "linux"))]
impl Alarm {
    pub(crate) fn new(_registry: &Registry, _token: Token) -> io::Result<Self> {
        Ok(Self { set_to: None })
    }

    /// The timeout that a poll needs; its lateness shows in the account.
    pub(crate) fn set(&mut self, at: Instant, longest: Duration) -> io::Result<Duration> {
        self.set_to = Some(at);
        Ok(at.saturating_duration_since(Instant::now()).min(longest))
    }
}
