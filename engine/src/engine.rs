//! The engine: what functions share. Compiled code, budgets, the clock, the keeper, and the way from bytes to a revision.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use hearth_host_api::caller::FunctionCaller;
use hearth_host_api::key_value::{KeyValue, MemoryKeyValue};
use parking_lot::RwLock;
use tokio::sync::Mutex;

use crate::admission::EngineDoor;
use crate::artifact::{ArtifactStore, SharedArtifactKey, SharedArtifacts, Sharing};
use crate::background::Background;
use crate::bounded;
use crate::code::{Code, Content, Linkers};
use crate::compile::Compilations;
use crate::function::Function;
use crate::keeper::Keeper;
use crate::log_batch::{LogBatch, Mark};
use crate::log_drain::LogDrain;
use crate::log_lines::{Level, Stream};
use crate::memory_meter::MemoryBudget;
use crate::revision::Revision;
use crate::ticker::Ticker;
use crate::wasmtime_config::{Flavor, Wasmtime};
use crate::websocket::Switchboard;
use crate::{BuildError, EngineConfig, EngineStats, FunctionSpec, LoadError, LogSink};

pub(crate) mod evicting;
mod initialising;
mod loading;
mod optimising;

use optimising::Optimising;

/// How often draining looks whether all invocations ended.
const DRAIN_POLL: Duration = Duration::from_millis(2);

/// How long cancelled guests get to end: each does at its next epoch tick or wake.
const CANCEL_GRACE: Duration = Duration::from_secs(1);

/// A handle to an engine; clones share it.
///
/// ```
/// use hearth_engine::{Engine, FunctionSpec, Invocation};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let code = wat::parse_str(r#"(module
///     (memory (export "memory") 1)
///     (func (export "alloc") (param i32) (result i32) i32.const 1024)
///     (func (export "handle") (param $ptr i32) (param $len i32) (result i64)
///         (i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32))
///                 (i64.extend_i32_u (local.get $len)))))"#)?;
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let engine = Engine::builder().build()?;
/// let echo = engine.load(FunctionSpec::new("echo", code)).await?;
/// let outcome = echo.invoke(Invocation::new("hello")).await?;
/// assert_eq!(outcome.result?, "hello");
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<EngineInner>,
}

/// What an engine is made of.
pub(crate) struct EngineInner {
    pub(crate) config: EngineConfig,
    wasmtime: Wasmtime,
    linkers: Linkers,
    artifacts: Arc<ArtifactStore>,
    /// Where other servers find what is compiled here.
    sharing: Option<Arc<Sharing>>,
    compilations: Arc<Compilations>,
    optimising: Arc<Optimising>,
    /// Code by content. The lock of an entry makes a second load of the same content wait for the first.
    codes: DashMap<Content, Arc<Mutex<Weak<Code>>>>,
    pub(crate) revisions: RwLock<Vec<Weak<Revision>>>,
    eviction_cursor: AtomicUsize,
    artifact_hits: AtomicU64,
    pub(crate) door: EngineDoor,
    pub(crate) background: Background,
    pub(crate) ticker: Arc<Ticker>,
    pub(crate) budget: Arc<MemoryBudget>,
    pub(crate) log_drain: Option<Arc<LogDrain>>,
    key_value: Arc<dyn KeyValue>,
    caller: Option<Arc<dyn FunctionCaller>>,
    websockets: Switchboard,
    pub(crate) keeper: Keeper,
}

impl std::fmt::Debug for EngineInner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Builds an [`Engine`]. Everything has a default.
#[derive(Default)]
pub struct EngineBuilder {
    config: EngineConfig,
    artifact_dir: Option<PathBuf>,
    sharing: Option<Arc<Sharing>>,
    log_sink: Option<Arc<dyn LogSink>>,
    key_value: Option<Arc<dyn KeyValue>>,
    caller: Option<Arc<dyn FunctionCaller>>,
}

impl std::fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl EngineBuilder {
    /// Replaces the settings.
    #[must_use]
    pub fn config(mut self, config: EngineConfig) -> Self {
        self.config = config;
        self
    }

