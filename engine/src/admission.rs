//! The right to run: how many invocations at once, for the engine and for each function, and who waits.
//!
//! Both rights are guards: they end with the invocation, however it ends.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::bounded;
use crate::cpu_meter::CpuMeter;
use crate::seat::Seat;
use crate::ticker::Ticker;
use crate::{PoolPolicy, Refusal};

/// The engine's door.
#[derive(Debug)]
pub(crate) struct EngineDoor {
    inside: AtomicU64,
    limit: u32,
    is_draining: AtomicBool,
}

/// One invocation inside the engine.
#[derive(Debug)]
pub(crate) struct Inside<'a> {
    door: &'a EngineDoor,
}

impl EngineDoor {
    pub(crate) fn new(limit: u32) -> Self {
        Self { inside: AtomicU64::new(0), limit, is_draining: AtomicBool::new(false) }
    }

    /// Lets an invocation in, unless the engine is full or draining.
    pub(crate) fn enter(&self) -> Result<Inside<'_>, Refusal> {
        // Counted first: draining waits until the count is zero, so whoever saw no draining is waited for.
        let before = self.inside.fetch_add(1, Ordering::SeqCst);
        let inside = Inside { door: self };
        if self.is_draining.load(Ordering::SeqCst) {
            return Err(Refusal::Draining);
        }
        if before >= u64::from(self.limit) {
            return Err(Refusal::EngineBusy { limit: self.limit });
        }
        Ok(inside)
    }

    /// Counts an invocation that is inside already once more, until [`leave`](Self::leave), for whoever goes on with it.
    pub(crate) fn stay(&self) {
        self.inside.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn leave(&self) {
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn inside(&self) -> u64 {
        self.inside.load(Ordering::SeqCst)
    }

    /// Lets nobody in from now on.
    pub(crate) fn close(&self) {
        self.is_draining.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_draining.load(Ordering::SeqCst)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.door.inside.fetch_sub(1, Ordering::SeqCst);
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
pub(crate) type Permit<'a> = SemaphorePermit<'a>;

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
        self.permits.try_acquire().ok()
    }

    /// The same for one that may have a seat: whoever was admitted for it before needs no second permit.
    pub(crate) fn try_enter_for(&self, seat: Option<&Seat>) -> Option<Option<Permit<'_>>> {
        if seat.is_some_and(Seat::holds_permit) { Some(None) } else { self.try_enter().map(Some) }
    }

    /// Gives back a permit that was kept beyond its invocation.
    pub(crate) fn leave(&self) {
        self.permits.add_permits(1);
    }

    /// Waits for a permit, first come first served, at most as long as the policy and `deadline` allow.
    pub(crate) async fn queue(
        &self,
        function: &str,
        ticker: &Ticker,
        deadline: Option<Instant>,
    ) -> Result<Permit<'_>, Refusal> {
        let limit = self.limit;
        let queued = Queued::enter(&self.waiting);
        if queued.before >= self.policy.queue {
            return Err(Refusal::QueueFull {
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
            Ok(Ok(permit)) => Ok(permit),
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
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Counts one that waits, also when its future is dropped.
struct Queued<'a> {
    waiting: &'a AtomicU32,
    before: u32,
}

impl<'a> Queued<'a> {
    fn enter(waiting: &'a AtomicU32) -> Self {
        Self { waiting, before: waiting.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
