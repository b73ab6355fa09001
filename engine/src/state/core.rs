//! Store data of core modules: kind 4, and WASI commands with their preview 1 context as `W`.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use hearth_host_api::capture::{BoundedCapture, EventInput};
use hearth_host_api::core_abi::AbiViolation;
use hearth_host_api::core_imports::CoreView;
use hearth_host_api::logging::Level;
use hearth_host_api::preview1::{Preview1, Process};
use wasmtime::Memory;

use super::component::open_directories;
use super::{HasLedger, Ledger, Shared};
use crate::Invocation;
use crate::code::Files;
use crate::invocation::LATEST;
use crate::tail_log::InstanceLog;

/// The preview 1 context of a new instance that is to be made by `deadline`, with `pipes` as its standard input and output if it is a command.
///
/// # Errors
/// When a granted directory cannot be opened; the message names it.
pub(crate) fn preview1_for(
    shared: &Shared,
    log: &InstanceLog,
    deadline: Instant,
    pipes: Option<(EventInput, BoundedCapture)>,
) -> Result<Preview1, String> {
    // A look at the clock less: that is when the deadline was set.
    let began = deadline.checked_sub(shared.limits.initialize_timeout).unwrap_or(deadline);
    let mut process = Process::new(shared.facts.clone(), Arc::new(log.clone()), began);
    if let Some((input, output)) = pipes {
        process = process.pipes(input, output);
    }
    if Files::of(&shared.grants) == Files::None {
        return Ok(Preview1::new(process));
    }
    let mut wasi = process.context();
    open_directories(shared, &mut wasi)?;
    let directories = shared.grants.directories.len();
    Ok(Preview1::with_files(process, wasi.build_p1(), shared.new_tmp().as_ref(), directories))
}

/// Data of one core instance.
#[derive(Debug)]
pub(crate) struct CoreState<W> {
    pub(crate) ledger: Ledger,
    /// The guest's exported memory, found once.
    pub(crate) memory: Option<Memory>,
    /// What the guest said with `hearth.fail`.
    pub(crate) failed: Option<Bytes>,
    /// Whether it may say so now.
    pub(crate) may_fail: bool,
    /// The context as JSON, written when first asked for.
    context: Option<String>,
    /// The WASI context, or nothing.
    pub(crate) wasi: W,
}

impl<W> CoreState<W> {
    pub(crate) fn new(shared: Arc<Shared>, log: InstanceLog, wasi: W, deadline: Instant) -> Self {
        Self {
            ledger: Ledger::new(shared, log, deadline),
            memory: None,
            failed: None,
            may_fail: false,
            context: None,
            wasi,
        }
    }

    /// Forgets the last invocation.
    pub(crate) fn begin(&mut self) {
        self.failed = None;
        self.may_fail = true;
        self.context = None;
    }

    fn write_context(&self) -> String {
        let shared = &self.ledger.shared;
        let invocation = self.ledger.invocation.as_ref();
        let trigger = invocation.and_then(|invocation| invocation.trigger.as_ref());
        serde_json::json!({
            "requestId": invocation.map_or("", |invocation| &invocation.request_id),
            "service": shared.identity.service,
            "function": shared.identity.function,
            "qualifier": invocation.map_or(LATEST, Invocation::qualifier),
            "version": shared.identity.version,
            "memoryLimitBytes": shared.limits.memory_bytes,
            "deadlineMs": self.ledger.deadline_ms(),
            "triggerName": trigger.map(|trigger| &trigger.name),
            "triggerType": trigger.map(|trigger| &trigger.kind),
            "traceParent": invocation.and_then(|invocation| invocation.trace_parent.as_deref()),
            "attempt": invocation.map_or(0, |invocation| invocation.attempt),
        })
        .to_string()
    }
}

impl<W: 'static> HasLedger for CoreState<W> {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }
}

impl<W: Send + 'static> CoreView for CoreState<W> {
    fn log(&mut self, level: Level, message: &str) {
        self.ledger.aimed_log().entry(level, "", message);
    }

    fn fail(&mut self, message: &[u8]) -> Result<(), AbiViolation> {
        if !self.may_fail {
            return Err(AbiViolation::FailOutsideInvocation);
        }
        self.failed = Some(Bytes::copy_from_slice(message));
        Ok(())
    }

    fn context_json(&mut self) -> &str {
        if self.context.is_none() {
            self.context = Some(self.write_context());
        }
        self.context.as_deref().unwrap_or_default()
    }

    fn random(&mut self, buffer: &mut [u8]) {
        rand::Rng::fill_bytes(&mut rand::rng(), buffer);
    }

    fn now_ms(&self) -> i64 {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        i64::try_from(since_epoch.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
    }

    fn memory(&self) -> Option<Memory> {
        self.memory
    }
}
