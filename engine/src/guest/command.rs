//! Calls WASI commands: the event on standard input, the answer from standard output, one instance a call.
//!
//! Instances can be made before their event is known: input and output are handles into which the event is put, and from
//! which the answer is taken, later.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hearth_host_api::capture::{BoundedCapture, EventInput};
use hearth_host_api::preview1::Preview1;
use wasmtime::{InstancePre, Store, TypedFunc};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::{Command, CommandPre};

use crate::Fault;
use crate::fault::CallFailure;
use crate::state::{ComponentState, CoreState, Shared, preview1_for, wasi_for};
use crate::tail_log::InstanceLog;

/// Standard input and output of one command.
#[derive(Debug)]
pub(crate) struct Pipes {
    input: EventInput,
    output: BoundedCapture,
}

impl Pipes {
    fn new(shared: &Shared) -> Self {
        let limit = usize::try_from(shared.limits.answer_bytes).unwrap_or(usize::MAX);
        Self { input: EventInput::new(Bytes::new()), output: BoundedCapture::new(limit) }
    }

    fn answer(&self, limit_bytes: u64) -> Result<Bytes, CallFailure> {
        let (answer, size_bytes) = self.output.take();
        if size_bytes > limit_bytes {
            return Err(CallFailure::Fault(Fault::AnswerTooLarge { limit_bytes, size_bytes }));
        }
        Ok(answer)
    }
}

/// One instance of a core module with `_start`.
pub(crate) struct CoreCommand {
    pub(crate) store: Store<CoreState<Preview1>>,
    start: TypedFunc<(), ()>,
    pipes: Pipes,
}

/// Store data for a core command, and the pipes its context is connected to.
pub(crate) fn core_command_state(
    shared: &Arc<Shared>,
    log: InstanceLog,
    deadline: Instant,
) -> Result<(CoreState<Preview1>, Pipes), CallFailure> {
    let pipes = Pipes::new(shared);
    let ends = (pipes.input.clone(), pipes.output.clone());
    let wasi = preview1_for(shared, &log, deadline, Some(ends)).map_err(host_resource)?;
    Ok((CoreState::new(shared.clone(), log, wasi, deadline), pipes))
}

impl CoreCommand {
    pub(crate) async fn start(
        mut store: Store<CoreState<Preview1>>,
        pre: &InstancePre<CoreState<Preview1>>,
        pipes: Pipes,
    ) -> Result<Self, CallFailure> {
        let instance = pre.instantiate_async(&mut store).await?;
        let start = instance.get_typed_func(&mut store, "_start")?;
        Ok(Self { store, start, pipes })
    }

    pub(crate) async fn call(&mut self, event: Bytes, limit: u64) -> Result<Bytes, CallFailure> {
        self.pipes.input.set(event);
        self.store.set_epoch_deadline(1);
        match self.start.call_async(&mut self.store, ()).await {
            Ok(()) => self.pipes.answer(limit),
            // `exit(0)` is how a command says that all is well.
            Err(error) if matches!(error.downcast_ref(), Some(I32Exit(0))) => {
                self.pipes.answer(limit)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// One instance of a component exporting `wasi:cli/run`.
pub(crate) struct ComponentCommand {
    pub(crate) store: Store<ComponentState>,
    command: Command,
    pipes: Pipes,
}

/// Store data for a component command, and its pipes.
pub(crate) fn component_command_state(
    shared: &Arc<Shared>,
    log: InstanceLog,
    deadline: Instant,
) -> Result<(ComponentState, Pipes), CallFailure> {
    let pipes = Pipes::new(shared);
    let mut wasi = wasi_for(shared, &log).map_err(host_resource)?;
    wasi.stdin(pipes.input.clone()).stdout(pipes.output.clone());
    Ok((ComponentState::with_wasi(shared.clone(), log, Some(wasi), deadline), pipes))
}

impl ComponentCommand {
    pub(crate) async fn start(
        mut store: Store<ComponentState>,
        pre: &CommandPre<ComponentState>,
        pipes: Pipes,
    ) -> Result<Self, CallFailure> {
        let command = pre.instantiate_async(&mut store).await?;
        Ok(Self { store, command, pipes })
    }

    pub(crate) async fn call(&mut self, event: Bytes, limit: u64) -> Result<Bytes, CallFailure> {
        self.pipes.input.set(event);
        self.store.set_epoch_deadline(1);
        match self.command.wasi_cli_run().call_run(&mut self.store).await {
            Ok(Ok(())) => self.pipes.answer(limit),
            Ok(Err(())) => Err(CallFailure::Fault(Fault::Exited { code: 1 })),
            Err(error) if matches!(error.downcast_ref(), Some(I32Exit(0))) => {
                self.pipes.answer(limit)
            }
            Err(error) => Err(error.into()),
        }
    }
}

pub(crate) fn host_resource(why: String) -> CallFailure {
    CallFailure::Fault(Fault::HostResource { why })
}
