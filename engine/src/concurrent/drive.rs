//! The task that an instance with several invocations belongs to: from its first entrant until the last one has ended.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::{Collapse, Entrant, Member, Place, Slot, sit};
use crate::Fault;
use crate::bounded;
use crate::cpu_meter::CpuMeter;
use crate::engine::EngineInner;
use crate::fault::{CallFailure, Interrupted, TimeLimits, classify};
use crate::instance::{Instance, Retirement, Verdict};
use crate::invoke::NoInstance;
use crate::pool::thread_number;
use crate::revision::Revision;

/// How long an instance may go on beyond the deadline of its last invocation before it is dropped with what it does.
const GRACE: Duration = Duration::from_millis(20);

/// What an instance asks while it serves.
pub(crate) trait Host: Send + Sync {
    /// An invocation came in with this deadline.
    fn entered(&self, deadline: Instant);
    /// Somebody stopped waiting: nobody more is to come in.
    fn abandoned(&self);
    /// Nothing is left to do: whether that is the end.
    fn may_leave(&self) -> bool;
}

/// An instance at work; if it is not given back it is gone.
struct Driving {
    engine: Arc<EngineInner>,
    instance: Option<Instance>,
    collapse: watch::Sender<Option<Collapse>>,
    account: Account,
}

/// What is known of an instance at work from outside of it.
struct Account {
    revision: Arc<Revision>,
    member: Arc<Member>,
    /// When the last of its invocations is to end.
    deadline: Mutex<Instant>,
    /// Whether somebody stopped waiting for what it still does.
    is_abandoned: AtomicBool,
}

/// Starts a task that serves with an instance, and takes the first slot there.
pub(super) fn start(
    engine: &Arc<EngineInner>,
    revision: &Arc<Revision>,
    place: Place<'_>,
    instance: Instance,
) -> Result<(u32, Slot), NoInstance> {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        let why = "an instance that serves several invocations needs a tokio runtime".to_owned();
        engine.keeper.let_go(instance);
        let logged = crate::tail_log::Logged::default();
        return Err(NoInstance::Fault(Fault::HostResource { why }, logged));
    };
    let (entrants, receiver) = mpsc::channel(place.0.slots as usize);
    let (collapse, collapses) = watch::channel(None);
    let member = Arc::new(Member {
        instance: instance.id,
        thread: thread_number(),
        entrants,
        taken: AtomicU32::new(0),
        entered: AtomicU32::new(0),
        is_leaving: AtomicBool::new(false),
        freed: place.0.freed.clone(),
        collapse: collapses,
    });
    let first = sit(&member);
    place.0.places.lock().members.push(member.clone());
    drop(place);
    let account = Account {
        revision: revision.clone(),
        member,
        deadline: Mutex::new(Instant::now() + revision.shared.limits.timeout),
        is_abandoned: AtomicBool::new(false),
    };
    let driving = Driving { engine: engine.clone(), instance: Some(instance), collapse, account };
    runtime.spawn(drive(driving, receiver));
    Ok(first)
}

async fn drive(mut driving: Driving, mut entrants: mpsc::Receiver<Entrant>) {
    let Driving { engine, instance, collapse, account } = &mut driving;
    let Some(at_work) = instance else { return };
    let shared = account.revision.shared.clone();
    let _running = shared.ticker.running();
    let ended = serve(at_work, account, &mut entrants).await;
    let Some(mut instance) = instance.take() else { return };
    let entered = account.member.entered.load(Ordering::Relaxed);
    instance.uses = instance.uses.saturating_add(entered);
    let verdict = match ended {
        Ok(()) if account.is_abandoned.load(Ordering::Acquire) => {
            Verdict::Retire(Retirement::Cancelled)
        }
        Ok(()) => account.revision.verdict_of_several(&instance),
        Err((culprit, failure)) => {
            let limits = &shared.limits;
            let (timeout, cpu_time) = (limits.timeout, limits.cpu_time);
            let times = TimeLimits { timeout, cpu_time, is_initializing: false };
            let meter = &instance.ledger().meter;
            let (fault, memory_peak_bytes) =
                (classify(failure, meter.denied(), times), meter.peak());
            collapse.send_replace(Some(Collapse { culprit, fault, memory_peak_bytes }));
            Verdict::Retire(Retirement::Fault)
        }
    };
    account.strike();
    account.revision.give_back(engine, instance, verdict, Instant::now());
}

/// Serves until nothing is left to do, or until the last deadline has passed and something still goes on.
async fn serve(
    instance: &mut Instance,
    account: &Account,
    entrants: &mut mpsc::Receiver<Entrant>,
) -> Result<(), (Option<u32>, CallFailure)> {
    let shared = &account.revision.shared;
    let Some(guest) = instance.several() else { return Ok(()) };
    let mut work = pin!(guest.serve_several(entrants, account, shared.limits.answer_bytes));
    loop {
        let until = *account.deadline.lock() + GRACE;
        let (now, mut unmeasured) = (Instant::now(), CpuMeter::default());
        match bounded::until(&shared.ticker, (now, until), &mut unmeasured, work.as_mut()).await {
            Ok(ended) => return ended,
            // Somebody else has come in meanwhile.
            Err(Interrupted::Deadline) if *account.deadline.lock() + GRACE > until => {}
            Err(interrupted) => return Err((None, CallFailure::Interrupted(interrupted))),
        }
    }
}

impl Host for Account {
    fn entered(&self, deadline: Instant) {
        let mut last = self.deadline.lock();
        *last = (*last).max(deadline);
        let uses = self.revision.policy.uses;
        if uses != 0 && self.member.entered.load(Ordering::Relaxed) >= uses {
            self.member.is_leaving.store(true, Ordering::Release);
        }
    }

    fn abandoned(&self) {
        self.is_abandoned.store(true, Ordering::Release);
        self.member.is_leaving.store(true, Ordering::Release);
    }

    fn may_leave(&self) -> bool {
        self.revision.several.as_ref().is_none_or(|several| several.leave(&self.member))
    }
}

impl Account {
    fn strike(&self) {
        if let Some(several) = &self.revision.several {
            several.strike(&self.member);
        }
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        self.account.strike();
        if let Some(instance) = self.instance.take() {
            self.engine.keeper.let_go(instance);
            self.account.revision.pool.count(Retirement::Cancelled);
        }
    }
}
