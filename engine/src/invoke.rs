//! The straight line of one invocation, and the only place that calls a guest.
//!
//! Admission, then an instance (warm, fresh or made now), then the guest under its deadline, then the outcome; the instance goes
//! back or away. Nothing here spawns, sends to a channel or moves to another thread, but for calls of functions that run long, which go to
//! threads of their own before anything else. Dropping the future at any point releases everything by `Drop`: a half-run instance is
//! never given back.

mod behind;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::answer::AnswerWriter;
use crate::bounded;
use crate::concurrent;
use crate::cpu_meter::CpuMeter;
use crate::engine::EngineInner;
use crate::fault::{CallFailure, Interrupted, TimeLimits, classify};
use crate::guest::core::Entry;
use crate::instance::{Instance, Retirement, Verdict};
use crate::memory_meter::Denied;
use crate::revision::Revision;
use crate::seat::Seat;
use crate::tail_log::{InstanceLog, Logged};
use crate::work::Work;
use crate::{
    Fault, Invocation, InvokeError, LoadSource, LogType, Outcome, Phases, Refusal, Report,
    StartKind, Tier,
};

/// Instances of other functions that are dropped, at most, to make room for one.
const EVICTIONS_MAX: usize = 64;

/// An instance lent to an invocation; what is not given back is gone.
struct Lent<'a> {
    engine: &'a EngineInner,
    revision: &'a Revision,
    instance: Option<Instance>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.take() {
            self.engine.keeper.let_go(instance);
            self.revision.pool.count(Retirement::Cancelled);
        }
    }
}

/// Why there is no instance.
pub(crate) enum NoInstance {
    /// For want of room.
    Refused(Refusal),
    /// The guest's own start failed.
    Fault(Fault, Logged),
}

/// What is known of an invocation as it goes.
pub(crate) struct Course {
    pub(crate) phases: Phases,
    pub(crate) start: StartKind,
    tier: Tier,
    pub(crate) cpu: CpuMeter,
    traffic: Traffic,
    /// Bytes logged while its instance was made, if one was.
    initialize_log_bytes: Option<u64>,
}

/// How many bytes went in and out.
enum Traffic {
    /// An event of so many bytes; the answer is in the outcome.
    Event(u64),
    /// A request's body and its response's, counted as they pass.
    Http(Arc<AtomicU64>, AnswerWriter),
}

impl Traffic {
    fn of(work: &Work) -> Self {
        match work {
            Work::Event(_) | Work::WebSocket(_) => Self::Event(work.size()),
            Work::Http(exchange) => Self::Http(exchange.read.clone(), exchange.answer.clone()),
        }
    }

    /// Bytes of the payload and, given the result, of the answer.
    fn count(&self, result: &Result<Bytes, Fault>) -> (u64, u64) {
        match self {
            Self::Event(bytes) => (*bytes, result.as_ref().map_or(0, |answer| answer.len() as u64)),
            Self::Http(read, answer) => (read.load(Ordering::Relaxed), answer.written()),
        }
    }
}

/// Runs one invocation to its end: on the calling task, or, if calls of its function run long, on a thread for those.
pub(crate) async fn invoke(
    engine: &Arc<EngineInner>,
    revision: &Arc<Revision>,
    invocation: Invocation,
    work: Work,
) -> Result<Outcome, InvokeError> {
    let arrived = Instant::now();
    check_size(&work, revision.shared.limits.payload_bytes)?;
    let inside = engine.door.enter()?;
    if revision.runs_behind() && engine.background.is_elsewhere() {
        return Box::pin(behind::invoke((engine, inside), revision, invocation, work)).await;
    }
    invoke_here(engine, revision, invocation, work, arrived).await
}

