//! Compilation, away from the invocation path and bounded: so many at once, so many waiting, each on a thread of its own and, if
//! configured, in a child process with limits it cannot raise.
//!
//! wasmtime does not promise to bound what hostile code makes its compiler use, hence the child (`child.rs`). What nobody waits for, the
//! full compilation of code that the fast tier serves already, does not come here for a slot: `engine/optimising.rs` has its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::artifact::ArtifactStore;
use crate::config::{Compiler, EngineConfig};
use crate::off_thread::off_thread;
use crate::wasmtime_config::{Flavor, compiling_engine};
use crate::{LoadError, Tier};

mod child;
mod ending;

pub use child::compile_child;
use child::compile_in_child;

/// How kind it is to the processor to compile what nobody waits for: behind what somebody waits for, but where a machine is never idle it
/// must end as well, for slow code is what keeps it busy.
pub(crate) const BEHIND_NICENESS: i32 = 12;

/// What is to be compiled.
pub(crate) struct CompileJob {
    pub(crate) function: String,
    pub(crate) engine: wasmtime::Engine,
    pub(crate) flavor: Flavor,
    pub(crate) is_component: bool,
    pub(crate) code: Bytes,
    pub(crate) tier: Tier,
    /// None where a caller waits for it.
    pub(crate) behind: Option<Behind>,
}

/// Something that nobody waits for: it is done on one core, behind everything else, and only while this is not set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Behind(Arc<AtomicBool>);

impl Behind {
    /// It is not wanted any more.
    pub(crate) fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Compile slots and their queue.
#[derive(Debug)]
pub(crate) struct Compilations {
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
    compiler: Compiler,
    pub(crate) done: AtomicU64,
}

impl Compilations {
    pub(crate) fn new(config: &EngineConfig) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(config.compile_slots as usize)),
            waiting: AtomicUsize::new(0),
            waiting_max: config.compile_queue as usize,
            compiler: config.compiler.clone(),
            done: AtomicU64::new(0),
        }
    }

    /// Compiles one function. Dropping the future does not stop the compiler: its slot stays taken until it is done.
    pub(crate) async fn compile(
        &self,
        job: CompileJob,
        artifacts: &Arc<ArtifactStore>,
    ) -> Result<Vec<u8>, LoadError> {
        let function = job.function.clone();
        let slot = self.slot(&function).await?;
        let compiler = self.compiler.clone();
        let artifacts = artifacts.clone();
        let compiled = off_thread("hearth-compile", move || {
            let compiled = run(&compiler, &job, &artifacts);
            drop(slot);
            compiled
        });
        let compiled = compiled.await.map_err(|why| LoadError::Failure { function, why })?;
        self.done.fetch_add(1, Ordering::Relaxed);
        compiled
    }

    /// The same on this thread, without a slot, for what nobody waits for. The thread is [kinder](BEHIND_NICENESS) than others.
    pub(crate) fn compile_behind(
        &self,
        job: &CompileJob,
        artifacts: &ArtifactStore,
    ) -> Result<Vec<u8>, LoadError> {
        let compiled = run(&self.compiler, job, artifacts);
        self.done.fetch_add(1, Ordering::Relaxed);
        compiled
    }

    async fn slot(&self, function: &str) -> Result<tokio::sync::OwnedSemaphorePermit, LoadError> {
        let queued = Queued::enter(&self.waiting);
        if queued.others >= self.waiting_max + self.slots.available_permits() {
            return Err(LoadError::CompilerBusy {
                function: function.to_owned(),
                waiting: queued.others,
            });
        }
        self.slots.clone().acquire_owned().await.map_err(|_| LoadError::Failure {
            function: function.to_owned(),
            why: "the compiler is shut down".to_owned(),
        })
    }
}

/// Counts one that waits, also when its future is dropped.
struct Queued<'a> {
    waiting: &'a AtomicUsize,
    others: usize,
}

impl<'a> Queued<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Self {
        Self { waiting, others: waiting.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn run(
    compiler: &Compiler,
    job: &CompileJob,
    artifacts: &ArtifactStore,
) -> Result<Vec<u8>, LoadError> {
    match compiler {
        Compiler::InProcess => compile_here(job),
        Compiler::Child(child) => compile_in_child(job, child, artifacts),
    }
}

fn compile_here(job: &CompileJob) -> Result<Vec<u8>, LoadError> {
    let invalid = |why: wasmtime::Error| LoadError::Invalid {
        function: job.function.clone(),
        why: format!("{why:#}"),
    };
    let engine = match (job.tier, &job.behind) {
        (Tier::Full, None) => job.engine.clone(),
        (tier, behind) => compiling_engine(job.flavor, tier, behind.is_none()).map_err(invalid)?,
    };
    precompile(&engine, job.is_component, &job.code).map_err(invalid)
}

fn precompile(
    engine: &wasmtime::Engine,
    is_component: bool,
    code: &[u8],
) -> wasmtime::Result<Vec<u8>> {
    if is_component { engine.precompile_component(code) } else { engine.precompile_module(code) }
}
