//! What one function may use: bounds that hold for each invocation or each instance, with their defaults.
//!
//! A [`Limits`] is plain data, validated once when the function is loaded. Every field here is enforced by a mechanism of its
//! own in this crate and ends in an [`Outcome`](crate::Outcome) or an error of its own; a limit nobody enforces must not be
//! added. Budgets that span functions live in [`EngineConfig`](crate::EngineConfig).

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One mebibyte, in bytes.
pub const MIB: u64 = 1 << 20;

/// Bounds for one function.
///
/// ```
/// use std::time::Duration;
/// use hearth_engine::Limits;
///
/// let limits = Limits { timeout: Duration::from_millis(200), ..Limits::default() };
/// assert_eq!(limits.memory_bytes, 128 << 20);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// All linear memories and tables of one instance together, in bytes. Default 128 MiB. A `memory.grow` beyond it answers
    /// -1 to the guest; a guest that fails because of that ends as [`Fault::MemoryLimit`](crate::Fault::MemoryLimit), and the
    /// instance never serves again. Memory minimums above it are refused when the function is loaded.
    pub memory_bytes: u64,
    /// Wall-clock time of one invocation from the moment it has its instance, host calls included. Default 3 s. The guest
    /// is ended within about 2 ms of it.
    #[serde(with = "crate::serde_duration")]
    pub timeout: Duration,
    /// CPU time that one invocation may burn on its thread; none means only `timeout` bounds it. Checked every
    /// epoch tick (1 ms).
    #[serde(with = "crate::serde_duration::option")]
    pub cpu_time: Option<Duration>,
    /// Wall-clock time for making one instance ready: instantiation, start functions and `initialize`. Default 3 s.
    #[serde(with = "crate::serde_duration")]
    pub initialize_timeout: Duration,
    /// Bytes in one event. Default 6 MiB. More is refused before the guest runs.
    pub payload_bytes: u64,
    /// Bytes in one answer. Default 6 MiB. More ends as [`Fault::AnswerTooLarge`](crate::Fault::AnswerTooLarge).
    pub answer_bytes: u64,
    /// Bytes of a response to an HTTP request that wait for a slow reader while the guest writes on; then the guest waits, until its
    /// timeout. Default 256 KiB.
    pub answer_buffer_bytes: u64,
    /// Linear memories per instance. Default 8; a component's adapters count.
    pub memories: u32,
    /// Tables per instance. Default 32.
    pub tables: u32,
    /// Elements per table. Default 100,000: JavaScript and .NET guests need tens of thousands.
    pub table_elements: u64,
    /// Core instances inside one component instance. Default 64.
    pub core_instances: u32,
    /// Size of the tail log, in bytes. Default 4,096, at most 1 MiB.
    pub tail_log_bytes: u32,
    /// Log bytes per invocation that are passed to the log sink; what comes after is counted as dropped.
    /// Default 1 MiB. The tail log is not affected: it always holds the newest bytes.
    pub log_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 128 * MIB,
            timeout: Duration::from_secs(3),
            cpu_time: None,
            initialize_timeout: Duration::from_secs(3),
            payload_bytes: 6 * MIB,
            answer_bytes: 6 * MIB,
            answer_buffer_bytes: MIB / 4,
            memories: 8,
            tables: 32,
            table_elements: 100_000,
            core_instances: 64,
            tail_log_bytes: 4096,
            log_bytes: MIB,
        }
    }
}

/// How a function's instances are kept. The concurrency of a function is its number of instances times what each may serve at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PoolPolicy {
    /// Ready instances kept even when nobody calls. Default 0. Never more than `max_instances`.
    pub min_ready: u32,
    /// Most instances at once, busy and idle. Default 100.
    pub max_instances: u32,
    /// Invocations that one instance serves at once. Default 1, at most 1,000. More than one is for HTTP functions of WASI 0.3 under
    /// isolation `reuse`, which wait for one thing while they serve another; all others serve one at a time whatever this says.
    /// They share memory and its limit, and a trap of one is the end of all: see [`Fault::InstanceLost`](crate::Fault::InstanceLost).
    pub concurrency: u32,
    /// An idle instance above `min_ready` is dropped after this time. Default 60 s.
    #[serde(with = "crate::serde_duration")]
    pub idle_time: Duration,
    /// An instance retires after serving this many invocations; 0 means no bound. Default 10,000, because guests leak.
    pub uses: u32,
    /// Invocations that may wait for an instance when all are busy. Default 100; beyond it
    /// [`Refusal::QueueFull`](crate::Refusal::QueueFull). 0 refuses at once, or within
    /// 20 ms where it is the engine that has no room.
    pub queue: u32,
    /// How long one invocation waits for an instance before it is refused, and then for room in the engine, if there is none. Default 1 s.
    #[serde(with = "crate::serde_duration")]
    pub queue_wait: Duration,
}

impl Default for PoolPolicy {
    fn default() -> Self {
        Self {
            min_ready: 0,
            max_instances: 100,
            concurrency: 1,
            idle_time: Duration::from_secs(60),
            uses: 10_000,
            queue: 100,
            queue_wait: Duration::from_secs(1),
        }
    }
}
