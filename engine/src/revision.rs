//! A function's code and settings at one moment, with the instances of it. Immutable: a change is another revision.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use bytes::Bytes;

use crate::admission::{FunctionDoor, Permit};
use crate::code::Code;
use crate::concurrent::Several;
use crate::engine::EngineInner;
use crate::engine::evicting::Demand;
use crate::instance::{Instance, Retirement, Verdict};
use crate::limits::MIB;
use crate::pool::Pool;
use crate::seat::Seat;
use crate::starts::Counts;
use crate::state::{Shared, Surroundings};
use crate::{
    Fault, FunctionSpec, GuestKind, Isolation, LoadError, LoadReport, PoolPolicy, Refusal,
    StartKind,
};

/// Largest tail that may be asked for.
const TAIL_BYTES_MAX: u64 = MIB;

/// Most invocations that one instance may serve at once.
const CONCURRENCY_MAX: u32 = 1000;

/// Calls on a fiber after one that ran too long without: starting over costs two milliseconds, spread over so many next to nothing.
const FIBER_CALLS: u32 = 10_000;

/// What an invocation runs on.
#[derive(Debug)]
pub(crate) struct Revision {
    pub(crate) shared: Arc<Shared>,
    pub(crate) code: Arc<Code>,
    pub(crate) policy: PoolPolicy,
    pub(crate) pool: Pool,
    pub(crate) door: FunctionDoor,
    pub(crate) load: LoadReport,
    /// Instances that serve several invocations now, where they may.
    pub(crate) several: Option<Several>,
    /// How often it was called lately.
    pub(crate) demand: Demand,
    isolation: Isolation,
    /// Whether an instance that served rests with the right to run.
    parks: bool,
    /// Calls that go on a fiber before one is tried without again.
    on_fiber: AtomicU32,
}

impl Revision {
    /// Checks a spec against its code.
    ///
    /// # Errors
    /// [`LoadError::OverLimit`] when the code needs more from the start than the limits allow, [`LoadError::Setting`] for settings
    /// out of bounds.
    pub(crate) fn new(
        spec: &FunctionSpec,
        code: Arc<Code>,
        load: LoadReport,
        around: &Surroundings<'_>,
    ) -> Result<Self, LoadError> {
        check_settings(spec)?;
        check_needs(spec, &code)?;
        let mut policy = spec.pool.clone();
        policy.min_ready = policy.min_ready.min(policy.max_instances);
        let isolation = if code.kind.is_single_use() { Isolation::Fresh } else { spec.isolation };
        // A WebSocket may have an instance of its own, which cannot be one that others share.
        let is_alone = code.kind != GuestKind::HttpP3 || code.websocket.is_some();
        if is_alone || isolation != Isolation::Reuse {
            policy.concurrency = 1;
        }
        Ok(Self {
            shared: Arc::new(Shared::new(spec, around)),
            several: (policy.concurrency > 1).then(|| Several::new(policy.concurrency)),
            isolation,
            parks: isolation == Isolation::Reuse && policy.concurrency == 1,
            pool: Pool::new(),
            door: FunctionDoor::new(&policy),
            demand: Demand::since(0),
            on_fiber: AtomicU32::new(0),
            policy,
            code,
            load,
        })
    }

    /// The same with code that does the same; figures go on, instances do not.
    pub(crate) fn with(&self, code: Arc<Code>) -> Self {
        Self {
            shared: self.shared.clone(),
            load: LoadReport { tier: code.tier(), ..self.load },
            code,
            several: self.several.as_ref().map(|_| Several::new(self.policy.concurrency)),
            isolation: self.isolation,
            parks: self.parks,
            pool: Pool::after(&self.pool),
            door: FunctionDoor::new(&self.policy),
            demand: Demand::since(self.starts().iter().sum()),
            on_fiber: AtomicU32::new(0),
            policy: self.policy.clone(),
        }
    }

    /// Whether a call may be tried without a fiber.
    pub(crate) fn may_run_direct(&self) -> bool {
        self.code.can_run_direct()
            && self
                .on_fiber
                .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                .is_err()
    }

    /// Whether the next call may; unlike [`may_run_direct`](Self::may_run_direct) it counts nothing.
    pub(crate) fn runs_direct_now(&self) -> bool {
        self.code.can_run_direct() && self.on_fiber.load(Ordering::Relaxed) == 0
    }

    /// Whether a call is to run behind others. An instance that serves several belongs to a task of its own already.
    pub(crate) fn runs_behind(&self) -> bool {
        self.shared.pace.is_long() && self.several.is_none()
    }

    /// Remembers that a call of this function took long. Not for ever: it may have been the machine that was busy.
    pub(crate) fn note_long_run(&self) {
        self.on_fiber.store(FIBER_CALLS, Ordering::Relaxed);
    }

    /// The instance that this thread used last, with the right to run, if it was left with it.
    pub(crate) fn take_parked(&self) -> Option<(Instance, Permit<'_>)> {
        if !self.parks {
            return None;
        }
        self.pool.take_parked().map(|instance| (instance, self.door.resume()))
    }