    /// Where artifacts persist. Without it a private temporary directory is used and removed with the engine.
    #[must_use]
    pub fn artifact_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.artifact_dir = Some(path.into());
        self
    }

    /// Where servers share what they compile, behind the directory of this one, and what seals it there. What a snapshot holds is not
    /// shared: it may hold what the environment held.
    #[must_use]
    pub fn shared_artifacts(
        mut self,
        place: Arc<dyn SharedArtifacts>,
        key: SharedArtifactKey,
    ) -> Self {
        self.sharing = Some(Arc::new(Sharing::new(place, key)));
        self
    }

    /// Where full log lines go; nowhere unless given.
    #[must_use]
    pub fn log_sink(mut self, sink: Arc<dyn LogSink>) -> Self {
        self.log_sink = Some(sink);
        self
    }

    /// What `wasi:keyvalue` talks to; a store in memory unless given.
    #[must_use]
    pub fn key_value(mut self, store: Arc<dyn KeyValue>) -> Self {
        self.key_value = Some(store);
        self
    }

    /// How a guest calls another function; denied unless given.
    #[must_use]
    pub fn caller(mut self, caller: Arc<dyn FunctionCaller>) -> Self {
        self.caller = Some(caller);
        self
    }

    /// Builds the engine: reserves address space, opens the artifacts and starts two threads (three with a log sink) and
    /// those for functions that run long.
    ///
    /// # Errors
    /// Settings out of bounds, an artifact directory that cannot be used, threads that do not start. A machine that does not
    /// allow pooled memory is not an error: the engine then logs why and does without.
    pub fn build(self) -> Result<Engine, BuildError> {
        self.config.validate()?;
        let config = self.config;
        let thread = |source| BuildError::Thread { source };
        let wasmtime = Wasmtime::new(&config)?;
        let plain = wasmtime.engine(Flavor::Plain)?;
        let linkers =
            Linkers::new(plain).map_err(|why| BuildError::Wasmtime { why: format!("{why:#}") })?;
        let ticker = Arc::new(Ticker::start().map_err(thread)?);
        ticker.watch(plain);
        let path = self.artifact_dir.clone().unwrap_or_else(std::env::temp_dir);
        let artifacts = ArtifactStore::open(self.artifact_dir, config.artifact_bytes)
            .map_err(|source| BuildError::ArtifactDirectory { path, source })?;
        let log_drain = match self.log_sink {
            Some(sink) => {
                let drain = LogDrain::start(sink, config.log_queue_lines as usize);
                Some(Arc::new(drain.map_err(thread)?))
            }
            None => None,
        };
        let background = Background::start(config.background_threads).map_err(thread)?;
        let inner = Arc::new(EngineInner {
            sharing: self.sharing,
            compilations: Arc::new(Compilations::new(&config)),
            optimising: Optimising::new(&config),
            codes: DashMap::new(),
            revisions: RwLock::default(),
            eviction_cursor: AtomicUsize::new(0),
            artifact_hits: AtomicU64::new(0),
            door: EngineDoor::new(config.concurrency, ticker.clone()),
            background,
            ticker,
            budget: MemoryBudget::new(config.memory_budget_bytes),
            artifacts: Arc::new(artifacts),
            log_drain,
            key_value: self.key_value.unwrap_or_else(|| Arc::new(MemoryKeyValue::default())),
            caller: self.caller,
            websockets: Switchboard::default(),
            keeper: Keeper::new(),
            wasmtime,
            linkers,
            config,
        });
        inner.keeper.start(&inner).map_err(thread)?;
        Ok(Engine { inner })
    }
}

impl Engine {
    /// Starts to build an engine.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Loads a function: finds its code in memory, then its artifact on disk, and compiles it otherwise. However many ask for
    /// the same content at once, it is compiled once. Large code ([`EngineConfig::fast_tier_bytes`]) answers before it is compiled fully:
    /// [`Tier`](crate::Tier) says of each invocation which code served.
    ///
    /// # Errors
    /// See [`LoadError`]. A spec that is refused leaves nothing behind.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the wait; a compilation that has begun runs to its end and its artifact is not kept.
    pub async fn load(&self, spec: FunctionSpec) -> Result<Function, LoadError> {
        let revision = self.inner.revise(&spec).await?;
        let function = Function::new(self.inner.clone(), revision);
        function.follow().await;
        Ok(function)
    }

