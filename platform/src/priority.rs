//! Who goes first when there are more threads than cores: those who serve a caller that waits.

/// Its weight is a tenth of a usual thread's: it is never without its share, and whoever wakes up to serve a caller goes first.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Lets the calling thread, and those it starts, run behind threads of usual priority.
///
/// For threads that work things down: beside them a sync call pays what it pays alone. On systems where a priority is the process's and
/// not the thread's it does nothing.
pub fn run_behind_callers() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_thread_that_steps_back_and_not_the_process() {
        let stepped_back = std::thread::spawn(|| {
            run_behind_callers();
            rustix::process::getpriority_process(None).unwrap()
        });
        assert_eq!(stepped_back.join().unwrap(), NICE);
        assert!(rustix::process::getpriority_process(None).unwrap() < NICE);
    }
}
