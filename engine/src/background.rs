//! Threads for functions that run long, behind those that serve callers.
//!
//! A guest that computes shares its thread with everybody who waits there: even if it lets others run at every tick of the clock, they wait
//! for a tick. The system is faster: whoever wakes goes before a thread that is only a little less important, within microseconds
//! (`benches/table/neighbours.rs`). So a function whose calls take longer than a tick is called on threads of their own, which let
//! others go first and still have a share where all cores are taken ([`priority`](crate::priority)).
//!
//! Which functions those are shows their past: handing a call over while it runs is not worth it, for the first ones take turns
//! ([`turn`](crate::turn)).

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::runtime::Runtime;
use tokio::task::{JoinError, JoinHandle};

use crate::priority::stay_behind;

thread_local! {
    static IS_HERE: Cell<bool> = const { Cell::new(false) };
}

/// The threads of one engine.
#[derive(Debug)]
pub(crate) struct Background {
    runtime: Option<Runtime>,
    taken: AtomicU64,
}

impl Background {
    /// That many threads; with none, every call stays where it was made.
    ///
    /// # Errors
    /// When the system does not give what a runtime needs.
    pub(crate) fn start(threads: u32) -> io::Result<Self> {
        let runtime = match threads {
            0 => None,
            threads => Some(
                tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(threads as usize)
                    .thread_name("hearth-behind")
                    .enable_all()
                    .on_thread_start(|| {
                        IS_HERE.set(true);
                        stay_behind();
                    })
                    .build()?,
            ),
        };
        Ok(Self { runtime, taken: AtomicU64::new(0) })
    }

    /// Calls since start that were taken here.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether what runs on this thread would run elsewhere if it came here.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.runtime.is_some() && !IS_HERE.get()
    }

    /// Runs `work` here to its end, or until what is returned is dropped; None where there are no threads.
    pub(crate) fn run<F>(&self, work: F) -> Option<Run<F::Output>>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let runtime = self.runtime.as_ref()?;
        self.taken.fetch_add(1, Ordering::Relaxed);
        Some(Run(runtime.spawn(work)))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The last to hold the engine may be a task, which cannot wait for its own thread.
            runtime.shutdown_background();
        }
    }
}

/// Work that runs in the background; dropping this ends it, at the latest at its next tick.
#[derive(Debug)]
pub(crate) struct Run<T>(JoinHandle<T>);

impl<T> Future for Run<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for Run<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether a function's calls run long, by those that ended lately.
///
/// One that runs long counts for [`LONG`](Self::LONG) that do not: a function of which every eighth call or more is long goes to the
/// background with all of them, and one that was long once comes back after the next call.
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicU32);

impl Pace {
    const LONG: u32 = 8;
    const MOST: u32 = 3 * Self::LONG;

    pub(crate) fn is_long(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= Self::LONG
    }

    /// Says that a call has run longer than a tick; its end need not be known.
    pub(crate) fn note_long(&self) {
        self.update(|score| score.saturating_add(Self::LONG).min(Self::MOST));
    }

    /// Says that a call ended before it had run for a tick.
    pub(crate) fn note_short(&self) {
        // Functions that never run long only read here.
        if self.0.load(Ordering::Relaxed) > 0 {
            self.update(|score| score.saturating_sub(1));
        }
    }

    /// Two calls that end at once may count for one: this decides nothing but where the next one runs.
    fn update(&self, change: impl Fn(u32) -> u32) {
        self.0.store(change(self.0.load(Ordering::Relaxed)), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_long_while_one_call_of_eight_is() {
        let pace = Pace::default();
        pace.note_short();
        assert!(!pace.is_long());
        for _ in 0..100 {
            pace.note_long();
            (0..7).for_each(|_| pace.note_short());
        }
        assert!(pace.is_long());
        (0..Pace::MOST).for_each(|_| pace.note_short());
        assert!(!pace.is_long(), "it is short again when none is long any more");
        pace.note_long();
        assert!(pace.is_long());
        pace.note_short();
        assert!(!pace.is_long(), "once is not always");
    }

    #[test]
    fn what_is_dropped_ends() {
        let background = Background::start(1).unwrap();
        let (kept, dropped) = std::sync::mpsc::sync_channel::<()>(0);
        let run = background.run(async move {
            let _kept = kept;
            std::future::pending::<()>().await;
        });
        drop(run.unwrap());
        assert!(dropped.recv().is_err(), "it is told that the other end is gone");
    }

    /// Of this thread.
    fn niceness() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[test]
    fn threads_are_kinder_and_know_where_they_are() {
        let background = Background::start(2).unwrap();
        assert!(background.is_elsewhere());
        let run = background.run(async { (IS_HERE.get(), niceness()) });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ran = runtime.block_on(run.unwrap()).unwrap();
        assert!(ran.0 && ran.1 > niceness(), "{ran:?}");
        assert!(Background::start(0).unwrap().run(async {}).is_none());
    }
}
