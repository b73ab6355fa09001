//! One sandbox: instantiated code with its store, able to serve one invocation at a time.
//!
//! An instance that ended badly is dropped, never called again: only [`Verdict::Keep`] leads back to a pool, and it is made from
//! a clean end alone.

use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;

use crate::code::{Code, Linked};
use crate::fault::CallFailure;
use crate::guest::command::{
    ComponentCommand, CoreCommand, Pipes, component_command_state, core_command_state,
    host_resource,
};
use crate::guest::core::{CoreGuest, Entry};
use crate::guest::event::EventComponent;
use crate::guest::http::{HttpP2, HttpP3};
use crate::guest::snapshot::Initialised;
use crate::guest::websocket::{self, SocketCall};
use crate::roster::Entered;
use crate::state::{ComponentState, CoreState, HasLedger, Ledger, Shared, new_store, preview1_for};
use crate::tail_log::{InstanceLog, Logged};
use crate::work::Work;
use crate::{Fault, Invocation};
use hearth_host_api::preview1::Preview1;
use wasmtime::Store;

/// A guest that can be called.
#[expect(
    clippy::large_enum_variant,
    reason = "the smallest guests are called most, and an instance lies on the heap already"
)]
enum Sandbox {
    Core(CoreGuest<()>),
    CoreWasi(Box<CoreGuest<Preview1>>),
    Command(Box<CoreCommand>),
    ComponentCommand(Box<ComponentCommand>),
    Event(Box<EventComponent>),
    HttpP2(Box<HttpP2>),
    HttpP3(Box<HttpP3>),
}

/// Whom an instance is made for, and when it is to have been made.
pub(crate) struct Birth {
    pub(crate) deadline: Instant,
    /// Taken by the instance.
    pub(crate) owner: Option<Invocation>,
}

/// One instance of a revision; moving it moves a pointer.
pub(crate) struct Instance(Box<Body>);

/// What an instance is made of.
pub(crate) struct Body {
    /// Unique in this process.
    pub(crate) id: u64,
    /// Invocations it has served.
    pub(crate) uses: u32,
    /// When it last became free.
    pub(crate) idle_since: Instant,
    /// Whether its hook for resting ran since it last served.
    pub(crate) is_frozen: bool,
    pub(crate) log: InstanceLog,
    sandbox: Sandbox,
    /// Dropped last: by then what it took is free.
    _entered: Entered,
}

impl Deref for Instance {
    type Target = Body;

    fn deref(&self) -> &Body {
        &self.0
    }
}

impl DerefMut for Instance {
    fn deref_mut(&mut self) -> &mut Body {
        &mut self.0
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("id", &self.id)
            .field("uses", &self.uses)
            .finish_non_exhaustive()
    }
}

/// What becomes of an instance after an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It serves again.
    Keep,
    /// It goes, and why.
    Retire(Retirement),
}

impl Verdict {
    /// Whether it may go on serving the one it serves, though maybe nobody else.
    pub(crate) fn may_go_on(self) -> bool {
        match self {
            Self::Keep => true,
            Self::Retire(why) => matches!(why, Retirement::SingleUse | Retirement::UsedUp),
        }
    }
}

/// Why an instance went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retirement {
    /// Its invocation ended in a fault that leaves it in an unknown state.
    Fault,
    /// It was denied memory.
    MemoryLimit,
    /// Its invocation was dropped before it ended.
    Cancelled,
    /// It serves one invocation only.
    SingleUse,
    /// It served as often as it may.
    UsedUp,
    /// Nobody called for a while.
    Idle,
    /// Its memory was needed for another.
    Evicted,
    /// Its code was replaced.
    Replaced,
    /// It ran too long without a fiber.
    Restarted,
}

