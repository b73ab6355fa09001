//! What comes of an invocation that ran: an answer or a fault, the tail log and the report.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::Report;

/// What came of one invocation. The guest ran, well or badly; refusals and failures are [`InvokeError`](crate::InvokeError).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// The guest's answer, or what it did wrong.
    pub result: Result<Bytes, Fault>,
    /// The last bytes it logged, if [`LogType::Tail`](crate::LogType::Tail) was asked for. Valid UTF-8.
    pub tail_log: Option<Bytes>,
    /// What it used.
    pub report: Report,
}

/// One frame of a guest's backtrace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// The function's demangled name, or `wasm function N` where the module has no names. At most 256 bytes.
    pub function: String,
    /// Byte offset of the instruction in the module, if known.
    pub offset: Option<u64>,
}

/// What a guest did wrong. Each carries the figures that explain it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The guest trapped: an `unreachable`, an out-of-bounds access, a division by zero.
    #[error("trapped: {message}")]
    Trap {
        /// What kind of trap.
        message: String,
        /// Innermost first, at most 32 frames.
        backtrace: Vec<Frame>,
    },
    /// The wall-clock limit was reached.
    #[error("timed out after {} ms", .limit.as_millis())]
    Timeout {
        /// The limit.
        limit: Duration,
    },
    /// Making the instance ready took longer than its limit.
    #[error("initialization timed out after {} ms", .limit.as_millis())]
    InitializeTimeout {
        /// The limit.
        limit: Duration,
    },
    /// The CPU limit was reached.
    #[error("used {} ms of CPU time; the limit is {} ms", .used.as_millis(), .limit.as_millis())]
    CpuLimit {
        /// The limit.
        limit: Duration,
        /// What it had used when it was ended.
        used: Duration,
    },
    /// Memory was denied and the guest failed because of it.
    #[error(
        "exceeded its memory limit of {limit_bytes} bytes (held {held_bytes}, wanted {wanted_bytes} more)"
    )]
    MemoryLimit {
        /// The limit.
        limit_bytes: u64,
        /// What the instance held.
        held_bytes: u64,
        /// What it asked for on top.
        wanted_bytes: u64,
    },
    /// Calls nested too deep.
    #[error("overflowed its stack")]
    StackOverflow {
        /// Innermost first, at most 32 frames.
        backtrace: Vec<Frame>,
    },
    /// The guest broke the rules of its binary interface.
    #[error("broke the calling convention: {why}")]
    BadAbi {
        /// Which rule, with the figures.
        why: String,
    },
    /// The answer is larger than allowed.
    #[error("answered {size_bytes} bytes; the limit is {limit_bytes}")]
    AnswerTooLarge {
        /// The limit.
        limit_bytes: u64,
        /// What it answered, or at least that much.
        size_bytes: u64,
    },
    /// The guest exited with a code other than 0.
    #[error("exited with code {code}")]
    Exited {
        /// The exit code.
        code: i32,
    },
    /// The guest reported an error of its own. It is in good order and its instance stays.
    #[error("returned an error: {message}")]
    Returned {
        /// A stable name, if it gave one.
        kind: Option<String>,
        /// Its message.
        message: String,
        /// Where, innermost first; at most 32 lines.
        stack: Vec<String>,
    },
    /// The guest held or asked for more of a host resource than allowed: handles, bytes in one host call, random bytes.
    #[error("used more of a host resource than allowed: {why}")]
    HostResource {
        /// Which one, with the figures where known.
        why: String,
    },
    /// Its instance served several invocations at once, and another of them was its end.
    #[error("lost its instance to another invocation of it that {why}")]
    InstanceLost {
        /// What the other did.
        why: String,
    },
    /// The invocation was stopped from outside by its owner.
    #[error("cancelled")]
    Cancelled,
}

impl Fault {
    /// The name of the fault in metrics and records.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Trap { .. } => "trap",
            Self::Timeout { .. } => "timeout",
            Self::InitializeTimeout { .. } => "initialize_timeout",
            Self::CpuLimit { .. } => "cpu_limit",
            Self::MemoryLimit { .. } => "memory_limit",
            Self::StackOverflow { .. } => "stack_overflow",
            Self::BadAbi { .. } => "bad_abi",
            Self::AnswerTooLarge { .. } => "answer_too_large",
            Self::Exited { .. } => "exited",
            Self::Returned { .. } => "returned",
            Self::HostResource { .. } => "host_resource",
            Self::InstanceLost { .. } => "instance_lost",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the guest itself reported this in good order.
    pub fn is_handled(&self) -> bool {
        matches!(self, Self::Returned { .. })
    }

    /// What the owner of the function can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Trap { .. } => {
                "look at the backtrace and the tail log; the guest hit a bug of its own"
            }
            Self::Timeout { .. } => {
                "raise the function's timeout, or make the guest do less per event"
            }
            Self::InitializeTimeout { .. } => {
                "raise the initialization timeout, or do less in `initialize`"
            }
            Self::CpuLimit { .. } => {
                "raise the function's CPU limit, or make the guest do less per event"
            }
            Self::MemoryLimit { .. } => "raise the function's memory size, or look for a leak",
            Self::StackOverflow { .. } => "look for unbounded recursion in the backtrace",
            Self::BadAbi { .. } => "compare the guest with docs/core-abi.md",
            Self::AnswerTooLarge { .. } => {
                "answer less, or put the answer where the caller can fetch it"
            }
            Self::Exited { .. } => "look at the tail log for why the guest exited",
            Self::Returned { .. } => "the guest reported this itself",
            Self::HostResource { .. } => {
                "ask for less at once: fewer handles, smaller tables, data in smaller pieces"
            }
            Self::InstanceLost { .. } => {
                "look at what the other invocation did; with a concurrency of 1 it would have been alone"
            }
            Self::Cancelled => "the invocation was stopped on request",
        }
    }

    /// Frames of the backtrace, empty where there is none.
    pub fn backtrace(&self) -> &[Frame] {
        match self {
            Self::Trap { backtrace, .. } | Self::StackOverflow { backtrace } => backtrace,
            _ => &[],
        }
    }
}
