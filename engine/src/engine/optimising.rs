//! From the fast tier to the full one, while the fast one serves.
//!
//! Large code is first compiled with little optimisation, so that it answers soon; the full compilation follows on a thread of its own, one
//! at a time, behind everything else. Then functions that serve from the fast code are given the full one as a replacement is: what runs
//! ends where it began, instances at rest go, and others have been made before the first is asked for. What fails leaves the fast
//! code serving, is logged and counted, and is tried again when the code is loaded again.
//!
//! Bounded in contents and bytes; code that finds no place is compiled fully at once.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use super::EngineInner;
use super::loading::Job;
use crate::artifact::Patience;
use crate::code::{Code, Content};
use crate::compile::{BEHIND_NICENESS, Behind};
use crate::function::FunctionInner;
use crate::priority::compute_behind_by;
use crate::{EngineConfig, LoadError, Tier};

/// Code that waits may take so many times the memory of the largest that is accepted.
const LARGEST_HELD: u64 = 4;

/// What is to be compiled fully, and who waits for it.
#[derive(Debug)]
pub(crate) struct Optimising {
    contents_max: usize,
    bytes_max: u64,
    state: Mutex<State>,
    behind: Behind,
    done: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Pending>,
    contents: usize,
    bytes: u64,
    is_working: bool,
    waiting: HashMap<Content, Vec<Weak<FunctionInner>>>,
}

/// Code whose turn will come.
#[derive(Debug)]
struct Pending {
    job: Job,
    code: Bytes,
    _place: Place,
}

/// A place among those that are compiled fully later.
#[derive(Debug)]
pub(super) struct Place {
    optimising: Arc<Optimising>,
    bytes: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.optimising.state.lock();
        state.contents -= 1;
        state.bytes -= self.bytes;
    }
}

/// Figures at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Optimised {
    pub(super) pending: u64,
    pub(super) done: u64,
    pub(super) failed: u64,
}