    /// Takes no new invocations, waits for the running ones at most `within`, then ends those that remain. Returns how many
    /// had to be ended. The engine refuses invocations from then on.
    pub async fn drain(&self, within: Duration) -> u64 {
        let inner = &self.inner;
        inner.door.close();
        inner.optimising.stop();
        if inner.wait_empty(Instant::now() + within).await {
            return 0;
        }
        let ended = inner.door.inside();
        inner.ticker.cancel_all();
        if !inner.wait_empty(Instant::now() + CANCEL_GRACE).await {
            tracing::error!(left = inner.door.inside(), "invocations did not end when cancelled");
        }
        ended
    }

    /// Writes a line of the host's own into a function's log, behind what an invocation wrote: why its answer could not be used. It takes
    /// the way of guests' lines, so it never waits and may be dropped. Longer than [`LINE_BYTES_MAX`](crate::LINE_BYTES_MAX) it is cut.
    pub fn note(&self, function: &str, request_id: &str, text: &str) {
        let Some(drain) = &self.inner.log_drain else { return };
        let end = text.floor_char_boundary(crate::LINE_BYTES_MAX);
        let mark = Mark { stream: Stream::Stderr, level: Level::Error, cut: end < text.len() };
        let mut batch = LogBatch::default();
        batch.begin(request_id, function);
        batch.push(mark, text.get(..end).unwrap_or_default().as_bytes());
        drain.push(&batch);
    }

    /// Figures at this moment.
    pub fn stats(&self) -> EngineStats {
        let inner = &self.inner;
        let mut stats = EngineStats {
            invocations: inner.door.inside(),
            in_background: inner.background.taken(),
            memory_bytes: inner.budget.used(),
            memory_budget_bytes: inner.budget.limit,
            compilations: inner.compilations.done.load(Ordering::Relaxed),
            artifact_hits: inner.artifact_hits.load(Ordering::Relaxed),
            artifacts_rejected: inner.artifacts.rejected.load(Ordering::Relaxed),
            artifact_bytes: inner.artifacts.bytes(),
            log_lines_dropped: inner.log_drain.as_ref().map_or(0, |drain| drain.dropped()),
            allocator: inner.wasmtime.allocator,
            pagemap_scan: inner.wasmtime.pagemap_scan,
            draining: inner.door.is_closed(),
            ..EngineStats::default()
        };
        if let Some(sharing) = &inner.sharing {
            stats.shared_artifact_hits = sharing.hits.load(Ordering::Relaxed);
            stats.shared_artifacts_stored = sharing.stored.load(Ordering::Relaxed);
            stats.shared_artifact_failures = sharing.failed.load(Ordering::Relaxed);
            stats.artifacts_rejected += sharing.rejected.load(Ordering::Relaxed);
        }
        let optimised = inner.optimising.figures();
        stats.optimised = optimised.done;
        stats.optimisations_pending = optimised.pending;
        stats.optimisations_failed = optimised.failed;
        for revision in inner.revisions.read().iter().filter_map(Weak::upgrade) {
            stats.functions += u64::from(!revision.pool.is_closed());
            stats.instances += u64::from(revision.idle() + revision.busy());
        }
        stats.websockets = inner.websockets.open();
        stats
    }
}

impl Drop for EngineInner {
    fn drop(&mut self) {
        self.optimising.stop();
    }
}

impl EngineInner {
    /// Forgets code that nothing uses any more.
    pub(crate) fn forget_unused_code(&self) {
        self.codes.retain(|_, entry| {
            // A held lock is a load in progress.
            entry.try_lock().map_or(true, |code| code.strong_count() > 0)
                || Arc::strong_count(entry) > 1
        });
    }

    /// Waits until no invocation is inside; false if one still is at `until`.
    async fn wait_empty(&self, until: Instant) -> bool {
        while self.door.inside() > 0 {
            let now = Instant::now();
            if now >= until {
                return false;
            }
            bounded::sleep_until(&self.ticker, (now + DRAIN_POLL).min(until)).await;
        }
        true
    }
}
