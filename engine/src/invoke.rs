//! The straight line of one invocation, and the only place that calls a guest.
//!
//! Admission, then an instance (warm, fresh or made now), then the guest under its deadline, then the outcome; the instance goes
//! back or away. Nothing here spawns, sends to a channel or moves to another thread, but for calls of functions that run long, which go to
//! threads of their own before anything else. Dropping the future at any point releases everything by `Drop`: a half-run instance is
//! never given back.

mod at_once;
mod behind;
mod making;

use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::admission::Permit;
use crate::bounded;
use crate::concurrent;
use crate::course::{Course, Seen};
use crate::engine::EngineInner;
use crate::fault::{CallFailure, Interrupted, TimeLimits, classify};
use crate::instance::{Instance, Retirement, Verdict};
use crate::revision::Revision;
use crate::seat::Seat;
use crate::tail_log::Logged;
use crate::work::Work;
use crate::{Fault, Invocation, InvokeError, Outcome, Refusal, StartKind};

pub(crate) use making::make;
use making::make_now;

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

/// Runs one invocation to its end: on the calling task, or, if calls of its function run long, on a thread for those.
///
/// No `async fn`, which would move its arguments once more: an invocation has two hundred bytes, and a move of it costs a tenth of what
/// calling a small guest does. So it stays where it is until the account of its instance takes it. And whatever may have to wait is boxed:
/// the future has two thousand bytes otherwise, and is moved by each caller, wherever it ends.
pub(crate) fn invoke<R>(
    engine: &Arc<EngineInner>,
    revision: R,
    invocation: Invocation,
    work: Work,
) -> impl Future<Output = Result<Outcome, InvokeError>> + Send
where
    R: Deref<Target = Arc<Revision>> + Send + Sync,
{
    let mut asked = Some(invocation);
    async move {
        let arrived = Instant::now();
        check_size(&work, revision.shared.limits.payload_bytes)?;
        let inside = engine.door.enter()?;
        if revision.runs_behind() && engine.background.is_elsewhere() {
            return Box::pin(behind::invoke((engine, inside), &revision, asked, work)).await;
        }
        let mut place = None;
        let called = at_once::call(engine, &revision, &mut asked, (&work, arrived), &mut place);
        let Some(called) = called else {
            // Not kept while the rest is waited for, where it would make the future larger.
            drop(place);
            return Box::pin(invoke_here(engine, &revision, &mut asked, work, arrived)).await;
        };
        if matches!(called, Err(CallFailure::Interrupted(Interrupted::SliceOver))) {
            let Some(begun) = place else { return Err(vanished(&revision, "invocation")) };
            return Box::pin(go_on(engine, begun, work)).await;
        }
        let Some(begun) = &mut place else { return Err(vanished(&revision, "invocation")) };
        let result = finish(&begun.lent, called);
        conclude(engine, begun, None, result)
    }
}