/// Runs one invocation to its end on the calling task.
async fn invoke_here(
    engine: &Arc<EngineInner>,
    revision: &Arc<Revision>,
    invocation: Invocation,
    work: Work,
    arrived: Instant,
) -> Result<Outcome, InvokeError> {
    let ticker = &*revision.shared.ticker;
    let seat = work.seat();
    let (permit, permitted) = match revision.door.try_enter_for(seat.as_deref()) {
        Some(permit) => (permit, arrived),
        None => {
            let queue = revision.door.queue(&revision.shared.name, ticker, invocation.deadline);
            (Some(Box::pin(queue).await?), Instant::now())
        }
    };
    let _running = ticker.running();
    let mut course = Course::begin(revision, &work, permitted - arrived);
    note_load(&mut course, &invocation);
    if let Some(several) = &revision.several {
        return Box::pin(concurrent::invoke(engine, (revision, several), invocation, work, course))
            .await;
    }
    let asked = (invocation.depth, invocation.deadline);
    let (instance, begun) = match take_warm(revision, seat.as_deref(), &invocation, &mut course) {
        Some(mut instance) => {
            instance.ledger_mut().invocation = Some(invocation);
            (Ok(instance), permitted)
        }
        None => (make_now(engine, revision, &invocation, &mut course).await, Instant::now()),
    };
    let instance = match instance {
        Ok(instance) => instance,
        Err(NoInstance::Refused(refusal)) => return Err(refusal.into()),
        Err(NoInstance::Fault(fault, logged)) => {
            course.phases.instantiate = permitted.elapsed();
            revision.count_start(course.start);
            return Ok(course.outcome(Err(fault), logged, None));
        }
    };
    let mut lent = Lent { engine, revision, instance: Some(instance) };
    course.phases.instantiate = begun - permitted;
    revision.count_start(course.start);
    let result = run(engine, &mut lent, asked, work, begun, &mut course).await?;
    let ended = course.cpu.ended();
    course.phases.run = ended.saturating_duration_since(begun);
    let Some(instance) = lent.instance.take() else {
        return Err(InvokeError::Failure {
            function: revision.shared.name.to_string(),
            request_id: String::new(),
            why: "the instance vanished while it ran".to_owned(),
        });
    };
    instance.ledger().note_end();
    let logged = instance.log.end();
    let outcome = course.outcome(result, logged, Some(Seen::of(&instance)));
    let verdict = revision.verdict(&instance, &outcome);
    match seat {
        Some(seat) if verdict.may_go_on() => seat.keep(instance, permit),
        _ => revision.give_back(engine, instance, verdict, ended),
    }
    Ok(outcome)
}

/// Refuses an event that is too large; the body of a request passes by and has no size here.
fn check_size(work: &Work, limit_bytes: u64) -> Result<(), Refusal> {
    let size_bytes = work.size();
    if size_bytes > limit_bytes {
        return Err(Refusal::PayloadTooLarge { limit_bytes, size_bytes });
    }
    Ok(())
}

/// Says in the report what an invocation paid for loading the code.
fn note_load(course: &mut Course, invocation: &Invocation) {
    let Some(load) = &invocation.load else { return };
    course.phases.compile = load.compile;
    course.phases.load = load.load;
    course.start = match load.source {
        LoadSource::Compiled => StartKind::Compiled,
        LoadSource::Artifact => StartKind::Loaded,
        LoadSource::Resident => StartKind::Warm,
    };
}

/// Takes a waiting instance, if there is one, and notes what kind of start this is.
pub(crate) fn take_warm(
    revision: &Revision,
    seat: Option<&Seat>,
    invocation: &Invocation,
    course: &mut Course,
) -> Option<Instance> {
    let instance = match seat {
        None => revision.pool.take(revision.is_reused()),
        // What it begins with has served nobody, and what it goes on with nobody else.
        Some(seat) => seat.take().or_else(|| revision.pool.take_one(|one| one.uses == 0)),
    };
    let is_unused = instance.as_ref().is_none_or(|instance| instance.uses == 0);
    if course.start == StartKind::Warm && is_unused {
        course.start = StartKind::Fresh;
    }
    let instance = instance?;
    aim_log(revision, &instance.log, invocation);
    Some(instance)
}

/// Aims an instance's log at an invocation.
pub(crate) fn aim_log(revision: &Revision, log: &InstanceLog, invocation: &Invocation) {
    let limits = &revision.shared.limits;
    let tail_bytes = match invocation.log {
        LogType::Tail => limits.tail_log_bytes as usize,
        LogType::None => 0,
    };
    log.begin((&invocation.request_id, &revision.shared.name), tail_bytes, limits.log_bytes);
}

/// Makes an instance for an invocation and notes what was logged meanwhile.
pub(crate) async fn make_now(
    engine: &EngineInner,
    revision: &Revision,
    invocation: &Invocation,
    course: &mut Course,
) -> Result<Instance, NoInstance> {
    let made = Box::pin(make(engine, revision, Some(invocation), &mut course.cpu)).await;
    course.initialize_log_bytes = made.as_ref().ok().map(|made| made.log.bytes());
    made
}

