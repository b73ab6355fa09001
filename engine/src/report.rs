//! The account of one invocation: how its instance started, where the time went, what it used.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the instance that served an invocation came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StartKind {
    /// The code was compiled for this invocation.
    Compiled,
    /// The artifact was loaded from disk for this invocation.
    Loaded,
    /// The code was resident; the instance had served nobody.
    Fresh,
    /// The instance had served before.
    Warm,
}

impl StartKind {
    /// All kinds, in the order of their cost.
    pub const ALL: [Self; 4] = [Self::Compiled, Self::Loaded, Self::Fresh, Self::Warm];

    /// The name used in metrics and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compiled => "compiled",
            Self::Loaded => "loaded",
            Self::Fresh => "fresh",
            Self::Warm => "warm",
        }
    }
}

/// Where a function's code came from when it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LoadSource {
    /// Compiled now.
    Compiled,
    /// An artifact on disk that passed its check.
    Artifact,
    /// Already resident in this engine.
    Resident,
}

/// How much the compiler did for code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Little, so that large code answers soon. It is used until the full one is there.
    Fast,
    /// All that makes it run fast.
    Full,
}

impl Tier {
    /// The name used in metrics and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Full => "full",
        }
    }
}

/// What loading a function took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// Where the code came from.
    pub source: LoadSource,
    /// How much the compiler did for it.
    pub tier: Tier,
    /// Time in the compiler, waiting for a compile slot included; zero unless compiled.
    pub compile: Duration,
    /// Time to verify and map the artifact and to link it.
    pub load: Duration,
}

/// Time spent in each phase of one invocation. Phases that did not happen are zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Phases {
    /// Waiting for the right to run, and for room for an instance.
    pub wait: Duration,
    /// Compiling, if this invocation had to.
    pub compile: Duration,
    /// Loading the artifact, if this invocation had to.
    pub load: Duration,
    /// Making an instance, its `initialize` included.
    pub instantiate: Duration,
    /// The guest's own execution.
    pub run: Duration,
}

/// What one invocation used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// How the instance started.
    pub start: StartKind,
    /// How much the compiler did for its code.
    pub tier: Tier,
    /// Where the time went.
    pub phases: Phases,
    /// Time of the guest's execution as billed: `run`, rounded up to a whole millisecond.
    pub billed: Duration,
    /// CPU time on the guest's thread, host calls made on it included. Exact to an epoch tick (1 ms).
    pub cpu_time: Duration,
    /// The most linear memory and tables together that the instance held so far, in bytes.
    pub memory_peak_bytes: u64,
    /// Bytes of the event.
    pub payload_bytes: u64,
    /// Bytes of the answer.
    pub answer_bytes: u64,
    /// Bytes the guest logged.
    pub log_bytes: u64,
    /// Log lines that were not passed to the sink because of a bound.
    pub log_lines_dropped: u64,
    /// How many of these bytes were logged while the instance was made, where it was made for this invocation.
    pub initialize_log_bytes: Option<u64>,
    /// Which instance served, unique in this engine; 0 where none could be made.
    pub instance: u64,
}

impl Report {
    /// Total time from admission to the answer.
    pub fn total(&self) -> Duration {
        let p = &self.phases;
        p.wait + p.compile + p.load + p.instantiate + p.run
    }
}
