//! Who goes first when there are more threads than cores: those who serve a caller that waits.
//!
//! Three means, which the system's scheduler weighs together. A *niceness* is a smaller share beside others. A long *turn* is being asked
//! seldom how the processor is to be shared, and in return letting others pass: since Linux 6.12 a thread that wakes goes before one whose
//! turn is longer. Of 250 calls a second beside guests that spin on every core one in a hundred waits for 4 ms where those are like all
//! threads, for 1.0 to 1.5 ms where they are kinder by 5, for 0.12 to 0.36 ms where their turns are long as well; alone for 0.2 ms (on a day
//! on which the machine was less quiet, 0.1 to 2.5 ms, whether turns were of 10 or of 100 ms). Short turns for those who serve do the same,
//! but cost a tenth of the throughput where callers are on the same machine. And who is of the *batch* policy interrupts nobody when it
//! wakes. A thread that serves has had its share as soon as it has run for longer than the others lately, which is at once if it slept before;
//! whoever wakes beside it then takes its place in the middle of a request, for a turn. `docs/performance.md` has what that gave.

/// How much kinder the threads are that do what a caller waits for, but not alone: guests that run long, loading, unpacking. Beside a thread
/// that never sleeps they still have a quarter of a core.
const BEHIND: i32 = 5;

/// Longer than those of others by far, so that whoever wakes goes first, in nanoseconds. Not the longest that Linux gives, as it is for what
/// is done once while somebody waits: where all cores are taken a thread that wakes waits for some of its own turns. Beside four processes
/// that spin a deployment took 1.0 s with turns of 100 ms, and takes 0.3 s (medians of ten; 0.8 to 3.0 and 0.1 to 0.4).
const LONG_TURN_NS: u64 = 10_000_000;

/// The longest that Linux gives, for who always has more to do. A thread whose turn is about to end goes before one that wakes, and stays
/// for a tick of the clock; with long turns that is seldom. All of them have the same: one with shorter turns would be picked in place of who
/// serves.
const LONGEST_TURN_NS: u64 = 100_000_000;

/// What gives a thread turns of the usual length.
const USUAL_TURN: u64 = 0;

/// Whether a thread interrupts others when it wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waking {
    AsBefore,
    InterruptsNobody,
}

/// Lets this thread, and the processes it starts, compute behind the threads of this process that do not: it is kinder by 5 than the
/// process's main thread, or as kind as it is already, and has long turns. For threads that compute for those who serve callers: whoever
/// wakes goes before them, they interrupt nobody when they wake, and where all cores are taken they still have a quarter of one.
///
/// Where a niceness is the process's and not the thread's, as on systems other than Linux, it does nothing.
pub fn compute_behind() {
    compute_behind_by(BEHIND);
}

/// The same for who may never run out of work, guests that run long and whoever cleans up behind guests: the longest turns.
pub(crate) fn stay_behind() {
    stay_behind_by(BEHIND);
}

/// The same, but kinder by `niceness`.
pub(crate) fn stay_behind_by(niceness: i32) {
    set(niceness, LONGEST_TURN_NS, Waking::InterruptsNobody);
}

/// The same as [`compute_behind`], but kinder by `niceness`: for what nobody waits for.
pub(crate) fn compute_behind_by(niceness: i32) {
    set(niceness, LONG_TURN_NS, Waking::InterruptsNobody);
}

/// The same as [`compute_behind`], but kinder by `niceness` and in turns of the usual length, for threads that now and then do something
/// that is not urgent. 10 leaves a tenth of a core beside a thread that never sleeps.
pub fn run_behind(niceness: i32) {
    set(niceness, USUAL_TURN, Waking::AsBefore);
}

#[cfg(target_os = "linux")]
fn set(niceness: i32, turn_ns: u64, waking: Waking) {
    use rustix::process::getpriority_process;
    // Threads inherit, so that what is asked for twice would add up.
    let main = getpriority_process(Some(rustix::process::getpid())).unwrap_or(0);
    let own = getpriority_process(None).unwrap_or(0);
    let niceness = own.max((main + niceness).min(19));
    if let Err(why) = set_attributes(niceness, turn_ns, waking) {
        tracing::debug!(%why, "a thread keeps its priority");
    }
}