/// Makes an instance, dropping idle ones of other functions if there is no room.
pub(crate) async fn make(
    engine: &EngineInner,
    revision: &Revision,
    invocation: Option<&Invocation>,
    cpu: &mut CpuMeter,
) -> Result<Instance, NoInstance> {
    let shared = &revision.shared;
    for _ in 0..EVICTIONS_MAX {
        let log = InstanceLog::new(engine.log_drain.clone());
        let nobody = || Invocation::new(Bytes::new()).request_id("");
        let owner = invocation
            .map_or_else(nobody, |invocation| Invocation { load: None, ..invocation.clone() });
        aim_log(revision, &log, &owner);
        let limit = shared.limits.initialize_timeout;
        let begun = Instant::now();
        let deadline = begun + limit;
        let start = pin!(Instance::start(&revision.code, shared, log.clone(), |ledger| {
            ledger.arm(deadline, shared.limits.cpu_time);
            ledger.invocation = Some(owner);
        }));
        let failure = match bounded::until(&shared.ticker, (begun, deadline), cpu, start).await {
            Ok(Ok(instance)) => {
                if invocation.is_none() {
                    instance.log.end();
                }
                return Ok(instance);
            }
            Ok(Err(failure)) => failure,
            Err(interrupted) => CallFailure::Interrupted(interrupted),
        };
        let Some(refusal) = want_of_room(engine, revision, &failure) else {
            let cpu_time = shared.limits.cpu_time;
            let times = TimeLimits { timeout: limit, cpu_time, is_initializing: true };
            return Err(NoInstance::Fault(classify(failure, None, times), log.end()));
        };
        // What another thread takes apart at this moment can no longer be evicted, but makes room as well.
        if !engine.keeper.hurry() && !engine.evict_one() && !has_room(engine, &refusal) {
            return Err(NoInstance::Refused(refusal));
        }
    }
    Err(NoInstance::Refused(Refusal::EngineBusy { limit: engine.config.instances }))
}

/// The refusal that a failed start is, if it failed for want of room and not by the guest's fault.
fn want_of_room(
    engine: &EngineInner,
    revision: &Revision,
    failure: &CallFailure,
) -> Option<Refusal> {
    let CallFailure::Ended(error) = failure else { return None };
    if let Some(Denied::Budget { wanted, .. }) = error.downcast_ref::<Denied>() {
        return Some(Refusal::MemoryBudget {
            function: revision.shared.name.to_string(),
            budget_bytes: engine.budget.limit,
            used_bytes: engine.budget.used(),
            wanted_bytes: *wanted,
        });
    }
    let is_full = error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>().is_some();
    is_full.then_some(Refusal::EngineBusy { limit: engine.config.instances })
}

/// Whether what was refused would fit by now.
fn has_room(engine: &EngineInner, refusal: &Refusal) -> bool {
    match refusal {
        Refusal::MemoryBudget { wanted_bytes, budget_bytes, .. } => {
            engine.budget.used().saturating_add(*wanted_bytes) <= *budget_bytes
        }
        _ => false,
    }
}

/// Calls the guest. An error here means that the engine refused to go on; what the guest did wrong is in the result.
async fn run(
    engine: &EngineInner,
    lent: &mut Lent<'_>,
    (depth, asked): (u32, Option<Instant>),
    work: Work,
    begun: Instant,
    course: &mut Course,
) -> Result<Result<Bytes, Fault>, InvokeError> {
    let revision = lent.revision;
    let deadline = begun + revision.shared.limits.timeout;
    let deadline = asked.map_or(deadline, |asked| asked.min(deadline));
    // On another guest's fiber there is no stack for a second guest.
    if let Work::Event(event) = &work
        && depth == 0
        && revision.may_run_direct()
    {
        let times = (begun, deadline);
        let event = Work::Event(event.clone());
        let called = call(lent, Entry::Direct, event, times, course).await;
        if !matches!(called, Err(CallFailure::Interrupted(Interrupted::SliceOver))) {
            return Ok(finish(lent, called));
        }
        Box::pin(restart(engine, lent, course)).await?;
        let again = call(lent, Entry::Fiber, work, (Instant::now(), deadline), course);
        let called = Box::pin(again).await;
        return Ok(finish(lent, called));
    }
    let called = call(lent, Entry::Fiber, work, (begun, deadline), course).await;
    Ok(finish(lent, called))
}

