//! Who goes first when there are more threads than cores: those who serve a caller that waits.

/// Its weight is a tenth of a usual thread's: it is never without its share, and whoever wakes up to serve a caller goes first.
const NICENESS: i32 = 10;

/// Lets the calling thread, and those it starts, run behind threads of usual priority.
///
/// For threads that work things down: beside them a sync call pays what it pays alone. On systems where a priority is the process's and
/// not the thread's it does nothing.
pub fn run_behind_callers() {
    hearth_engine::run_behind(NICENESS);
}
