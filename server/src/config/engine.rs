//! The engine's budgets as settings: the same figures as [`EngineConfig`], written with units.

use std::path::PathBuf;

use hearth_engine::{Allocator, Compiler, CompilerChild, EngineConfig, Eviction};
use serde::{Deserialize, Serialize};

use super::{Size, Span};

/// Budgets of the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSection {
    /// Largest WebAssembly binary accepted. Default 64MiB.
    pub code_size: Size,
    /// Compilations at once. Default 1: each uses all cores already.
    pub compile_slots: u32,
    /// Functions that may wait for a compile slot; more are refused. Default 32.
    pub compile_queue: u32,
    /// Code from this size on is first compiled with little optimisation, so that it answers soon, and fully behind what runs; 0 does so
    /// with all code, `code_size` and more with none. Default 256KiB.
    pub compile_fast_from: Size,
    /// Compile in a child process under limits it cannot raise. Default true; false only where all code is your own.
    pub compile_in_child: bool,
    /// Address space of a compiling child. Default 4GiB.
    pub compile_memory: Size,
    /// CPU time of a compiling child. Default 1m.
    pub compile_cpu_time: Span,
    /// Time after which a compiling child is killed. Default 1m.
    pub compile_timeout: Span,
    /// Invocations at once over all functions, waiting ones included. Default 10000.
    pub concurrency: u32,
    /// Threads for functions whose calls run longer than a tick of 1 ms, behind those that serve callers. Default one for each core; with 0
    /// such calls take turns on the threads that serve.
    pub background_threads: u32,
    /// Linear memories and tables of all instances together. Default 4GiB.
    pub memory_budget: Size,
    /// Instances at once over all functions, busy and idle. Default 2048, at most 10000.
    pub instances: u32,
    /// Bytes of artifacts kept on disk; the least recently used go first. Default 4GiB.
    pub artifact_budget: Size,
    /// How memory for instances is obtained: `pooling` (the default) or `on-demand`.
    pub allocator: Allocator,
    /// Log lines that may wait to be written; more are dropped and counted. Default 8192.
    pub log_queue_lines: u32,
}

impl Default for EngineSection {
    fn default() -> Self {
        let engine = EngineConfig::default();
        let child = CompilerChild::new("", Vec::new());
        Self {
            code_size: Size(engine.code_bytes),
            compile_slots: engine.compile_slots,
            compile_queue: engine.compile_queue,
            compile_fast_from: Size(engine.fast_tier_bytes),
            compile_in_child: true,
            compile_memory: Size(child.memory_bytes),
            compile_cpu_time: Span(child.cpu_time),
            compile_timeout: Span(child.timeout),
            concurrency: engine.concurrency,
            background_threads: engine.background_threads,
            memory_budget: Size(engine.memory_budget_bytes),
            instances: engine.instances,
            artifact_budget: Size(engine.artifact_bytes),
            allocator: engine.allocator,
            log_queue_lines: engine.log_queue_lines,
        }
    }
}

impl EngineSection {
    /// The engine's own configuration, compiling in this process.
    pub fn to_engine(&self) -> EngineConfig {
        EngineConfig {
            code_bytes: self.code_size.0,
            compile_slots: self.compile_slots,
            compile_queue: self.compile_queue,
            fast_tier_bytes: self.compile_fast_from.0,
            compiler: Compiler::InProcess,
            concurrency: self.concurrency,
            background_threads: self.background_threads,
            memory_budget_bytes: self.memory_budget.0,
            instances: self.instances,
            eviction: Eviction::default(),
            artifact_bytes: self.artifact_budget.0,
            allocator: self.allocator,
            log_queue_lines: self.log_queue_lines,
        }
    }

    /// The same, compiling in a child that runs `program` with `arguments`, unless the settings say otherwise.
    pub fn to_engine_with_child(&self, program: PathBuf, arguments: Vec<String>) -> EngineConfig {
        let mut config = self.to_engine();
        if self.compile_in_child {
            config.compiler = Compiler::Child(CompilerChild {
                program,
                arguments,
                memory_bytes: self.compile_memory.0,
                cpu_time: self.compile_cpu_time.0,
                timeout: self.compile_timeout.0,
            });
        }
        config
    }
}
