//! The keeper: one thread that looks after pools away from the invocation path.
//!
//! It drops instances that rested too long, keeps the promised number ready, makes one ahead where all are busy, runs the hooks
//! for resting and stopping, and takes apart what is no longer used. A pass looks at a bounded number of revisions.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::GuestKind;
use crate::bounded;
use crate::code::Code;
use crate::cpu_meter::CpuMeter;
use crate::engine::EngineInner;
use crate::fault::CallFailure;
use crate::function::FunctionInner;
use crate::instance::{Instance, Retirement};
use crate::invoke::{NoInstance, make};
use crate::priority::stay_behind;
use crate::revision::Revision;

/// Time between two passes while there are functions.
const PERIOD: Duration = Duration::from_millis(20);

/// Revisions looked at in one pass.
const REVISIONS_PER_PASS: usize = 1000;

/// Instances made for one revision in one pass.
const MADE_PER_PASS: u32 = 8;

/// How long a function whose instances do not start is left alone.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// How long an instance rests before its hook for resting runs.
const FREEZE_AFTER: Duration = Duration::from_millis(100);

/// Longest a hook may run.
const HOOK_TIMEOUT: Duration = Duration::from_secs(3);

/// Passes between two looks for code that nothing uses.
const PASSES_BEFORE_FORGETTING: u32 = 500;

/// Memory of an instance from which on the keeper takes it apart: handing it over costs a few microseconds, resetting a mebibyte
/// hundreds.
const LARGE_BYTES: u64 = 4 << 20;

/// Large instances that may wait for it, as each still counts against the engine's memory.
const LARGE_MAX: usize = 4;

/// Handle to the thread.
#[derive(Debug)]
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    work: Mutex<Work>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Work {
    to_dispose: VecDeque<Arc<Revision>>,
    /// Instances that nobody will call again.
    large: Vec<Instance>,
    /// Functions whose code is to be replaced by code that does the same.
    successions: Vec<(Weak<FunctionInner>, Arc<Code>)>,
    is_stopped: bool,
    has_revisions: bool,
}

impl Keeper {
    pub(crate) fn new() -> Self {
        Self { shared: Arc::default(), thread: Mutex::default() }
    }

    /// Starts the thread; it does not keep the engine alive.
    pub(crate) fn start(&self, engine: &Arc<EngineInner>) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (shared, engine) = (self.shared.clone(), Arc::downgrade(engine));
        let thread =
            std::thread::Builder::new().name("hearth-keeper".to_owned()).spawn(move || {
                // Instances that held much take milliseconds to take apart.
                stay_behind();
                Rounds { shared, engine, runtime, cursor: 0, pauses: Vec::new() }.run()
            })?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    /// Looks after this revision from now on.
    pub(crate) fn watch(&self, engine: &EngineInner, revision: &Arc<Revision>) {
        engine.revisions.write().push(Arc::downgrade(revision));
        let mut work = self.shared.work.lock();
        if !work.has_revisions {
            work.has_revisions = true;
            self.shared.wake.notify_one();
        }
    }

    /// Takes a revision apart that nobody will invoke any more; running invocations finish on it.
    pub(crate) fn dispose(&self, revision: Arc<Revision>) {
        self.shared.work.lock().to_dispose.push_back(revision);
        self.shared.wake.notify_one();
    }

    /// Lets a function serve from other code that does the same, as soon as instances of it are there.
    pub(crate) fn succeed(&self, function: &Arc<FunctionInner>, code: Arc<Code>) {
        self.shared.work.lock().successions.push((Arc::downgrade(function), code));
        self.shared.wake.notify_one();
    }

    /// Takes an instance apart that nobody will call again: here if it is small, away from the caller's neighbours if it is large.
    pub(crate) fn let_go(&self, instance: Instance) {
        if instance.ledger().meter.held() >= LARGE_BYTES {
            let mut work = self.shared.work.lock();
            if work.large.len() < LARGE_MAX {
                work.large.push(instance);
                self.shared.wake.notify_one();
                return;
            }
        }
        drop(instance);
    }