    /// The right to run for one that may have a seat, if there is one that nobody waits for.
    pub(crate) fn try_enter(&self, seat: Option<&Seat>) -> Option<Option<Permit<'_>>> {
        self.door.try_enter_for(seat).or_else(|| {
            self.pool.settle(&self.door);
            self.door.try_enter_for(seat)
        })
    }

    /// Waits for the right to run until the policy's end or `deadline`.
    pub(crate) async fn queue(&self, deadline: Option<Instant>) -> Result<Permit<'_>, Refusal> {
        let around = (&*self.shared.ticker, &self.pool);
        self.door.queue(&self.shared.name, around, deadline).await
    }

    /// An instance that waits, one that served before if it is to serve again.
    pub(crate) fn take(&self) -> Option<Instance> {
        self.pool.take(self.isolation == Isolation::Reuse, &self.door)
    }

    /// Instances that wait for an invocation.
    pub(crate) fn idle(&self) -> u32 {
        self.pool.settle(&self.door);
        self.pool.idle()
    }

    /// Invocations with the right to run.
    pub(crate) fn running(&self) -> u32 {
        self.pool.settle(&self.door);
        self.door.running()
    }

    /// Instances at work now.
    pub(crate) fn busy(&self) -> u32 {
        match &self.several {
            Some(several) => several.instances(),
            None => self.running(),
        }
    }

    /// What becomes of an instance after this result.
    pub(crate) fn verdict(&self, instance: &Instance, result: &Result<Bytes, Fault>) -> Verdict {
        let is_clean = match result {
            Ok(_) | Err(Fault::Returned { .. }) => true,
            // The guest ended as it should; it only said too much.
            Err(Fault::AnswerTooLarge { .. }) => self.code.can_run_direct(),
            Err(_) => false,
        };
        if instance.ledger().meter.denied().is_some() {
            Verdict::Retire(Retirement::MemoryLimit)
        } else if !is_clean {
            Verdict::Retire(Retirement::Fault)
        } else if self.isolation != Isolation::Reuse {
            Verdict::Retire(Retirement::SingleUse)
        } else if self.policy.uses != 0 && instance.uses >= self.policy.uses {
            Verdict::Retire(Retirement::UsedUp)
        } else {
            Verdict::Keep
        }
    }

    /// Puts an instance to rest after its invocation, with the right to run if it may serve again, or lets it go.
    pub(crate) fn rest(
        &self,
        engine: &EngineInner,
        (instance, permit): (Instance, Option<Permit<'_>>),
        verdict: Verdict,
        now: Instant,
    ) {
        match (verdict, permit) {
            (Verdict::Keep, Some(permit)) if self.parks => {
                permit.keep();
                if self.pool.park(instance, now, &self.door).is_err() {
                    self.pool.count(Retirement::Replaced);
                }
            }
            (verdict, _permit) => self.give_back(engine, instance, verdict, now),
        }
    }

    /// Puts an instance to rest or lets it go.
    pub(crate) fn give_back(
        &self,
        engine: &EngineInner,
        instance: Instance,
        verdict: Verdict,
        now: Instant,
    ) {
        match verdict {
            Verdict::Keep => {
                if self.pool.put(instance, now).is_err() {
                    self.pool.count(Retirement::Replaced);
                }
            }
            Verdict::Retire(why) => {
                engine.keeper.let_go(instance);
                self.pool.count(why);
            }
        }
    }

    /// Whether an instance that ended all its work in good order may serve again.
    pub(crate) fn verdict_of_several(&self, instance: &Instance) -> Verdict {
        if instance.ledger().meter.denied().is_some() {
            Verdict::Retire(Retirement::MemoryLimit)
        } else if self.policy.uses != 0 && instance.uses >= self.policy.uses {
            Verdict::Retire(Retirement::UsedUp)
        } else {
            Verdict::Keep
        }
    }

    pub(crate) fn count_start(&self, start: StartKind) {
        self.pool.count_start(start);
    }

    pub(crate) fn starts(&self) -> Counts {
        self.pool.starts()
    }
}

fn check_settings(spec: &FunctionSpec) -> Result<(), LoadError> {
    let invalid = |setting, why: String| {
        Err(LoadError::Setting { function: spec.identity.to_string(), setting, why })
    };
    if spec.pool.max_instances == 0 {
        return invalid("max_instances", "must be at least 1".to_owned());
    }
    if !(1..=CONCURRENCY_MAX).contains(&spec.pool.concurrency) {
        return invalid("concurrency", format!("must be 1 to {CONCURRENCY_MAX}"));
    }
    if u64::from(spec.limits.tail_log_bytes) > TAIL_BYTES_MAX {
        return invalid("tail_log_bytes", format!("must be at most {TAIL_BYTES_MAX}"));
    }
    if spec.limits.timeout.is_zero() || spec.limits.initialize_timeout.is_zero() {
        return invalid("timeout", "must be longer than 0".to_owned());
    }
    // Kind 4 passes lengths in 32 bits.
    if spec.limits.payload_bytes > u64::from(u32::MAX) {
        return invalid("payload_bytes", format!("must be at most {}", u32::MAX));
    }
    for (name, value) in spec.environment.iter().chain(&spec.settings) {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return invalid(
                "environment",
                format!("variable `{}` has a bad name or value", name.escape_debug()),
            );
        }
    }
    spec.grants.check().or_else(|why| invalid("grants", why.to_string()))
}

fn check_needs(spec: &FunctionSpec, code: &Code) -> Result<(), LoadError> {
    let needs = [
        ("memory bytes", code.memory_minimum, spec.limits.memory_bytes),
        ("memories", code.memories.into(), spec.limits.memories.into()),
        ("tables", code.tables.into(), spec.limits.tables.into()),
    ];
    for (what, declared, limit) in needs {
        if declared > limit {
            let function = spec.identity.to_string();
            return Err(LoadError::OverLimit { function, what, declared, limit });
        }
    }
    Ok(())
}
