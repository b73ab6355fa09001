//! Makes instances, and finds the room for them: idle ones of others are dropped for it, and if there are none, whoever was called waits for
//! what runs to end.
//!
//! A place, or memory, is not free at the moment in which an invocation has its answer: guests may go on after it, and what they leave is taken
//! apart behind those who serve. So whoever calls one after the other, alone, can find all places taken, and must not be refused for it.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::bounded;
use crate::course::Course;
use crate::cpu_meter::CpuMeter;
use crate::engine::EngineInner;
use crate::fault::{CallFailure, Interrupted, TimeLimits, classify};
use crate::instance::{Birth, Instance};
use crate::memory_meter::Denied;
use crate::revision::Revision;
use crate::tail_log::InstanceLog;
use crate::{Invocation, Refusal};

use super::NoInstance;

/// Instances of other functions that are dropped, at most, to make room for one.
const EVICTIONS_MAX: usize = 64;

/// How long an invocation of a function without a queue waits: for what is on its way out, not for what runs.
const MOMENT: Duration = Duration::from_millis(20);

/// Makes an instance for an invocation and notes what was logged, and how long it waited for room, meanwhile.
pub(super) async fn make_now(
    engine: &EngineInner,
    revision: &Revision,
    (invocation, now): (&Invocation, Instant),
    course: &mut Course,
) -> Result<Instance, NoInstance> {
    let made = Box::pin(make(engine, revision, (Some(invocation), now), &mut course.cpu)).await;
    course.initialize_log_bytes = made.as_ref().ok().map(|(made, _)| made.log.bytes());
    let (instance, waited) = made?;
    course.phases.wait += waited;
    Ok(instance)
}

/// Makes an instance, and says how long there was no room for it. For an invocation that is waited for, as long as the function's queue has one
/// wait; whoever makes one ahead of need does not wait.
pub(crate) async fn make(
    engine: &EngineInner,
    revision: &Revision,
    (invocation, now): (Option<&Invocation>, Instant),
    cpu: &mut CpuMeter,
) -> Result<(Instance, Duration), NoInstance> {
    match (try_make(engine, revision, (invocation, now), cpu).await, invocation) {
        (Err(NoInstance::Refused(refusal)), Some(invocation)) if may_fit(&refusal) => {
            Box::pin(wait_and_make(engine, revision, invocation, cpu)).await
        }
        (made, _) => made.map(|made| (made, Duration::ZERO)),
    }
}

/// Makes one as soon as there is room.
async fn wait_and_make(
    engine: &EngineInner,
    revision: &Revision,
    invocation: &Invocation,
    cpu: &mut CpuMeter,
) -> Result<(Instance, Duration), NoInstance> {
    let started = Instant::now();
    let policy = &revision.policy;
    let until = started + if policy.queue == 0 { MOMENT } else { policy.queue_wait };
    let until = invocation.deadline.map_or(until, |deadline| deadline.min(until));
    let mut wanting = engine.ticker.presence().want_room(&engine.budget);
    loop {
        let now = Instant::now();
        let refusal = match try_make(engine, revision, (Some(invocation), now), cpu).await {
            Err(NoInstance::Refused(refusal)) => refusal,
            made => {
                wanting.found();
                return made.map(|made| (made, now - started));
            }
        };
        wanting.found_none(wanted_bytes(&refusal));
        let mut unmeasured = CpuMeter::default();
        let freed = pin!(wanting.freed());
        match bounded::until(&engine.ticker, (now, until), &mut unmeasured, freed).await {
            // Those whose end made room may have been ended for good, as this one is to be.
            Ok(()) if !engine.ticker.is_cancelled() => {}
            Ok(()) | Err(Interrupted::Cancelled) => {
                return Err(NoInstance::Refused(Refusal::Draining));
            }
            Err(_) => return Err(NoInstance::Refused(after(refusal, started.elapsed()))),
        }
    }
}

/// The memory that there was no room for, if that is what was wanting.
fn wanted_bytes(refusal: &Refusal) -> Option<u64> {
    match refusal {
        Refusal::MemoryBudget { wanted_bytes, .. } => Some(*wanted_bytes),
        _ => None,
    }
}

/// Whether what was refused would fit if others went.
fn may_fit(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::MemoryBudget { wanted_bytes, budget_bytes, .. } => wanted_bytes <= budget_bytes,
        _ => true,
    }
}

/// The refusal of one that waited.
fn after(refusal: Refusal, waited: Duration) -> Refusal {
    match refusal {
        Refusal::InstancesFull { limit, .. } => Refusal::InstancesFull { limit, waited },
        other => other,
    }
}

/// Makes an instance, dropping idle ones of other functions if there is no room.
async fn try_make(
    engine: &EngineInner,
    revision: &Revision,
    (invocation, now): (Option<&Invocation>, Instant),
    cpu: &mut CpuMeter,
) -> Result<Instance, NoInstance> {
    let shared = &revision.shared;
    // A look at the clock costs as much as a small guest, and the caller has just had one.
    let mut now = Some(now);
    for _ in 0..EVICTIONS_MAX {
        let log = InstanceLog::new(engine.log_drain.clone());
        let nobody = || Invocation::with_id("", Bytes::new());
        let owner = invocation
            .map_or_else(nobody, |invocation| Invocation { load: None, ..invocation.clone() });
        shared.aim_log(&log, &owner);
        let limit = shared.limits.initialize_timeout;
        let begun = now.take().unwrap_or_else(Instant::now);
        let deadline = begun + limit;
        let mut birth = Birth { deadline, owner: Some(owner) };
        let start = pin!(Instance::start(&revision.code, shared, log.clone(), &mut birth));
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
    Err(NoInstance::Refused(full(engine)))
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
    is_full.then(|| full(engine))
}

fn full(engine: &EngineInner) -> Refusal {
    Refusal::InstancesFull { limit: engine.config.instances, waited: Duration::ZERO }
}

/// Whether what was refused would fit by now.
fn has_room(engine: &EngineInner, refusal: &Refusal) -> bool {
    wanted_bytes(refusal).is_some_and(|wanted| wanted <= engine.budget.left())
}