impl Retirement {
    pub(crate) const ALL: [Self; 9] = [
        Self::Fault,
        Self::MemoryLimit,
        Self::Cancelled,
        Self::SingleUse,
        Self::UsedUp,
        Self::Idle,
        Self::Evicted,
        Self::Replaced,
        Self::Restarted,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::MemoryLimit => "memory_limit",
            Self::Cancelled => "cancelled",
            Self::SingleUse => "single_use",
            Self::UsedUp => "used_up",
            Self::Idle => "idle",
            Self::Evicted => "evicted",
            Self::Replaced => "replaced",
            Self::Restarted => "restarted",
        }
    }
}

impl Instance {
    /// Makes an instance and runs what it wants to run before its first event.
    pub(crate) async fn start(
        code: &Code,
        shared: &Arc<Shared>,
        log: InstanceLog,
        birth: &mut Birth,
    ) -> Result<Self, CallFailure> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let sandbox = start_sandbox(code, shared, &log, birth).await?;
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut instance = Self(Box::new(Body {
            id,
            uses: 0,
            idle_since: Instant::now(),
            is_frozen: false,
            log,
            sandbox,
            _entered: shared.roster.enter(id),
        }));
        instance.ledger_mut().meter.started();
        Ok(instance)
    }

    /// The account in its store.
    pub(crate) fn ledger(&self) -> &Ledger {
        match &self.sandbox {
            Sandbox::Core(guest) => guest.store.data().ledger(),
            Sandbox::CoreWasi(guest) => guest.store.data().ledger(),
            Sandbox::Command(guest) => guest.store.data().ledger(),
            Sandbox::ComponentCommand(guest) => guest.store.data().ledger(),
            Sandbox::Event(guest) => guest.store.data().ledger(),
            Sandbox::HttpP2(guest) => guest.store.data().ledger(),
            Sandbox::HttpP3(guest) => guest.store.data().ledger(),
        }
    }

    /// The same, to change it.
    pub(crate) fn ledger_mut(&mut self) -> &mut Ledger {
        match &mut self.sandbox {
            Sandbox::Core(guest) => guest.store.data_mut().ledger_mut(),
            Sandbox::CoreWasi(guest) => guest.store.data_mut().ledger_mut(),
            Sandbox::Command(guest) => guest.store.data_mut().ledger_mut(),
            Sandbox::ComponentCommand(guest) => guest.store.data_mut().ledger_mut(),
            Sandbox::Event(guest) => guest.store.data_mut().ledger_mut(),
            Sandbox::HttpP2(guest) => guest.store.data_mut().ledger_mut(),
            Sandbox::HttpP3(guest) => guest.store.data_mut().ledger_mut(),
        }
    }

    /// Ends what it served; returns what was logged.
    pub(crate) fn end(&mut self) -> Logged {
        match &self.sandbox {
            Sandbox::Core(_) => self.ledger_mut().end(),
            _ => self.log.end(),
        }
    }

    /// Calls a guest of kind 4 whose imports cannot block on the caller's stack; none for any other.
    pub(crate) fn call_direct(
        &mut self,
        event: &[u8],
        limit: u64,
    ) -> Option<Result<Bytes, CallFailure>> {
        let Sandbox::Core(guest) = &mut self.sandbox else { return None };
        // Pinned where it is made: passed on it would be copied, which takes longer than a small guest does.
        let call = pin!(guest.call(Entry::Direct, event, limit));
        match call.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(called) => Some(called),
            // Without a fiber there is nothing to wait on.
            Poll::Pending => None,
        }
    }

    /// Calls the guest.
    pub(crate) async fn call(&mut self, work: Work, limit: u64) -> Result<Bytes, CallFailure> {
        let work = match work {
            Work::WebSocket(call) => return Box::pin(self.tell(*call)).await,
            work => work,
        };
        let event = match (&mut self.sandbox, work) {
            // Boxed, or every call of a small guest would carry room for the largest.
            (Sandbox::HttpP2(guest), work) => return Box::pin(guest.call(work, limit)).await,
            (Sandbox::HttpP3(guest), work) => return Box::pin(guest.call(work, limit)).await,
            (_, Work::Event(event)) => event,
            (_, Work::Http(_) | Work::WebSocket(_)) => return Err(CallFailure::Fault(no_http())),
        };
        match &mut self.sandbox {
            Sandbox::Core(guest) => guest.call(Entry::Fiber, &event, limit).await,
            Sandbox::CoreWasi(guest) => guest.call(Entry::Fiber, &event, limit).await,
            Sandbox::Command(guest) => Box::pin(guest.call(event, limit)).await,
            Sandbox::ComponentCommand(guest) => Box::pin(guest.call(event, limit)).await,
            Sandbox::Event(guest) => Box::pin(guest.call(&event, limit)).await,
            Sandbox::HttpP2(_) | Sandbox::HttpP3(_) => Err(CallFailure::Fault(no_http())),
        }
    }

    /// The guest, if it can serve several invocations at once.
    pub(crate) fn several(&mut self) -> Option<&mut HttpP3> {
        match &mut self.sandbox {
            Sandbox::HttpP3(guest) => Some(guest),
            _ => None,
        }
    }

    /// Tells the guest what happened on a WebSocket.
    async fn tell(&mut self, call: SocketCall) -> Result<Bytes, CallFailure> {
        let (store, guest) = match &mut self.sandbox {
            Sandbox::Event(guest) => (&mut guest.store, &guest.websocket),
            Sandbox::HttpP2(guest) => (&mut guest.store, &guest.websocket),
            Sandbox::HttpP3(guest) => (&mut guest.store, &guest.websocket),
            _ => return Err(CallFailure::Fault(no_websocket())),
        };
        match guest {
            Some(guest) => websocket::call(store, guest, call).await,
            None => Err(CallFailure::Fault(no_websocket())),
        }
    }

    /// New code, whose instances begin where this one is; `code` is what its own was instrumented from.
    ///
    /// # Errors
    /// What of its state cannot be carried over.
    pub(crate) async fn snapshot(&mut self, code: &[u8]) -> Result<Vec<u8>, String> {
        match &mut self.sandbox {
            Sandbox::Core(guest) => guest.source().snapshot(code).await,
            Sandbox::CoreWasi(guest) => guest.source().snapshot(code).await,
            Sandbox::Event(guest) => guest.source().snapshot(code).await,
            Sandbox::Command(_)
            | Sandbox::ComponentCommand(_)
            | Sandbox::HttpP2(_)
            | Sandbox::HttpP3(_) => Err("it has no initializer".to_owned()),
        }
    }

    /// Whether the guest exports hooks for resting and stopping.
    pub(crate) fn has_hooks(&self) -> bool {
        matches!(&self.sandbox, Sandbox::Event(guest) if guest.has_hooks())
    }

    /// Runs the hook for resting.
    pub(crate) async fn pre_freeze(&mut self) -> Result<(), CallFailure> {
        match &mut self.sandbox {
            Sandbox::Event(guest) => guest.pre_freeze().await,
            _ => Ok(()),
        }
    }

    /// Runs the hook for stopping.
    pub(crate) async fn pre_stop(&mut self) -> Result<(), CallFailure> {
        match &mut self.sandbox {
            Sandbox::Event(guest) => guest.pre_stop().await,
            _ => Ok(()),
        }
    }
}

