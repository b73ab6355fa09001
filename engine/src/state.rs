//! What a wasmtime store of ours holds: the bounds and the log of one instance, the facts of the invocation it serves, and
//! behind the host API's views whatever its imports need.
//!
//! "The current invocation" is a plain field that is aimed anew each time: for each invocation where an instance serves one at a time,
//! each time another request runs where it serves several (`tasks.rs`).

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use hearth_host_api::Grants;
use hearth_host_api::caller::FunctionCaller;
use hearth_host_api::config::Settings;
use hearth_host_api::key_value::KeyValue;
use hearth_host_api::memory_fs::Disk;
use hearth_host_api::outgoing_http::{Egress, SystemResolver};
use hearth_host_api::preview1::Facts;
use hearth_host_api::websocket::Connections;
use wasmtime::{Store, StoreContextMut, UpdateDeadline};

use crate::background::Pace;
use crate::cpu_meter;
use crate::fault::Interrupted;
use crate::guest::http::EventHead;
use crate::memory_meter::{MemoryBudget, MemoryMeter};
use crate::roster::Roster;
use crate::tail_log::{InstanceLog, Logged};
use crate::ticker::{TICK, Ticker};
use crate::turn;
use crate::websocket::Switchboard;
use crate::{FunctionSpec, Identity, Invocation, Limits, LogType};

mod component;
mod core;
mod tasks;

pub(crate) use self::component::{ComponentState, wasi_for};
pub(crate) use self::core::{CoreState, preview1_for};
pub(crate) use self::tasks::{Own, Tasks, on_crossing};

/// Longest a call without a fiber runs before it starts over on one: it cannot yield to its neighbours.
pub(crate) const DIRECT_SLICE: Duration = Duration::from_millis(2);

/// What all instances of one revision share.
pub(crate) struct Shared {
    pub(crate) identity: Identity,
    /// What the requests have in common by which it gets events, if it serves HTTP.
    pub(crate) event_head: EventHead,
    /// `service/function`, shared with every log line.
    pub(crate) name: Arc<str>,
    pub(crate) limits: Limits,
    /// Arguments and environment.
    pub(crate) facts: Arc<Facts>,
    pub(crate) settings: Settings,
    pub(crate) grants: Grants,
    /// Outgoing requests of all instances together: their bounds are the function's.
    pub(crate) egress: Arc<Egress>,
    pub(crate) key_value: Arc<dyn KeyValue>,
    pub(crate) caller: Option<Arc<dyn FunctionCaller>>,
    pub(crate) ticker: Arc<Ticker>,
    pub(crate) budget: Arc<MemoryBudget>,
    /// Instances that there are.
    pub(crate) roster: Arc<Roster>,
    /// Whether its calls run long.
    pub(crate) pace: Pace,
    /// Open WebSockets of the function, whatever revision holds them.
    pub(crate) websockets: Arc<Connections>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Environment and settings may hold secrets.
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What the engine gives to every revision it makes.
pub(crate) struct Surroundings<'a> {
    pub(crate) key_value: &'a Arc<dyn KeyValue>,
    pub(crate) caller: Option<&'a Arc<dyn FunctionCaller>>,
    pub(crate) ticker: &'a Arc<Ticker>,
    pub(crate) budget: &'a Arc<MemoryBudget>,
    pub(crate) websockets: &'a Switchboard,
}

impl Shared {
    pub(crate) fn new(spec: &FunctionSpec, around: &Surroundings<'_>) -> Self {
        let arguments = vec![spec.identity.function.clone()];
        Self {
            name: spec.identity.to_string().into(),
            identity: spec.identity.clone(),
            event_head: EventHead::default(),
            limits: spec.limits.clone(),
            facts: Arc::new(Facts::new(arguments, spec.environment.clone())),
            settings: Settings::new(spec.settings.iter().cloned()),
            grants: spec.grants.clone(),
            egress: Egress::new(spec.grants.outgoing_http.clone(), Arc::new(SystemResolver)),
            key_value: around.key_value.clone(),
            caller: around.caller.cloned(),
            ticker: around.ticker.clone(),
            budget: around.budget.clone(),
            roster: Roster::new(around.ticker.presence()),
            pace: Pace::default(),
            websockets: around.websockets.of(&spec.identity),
        }
    }

    /// Aims a log at an invocation.
    pub(crate) fn aim_log(&self, log: &InstanceLog, invocation: &Invocation) {
        let tail_bytes = match invocation.log {
            LogType::Tail => self.limits.tail_log_bytes as usize,
            LogType::None => 0,
        };
        log.begin((&invocation.request_id, &self.name), tail_bytes, self.limits.log_bytes);
    }

    /// The `/tmp` of a new instance, empty, if the function was granted one.
    pub(crate) fn new_tmp(&self) -> Option<Disk> {
        self.grants.tmp.map(|granted| Disk::new(granted.bounds(), self.budget.clone()))
    }
}

