//! From wasmtime's error to the fault that the caller is told: one place decides what a guest did wrong.
//!
//! Backtraces are bounded in frames and in bytes of each name, because both are the guest's to choose.

use std::time::Duration;

use hearth_host_api::core_abi::AbiViolation;
use hearth_host_api::core_imports::GuestAbort;
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::memory_meter::Denied;
use crate::{Fault, Frame};

/// Frames kept of a backtrace.
pub(crate) const FRAMES_MAX: usize = 32;

/// Bytes kept of a function's name.
const NAME_BYTES_MAX: usize = 256;

/// Bytes kept of any message that a guest had a hand in.
const MESSAGE_BYTES_MAX: usize = 4096;

/// Why the engine itself ended a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Interrupted {
    #[error("its deadline passed")]
    Deadline,
    #[error("its CPU limit was reached")]
    CpuLimit { used: Duration },
    #[error("it was cancelled")]
    Cancelled,
    /// Not the end: a call without a fiber ran longer than it may and starts over on one.
    #[error("it ran too long for a call without a fiber")]
    SliceOver,
}

/// How a call into a guest ended, if not with an answer.
#[derive(Debug)]
pub(crate) enum CallFailure {
    /// wasmtime ended it.
    Ended(wasmtime::Error),
    /// The host found a fault by itself.
    Fault(Fault),
    /// The engine ended it from outside.
    Interrupted(Interrupted),
}

impl From<wasmtime::Error> for CallFailure {
    fn from(error: wasmtime::Error) -> Self {
        match error.downcast_ref::<Interrupted>() {
            Some(interrupted) => Self::Interrupted(*interrupted),
            None => Self::Ended(error),
        }
    }
}

impl From<AbiViolation> for CallFailure {
    fn from(violation: AbiViolation) -> Self {
        Self::Fault(Fault::BadAbi { why: violation.to_string() })
    }
}

/// The time limits that applied, for the figures of a fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeLimits {
    pub(crate) timeout: Duration,
    pub(crate) cpu_time: Option<Duration>,
    pub(crate) is_initializing: bool,
}

/// The fault that a failure is, given the growth of memory that was denied last.
pub(crate) fn classify(failure: CallFailure, denied: Option<Denied>, times: TimeLimits) -> Fault {
    match failure {
        CallFailure::Fault(fault) => fault,
        CallFailure::Interrupted(interrupted) => interrupted_fault(interrupted, times),
        CallFailure::Ended(error) => ended(&error, denied),
    }
}

fn interrupted_fault(interrupted: Interrupted, times: TimeLimits) -> Fault {
    match interrupted {
        Interrupted::Deadline | Interrupted::SliceOver if times.is_initializing => {
            Fault::InitializeTimeout { limit: times.timeout }
        }
        Interrupted::Deadline | Interrupted::SliceOver => Fault::Timeout { limit: times.timeout },
        Interrupted::CpuLimit { used } => {
            Fault::CpuLimit { limit: times.cpu_time.unwrap_or(used), used }
        }
        Interrupted::Cancelled => Fault::Cancelled,
    }
}

fn ended(error: &wasmtime::Error, denied: Option<Denied>) -> Fault {
    if let Some(violation) = error.downcast_ref::<AbiViolation>() {
        return Fault::BadAbi { why: violation.to_string() };
    }
    // A guest that was denied memory fails in a way of its own choosing: a trap, an abort, an exit.
    if let Some(denied) = denied.or_else(|| error.downcast_ref().copied()) {
        return memory_fault(denied);
    }
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        return Fault::Exited { code: *code };
    }
    let backtrace = frames(error);
    if let Some(abort) = error.downcast_ref::<GuestAbort>() {
        return Fault::Trap { message: bounded(&abort.to_string()), backtrace };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => Fault::StackOverflow { backtrace },
        Some(Trap::Interrupt) => Fault::Cancelled,
        Some(trap) => Fault::Trap { message: trap.to_string(), backtrace },
        None => without_trap(error, backtrace),
    }
}

/// Errors of host functions: most are bounds on host resources, which wasmtime reports by text alone.
fn without_trap(error: &wasmtime::Error, backtrace: Vec<Frame>) -> Fault {
    let cause = error.root_cause().to_string();
    let is_resource = [
        "fuel allocated for hostcalls",
        "resource table",
        "too many handles",
        "max_size",
        "random",
    ]
    .iter()
    .any(|sign| cause.contains(sign));
    if is_resource {
        Fault::HostResource { why: bounded(&cause) }
    } else {
        Fault::Trap { message: bounded(&cause), backtrace }
    }
}

fn memory_fault(denied: Denied) -> Fault {
    match denied {
        Denied::Limit { limit, held, wanted } | Denied::Budget { limit, held, wanted } => {
            Fault::MemoryLimit { limit_bytes: limit, held_bytes: held, wanted_bytes: wanted }
        }
        Denied::Table { .. } => Fault::HostResource { why: denied.to_string() },
    }
}

fn frames(error: &wasmtime::Error) -> Vec<Frame> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    backtrace
        .frames()
        .iter()
        .take(FRAMES_MAX)
        .map(|frame| Frame {
            function: match frame.func_name() {
                Some(name) => {
                    prefix(&format!("{:#}", rustc_demangle::demangle(name)), NAME_BYTES_MAX)
                }
                None => format!("wasm function {}", frame.func_index()),
            },
            offset: frame.module_offset().map(|offset| offset as u64),
        })
        .collect()
}

/// At most [`MESSAGE_BYTES_MAX`] of a message.
pub(crate) fn bounded(message: &str) -> String {
    prefix(message, MESSAGE_BYTES_MAX)
}

fn prefix(text: &str, limit: usize) -> String {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}