    /// Takes apart what waits, because its room is wanted; false if nothing did.
    pub(crate) fn hurry(&self) -> bool {
        let large = std::mem::take(&mut self.shared.work.lock().large);
        !large.is_empty()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.work.lock().is_stopped = true;
        self.shared.wake.notify_one();
        let Some(thread) = self.thread.lock().take() else { return };
        // The last handle to the engine may be the keeper's own for a moment.
        if thread.thread().id() != std::thread::current().id() {
            // A panic in the keeper has been reported by then.
            let _ = thread.join();
        }
    }
}

/// The thread's own state.
struct Rounds {
    shared: Arc<Shared>,
    engine: Weak<EngineInner>,
    runtime: tokio::runtime::Runtime,
    cursor: usize,
    /// Revisions whose instances do not start, and until when they are left alone.
    pauses: Vec<(Weak<Revision>, Instant)>,
}

impl Rounds {
    fn run(mut self) {
        let mut passes = 0_u32;
        loop {
            let Some(disposed) = self.wait() else { return };
            for revision in disposed {
                self.dispose(&revision);
            }
            let Some(engine) = self.engine.upgrade() else { return };
            self.succeed(&engine);
            self.pass(&engine);
            passes = passes.wrapping_add(1);
            if passes.is_multiple_of(PASSES_BEFORE_FORGETTING) {
                engine.forget_unused_code();
            }
        }
    }

    /// Waits for the next pass; none once stopped.
    fn wait(&self) -> Option<VecDeque<Arc<Revision>>> {
        let mut work = self.shared.work.lock();
        let is_idle = work.to_dispose.is_empty() && work.large.is_empty();
        if is_idle && work.successions.is_empty() && !work.is_stopped {
            if work.has_revisions {
                self.shared.wake.wait_for(&mut work, PERIOD);
            } else {
                self.shared.wake.wait(&mut work);
            }
        }
        let large = std::mem::take(&mut work.large);
        let disposed = (!work.is_stopped).then(|| std::mem::take(&mut work.to_dispose));
        drop(work);
        drop(large);
        disposed
    }

    fn pass(&mut self, engine: &EngineInner) {
        let (batch, is_last) = self.batch(engine);
        for revision in &batch {
            self.look_after(engine, revision);
        }
        if is_last {
            let mut revisions = engine.revisions.write();
            revisions.retain(|revision| revision.strong_count() > 0);
            self.shared.work.lock().has_revisions = !revisions.is_empty();
            let now = Instant::now();
            self.pauses.retain(|(_, until)| *until > now);
        }
    }

    /// The next revisions in turn, and whether the turn is complete.
    fn batch(&mut self, engine: &EngineInner) -> (Vec<Arc<Revision>>, bool) {
        let revisions = engine.revisions.read();
        let rest = revisions.get(self.cursor..).unwrap_or_default();
        let batch = rest.iter().take(REVISIONS_PER_PASS).filter_map(Weak::upgrade).collect();
        let is_last = rest.len() <= REVISIONS_PER_PASS;
        self.cursor = if is_last { 0 } else { self.cursor + REVISIONS_PER_PASS };
        (batch, is_last)
    }

    fn look_after(&mut self, engine: &EngineInner, revision: &Arc<Revision>) {
        if revision.pool.is_closed() {
            return;
        }
        let policy = &revision.policy;
        if revision.idle() > 0 {
            for instance in revision.pool.take_expired(policy.idle_time, policy.min_ready) {
                self.retire(revision, instance, Retirement::Idle);
            }
            self.freeze(revision);
        }
        let wanted = wanted_idle(revision);
        if revision.idle() < wanted && !self.is_paused(revision) && !engine.door.is_closed() {
            self.fill(engine, revision, wanted);
        }
    }

    /// Makes instances ahead of need.
    fn fill(&mut self, engine: &EngineInner, revision: &Arc<Revision>, wanted: u32) {
        for _ in 0..MADE_PER_PASS {
            let alive = revision.idle() + revision.busy();
            if revision.idle() >= wanted || alive >= revision.policy.max_instances {
                return;
            }
            let _running = engine.ticker.running();
            let (whom, mut cpu) = ((None, Instant::now()), CpuMeter::default());
            let made = self.runtime.block_on(make(engine, revision, whom, &mut cpu));
            match made {
                Ok((instance, _)) => {
                    if revision.pool.put_below(instance).is_err() {
                        return;
                    }
                }
                Err(none) => {
                    let why = match none {
                        NoInstance::Refused(refusal) => refusal.to_string(),
                        NoInstance::Fault(fault, _) => fault.to_string(),
                    };
                    tracing::warn!(function.name = %revision.shared.name, why, "no instance made ahead of need");
                    let until = Instant::now() + PAUSE_AFTER_FAILURE;
                    self.pauses.push((Arc::downgrade(revision), until));
                    return;
                }
            }
        }
    }