/// The account of one instance: what it may use, what it used, whom it serves. Every kind of guest has one.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) shared: Arc<Shared>,
    pub(crate) meter: MemoryMeter,
    /// Where whatever runs now logs.
    pub(crate) log: InstanceLog,
    /// The instance's own log.
    home_log: InstanceLog,
    /// Whether it is still to be aimed at the invocation, of which nothing was logged so far.
    is_log_due: bool,
    pub(crate) invocation: Option<Invocation>,
    /// The requests that it serves at once; none where it serves one at a time.
    tasks: Option<Box<Tasks>>,
    deadline: Instant,
    cpu_time: Option<Duration>,
    /// Set while a call runs without a fiber.
    direct_until: Option<Instant>,
    /// Whether what runs now has run for longer than a tick.
    is_long: bool,
}

impl Ledger {
    /// That of a new instance, which is to be made by `deadline`.
    pub(crate) fn new(shared: Arc<Shared>, log: InstanceLog, deadline: Instant) -> Self {
        Self {
            meter: MemoryMeter::new(&shared.limits, shared.budget.clone()),
            cpu_time: shared.limits.cpu_time,
            shared,
            home_log: log.clone(),
            log,
            is_log_due: false,
            invocation: None,
            tasks: None,
            deadline,
            direct_until: None,
            is_long: false,
        }
    }

    /// Leaves it to the first line to aim the log; then [`aimed_log`](Self::aimed_log) is its only way.
    pub(crate) fn put_off_log(&mut self) {
        self.is_log_due = true;
    }

    /// The log, aimed at the invocation.
    pub(crate) fn aimed_log(&mut self) -> &InstanceLog {
        if std::mem::take(&mut self.is_log_due)
            && let Some(invocation) = &self.invocation
        {
            self.shared.aim_log(&self.log, invocation);
        }
        &self.log
    }

    /// Ends the invocation, of which no import is left that could ask for it, and its log.
    pub(crate) fn end(&mut self) -> Logged {
        // Here, where it is in the caches, and not when the next one takes its place.
        let log = self.invocation.as_ref().map(|invocation| invocation.log);
        self.invocation = None;
        if !std::mem::take(&mut self.is_log_due) {
            return self.log.end();
        }
        let tail = (log == Some(LogType::Tail)).then(Bytes::new);
        Logged { tail, ..Logged::default() }
    }

    /// Arms the time limits of what runs next.
    pub(crate) fn arm(&mut self, deadline: Instant, cpu_time: Option<Duration>) {
        self.deadline = deadline;
        self.cpu_time = cpu_time;
        self.direct_until = None;
        self.is_long = false;
    }

    /// Remembers of a call that has ended whether it ran long.
    pub(crate) fn note_end(&self) {
        if !self.is_long {
            self.shared.pace.note_short();
        }
    }

    /// The same for a call without a fiber.
    pub(crate) fn arm_direct(&mut self, now: Instant, deadline: Instant, cpu: Option<Duration>) {
        self.arm(deadline, cpu);
        self.direct_until = Some((now + DIRECT_SLICE).min(deadline));
    }

    /// When what runs now is ended.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The deadline as a guest is told it, in milliseconds since the Unix epoch.
    pub(crate) fn deadline_ms(&self) -> u64 {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let at = SystemTime::now() + left;
        let since_epoch = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }

    /// Called each tick inside the guest: ends it, or lets others run.
    fn on_tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        let now = Instant::now();
        if self.shared.ticker.is_cancelled() {
            return Err(wasmtime::Error::new(Interrupted::Cancelled));
        }
        if now >= self.deadline {
            return Err(wasmtime::Error::new(Interrupted::Deadline));
        }
        let used = match &mut self.tasks {
            Some(tasks) => tasks.running_cpu(),
            None => cpu_meter::used_now(now),
        };
        if self.cpu_time.is_some_and(|limit| used >= limit) {
            return Err(wasmtime::Error::new(Interrupted::CpuLimit { used }));
        }
        if used >= TICK && !self.is_long {
            self.is_long = true;
            self.shared.pace.note_long();
        }
        match self.direct_until {
            Some(until) if now >= until => Err(wasmtime::Error::new(Interrupted::SliceOver)),
            Some(_) => Ok(UpdateDeadline::Continue(1)),
            None => Ok(UpdateDeadline::YieldCustom(1, Box::pin(turn::wait()))),
        }
    }
}

/// Store data that has a ledger.
pub(crate) trait HasLedger: 'static {
    fn ledger(&self) -> &Ledger;
    fn ledger_mut(&mut self) -> &mut Ledger;
}

/// Makes a store with all bounds set.
pub(crate) fn new_store<T: HasLedger>(engine: &wasmtime::Engine, data: T) -> Store<T> {
    let mut store = Store::new(engine, data);
    store.limiter(|data| &mut data.ledger_mut().meter);
    store.epoch_deadline_callback(|mut context: StoreContextMut<'_, T>| {
        context.data_mut().ledger_mut().on_tick()
    });
    store.set_epoch_deadline(1);
    store
}
