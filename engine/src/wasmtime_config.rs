//! The only place that configures wasmtime.
//!
//! Two wasmtime engines: one without component-model concurrency for core modules and WASI 0.2, where every component call is
//! cheaper for it, and one with it for WASI 0.3, made when the first such guest is loaded. Everything that changes compiled
//! code is in `compile_settings`, which the compiler child uses as well, so that its artifacts fit.

use std::num::NonZeroUsize;
use std::sync::OnceLock;

use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    RegallocAlgorithm, Strategy,
};

use crate::artifact::Fingerprint;
use crate::config::{Allocator, EngineConfig};
use crate::{BuildError, GuestKind, Tier};

/// Linear memory and table bytes of a slot that stay resident between tenants and are zeroed in place: with `pagemap_scan` the
/// largest lever on fresh instances (four times).
const MEMORY_KEEP_RESIDENT: usize = 1 << 20;
const TABLE_KEEP_RESIDENT: usize = 64 << 10;

/// Fiber stack: what wasm may use, and the rest that host functions get.
const WASM_STACK: usize = 512 << 10;
const FIBER_STACK: usize = 1 << 20;

/// Slots whose memory stays mapped after their instance went.
const WARM_SLOTS: u32 = 128;

/// Instances of the WASI 0.3 engine; its pool is reserved on top of the other.
const CONCURRENT_INSTANCES: u32 = 256;

/// Which of the two wasmtime engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// Core modules and WASI 0.2.
    Plain,
    /// WASI 0.3.
    Concurrent,
}

impl Flavor {
    pub(crate) fn of(kind: GuestKind) -> Self {
        match kind {
            GuestKind::HttpP3 => Self::Concurrent,
            GuestKind::HttpP2
            | GuestKind::Event
            | GuestKind::Command
            | GuestKind::CommandComponent
            | GuestKind::Core => Self::Plain,
        }
    }
}

/// An engine that only compiles. What it makes loads into the engine of that flavor, whatever the tier.
pub(crate) fn compiling_engine(
    flavor: Flavor,
    tier: Tier,
    uses_all_cores: bool,
) -> wasmtime::Result<wasmtime::Engine> {
    let mut config = compile_settings(flavor, tier);
    config.parallel_compilation(uses_all_cores);
    wasmtime::Engine::new(&config)
}

/// Both wasmtime engines and how they came to be.
#[derive(Debug)]
pub(crate) struct Wasmtime {
    plain: wasmtime::Engine,
    concurrent: OnceLock<wasmtime::Engine>,
    /// Of either engine.
    fingerprints: [OnceLock<Fingerprint>; 2],
    /// The same for the fast tier.
    fast_fingerprints: [OnceLock<Fingerprint>; 2],
    settings: EngineConfig,
    pub(crate) allocator: &'static str,
    pub(crate) pagemap_scan: bool,
}

impl Wasmtime {
    /// Builds the plain engine, with a pool if asked for and possible.
    pub(crate) fn new(settings: &EngineConfig) -> Result<Self, BuildError> {
        let pagemap_scan = can_scan_pagemap();
        let (plain, allocator) = build(Flavor::Plain, settings, settings.instances, pagemap_scan)?;
        let settings = settings.clone();
        Ok(Self {
            plain,
            concurrent: OnceLock::new(),
            fingerprints: Default::default(),
            fast_fingerprints: Default::default(),
            settings,
            allocator,
            pagemap_scan,
        })
    }

    /// What artifacts of that engine depend on.
    pub(crate) fn fingerprint(&self, flavor: Flavor, engine: &wasmtime::Engine) -> &Fingerprint {
        let [plain, concurrent] = &self.fingerprints;
        let known = match flavor {
            Flavor::Plain => plain,
            Flavor::Concurrent => concurrent,
        };
        known.get_or_init(|| Fingerprint::of(engine))
    }

    /// What artifacts of the fast tier depend on.
    pub(crate) fn fast_fingerprint(&self, flavor: Flavor) -> wasmtime::Result<&Fingerprint> {
        let [plain, concurrent] = &self.fast_fingerprints;
        let known = match flavor {
            Flavor::Plain => plain,
            Flavor::Concurrent => concurrent,
        };
        if let Some(fingerprint) = known.get() {
            return Ok(fingerprint);
        }
        let fingerprint = Fingerprint::of(&compiling_engine(flavor, Tier::Fast, false)?);
        Ok(known.get_or_init(|| fingerprint))
    }