/// Runs one invocation to its end on the calling task. Inlined, as all whose futures are large, so that it is made in its box and not
/// copied there.
#[inline]
async fn invoke_here(
    engine: &Arc<EngineInner>,
    revision: &Arc<Revision>,
    asked: &mut Option<Invocation>,
    work: Work,
    arrived: Instant,
) -> Result<Outcome, InvokeError> {
    let Some(invocation) = asked else { return Err(vanished(revision, "invocation")) };
    let seat = work.seat();
    let parked = if seat.is_none() { revision.take_parked() } else { None };
    let (parked, permit, permitted) = match parked {
        Some((instance, permit)) => (Some(instance), Some(permit), arrived),
        None => match revision.try_enter(seat.as_deref()) {
            Some(permit) => (None, permit, arrived),
            None => {
                let queue = Box::pin(revision.queue(invocation.deadline));
                (None, Some(queue.await?), Instant::now())
            }
        },
    };
    let mut course = Course::begin(revision, &work, permitted - arrived);
    course.note_load(invocation);
    if let Some(several) = &revision.several {
        let Some(invocation) = asked.take() else { return Err(vanished(revision, "invocation")) };
        return Box::pin(concurrent::invoke(engine, (revision, several), invocation, work, course))
            .await;
    }
    let bounds = (invocation.depth, invocation.deadline);
    let from = (parked, seat.as_deref());
    let (instance, begun) = match take_warm(revision, from, invocation, &mut course) {
        Some(mut instance) => {
            instance.ledger_mut().invocation = asked.take();
            (Ok(instance), permitted)
        }
        None => {
            let made = make_now(engine, revision, (invocation, permitted), &mut course).await;
            (made, course.cpu.ended())
        }
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
    let without_room = course.phases.wait - (permitted - arrived);
    course.phases.instantiate = (begun - permitted).saturating_sub(without_room);
    revision.count_start(course.start);
    let lent = Lent { engine, revision, instance: Some(instance) };
    let mut begun = Begun { lent, permit, course, begun, deadline: bounds.1 };
    let result = run(engine, &mut begun, bounds.0, work).await?;
    conclude(engine, &mut begun, seat.as_deref(), result)
}

/// An invocation that has its instance.
struct Begun<'a> {
    lent: Lent<'a>,
    permit: Option<Permit<'a>>,
    course: Course,
    begun: Instant,
    /// When it ends at the latest, if whoever asked said so.
    deadline: Option<Instant>,
}

impl Begun<'_> {
    /// When it is to have ended.
    fn deadline(&self) -> Instant {
        let deadline = self.begun + self.lent.revision.shared.limits.timeout;
        self.deadline.map_or(deadline, |asked| asked.min(deadline))
    }
}

/// Puts the instance to rest, or lets it go, and says what came of the invocation: last, so that it is written where the caller wants it and not
/// moved there.
fn conclude(
    engine: &EngineInner,
    begun: &mut Begun<'_>,
    seat: Option<&Seat>,
    result: Result<Bytes, Fault>,
) -> Result<Outcome, InvokeError> {
    let (revision, course) = (begun.lent.revision, &mut begun.course);
    let ended = course.cpu.ended();
    course.phases.run = ended.saturating_duration_since(begun.begun);
    let Some(mut instance) = begun.lent.instance.take() else {
        return Err(vanished(revision, "instance"));
    };
    instance.ledger().note_end();
    let logged = instance.end();
    let seen = Seen::of(&instance);
    let verdict = revision.verdict(&instance, &result);
    let permit = begun.permit.take();
    match seat {
        Some(seat) if verdict.may_go_on() => seat.keep(instance, permit),
        _ => revision.rest(engine, (instance, permit), verdict, ended),
    }
    Ok(course.outcome(result, logged, Some(seen)))
}

/// What must not be: it was there before.
fn vanished(revision: &Revision, what: &str) -> InvokeError {
    InvokeError::Failure {
        function: revision.shared.name.to_string(),
        request_id: String::new(),
        why: format!("the {what} vanished while it ran"),
    }
}

/// Refuses an event that is too large; the body of a request passes by and has no size here.
fn check_size(work: &Work, limit_bytes: u64) -> Result<(), Refusal> {
    let size_bytes = work.size();
    if size_bytes > limit_bytes {
        return Err(Refusal::PayloadTooLarge { limit_bytes, size_bytes });
    }
    Ok(())
}

/// Takes a waiting instance, unless it came with the right to run, and notes what kind of start this is.
pub(crate) fn take_warm(
    revision: &Revision,
    (parked, seat): (Option<Instance>, Option<&Seat>),
    invocation: &Invocation,
    course: &mut Course,
) -> Option<Instance> {
    let instance = parked.or_else(|| match seat {
        None => revision.take(),
        // What it begins with has served nobody, and what it goes on with nobody else.
        Some(seat) => seat.take().or_else(|| revision.pool.take_one(|one| one.uses == 0)),
    });
    let is_unused = instance.as_ref().is_none_or(|instance| instance.uses == 0);
    if course.start == StartKind::Warm && is_unused {
        course.start = StartKind::Fresh;
    }
    let mut instance = instance?;
    if revision.code.can_run_direct() {
        // All it can write passes its ledger, which aims the log when there is something to write.
        instance.ledger_mut().put_off_log();
    } else {
        revision.shared.aim_log(&instance.log, invocation);
    }
    Some(instance)
}