fn no_websocket() -> Fault {
    Fault::BadAbi { why: "it exports no handler of WebSockets".to_owned() }
}

fn no_http() -> Fault {
    Fault::BadAbi { why: "it exports no handler of HTTP requests".to_owned() }
}

async fn start_sandbox(
    code: &Code,
    shared: &Arc<Shared>,
    log: &InstanceLog,
    birth: &mut Birth,
) -> Result<Sandbox, CallFailure> {
    // Stores are made by plain functions: what those move about would have a place in this future as well.
    let (making, sockets) = (Making { engine: &code.engine, shared, log }, code.websocket.as_ref());
    match &code.linked {
        Linked::Core(pre, exports) => {
            let guest = CoreGuest::start(making.plain(birth), pre, exports).await?;
            Ok(Sandbox::Core(guest))
        }
        Linked::CoreWasi(pre, exports) => {
            let guest = CoreGuest::start(making.with_wasi(birth)?, pre, exports).await?;
            Ok(Sandbox::CoreWasi(Box::new(guest)))
        }
        Linked::Command(pre) => {
            let (store, pipes) = making.command(birth)?;
            let guest = CoreCommand::start(store, pre, pipes).await?;
            Ok(Sandbox::Command(Box::new(guest)))
        }
        Linked::ComponentCommand(pre) => {
            let (store, pipes) = making.component_command(birth)?;
            let guest = ComponentCommand::start(store, pre, pipes).await?;
            Ok(Sandbox::ComponentCommand(Box::new(guest)))
        }
        Linked::Event(pre, exports) => {
            let store = making.component(birth)?;
            let guest =
                EventComponent::start(store, pre, exports, sockets, code.is_initialised).await?;
            Ok(Sandbox::Event(Box::new(guest)))
        }
        Linked::HttpP2(pre) => {
            let guest = HttpP2::start(making.component(birth)?, pre, sockets).await?;
            Ok(Sandbox::HttpP2(Box::new(guest)))
        }
        Linked::HttpP3(pre) => {
            let guest = HttpP3::start(making.component(birth)?, pre, sockets).await?;
            Ok(Sandbox::HttpP3(Box::new(guest)))
        }
    }
}

