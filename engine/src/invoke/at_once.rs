//! The line of an invocation that need not wait for anything: its instance was parked by this thread with the right to run, and its guest
//! needs no fiber. The same steps, in a plain function: of a small guest's call a future would be a large part.

use std::time::{Duration, Instant};

use super::{Begun, Lent, call_direct, conclude, finish, take_warm};
use crate::course::Course;
use crate::engine::EngineInner;
use crate::fault::{CallFailure, Interrupted};
use crate::revision::Revision;
use crate::work::Work;
use crate::{Invocation, InvokeError, Outcome};

/// What came of it.
pub(super) enum AtOnce<'a> {
    Ended(Result<Outcome, InvokeError>),
    /// It ran for too long and is to begin anew, on a fiber.
    GoesOn(Begun<'a>),
}

/// Runs one invocation to its end; none, and nothing has happened, if it has to take the longer way.
pub(super) fn invoke<'a>(
    engine: &'a EngineInner,
    revision: &'a Revision,
    asked: &mut Option<Invocation>,
    work: &Work,
    arrived: Instant,
) -> Option<AtOnce<'a>> {
    let (Work::Event(event), Some(invocation)) = (work, &*asked) else { return None };
    // On another guest's fiber there is no stack for a second guest.
    if invocation.depth > 0 || !revision.runs_direct_now() {
        return None;
    }
    let (instance, permit) = revision.take_parked()?;
    let mut course = Course::begin(revision, work, Duration::ZERO);
    course.note_load(invocation);
    let deadline = invocation.deadline;
    let mut instance = take_warm(revision, (Some(instance), None), invocation, &mut course)?;
    instance.ledger_mut().invocation = asked.take();
    revision.count_start(course.start);
    let lent = Lent { engine, revision, instance: Some(instance) };
    let mut begun = Begun { lent, permit: Some(permit), course, begun: arrived, deadline };
    let called = call_direct(&mut begun, event);
    if matches!(called, Err(CallFailure::Interrupted(Interrupted::SliceOver))) {
        return Some(AtOnce::GoesOn(begun));
    }
    let result = finish(&begun.lent, called);
    Some(AtOnce::Ended(conclude(engine, begun, None, result)))
}
