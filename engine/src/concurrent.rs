//! Several invocations in one instance at once, for guests that wait for one thing while they serve another.
//!
//! Such an instance belongs to a task for as long as it has work: a store runs what it has in one loop, which somebody must poll.
//! An invocation goes to an instance with a free slot, on its own thread if it can, else takes one out of the pool. When the last one
//! has ended, the instance goes back to the pool as any other. Whoever stops waiting leaves work behind that cannot be stopped alone:
//! the instance takes nobody in any more and goes when the others have ended.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::bounded;
use crate::course::{Course, Seen};
use crate::cpu_meter::CpuMeter;
use crate::engine::EngineInner;
use crate::fault::{CallFailure, TimeLimits, classify};
use crate::invoke::{NoInstance, make, take_warm};
use crate::pool::thread_number;
use crate::revision::Revision;
use crate::state::Own;
use crate::tail_log::InstanceLog;
use crate::work::Work;
use crate::{Fault, Invocation, InvokeError, Outcome, Refusal};

mod drive;

pub(crate) use drive::Host;

/// An invocation on its way into an instance.
#[derive(Debug)]
pub(crate) struct Entrant {
    /// Tells it from the others of the instance.
    pub(crate) number: u32,
    pub(crate) work: Work,
    pub(crate) own: Own,
    pub(crate) ended: oneshot::Sender<Ended>,
    /// Its slot, free again when it is dropped.
    pub(crate) slot: Slot,
}

/// How an invocation ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) result: Result<Bytes, Fault>,
    pub(crate) cpu_time: Duration,
    pub(crate) memory_peak_bytes: u64,
}

/// Why an instance ended before its work had.
#[derive(Debug, Clone)]
struct Collapse {
    /// Whose fault it was, if that is known.
    culprit: Option<u32>,
    fault: Fault,
    memory_peak_bytes: u64,
}

/// An instance that serves several.
#[derive(Debug)]
struct Member {
    instance: u64,
    /// The thread that it runs on.
    thread: usize,
    entrants: mpsc::Sender<Entrant>,
    taken: AtomicU32,
    /// How many came in.
    entered: AtomicU32,
    /// Takes nobody in any more.
    is_leaving: AtomicBool,
    freed: Arc<Notify>,
    collapse: watch::Receiver<Option<Collapse>>,
}

/// The right to be served by an instance among others.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Member>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_waiters();
    }
}

/// The instances of a revision that serve now.
#[derive(Debug)]
pub(crate) struct Several {
    slots: u32,
    places: Mutex<Places>,
    /// Told whenever there may be a slot, or room for an instance.
    freed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Places {
    members: Vec<Arc<Member>>,
    /// Instances that are being made.
    making: u32,
}

/// Room for one more instance among those that serve; given back unless an instance takes it.
struct Place<'a>(&'a Several);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.places.lock().making -= 1;
        self.0.freed.notify_waiters();
    }
}

impl Several {
    pub(crate) fn new(slots: u32) -> Self {
        Self { slots, places: Mutex::default(), freed: Arc::default() }
    }

    /// How many instances serve.
    pub(crate) fn instances(&self) -> u32 {
        u32::try_from(self.places.lock().members.len()).unwrap_or(u32::MAX)
    }

    /// Room for one more instance, if there are fewer than `limit`.
    fn place(&self, limit: u32) -> Option<Place<'_>> {
        let mut places = self.places.lock();
        let serving = u32::try_from(places.members.len()).unwrap_or(u32::MAX);
        if serving.saturating_add(places.making) >= limit {
            return None;
        }
        places.making += 1;
        Some(Place(self))
    }

    /// A slot in an instance that serves, if one that `is_wanted` has any.
    fn slot(&self, is_wanted: impl Fn(&Member) -> bool) -> Option<(u32, Slot)> {
        let places = self.places.lock();
        let has_room = |member: &&Arc<Member>| {
            is_wanted(member)
                && !member.is_leaving.load(Ordering::Acquire)
                && member.taken.load(Ordering::Acquire) < self.slots
        };
        places.members.iter().find(has_room).map(sit)
    }

    /// Takes a member off the list, unless somebody has a slot there: then there is more to come.
    fn leave(&self, member: &Arc<Member>) -> bool {
        let mut places = self.places.lock();
        if member.taken.load(Ordering::Acquire) > 0 {
            return false;
        }
        places.members.retain(|other| !Arc::ptr_eq(other, member));
        true
    }

    /// The same whatever anybody has.
    fn strike(&self, member: &Arc<Member>) {
        self.places.lock().members.retain(|other| !Arc::ptr_eq(other, member));
        self.freed.notify_waiters();
    }
}

/// Takes a slot; under the lock of the list.
fn sit(member: &Arc<Member>) -> (u32, Slot) {
    member.taken.fetch_add(1, Ordering::AcqRel);
    (member.entered.fetch_add(1, Ordering::Relaxed), Slot(member.clone()))
}