/// Calls the guest. An error here means that the engine refused to go on; what the guest did wrong is in the result.
async fn run(
    engine: &EngineInner,
    begun: &mut Begun<'_>,
    depth: u32,
    work: Work,
) -> Result<Result<Bytes, Fault>, InvokeError> {
    // On another guest's fiber there is no stack for a second guest.
    if let Work::Event(event) = &work
        && depth == 0
        && begun.lent.revision.may_run_direct()
    {
        let called = call_direct(begun, event);
        if !matches!(called, Err(CallFailure::Interrupted(Interrupted::SliceOver))) {
            return Ok(finish(&begun.lent, called));
        }
        return Box::pin(run_again(engine, begun, work)).await;
    }
    let from = begun.begun;
    // On its own, so that neither is larger than the allocator has at hand.
    let called = Box::pin(call(begun, work, from)).await;
    Ok(finish(&begun.lent, called))
}

/// Calls the guest on a fiber after it ran too long without.
async fn run_again(
    engine: &EngineInner,
    begun: &mut Begun<'_>,
    work: Work,
) -> Result<Result<Bytes, Fault>, InvokeError> {
    restart(engine, &mut begun.lent, &mut begun.course).await?;
    let called = call(begun, work, Instant::now()).await;
    Ok(finish(&begun.lent, called))
}

/// The rest of an invocation that ran too long without a fiber.
async fn go_on(
    engine: &EngineInner,
    mut begun: Begun<'_>,
    work: Work,
) -> Result<Outcome, InvokeError> {
    let result = run_again(engine, &mut begun, work).await?;
    conclude(engine, &mut begun, None, result)
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
    let whom = (Some(&invocation), Instant::now());
    match make(engine, revision, whom, &mut course.cpu).await {
        Ok((instance, _)) => {
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

/// Calls the guest on this stack: nothing is awaited.
fn call_direct(begun: &mut Begun<'_>, event: &[u8]) -> Result<Bytes, CallFailure> {
    let deadline = begun.deadline();
    let limits = &begun.lent.revision.shared.limits;
    let cancelled = Err(CallFailure::Interrupted(Interrupted::Cancelled));
    let Some(instance) = &mut begun.lent.instance else { return cancelled };
    instance.uses = instance.uses.saturating_add(1);
    instance.ledger_mut().arm_direct(begun.begun, deadline, limits.cpu_time);
    let _measured = begun.course.cpu.enter(begun.begun);
    instance.call_direct(event, limits.answer_bytes).unwrap_or(cancelled)
}

#[inline]
async fn call(begun: &mut Begun<'_>, work: Work, from: Instant) -> Result<Bytes, CallFailure> {
    let deadline = begun.deadline();
    let shared = &begun.lent.revision.shared;
    let Some(instance) = &mut begun.lent.instance else {
        return Err(CallFailure::Interrupted(Interrupted::Cancelled));
    };
    instance.uses = instance.uses.saturating_add(1);
    instance.is_frozen = false;
    instance.ledger_mut().arm(deadline, shared.limits.cpu_time);
    let work = pin!(instance.call(work, shared.limits.answer_bytes));
    let course = &mut begun.course;
    match bounded::until(&shared.ticker, (from, deadline), &mut course.cpu, work).await {
        Ok(called) => called,
        Err(interrupted) => Err(CallFailure::Interrupted(interrupted)),
    }
}

fn finish(lent: &Lent<'_>, called: Result<Bytes, CallFailure>) -> Result<Bytes, Fault> {
    called.map_err(|failure| {
        let limits = &lent.revision.shared.limits;
        let (timeout, cpu_time) = (limits.timeout, limits.cpu_time);
        let times = TimeLimits { timeout, cpu_time, is_initializing: false };
        let denied = lent.instance.as_ref().and_then(|instance| instance.ledger().meter.denied());
        classify(failure, denied, times)
    })
}
