//! The right to run: how many invocations at once, for the engine and for each function, and who waits.
//!
//! Both rights are guards: they end with the invocation, however it ends.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use tokio::sync::Semaphore;

use crate::bounded;
use crate::cpu_meter::CpuMeter;
use crate::pool::Pool;
use crate::presence::Presence;
use crate::seat::Seat;
use crate::ticker::Ticker;
use crate::{PoolPolicy, Refusal};

/// The engine's door.
pub(crate) struct EngineDoor {
    presence: Arc<Presence>,
    /// Goes while somebody is inside.
    clock: Arc<Ticker>,
    limit: u32,
}

impl std::fmt::Debug for EngineDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineDoor").field("presence", &self.presence).finish_non_exhaustive()
    }
}

/// One invocation inside the engine.
#[derive(Debug)]
pub(crate) struct Inside<'a> {
    presence: &'a Presence,
}

impl EngineDoor {
    pub(crate) fn new(limit: u32, clock: Arc<Ticker>) -> Self {
        Self { presence: clock.presence().clone(), clock, limit }
    }

    /// Lets an invocation in, unless the engine is full or draining.
    pub(crate) fn enter(&self) -> Result<Inside<'_>, Refusal> {
        // Counted first: draining waits until the count is zero, so whoever saw no draining is waited for.
        let before = self.presence.enter();
        let inside = Inside { presence: &self.presence };
        if before.is_draining() {
            return Err(Refusal::Draining);
        }
        if before.invocations() >= u64::from(self.limit) {
            return Err(Refusal::EngineBusy { limit: self.limit });
        }
        if before.clock_sleeps() {
            self.clock.wake();
        }
        Ok(inside)
    }

    /// Counts an invocation that is inside already once more, until [`leave`](Self::leave), for whoever goes on with it.
    pub(crate) fn stay(&self) {
        self.presence.enter();
    }

    pub(crate) fn leave(&self) {
        self.presence.leave();
    }

    pub(crate) fn inside(&self) -> u64 {
        self.presence.now().invocations()
    }

    /// Lets nobody in from now on.
    pub(crate) fn close(&self) {
        self.presence.drain();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.presence.now().is_draining()
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.presence.leave();
    }
}

/// One function's door: as many invocations as its instances may serve at once, and a bounded queue before it.
#[derive(Debug)]
pub(crate) struct FunctionDoor {
    permits: Semaphore,
    limit: u32,
    waiting: AtomicU32,
    policy: PoolPolicy,
}

/// The right of one invocation to have an instance.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    door: &'a FunctionDoor,
}

impl Permit<'_> {
    /// Keeps the right beyond the invocation; [`FunctionDoor::resume`] takes it up again or [`FunctionDoor::leave`] gives it back.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.door.leave();
    }
}

impl FunctionDoor {
    pub(crate) fn new(policy: &PoolPolicy) -> Self {
        let limit = policy.max_instances.saturating_mul(policy.concurrency);
        Self {
            permits: Semaphore::new((limit as usize).min(Semaphore::MAX_PERMITS)),
            limit,
            waiting: AtomicU32::new(0),
            policy: policy.clone(),
        }
    }

    /// A permit, if there is one that nobody waits for.
    pub(crate) fn try_enter(&self) -> Option<Permit<'_>> {
        self.permits.try_acquire().ok()?.forget();
        Some(self.resume())
    }

    /// Takes up a right that was kept.
    pub(crate) fn resume(&self) -> Permit<'_> {
        Permit { door: self }
    }

    /// The same for one that may have a seat: whoever was admitted for it before needs no second permit.
    pub(crate) fn try_enter_for(&self, seat: Option<&Seat>) -> Option<Option<Permit<'_>>> {
        if seat.is_some_and(Seat::holds_permit) { Some(None) } else { self.try_enter().map(Some) }
    }

    /// Gives back a right that was kept.
    pub(crate) fn leave(&self) {
        self.permits.add_permits(1);
    }

    /// Waits for a permit, first come first served, at most as long as the policy and `deadline` allow. Rights that rest in the pool
    /// with their instances are called in.
    pub(crate) async fn queue(
        &self,
        function: &str,
        (ticker, pool): (&Ticker, &Pool),
        deadline: Option<Instant>,
    ) -> Result<Permit<'_>, Refusal> {
        let limit = self.limit;
        let queued = Queued::enter(&self.waiting);
        // Whoever parks an instance from now on sees that somebody waits.
        pool.settle(self);
        if queued.before >= self.policy.queue {
            // Now every right that is not free is that of an invocation that has not ended, so nobody is refused for one that rests.
            return self.try_enter().ok_or_else(|| Refusal::QueueFull {
                function: function.to_owned(),
                limit,
                waiting: queued.before,
            });
        }
        let started = Instant::now();
        let until = started + self.policy.queue_wait;
        let until = deadline.map_or(until, |deadline| deadline.min(until));
        let mut unmeasured = CpuMeter::default();
        let permit = pin!(self.permits.acquire());
        match bounded::until(ticker, (started, until), &mut unmeasured, permit).await {
            Ok(Ok(permit)) => {
                permit.forget();
                Ok(self.resume())
            }
            Ok(Err(_)) => Err(Refusal::Draining),
            Err(_) if ticker.is_cancelled() => Err(Refusal::Draining),
            Err(_) => Err(Refusal::WaitedTooLong {
                function: function.to_owned(),
                limit,
                waited: started.elapsed(),
            }),
        }
    }

    pub(crate) fn running(&self) -> u32 {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        self.limit.saturating_sub(free)
    }

    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::SeqCst)
    }
}

/// Counts one that waits, also when its future is dropped.
struct Queued<'a> {
    waiting: &'a AtomicU32,
    before: u32,
}

impl<'a> Queued<'a> {
    fn enter(waiting: &'a AtomicU32) -> Self {
        Self { waiting, before: waiting.fetch_add(1, Ordering::SeqCst) }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