impl Optimising {
    pub(super) fn new(config: &EngineConfig) -> Arc<Self> {
        Arc::new(Self {
            contents_max: config.compile_queue as usize,
            bytes_max: config.code_bytes.saturating_mul(LARGEST_HELD),
            state: Mutex::default(),
            behind: Behind::default(),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// Compiles nothing more, and gives up what is being compiled.
    pub(super) fn stop(&self) {
        self.behind.stop();
        let dropped = std::mem::take(&mut self.state.lock().queue);
        drop(dropped);
    }

    pub(super) fn figures(&self) -> Optimised {
        Optimised {
            pending: self.state.lock().contents as u64,
            done: self.done.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// A place for code of that size, if there is one.
    pub(super) fn place(self: &Arc<Self>, code: &Bytes) -> Option<Place> {
        let bytes = code.len() as u64;
        let mut state = self.state.lock();
        let has_room = state.contents < self.contents_max && state.bytes + bytes <= self.bytes_max;
        if !has_room || self.behind.is_stopped() {
            return None;
        }
        state.contents += 1;
        state.bytes += bytes;
        Some(Place { optimising: self.clone(), bytes })
    }

    /// The next in turn; none ends the thread.
    fn next(&self) -> Option<Pending> {
        let mut state = self.state.lock();
        let next = if self.behind.is_stopped() { None } else { state.queue.pop_front() };
        state.is_working = next.is_some();
        next
    }

    /// Puts code in line; whether a thread is to be started for it.
    fn push(&self, pending: Pending) -> bool {
        let mut state = self.state.lock();
        if state.waiting.contains_key(&pending.job.content()) {
            // It was forgotten and loaded again before its turn came. Dropping the place takes the lock.
            drop(state);
            drop(pending);
            return false;
        }
        state.waiting.insert(pending.job.content(), Vec::new());
        state.queue.push_back(pending);
        !std::mem::replace(&mut state.is_working, true)
    }

    /// Adds a function to those that wait; false if nothing is under way for that content.
    fn add(&self, content: Content, function: &Arc<FunctionInner>) -> bool {
        let mut state = self.state.lock();
        let Some(waiting) = state.waiting.get_mut(&content) else { return false };
        waiting.retain(|other| other.strong_count() > 0);
        waiting.push(Arc::downgrade(function));
        true
    }

    fn take_waiting(&self, content: &Content) -> Vec<Weak<FunctionInner>> {
        self.state.lock().waiting.remove(content).unwrap_or_default()
    }
}

impl EngineInner {
    /// Has code compiled fully that the fast tier serves.
    pub(super) fn optimise(self: &Arc<Self>, job: &Job, code: Bytes, place: Place) {
        if !self.optimising.push(Pending { job: job.clone(), code, _place: place }) {
            return;
        }
        let (engine, optimising) = (Arc::downgrade(self), self.optimising.clone());
        let work = move || {
            compute_behind_by(BEHIND_NICENESS);
            while let Some(pending) = optimising.next() {
                work_on(&engine, &optimising, &pending);
            }
        };
        let started = std::thread::Builder::new().name("hearth-optimise".to_owned()).spawn(work);
        if let Err(why) = started {
            tracing::warn!(%why, "no thread to compile with; the fast tier goes on serving");
            let mut state = self.optimising.state.lock();
            state.is_working = false;
            let dropped = (std::mem::take(&mut state.queue), std::mem::take(&mut state.waiting));
            drop(state);
            self.optimising.failed.fetch_add(dropped.0.len() as u64, Ordering::Relaxed);
        }
    }

    /// Gives a function the full code once it is there, if it serves from the fast tier.
    pub(crate) async fn follow(self: &Arc<Self>, function: &Arc<FunctionInner>) {
        let Some(content) = function.current().code.awaits else { return };
        if self.optimising.add(content, function) {
            return;
        }
        // It came between loading and this, or will not come.
        let Some(entry) = self.codes.get(&content).map(|entry| entry.clone()) else { return };
        let code = entry.lock().await.upgrade();
        if let Some(code) = code.filter(|code| code.awaits.is_none()) {
            self.keeper.succeed(function, code);
        }
    }

    /// The full code, if somebody made it meanwhile: another function of the same content, or another server.
    fn full_code(&self, job: &Job) -> Option<Code> {
        let own = self.load_artifact(job, Patience::Disk).ok().flatten().and_then(Result::ok);
        own.or_else(|| self.fetch_shared(job))
    }

    /// Lets everybody have the full code.
    fn hand_over(&self, pending: &Pending, code: Code) {
        self.optimising.done.fetch_add(1, Ordering::Relaxed);
        let (job, code) = (&pending.job, Arc::new(code));
        let content = job.content();
        // Under the entry's lock, so that who loads it now finds either this or is found below.
        let entry = self.codes.entry(content).or_default().clone();
        *entry.blocking_lock() = Arc::downgrade(&code);
        if let Some(fast) = &job.fast {
            self.artifacts.remove(fast);
        }
        for function in self.optimising.take_waiting(&content) {
            if let Some(function) = function.upgrade() {
                self.keeper.succeed(&function, code.clone());
            }
        }
    }
}

/// Compiles one content fully and hands it over. The engine is not kept alive by it.
fn work_on(engine: &Weak<EngineInner>, optimising: &Optimising, pending: &Pending) {
    let content = pending.job.content();
    match caught(&pending.job.function, || full(engine, optimising, pending)) {
        Ok(()) => {}
        Err(_) if optimising.behind.is_stopped() => {}
        Err(why) => {
            optimising.failed.fetch_add(1, Ordering::Relaxed);
            let (function, hint) = (&pending.job.function, why.hint());
            tracing::warn!(function.name = %function, %why, hint, "not compiled fully; the fast tier goes on serving");
        }
    }
    optimising.take_waiting(&content);
}

/// What compiles in this process may meet a bug of the compiler's; the thread goes on with the next content.
fn caught(function: &str, work: impl FnOnce() -> Result<(), LoadError>) -> Result<(), LoadError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let why = "the compiler panicked".to_owned();
        Err(LoadError::Failure { function: function.to_owned(), why })
    })
}

fn full(
    engine: &Weak<EngineInner>,
    optimising: &Optimising,
    pending: &Pending,
) -> Result<(), LoadError> {
    let job = &pending.job;
    let gone = || LoadError::Failure {
        function: job.function.clone(),
        why: "the engine ended".to_owned(),
    };
    let held = engine.upgrade().ok_or_else(gone)?;
    if let Some(code) = held.full_code(job) {
        held.hand_over(pending, code);
        return Ok(());
    }
    let (compilations, artifacts) = (held.compilations.clone(), held.artifacts.clone());
    drop(held);
    let mut task = job.compile(&pending.code);
    (task.tier, task.behind) = (Tier::Full, Some(optimising.behind.clone()));
    let compiled = compilations.compile_behind(&task, &artifacts)?;
    let held = engine.upgrade().ok_or_else(gone)?;
    let compiled = Bytes::from(compiled);
    let code = held.keep_artifact(job, &compiled)?;
    held.hand_in(job, &compiled);
    held.hand_over(pending, code);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_that_panics_ends_one_content_and_not_the_thread() {
        let failed = caught("f", || panic!("a bug"));
        assert!(failed.unwrap_err().to_string().contains("panicked"));
        assert!(caught("f", || Ok(())).is_ok());
    }
}