/// Runs one invocation among others to its end.
pub(crate) async fn invoke(
    engine: &Arc<EngineInner>,
    (revision, several): (&Arc<Revision>, &Several),
    invocation: Invocation,
    work: Work,
    mut course: Course,
) -> Result<Outcome, InvokeError> {
    let shared = &revision.shared;
    let (arrived, waited) = (Instant::now(), course.phases.wait);
    let (number, slot) = match enter(engine, (revision, several), &invocation, &mut course).await {
        Ok(entered) => entered,
        Err(NoInstance::Refused(refusal)) => return Err(refusal.into()),
        Err(NoInstance::Fault(fault, logged)) => {
            course.phases.instantiate = arrived.elapsed();
            revision.count_start(course.start);
            return Ok(course.outcome(Err(fault), logged, None));
        }
    };
    let begun = Instant::now();
    let without_room = course.phases.wait - waited;
    course.phases.instantiate = (begun - arrived).saturating_sub(without_room);
    revision.count_start(course.start);
    let log = InstanceLog::new(engine.log_drain.clone());
    shared.aim_log(&log, &invocation);
    let deadline = begun + shared.limits.timeout;
    let deadline = invocation.deadline.map_or(deadline, |asked| asked.min(deadline));
    let cpu_time = shared.limits.cpu_time;
    let own = Own { invocation, log: log.clone(), deadline, cpu_time };
    let member = slot.0.clone();
    let (ended, receiver) = oneshot::channel();
    // There is room: nobody is sent without a slot. If it has closed, the receiver says so below.
    let _ = member.entrants.try_send(Entrant { number, work, own, ended, slot });
    let waited = {
        let waiting = pin!(outcome_of(receiver, &member, number));
        let mut unmeasured = CpuMeter::default();
        bounded::until(&shared.ticker, (begun, deadline), &mut unmeasured, waiting).await
    };
    let ended = waited.unwrap_or_else(|interrupted| {
        let times = TimeLimits { timeout: shared.limits.timeout, cpu_time, is_initializing: false };
        let fault = classify(CallFailure::Interrupted(interrupted), None, times);
        Ended { result: Err(fault), cpu_time: Duration::ZERO, memory_peak_bytes: 0 }
    });
    course.phases.run = begun.elapsed();
    course.cpu = CpuMeter::showing(ended.cpu_time);
    let seen = Seen { id: member.instance, memory_peak_bytes: ended.memory_peak_bytes };
    Ok(course.outcome(ended.result, log.end(), Some(seen)))
}

/// A slot, as soon as there is one: who has the right to run waits only while an instance is made or leaves.
async fn enter(
    engine: &Arc<EngineInner>,
    (revision, several): (&Arc<Revision>, &Several),
    invocation: &Invocation,
    course: &mut Course,
) -> Result<(u32, Slot), NoInstance> {
    let started = Instant::now();
    let until = started + revision.policy.queue_wait;
    let until = invocation.deadline.map_or(until, |deadline| deadline.min(until));
    let mut freed = pin!(several.freed.notified());
    loop {
        // Before looking, so that what becomes free meanwhile is not missed.
        freed.as_mut().enable();
        let tried = try_enter(engine, (revision, several), invocation, course).await;
        if let Some(entered) = tried.transpose() {
            return entered;
        }
        let mut unmeasured = CpuMeter::default();
        let ticker = &revision.shared.ticker;
        let waited = bounded::until(ticker, (started, until), &mut unmeasured, freed.as_mut());
        if waited.await.is_err() {
            return Err(NoInstance::Refused(Refusal::WaitedTooLong {
                function: revision.shared.name.to_string(),
                limit: revision.policy.max_instances.saturating_mul(several.slots),
                waited: started.elapsed(),
            }));
        }
        freed.set(several.freed.notified());
    }
}

/// A slot in an instance of this thread, else in one that begins to serve, else in any.
async fn try_enter(
    engine: &Arc<EngineInner>,
    (revision, several): (&Arc<Revision>, &Several),
    invocation: &Invocation,
    course: &mut Course,
) -> Result<Option<(u32, Slot)>, NoInstance> {
    let thread = thread_number();
    if let Some(entered) = several.slot(|member| member.thread == thread) {
        return Ok(Some(entered));
    }
    let most = revision.policy.max_instances;
    let most = invocation.max_instances.map_or(most, |asked| asked.min(most));
    let Some(place) = several.place(most) else {
        return Ok(several.slot(|_| true));
    };
    let instance = match take_warm(revision, (None, None), invocation, course) {
        Some(instance) => instance,
        None => {
            let whom = (Some(invocation), Instant::now());
            let (made, waited) = make(engine, revision, whom, &mut course.cpu).await?;
            course.phases.wait += waited;
            made
        }
    };
    instance.log.end();
    drive::start(engine, revision, place, instance).map(Some)
}

/// Waits for the end of an invocation, its own or that of its instance.
async fn outcome_of(receiver: oneshot::Receiver<Ended>, member: &Member, number: u32) -> Ended {
    if let Ok(ended) = receiver.await {
        return ended;
    }
    let mut collapse = member.collapse.clone();
    let found = collapse.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
    let (fault, memory_peak_bytes) = match found {
        Some(Collapse { culprit: Some(culprit), fault, memory_peak_bytes })
            if culprit == number =>
        {
            (fault, memory_peak_bytes)
        }
        Some(Collapse { culprit: Some(_), fault, memory_peak_bytes }) => {
            (Fault::InstanceLost { why: fault.to_string() }, memory_peak_bytes)
        }
        Some(Collapse { culprit: None, fault, memory_peak_bytes }) => (fault, memory_peak_bytes),
        None => (Fault::Cancelled, 0),
    };
    Ended { result: Err(fault), cpu_time: Duration::ZERO, memory_peak_bytes }
}