#[cfg(not(target_os = "linux"))]
fn set(_niceness: i32, _turn_ns: u64, _waking: Waking) {}

/// Sets both for the calling thread: see `sched_setattr(2)`; what `sched_runtime` means to an ordinary thread is in the kernel's
/// `Documentation/scheduler/sched-eevdf.rst`.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "no crate has this system call for ordinary threads")]
fn set_attributes(niceness: i32, turn_ns: u64, waking: Waking) -> std::io::Result<()> {
    // A policy that the process was given by whoever started it is theirs.
    // SAFETY: it reads the policy of the calling thread.
    let is_usual = unsafe { libc::sched_getscheduler(0) } == libc::SCHED_OTHER;
    let (policy, flags) = match waking {
        Waking::InterruptsNobody if is_usual => (libc::SCHED_BATCH, 0),
        _ => (libc::SCHED_OTHER, libc::SCHED_FLAG_KEEP_POLICY),
    };
    let attributes = libc::sched_attr {
        size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0),
        sched_policy: policy.unsigned_abs(),
        sched_flags: u64::from(flags.unsigned_abs()),
        sched_nice: niceness,
        sched_priority: 0,
        sched_runtime: turn_ns,
        sched_deadline: 0,
        sched_period: 0,
    };
    let (this_thread, no_flags) = (0, 0);
    let attributes: *const libc::sched_attr = &raw const attributes;
    // SAFETY: the kernel reads `size` bytes at the pointer, which is what the struct has and which outlives the call; it writes nothing and
    // keeps nothing.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, this_thread, attributes, no_flags) };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use rustix::process::{getpid, getpriority_process};

    use super::*;

    fn on_a_thread<T: Send + 'static>(story: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(story).join().unwrap()
    }

    #[test]
    fn it_is_the_thread_that_steps_back_and_not_the_process() {
        let before = getpriority_process(None).unwrap();
        let main = getpriority_process(Some(getpid())).unwrap();
        let after = on_a_thread(|| {
            compute_behind();
            getpriority_process(None).unwrap()
        });
        assert_eq!(after, before.max((main + BEHIND).min(19)));
        assert_eq!(getpriority_process(None).unwrap(), before);
    }

    #[test]
    fn it_does_not_add_up_and_is_not_taken_back() {
        let (ten, still) = on_a_thread(|| {
            run_behind(10);
            let ten = getpriority_process(None).unwrap();
            let still = on_a_thread(|| {
                run_behind(10);
                compute_behind();
                getpriority_process(None).unwrap()
            });
            (ten, still)
        });
        assert_eq!(ten, still);
    }

    #[test]
    fn a_turn_may_be_long_and_usual_again() {
        on_a_thread(|| {
            let own = getpriority_process(None).unwrap();
            set_attributes(own, LONG_TURN_NS, Waking::AsBefore).unwrap();
            set_attributes(own, USUAL_TURN, Waking::AsBefore).unwrap();
            assert_eq!(getpriority_process(None).unwrap(), own);
        });
    }

    /// The policy's number, as `/proc` has it: see `proc_pid_stat(5)`.
    fn policy() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let after_name = stat.rsplit(')').next().unwrap();
        after_name.split_whitespace().nth(38).unwrap().parse().unwrap()
    }

    #[test]
    fn who_computes_behind_interrupts_nobody_and_who_runs_behind_may() {
        if policy() != libc::SCHED_OTHER {
            return; // Whoever started the tests chose another.
        }
        let (runs, computes) = on_a_thread(|| {
            run_behind(1);
            let runs = policy();
            compute_behind();
            (runs, policy())
        });
        assert_eq!((runs, computes), (libc::SCHED_OTHER, libc::SCHED_BATCH));
        assert_eq!(policy(), libc::SCHED_OTHER);
    }
}
