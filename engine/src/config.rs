//! What the whole engine may use, validated once when it is built.
//!
//! Budgets span functions; limits of one function are in [`Limits`](crate::Limits). The library reads no file and no
//! environment variable: an embedder passes these values.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::BuildError;
use crate::limits::MIB;

/// Settings of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// Largest WebAssembly binary accepted, in bytes. Default 64 MiB.
    pub code_bytes: u64,
    /// Compilations at once. Default 1: each uses all cores already.
    pub compile_slots: u32,
    /// Loads that may wait for a compile slot. Default 32; more are [`LoadError::CompilerBusy`](crate::LoadError).
    pub compile_queue: u32,
    /// Size of a WebAssembly binary, in bytes, from which it is first compiled with little optimisation, so that it answers soon, and
    /// fully behind what runs. Default 256 KiB; 0 does so with all code, the size of the largest accepted and more with none.
    pub fast_tier_bytes: u64,
    /// Where and under which bounds compilation happens.
    pub compiler: Compiler,
    /// Invocations at once over all functions, waiting ones included. Default 10,000.
    pub concurrency: u32,
    /// Threads for functions whose calls run longer than a tick of 1 ms: such a function is called there, and not on the thread of its
    /// caller, who goes before them. Default one for each core; with 0 all calls run on their callers' threads, where those that run
    /// long take turns.
    pub background_threads: u32,
    /// Linear memories and tables of all instances together, in bytes. Default 4 GiB. When an instance does not fit, idle
    /// ones are dropped first; then the invocation waits for one to end as long as its function's queue has it wait, and is refused.
    pub memory_budget_bytes: u64,
    /// Instances at once over all functions, busy and idle; sizes the pooling allocator. Default 2,048, at most 10,000. Where there is no place
    /// for one more, it is as with memory.
    pub instances: u32,
    /// Whose idle instance goes when there is no room for another. Default the least useful function's.
    pub eviction: Eviction,
    /// Bytes of artifacts kept on disk; the least recently used go first. Default 4 GiB.
    pub artifact_bytes: u64,
    /// How memory for instances is obtained.
    pub allocator: Allocator,
    /// Log lines that may wait for the log sink, at most 16 MiB of them. Default 16,384, of
    /// which a function may hold as many as it leaves free; more are dropped and counted.
    pub log_queue_lines: u32,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            code_bytes: 64 * MIB,
            compile_slots: 1,
            compile_queue: 32,
            fast_tier_bytes: MIB / 4,
            compiler: Compiler::InProcess,
            concurrency: 10_000,
            background_threads: cores(),
            memory_budget_bytes: 4096 * MIB,
            instances: 2048,
            eviction: Eviction::LeastUseful,
            artifact_bytes: 4096 * MIB,
            allocator: Allocator::Pooling,
            log_queue_lines: 16_384,
        }
    }
}

/// Cores of this machine that the process may use; one where the system does not say.
fn cores() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(cores).unwrap_or(1)
}

/// Where compilation happens.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compiler {
    /// On threads of this process. Right for code its owner trusts: wasmtime does not promise to bound what hostile code
    /// makes the compiler use.
    #[default]
    InProcess,
    /// In a child process per compilation, under limits it cannot raise.
    Child(CompilerChild),
}

/// A child process that compiles one function: the program is run with `arguments` followed by the path of the WebAssembly
/// file and the path to write the artifact to, and calls [`compile_child`](crate::compile_child) with what it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompilerChild {
    /// The program.
    pub program: PathBuf,
    /// Its leading arguments.
    pub arguments: Vec<String>,
    /// Memory the child may write, in bytes (`RLIMIT_DATA`); on systems other than Linux, its address space.
    pub memory_bytes: u64,
    /// CPU time the child may use.
    #[serde(with = "crate::serde_duration")]
    pub cpu_time: Duration,
    /// Wall-clock time after which the child is killed.
    #[serde(with = "crate::serde_duration")]
    pub timeout: Duration,
}

