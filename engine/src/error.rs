//! The errors of this crate's boundary: building an engine, loading a function, invoking it.
//!
//! A guest's own misdeeds are not here: they are [`Fault`](crate::Fault)s inside an outcome.

use std::time::Duration;

use crate::Fault;

/// Why an engine could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting is outside its bounds.
    #[error("engine setting `{setting}` is invalid: {why}")]
    Setting {
        /// Which one.
        setting: &'static str,
        /// What is wrong and what would be right.
        why: String,
    },
    /// The artifact directory cannot be used.
    #[error("artifact directory {path} cannot be used")]
    ArtifactDirectory {
        /// Which directory.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// wasmtime would not start with any allocator.
    #[error("wasmtime could not be set up: {why}")]
    Wasmtime {
        /// What it said.
        why: String,
    },
    /// A thread of the engine could not be started.
    #[error("engine thread could not be started")]
    Thread {
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Why a function could not be loaded. All but [`Failure`](LoadError::Failure), [`CompilerBusy`](LoadError::CompilerBusy),
/// [`Busy`](LoadError::Busy) and [`ArtifactStore`](LoadError::ArtifactStore) are the upload's fault and will not change by trying again.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes are not WebAssembly.
    #[error("code of function `{function}` is not a WebAssembly binary: it starts with {found}")]
    NotWasm {
        /// Which function.
        function: String,
        /// What the first bytes look like.
        found: String,
    },
    /// The bytes begin as WebAssembly but are damaged or use a disabled proposal.
    #[error("code of function `{function}` is not valid: {why}")]
    Invalid {
        /// Which function.
        function: String,
        /// What the validator said, with the offset.
        why: String,
    },
    /// Precompiled code was uploaded; only the engine's own artifacts are ever loaded.
    #[error("code of function `{function}` is precompiled native code, which is never accepted")]
    Precompiled {
        /// Which function.
        function: String,
    },
    /// Valid, but none of the accepted kinds of guest.
    #[error("code of function `{function}` is {found}, which is no kind of guest this engine runs")]
    NoAcceptedKind {
        /// Which function.
        function: String,
        /// What was found, with the exports that matter.
        found: String,
    },
    /// It imports what no host function offers.
    #[error("code of function `{function}` imports what this host does not offer: {}", .imports.join(", "))]
    UnknownImports {
        /// Which function.
        function: String,
        /// At most 20 of them, as `module::name` or the interface's name.
        imports: Vec<String>,
    },
    /// The binary is larger than the engine accepts.
    #[error("code of function `{function}` is {size_bytes} bytes; the limit is {limit_bytes}")]
    TooLarge {
        /// Which function.
        function: String,
        /// Its size.
        size_bytes: u64,
        /// The engine's limit.
        limit_bytes: u64,
    },
    /// It needs more from the start than its limits allow.
    #[error("code of function `{function}` declares {what} of {declared}; the limit is {limit}")]
    OverLimit {
        /// Which function.
        function: String,
        /// Memory bytes, tables, memories.
        what: &'static str,
        /// What it declares.
        declared: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A field of the spec is out of bounds.
    #[error("function `{function}` has an invalid setting `{setting}`: {why}")]
    Setting {
        /// Which function.
        function: String,
        /// Which field.
        setting: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The compiler exceeded the time, memory or CPU it may use for one function.
    #[error("compiling function `{function}` exceeded {limit}")]
    CompileLimit {
        /// Which function.
        function: String,
        /// Which limit, with its figure.
        limit: String,
    },
    /// Too many functions wait for the compiler.
    #[error("function `{function}` cannot be compiled now: {waiting} others wait for the compiler")]
    CompilerBusy {
        /// Which function.
        function: String,
        /// How many wait.
        waiting: usize,
    },
    /// It cannot start from a snapshot of its initialised state.
    #[error("function `{function}` cannot start from a snapshot: {why}")]
    NoSnapshot {
        /// Which function.
        function: String,
        /// What in the code or in its state cannot be carried over.
        why: String,
    },
    /// The initializer failed that was to be run once for all instances.
    #[error("initializer of function `{function}` failed: {fault}")]
    Initializer {
        /// Which function.
        function: String,
        /// What it did.
        #[source]
        fault: Box<Fault>,
        /// The end of what it logged; at most 2 KiB.
        log: String,
    },
    /// There was no room to run its initializer in.
    #[error("function `{function}` cannot be initialised now: {refusal}")]
    Busy {
        /// Which function.
        function: String,
        /// What there was no room for.
        refusal: Refusal,
    },
    /// The artifact store failed; nothing is wrong with the function.
    #[error("artifact of function `{function}` could not be stored or read: {why}")]
    ArtifactStore {
        /// Which function.
        function: String,
        /// The operation and what the system said.
        why: String,
    },
    /// The host failed.
    #[error("function `{function}` could not be loaded: {why}")]
    Failure {
        /// Which function.
        function: String,
        /// For the operator's log, not for a caller.
        why: String,
    },
}

impl LoadError {
    /// What the uploader can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotWasm { .. } => {
                "upload a .wasm binary; text (.wat) and archives are not accepted here"
            }
            Self::Invalid { .. } => {
                "rebuild the file; check that it was copied whole and needs no experimental proposal"
            }
            Self::Precompiled { .. } => "upload the .wasm it was compiled from",
            Self::NoAcceptedKind { .. } => {
                "export one of: wasi:http/incoming-handler@0.2, wasi:http/handler@0.3, hearth:function/handler, \
                 wasi:cli/run or `_start`, or `memory` with `alloc` and `handle`"
            }
            Self::UnknownImports { .. } => {
                "remove the imports, or grant what they need to the function"
            }
            Self::TooLarge { .. } => {
                "strip debug information, or raise the engine's limit on code size"
            }
            Self::OverLimit { .. } => {
                "raise the function's limit, or build the guest with a smaller minimum"
            }
            Self::Setting { .. } => "correct the setting",
            Self::CompileLimit { .. } => {
                "split the function into smaller ones, or raise the compile limits"
            }
            Self::NoSnapshot { .. } => {
                "choose isolation `reuse` or `fresh`, or change what its initializer does"
            }
            Self::Initializer { .. } => {
                "look into the log of the initializer; isolation `reuse` and `fresh` run it for each instance"
            }
            Self::CompilerBusy { .. } | Self::Busy { .. } => "try again in a few seconds",
            Self::ArtifactStore { .. } | Self::Failure { .. } => {
                "look into the server's log; trying again may work"
            }
        }
    }

    /// Whether trying the same again may work.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::CompilerBusy { .. }
                | Self::Busy { .. }
                | Self::ArtifactStore { .. }
                | Self::Failure { .. }
        )
    }
}

