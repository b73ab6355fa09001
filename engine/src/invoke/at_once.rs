//! The line of an invocation that need not wait for anything: its instance was parked by this thread with the right to run, and its guest
//! needs no fiber. The same steps, in a plain function: of a small guest's call a future would be a large part.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Begun, Lent, call_direct, take_warm};
use crate::Invocation;
use crate::course::Course;
use crate::engine::EngineInner;
use crate::fault::CallFailure;
use crate::revision::Revision;
use crate::work::Work;

/// Calls the guest, if nothing has to be waited for, and says what it answered; none, and nothing has happened, if the invocation has to take
/// the longer way. It is begun in `place`, where its caller ends it: on the way there it would be moved twice.
pub(super) fn call<'a>(
    engine: &'a EngineInner,
    revision: &'a Revision,
    asked: &mut Option<Invocation>,
    (work, arrived): (&Work, Instant),
    place: &mut Option<Begun<'a>>,
) -> Option<Result<Bytes, CallFailure>> {
    let (Work::Event(event), Some(invocation)) = (work, &*asked) else { return None };
    // On another guest's fiber there is no stack for a second guest.
    if invocation.depth > 0 || !revision.runs_direct_now() {
        return None;
    }
    let (instance, permit) = revision.take_parked()?;
    // Written where it stays: what was just written in parts is slow to copy as a whole.
    let begun = place.insert(Begun {
        lent: Lent { engine, revision, instance: None },
        permit: Some(permit),
        course: Course::begin(revision, work, Duration::ZERO),
        begun: arrived,
        deadline: invocation.deadline,
    });
    let course = &mut begun.course;
    course.note_load(invocation);
    let mut instance = take_warm(revision, (Some(instance), None), invocation, course)?;
    revision.count_start(course.start);
    instance.ledger_mut().invocation = asked.take();
    begun.lent.instance = Some(instance);
    Some(call_direct(begun, event))
}
