//! Waiting for the end of a child process without looking again and again.
//!
//! A thread that wakes every two milliseconds to look is nearly always in the scheduler's queue beside the compiler that it waits for, and
//! owed more than those who serve callers. When one of those wakes it is not who should run next, so nobody interrupts the compiler, until
//! the next tick of the clock (`__pick_eevdf` and `wakeup_preempt_fair` in the kernel's `kernel/sched/fair.c`).

use std::process::Child;
use std::time::Duration;

/// How often to look where the system cannot tell.
const LOOK: Duration = Duration::from_millis(2);

/// The end of a child process, which must not be waited for in another way while this lives.
#[derive(Debug)]
pub(super) struct Ending {
    /// Readable when the child ended: see `pidfd_open(2)`.
    #[cfg(target_os = "linux")]
    descriptor: Option<std::os::fd::OwnedFd>,
}

impl Ending {
    #[cfg(target_os = "linux")]
    pub(super) fn of(child: &Child) -> Self {
        use rustix::process::{Pid, PidfdFlags, pidfd_open};
        // None before Linux 5.3, in a sandbox that does not know it, or without a free descriptor.
        let descriptor = Pid::from_raw(child.id().cast_signed())
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self { descriptor }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn of(_child: &Child) -> Self {
        Self {}
    }

    /// Sleeps until the child ended, this time has passed, or now and then for no reason: look at the child after it.
    pub(super) fn wait(&self, most: Duration) {
        #[cfg(target_os = "linux")]
        if let Some(descriptor) = &self.descriptor {
            use rustix::event::{PollFd, PollFlags, poll};
            // What is longer than the system can wait is waited for in pieces.
            let most = most.min(Duration::from_secs(60)).try_into().ok();
            if poll(&mut [PollFd::new(descriptor, PollFlags::IN)], most.as_ref()).is_ok() {
                return;
            }
            // A signal, or no memory for what poll keeps: look, and not at once again.
        }
        std::thread::sleep(most.min(LOOK));
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use super::*;

    fn child(seconds: &str) -> Child {
        Command::new("sleep").arg(seconds).stdin(Stdio::null()).spawn().unwrap()
    }

    /// How often this thread went to sleep: `voluntary_ctxt_switches` of `proc_pid_status(5)`.
    #[cfg(target_os = "linux")]
    fn sleeps() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse().unwrap()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn whoever_waits_for_a_child_sleeps_until_it_ends() {
        let mut child = child("0.3");
        let ending = Ending::of(&child);
        let before = sleeps();
        while child.try_wait().unwrap().is_none() {
            ending.wait(Duration::from_secs(60));
        }
        // Once, and a few more for a busy machine; looking every two milliseconds would be 150.
        assert!(sleeps() - before < 20, "it went to sleep {} times", sleeps() - before);
    }

    #[test]
    fn a_child_that_goes_on_is_waited_for_no_longer_than_was_said() {
        let mut child = child("60");
        let ending = Ending::of(&child);
        let begin = Instant::now();
        ending.wait(Duration::from_millis(10));
        assert!(child.try_wait().unwrap().is_none(), "it returned after {:?}", begin.elapsed());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn without_a_descriptor_it_looks_now_and_then() {
        let mut child = child("0.05");
        let ending = Ending {
            #[cfg(target_os = "linux")]
            descriptor: None,
        };
        while child.try_wait().unwrap().is_none() {
            ending.wait(Duration::from_secs(60));
        }
    }
}