impl CompilerChild {
    /// Default bounds: 4 GiB of memory, 60 s of CPU, 60 s of time.
    pub fn new(program: impl Into<PathBuf>, arguments: Vec<String>) -> Self {
        Self {
            program: program.into(),
            arguments,
            memory_bytes: 4096 * MIB,
            cpu_time: Duration::from_secs(60),
            timeout: Duration::from_secs(60),
        }
    }
}

/// Whose idle instance goes when there is no room for another; the least of a few that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Eviction {
    /// The function's that was called least often lately, for the memory that its idle instances hold.
    #[default]
    LeastUseful,
    /// The function's whose instance has rested longest.
    LeastRecent,
}

/// How memory for instances is obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allocator {
    /// From a pool reserved when the engine is built: about ten times faster for fresh instances. Falls back to on-demand
    /// with a logged reason where the machine does not allow it.
    #[default]
    Pooling,
    /// From the operating system for each instance.
    OnDemand,
}

/// Memory mappings of an instance with its stack; 4 to 7 were seen.
const MAPPINGS_PER_INSTANCE: u32 = 8;

/// How many mappings this process may have; none where the system does not say.
fn mappings_max() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()
}

impl EngineConfig {
    /// Most instances one engine can hold: each reserves 4 GiB of address space and some memory mappings.
    ///
    /// Linux allows a process 65,530 mappings unless `vm.max_map_count` says otherwise, and a process without any left cannot even
    /// allocate memory: an engine whose instances may need more, at 8 each, is not built. So without that setting 8,191 is the most.
    pub const INSTANCES_MAX: u32 = 10_000;

    /// Checks all bounds.
    ///
    /// # Errors
    /// [`BuildError::Setting`] names the first setting that is out of bounds.
    pub fn validate(&self) -> Result<(), BuildError> {
        let checks = [
            ("code_bytes", self.code_bytes >= 8, "must be at least 8"),
            ("compile_slots", (1..=64).contains(&self.compile_slots), "must be 1 to 64"),
            ("concurrency", self.concurrency >= 1, "must be at least 1"),
            ("background_threads", self.background_threads <= 1024, "must be at most 1024"),
            ("memory_budget_bytes", self.memory_budget_bytes >= MIB, "must be at least 1 MiB"),
            (
                "instances",
                (1..=Self::INSTANCES_MAX).contains(&self.instances),
                "must be 1 to 10000",
            ),
            ("log_queue_lines", self.log_queue_lines >= 1, "must be at least 1"),
        ];
        for (setting, holds, why) in checks {
            if !holds {
                return Err(BuildError::Setting { setting, why: why.to_owned() });
            }
        }
        self.fits_mappings(mappings_max())
    }

    /// Whether the mappings that all instances may need are allowed.
    fn fits_mappings(&self, allowed: Option<u64>) -> Result<(), BuildError> {
        let needed = u64::from(self.instances) * u64::from(MAPPINGS_PER_INSTANCE);
        match allowed {
            Some(allowed) if needed > allowed => Err(BuildError::Setting {
                setting: "instances",
                why: format!(
                    "{} instances may need {needed} memory mappings, and this machine allows a process {allowed}: raise vm.max_map_count \
                     (sysctl) or set {} at most",
                    self.instances,
                    allowed / u64::from(MAPPINGS_PER_INSTANCE)
                ),
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_have_the_mappings_they_need() {
        let fits = |instances, allowed| {
            EngineConfig { instances, ..EngineConfig::default() }.fits_mappings(allowed)
        };
        assert!(fits(8191, Some(65530)).is_ok());
        let refused = fits(8192, Some(65530)).unwrap_err().to_string();
        assert!(refused.contains("65536") && refused.contains("8191"), "{refused}");
        assert!(fits(10_000, None).is_ok());
    }
}