/// The engine declined before the guest ran. Trying again after the hint may work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// All instances of the function are busy and its queue is full.
    #[error("function `{function}` has {limit} invocations running and {waiting} waiting")]
    QueueFull {
        /// Which function.
        function: String,
        /// Its concurrency.
        limit: u32,
        /// How many wait.
        waiting: u32,
    },
    /// No instance came free in time.
    #[error("function `{function}` had no free instance within {} ms (concurrency {limit})", .waited.as_millis())]
    WaitedTooLong {
        /// Which function.
        function: String,
        /// Its concurrency.
        limit: u32,
        /// How long it waited.
        waited: Duration,
    },
    /// The engine runs as many invocations as it may.
    #[error("the engine runs {limit} invocations, as many as it may")]
    EngineBusy {
        /// The engine's concurrency.
        limit: u32,
    },
    /// The engine has as many instances as it may, all of them at work, and none came free in time.
    #[error(
        "the engine has {limit} instances at work, as many as it may, and none came free within {} ms; try again later, or allow it more",
        .waited.as_millis()
    )]
    InstancesFull {
        /// The engine's instances.
        limit: u32,
        /// How long it waited.
        waited: Duration,
    },
    /// The engine's memory is used up by running invocations.
    #[error(
        "function `{function}` needs {wanted_bytes} bytes; the engine holds {used_bytes} of its budget of {budget_bytes}"
    )]
    MemoryBudget {
        /// Which function.
        function: String,
        /// The budget.
        budget_bytes: u64,
        /// What is in use.
        used_bytes: u64,
        /// What was asked for.
        wanted_bytes: u64,
    },
    /// The event is larger than allowed. Trying again will not help.
    #[error("event of {size_bytes} bytes is over the limit of {limit_bytes}")]
    PayloadTooLarge {
        /// The limit.
        limit_bytes: u64,
        /// The event's size.
        size_bytes: u64,
    },
    /// The function has as many open WebSockets as it may have.
    #[error(
        "function `{function}` has {limit} open WebSockets, as many as it may; try again later"
    )]
    WebSocketsFull {
        /// Which function.
        function: String,
        /// Its bound.
        limit: usize,
    },
    /// The engine is shutting down.
    #[error("the engine is draining and takes no new invocations")]
    Draining,
}

impl Refusal {
    /// The name of the refusal in metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::QueueFull { .. } => "queue_full",
            Self::WaitedTooLong { .. } => "waited_too_long",
            Self::EngineBusy { .. } => "engine_busy",
            Self::InstancesFull { .. } => "instances_full",
            Self::MemoryBudget { .. } => "memory_budget",
            Self::PayloadTooLarge { .. } => "payload_too_large",
            Self::WebSocketsFull { .. } => "websockets_full",
            Self::Draining => "draining",
        }
    }
}

/// Why an invocation brought no outcome.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// Declined before the guest ran.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The host failed; whether the guest ran is unknown.
    #[error("invocation {request_id} of function `{function}` failed in the host: {why}")]
    Failure {
        /// Which function.
        function: String,
        /// Which invocation.
        request_id: String,
        /// For the operator's log, not for a caller.
        why: String,
    },
}