    fn is_paused(&self, revision: &Arc<Revision>) -> bool {
        self.pauses.iter().any(|(paused, _)| std::ptr::eq(paused.as_ptr(), Arc::as_ptr(revision)))
    }

    /// Runs the hook for resting on instances nobody has called for a moment.
    fn freeze(&self, revision: &Arc<Revision>) {
        if revision.code.kind != GuestKind::Event {
            return;
        }
        let is_due = |instance: &Instance| {
            instance.has_hooks()
                && !instance.is_frozen
                && instance.uses > 0
                && instance.idle_since.elapsed() >= FREEZE_AFTER
        };
        let Some(mut instance) = revision.pool.take_one(is_due) else { return };
        instance.is_frozen = true;
        let _running = revision.shared.ticker.running();
        let now = Instant::now();
        instance.ledger_mut().arm(now + HOOK_TIMEOUT, None);
        let is_well = self.has_ended_well(revision, now, instance.pre_freeze());
        if !is_well {
            tracing::warn!(function.name = %revision.shared.name, "pre-freeze failed; its instance is dropped");
            drop(instance);
            revision.pool.count(Retirement::Fault);
        } else if revision.pool.put_below(instance).is_err() {
            revision.pool.count(Retirement::Replaced);
        }
    }

    /// Runs a hook to its end or its deadline.
    fn has_ended_well(
        &self,
        revision: &Revision,
        now: Instant,
        hook: impl Future<Output = Result<(), CallFailure>>,
    ) -> bool {
        let mut cpu = CpuMeter::default();
        let times = (now, now + HOOK_TIMEOUT);
        let hook = pin!(hook);
        let bounded = bounded::until(&revision.shared.ticker, times, &mut cpu, hook);
        matches!(self.runtime.block_on(bounded), Ok(Ok(())))
    }

    /// Lets an instance go in good order.
    fn retire(&self, revision: &Arc<Revision>, mut instance: Instance, why: Retirement) {
        if instance.has_hooks() && instance.uses > 0 {
            let _running = revision.shared.ticker.running();
            let now = Instant::now();
            instance.ledger_mut().arm(now + HOOK_TIMEOUT, None);
            let is_well = self.has_ended_well(revision, now, instance.pre_stop());
            if !is_well {
                tracing::warn!(function.name = %revision.shared.name, "pre-stop failed");
            }
        }
        drop(instance);
        revision.pool.count(why);
    }

    /// Replaces code by code that does the same. As many instances as there were are made before, so that nobody waits for one.
    fn succeed(&mut self, engine: &EngineInner) {
        let successions = std::mem::take(&mut self.shared.work.lock().successions);
        for (function, code) in successions {
            let Some(function) = function.upgrade() else { continue };
            let before = function.current();
            if before.code.awaits.is_none() {
                // It was replaced meanwhile.
                continue;
            }
            let after = Arc::new(before.with(code));
            let wanted = before.idle() + before.busy();
            self.fill(engine, &after, wanted.min(MADE_PER_PASS));
            if function.succeed(&before, after.clone()) {
                engine.keeper.watch(engine, &after);
                self.dispose(&before);
            } else {
                drop(after.pool.close(&after.door));
            }
        }
    }

    fn dispose(&self, revision: &Arc<Revision>) {
        for instance in revision.pool.close(&revision.door) {
            self.retire(revision, instance, Retirement::Replaced);
        }
    }
}

/// How many instances should wait: what was promised, and one more where all are busy and making one takes a while.
fn wanted_idle(revision: &Revision) -> u32 {
    let is_busy = revision.busy() > 0;
    let takes_a_while = match revision.code.kind {
        GuestKind::Event | GuestKind::HttpP2 | GuestKind::HttpP3 => true,
        GuestKind::Command | GuestKind::CommandComponent | GuestKind::Core => false,
    };
    let ahead = u32::from(is_busy && takes_a_while);
    revision.policy.min_ready.max(ahead)
}