/// Replaces an instance that ran too long without a fiber by one that serves the same invocation. What it did so far stays
/// unseen: no import of such a guest reaches outside of it but the log, which starts over.
async fn restart(
    engine: &EngineInner,
    lent: &mut Lent<'_>,
    course: &mut Course,
) -> Result<(), InvokeError> {
    let revision = lent.revision;
    revision.note_long_run();
    let mut invocation = None;
    if let Some(mut instance) = lent.instance.take() {
        invocation = instance.ledger_mut().invocation.take();
        let verdict = Verdict::Retire(Retirement::Restarted);
        revision.give_back(engine, instance, verdict, Instant::now());
    }
    let failure = |request_id: &str, why: String| InvokeError::Failure {
        function: revision.shared.name.to_string(),
        request_id: request_id.to_owned(),
        why,
    };
    let Some(invocation) = invocation else {
        return Err(failure("", "the invocation vanished with its instance".to_owned()));
    };
    match make(engine, revision, Some(&invocation), &mut course.cpu).await {
        Ok(instance) => {
            lent.instance = Some(instance);
            Ok(())
        }
        Err(NoInstance::Refused(refusal)) => Err(refusal.into()),
        Err(NoInstance::Fault(fault, _)) => {
            let why = format!("an instance that started once did not start again: {fault}");
            Err(failure(&invocation.request_id, why))
        }
    }
}

async fn call(
    lent: &mut Lent<'_>,
    entry: Entry,
    work: Work,
    (begun, deadline): (Instant, Instant),
    course: &mut Course,
) -> Result<Bytes, CallFailure> {
    let shared = &lent.revision.shared;
    let Some(instance) = &mut lent.instance else {
        return Err(CallFailure::Interrupted(Interrupted::Cancelled));
    };
    instance.uses = instance.uses.saturating_add(1);
    instance.is_frozen = false;
    let ledger = instance.ledger_mut();
    match entry {
        Entry::Direct => ledger.arm_direct(begun, deadline, shared.limits.cpu_time),
        Entry::Fiber => ledger.arm(deadline, shared.limits.cpu_time),
    }
    let work = pin!(instance.call(entry, work, shared.limits.answer_bytes));
    match bounded::until(&shared.ticker, (begun, deadline), &mut course.cpu, work).await {
        Ok(called) => called,
        Err(interrupted) => Err(CallFailure::Interrupted(interrupted)),
    }
}

fn finish(lent: &mut Lent<'_>, called: Result<Bytes, CallFailure>) -> Result<Bytes, Fault> {
    let limits = &lent.revision.shared.limits;
    let times =
        TimeLimits { timeout: limits.timeout, cpu_time: limits.cpu_time, is_initializing: false };
    called.map_err(|failure| {
        let denied = lent.instance.as_ref().and_then(|instance| instance.ledger().meter.denied());
        classify(failure, denied, times)
    })
}

/// What the outcome says of the instance that served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) id: u64,
    pub(crate) memory_peak_bytes: u64,
}

impl Seen {
    pub(crate) fn of(instance: &Instance) -> Self {
        Self { id: instance.id, memory_peak_bytes: instance.ledger().meter.peak() }
    }
}

impl Course {
    fn begin(revision: &Revision, work: &Work, wait: Duration) -> Self {
        Self {
            phases: Phases { wait, ..Phases::default() },
            start: StartKind::Warm,
            tier: revision.load.tier,
            cpu: CpuMeter::default(),
            traffic: Traffic::of(work),
            initialize_log_bytes: None,
        }
    }

    pub(crate) fn outcome(
        self,
        result: Result<Bytes, Fault>,
        logged: Logged,
        seen: Option<Seen>,
    ) -> Outcome {
        let run = self.phases.run;
        let (payload_bytes, answer_bytes) = self.traffic.count(&result);
        let report = Report {
            start: self.start,
            tier: self.tier,
            billed: Duration::from_millis(
                u64::try_from(run.as_micros().div_ceil(1000)).unwrap_or(u64::MAX),
            ),
            cpu_time: self.cpu.used(),
            memory_peak_bytes: seen.map_or(0, |seen| seen.memory_peak_bytes),
            payload_bytes,
            answer_bytes,
            log_bytes: logged.bytes,
            // Without an instance, making it is all that was logged.
            initialize_log_bytes: match seen {
                Some(_) => self.initialize_log_bytes,
                None => Some(logged.bytes),
            },
            log_lines_dropped: logged.dropped,
            instance: seen.map_or(0, |seen| seen.id),
            phases: self.phases,
        };
        Outcome { result, tail_log: logged.tail, report }
    }
}