    /// The engine of that flavor; the concurrent one is built on first use.
    pub(crate) fn engine(&self, flavor: Flavor) -> Result<&wasmtime::Engine, BuildError> {
        match flavor {
            Flavor::Plain => Ok(&self.plain),
            Flavor::Concurrent => {
                if self.concurrent.get().is_none() {
                    let instances = self.settings.instances.min(CONCURRENT_INSTANCES);
                    let (engine, _) = build(flavor, &self.settings, instances, self.pagemap_scan)?;
                    // Losing a race drops an engine nobody has used.
                    let _ = self.concurrent.set(engine);
                }
                self.concurrent.get().ok_or_else(|| BuildError::Wasmtime {
                    why: "the WASI 0.3 engine vanished while it was built".to_owned(),
                })
            }
        }
    }
}

/// Everything that changes compiled code. Artifacts of one machine's settings load under the same settings only; of the tiers wasmtime
/// takes either.
fn compile_settings(flavor: Flavor, tier: Tier) -> Config {
    let (level, registers) = match tier {
        // Winch would be faster still, but has no epoch interruption.
        Tier::Fast => (OptLevel::None, RegallocAlgorithm::SinglePass),
        Tier::Full => (OptLevel::Speed, RegallocAlgorithm::Backtracking),
    };
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(level)
        .cranelift_regalloc_algorithm(registers)
        .epoch_interruption(true)
        .concurrency_support(flavor == Flavor::Concurrent)
        .wasm_component_model_async(flavor == Flavor::Concurrent)
        // Registering unwind tables is quadratic in loaded modules on some systems, and traps do not need them.
        .native_unwind_info(false)
        .debug_symbols(false)
        .wasm_backtrace_max_frames(NonZeroUsize::new(crate::fault::FRAMES_MAX))
        .shared_memory(false)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBER_STACK)
        // Snapshotted Python and JavaScript images are larger than the default of 16 MiB and would be copied eagerly.
        .memory_guaranteed_dense_image_size(256 << 20)
        .memory_init_cow(true);
    config
}

fn build(
    flavor: Flavor,
    settings: &EngineConfig,
    instances: u32,
    pagemap_scan: bool,
) -> Result<(wasmtime::Engine, &'static str), BuildError> {
    if settings.allocator == Allocator::Pooling {
        let mut config = compile_settings(flavor, Tier::Full);
        config.allocation_strategy(pool(instances, pagemap_scan));
        match wasmtime::Engine::new(&config) {
            Ok(engine) => return Ok((engine, "pooling")),
            Err(why) => tracing::warn!(
                reason = %why,
                instances,
                "memory cannot be pooled on this machine; fresh instances will be slower"
            ),
        }
    }
    let mut config = compile_settings(flavor, Tier::Full);
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    let engine = wasmtime::Engine::new(&config)
        .map_err(|why| BuildError::Wasmtime { why: format!("{why:#}") })?;
    Ok((engine, "on-demand"))
}

fn pool(instances: u32, pagemap_scan: bool) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    // Components use several core instances, memories and tables each.
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(4))
        .total_memories(instances + instances / 2)
        .total_tables(instances.saturating_mul(2))
        // A warm instance keeps its fiber's stack, so that each needs one.
        .total_stacks(instances + 256)
        .total_gc_heaps(instances.min(256))
        .max_core_instance_size(8 << 20)
        .max_component_instance_size(32 << 20)
        .max_tables_per_module(8)
        .max_memories_per_module(4)
        // JavaScript and .NET guests have tables of tens of thousands of elements.
        .table_elements(131_072)
        .max_unused_warm_slots(WARM_SLOTS)
        .decommit_batch_size(16)
        .linear_memory_keep_resident(MEMORY_KEEP_RESIDENT)
        .table_keep_resident(TABLE_KEEP_RESIDENT)
        .pagemap_scan(if pagemap_scan { Enabled::Yes } else { Enabled::No });
    pool
}

/// Whether dirty pages may be found by scanning. Never where anything could be swapped out: in wasmtime 48 a dirty page in swap
/// is neither reset nor dropped, so the next tenant of the slot would read it.
fn can_scan_pagemap() -> bool {
    if !PoolingAllocationConfig::is_pagemap_scan_available() {
        return false;
    }
    match std::fs::read_to_string("/proc/swaps") {
        Ok(swaps) if swaps.lines().count() <= 1 => true,
        Ok(_) => {
            tracing::warn!("swap is on: fresh instances are reset the slow way; turn swap off");
            false
        }
        Err(_) => false,
    }
}