/// Makes the store of a new instance.
struct Making<'a> {
    engine: &'a wasmtime::Engine,
    shared: &'a Arc<Shared>,
    log: &'a InstanceLog,
}

impl Making<'_> {
    fn plain(&self, birth: &mut Birth) -> Store<CoreState<()>> {
        let state = CoreState::new(self.shared.clone(), self.log.clone(), (), birth.deadline);
        self.store(state, birth)
    }

    fn with_wasi(&self, birth: &mut Birth) -> Result<Store<CoreState<Preview1>>, CallFailure> {
        let wasi = preview1_for(self.shared, self.log, birth.deadline, None);
        let wasi = wasi.map_err(host_resource)?;
        let state = CoreState::new(self.shared.clone(), self.log.clone(), wasi, birth.deadline);
        Ok(self.store(state, birth))
    }

    fn command(
        &self,
        birth: &mut Birth,
    ) -> Result<(Store<CoreState<Preview1>>, Pipes), CallFailure> {
        let (state, pipes) = core_command_state(self.shared, self.log.clone(), birth.deadline)?;
        Ok((self.store(state, birth), pipes))
    }

    fn component_command(
        &self,
        birth: &mut Birth,
    ) -> Result<(Store<ComponentState>, Pipes), CallFailure> {
        let state = component_command_state(self.shared, self.log.clone(), birth.deadline);
        let (state, pipes) = state?;
        Ok((self.of_component(state, birth), pipes))
    }

    fn component(&self, birth: &mut Birth) -> Result<Store<ComponentState>, CallFailure> {
        let (shared, log) = (self.shared.clone(), self.log.clone());
        let state = ComponentState::new(shared, log, birth.deadline).map_err(host_resource)?;
        Ok(self.of_component(state, birth))
    }

    fn of_component(&self, state: ComponentState, birth: &mut Birth) -> Store<ComponentState> {
        let mut store = self.store(state, birth);
        store.set_max_component_handles(HANDLES_MAX);
        let fuel = self.shared.limits.answer_bytes.saturating_add(CALL_BYTES_BESIDE_ANSWER);
        store.set_hostcall_fuel(usize::try_from(fuel).unwrap_or(usize::MAX));
        store
    }

    fn store<T: HasLedger>(&self, state: T, birth: &mut Birth) -> Store<T> {
        let mut store = new_store(self.engine, state);
        store.data_mut().ledger_mut().invocation = birth.owner.take();
        store
    }
}

/// Handles of components that one guest may hold; wasmtime's default is 100,000.
const HANDLES_MAX: usize = 4096;

/// Bytes a guest may pass in one call beyond its answer.
const CALL_BYTES_BESIDE_ANSWER: u64 = 2 << 20;
