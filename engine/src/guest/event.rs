//! Calls event components: those that export `hearth:function/handler`, with their lifecycle hooks.

use bytes::Bytes;
use hearth_host_api::bindings::{Context, EventExports, EventGuest, FunctionError, websocket};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::Fault;
use crate::fault::{CallFailure, bounded};
use crate::guest::snapshot::ComponentSource;
use crate::invocation::LATEST;
use crate::state::{ComponentState, HasLedger};

/// Lines kept of the stack that a guest reports.
const STACK_LINES_MAX: usize = 32;

/// One instance of an event component.
pub(crate) struct EventComponent {
    pub(crate) store: Store<ComponentState>,
    instance: Instance,
    guest: EventGuest,
    pub(crate) websocket: Option<websocket::Guest>,
}

impl std::fmt::Debug for EventComponent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventComponent").field("guest", &self.guest).finish_non_exhaustive()
    }
}

/// What the context record borrows from, so that it can be lowered while the store is in use.
pub(super) struct Facts {
    shared: std::sync::Arc<crate::state::Shared>,
    request_id: crate::RequestId,
    qualifier: Option<std::sync::Arc<str>>,
    trigger: Option<crate::TriggerFacts>,
    trace_parent: Option<std::sync::Arc<str>>,
    deadline_ms: u64,
    attempt: u32,
}

impl Facts {
    pub(super) fn of(state: &ComponentState) -> Self {
        let ledger = state.ledger();
        let invocation = ledger.invocation.as_ref();
        Self {
            request_id: invocation.map(|asked| asked.request_id.clone()).unwrap_or_default(),
            qualifier: invocation.and_then(|invocation| invocation.qualifier.clone()),
            trigger: invocation.and_then(|invocation| invocation.trigger.clone()),
            trace_parent: invocation.and_then(|invocation| invocation.trace_parent.clone()),
            attempt: invocation.map_or(0, |invocation| invocation.attempt),
            deadline_ms: ledger.deadline_ms(),
            shared: ledger.shared.clone(),
        }
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context {
            request_id: &self.request_id,
            service: &self.shared.identity.service,
            function: &self.shared.identity.function,
            qualifier: self.qualifier.as_deref().unwrap_or(LATEST),
            version: &self.shared.identity.version,
            memory_limit_bytes: self.shared.limits.memory_bytes,
            deadline_ms: self.deadline_ms,
            trigger_name: self.trigger.as_ref().map(|trigger| trigger.name.as_str()),
            trigger_type: self.trigger.as_ref().map(|trigger| trigger.kind.as_str()),
            trace_parent: self.trace_parent.as_deref(),
            attempt: self.attempt,
        }
    }
}

impl EventComponent {
    /// Makes an instance and runs its `initialize`, unless the code is of an instance where it has run.
    pub(crate) async fn start(
        mut store: Store<ComponentState>,
        pre: &InstancePre<ComponentState>,
        exports: &EventExports,
        websocket: Option<&websocket::GuestIndices>,
        is_initialised: bool,
    ) -> Result<Self, CallFailure> {
        let instance = pre.instantiate_async(&mut store).await?;
        let guest = exports.load(&mut store, &instance)?;
        let websocket = websocket.map(|found| found.load(&mut store, &instance)).transpose()?;
        if let Some(initializer) = &guest.initializer
            && !is_initialised
        {
            let facts = Facts::of(store.data());
            // Boxed, or every start would carry room for it.
            Box::pin(initializer.call_initialize(&mut store, facts.context()))
                .await?
                .map_err(|error| CallFailure::Fault(returned(&error)))?;
        }
        Ok(Self { store, instance, guest, websocket })
    }

    /// Its state, to be read.
    pub(crate) fn source(&mut self) -> ComponentSource<'_> {
        ComponentSource { store: &mut self.store, instance: self.instance }
    }

    /// Serves one event.
    pub(crate) async fn call(
        &mut self,
        event: &[u8],
        limit_bytes: u64,
    ) -> Result<Bytes, CallFailure> {
        self.store.set_epoch_deadline(1);
        let facts = Facts::of(self.store.data());
        let answer =
            self.guest.handler.call_handle(&mut self.store, event, facts.context()).await?;
        let answer = answer.map_err(|error| CallFailure::Fault(returned(&error)))?;
        let size_bytes = answer.len() as u64;
        if size_bytes > limit_bytes {
            return Err(CallFailure::Fault(Fault::AnswerTooLarge { limit_bytes, size_bytes }));
        }
        Ok(answer.into())
    }

    /// Whether it wants to know before it rests or goes.
    pub(crate) fn has_hooks(&self) -> bool {
        self.guest.pre_freeze.is_some() || self.guest.pre_stop.is_some()
    }

    /// Runs `pre-freeze`, if it is exported.
    pub(crate) async fn pre_freeze(&mut self) -> Result<(), CallFailure> {
        let Some(hook) = &self.guest.pre_freeze else { return Ok(()) };
        self.store.set_epoch_deadline(1);
        let facts = Facts::of(self.store.data());
        Ok(hook.call_pre_freeze(&mut self.store, facts.context()).await?)
    }

    /// Runs `pre-stop`, if it is exported.
    pub(crate) async fn pre_stop(&mut self) -> Result<(), CallFailure> {
        let Some(hook) = &self.guest.pre_stop else { return Ok(()) };
        self.store.set_epoch_deadline(1);
        let facts = Facts::of(self.store.data());
        Ok(hook.call_pre_stop(&mut self.store, facts.context()).await?)
    }
}

pub(super) fn returned(error: &FunctionError) -> Fault {
    Fault::Returned {
        kind: Some(bounded(&error.kind)),
        message: bounded(&error.message),
        stack: error.stack.iter().take(STACK_LINES_MAX).map(|line| bounded(line)).collect(),
    }
}
