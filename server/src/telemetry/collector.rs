//! Figures that exist already and are read at each scrape: the engine's, the pools', the queue's.

use std::collections::BTreeMap;
use std::sync::Arc;

use hearth_engine::{EngineStats, FunctionStats, Identity};
use hearth_platform::LATEST;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::outgoing;

/// Functions whose pools are shown one by one; of more, only the sums are.
pub(super) const SHOWN_FUNCTIONS: usize = 500;

/// The figures at one moment.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// The engine's.
    pub engine: EngineStats,
    /// Those of each loaded function.
    pub functions: Vec<FunctionStats>,
    /// Services on disk.
    pub services: u64,
    /// Functions on disk.
    pub functions_stored: u64,
    /// Asynchronous invocations that wait or run, of those accepted since start.
    pub queue_depth: u64,
    /// Asynchronous invocations that run.
    pub queue_running: u64,
    /// Asynchronous invocations accepted since start.
    pub enqueued: u64,
    /// Asynchronous invocations that ended since start.
    pub settled: u64,
    /// Attempts of them that were put off or repeated.
    pub retried: u64,
    /// Results of them that were dropped because their lease was lost.
    pub leases_lost: u64,
    /// Memory held for request bodies.
    pub body_bytes: u64,
    /// Connections that each serving core has.
    pub connections: Vec<usize>,
    /// Log lines dropped after they left the engine.
    pub log_lines_dropped: u64,
}

/// Where they are read.
pub trait FiguresSource: Send + Sync + 'static {
    /// Reads them; called at each scrape, so it may take locks but not wait.
    fn read(&self) -> Figures;
}

/// Encodes the figures at each scrape.
pub(super) struct Collector(pub(super) Arc<dyn FiguresSource>);

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Collector")
    }
}

impl prometheus_client::collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let figures = self.0.read();
        let e = &figures.engine;
        let gauges = [
            ("hearth_functions", "Functions loaded", e.functions),
            ("hearth_instances", "Instances alive, busy and idle", e.instances),
            ("hearth_websockets", "Open WebSockets", e.websockets),
            (
                "hearth_running_invocations",
                "Invocations admitted and not ended, waiting ones included",
                e.invocations,
            ),
            ("hearth_memory_bytes", "Linear memories and tables of all instances", e.memory_bytes),
            ("hearth_memory_budget_bytes", "The budget for them", e.memory_budget_bytes),
            ("hearth_artifact_bytes", "Artifacts on disk", e.artifact_bytes),
            (
                "hearth_code_pending",
                "Contents in the fast tier that wait to be compiled fully",
                e.optimisations_pending,
            ),
            (
                "hearth_draining",
                "1 while the engine takes no new invocations",
                u64::from(e.draining),
            ),
            ("hearth_services", "Services on disk", figures.services),
            ("hearth_functions_stored", "Functions on disk", figures.functions_stored),
            (
                "hearth_queue_depth",
                "Asynchronous invocations that wait or run",
                figures.queue_depth,
            ),
            ("hearth_queue_running", "Asynchronous invocations that run", figures.queue_running),
            ("hearth_body_bytes", "Memory held for request bodies", figures.body_bytes),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let counters = [
            ("hearth_queue_accepted", "Asynchronous invocations accepted", figures.enqueued),
            ("hearth_queue_settled", "Asynchronous invocations that ended", figures.settled),
            ("hearth_queue_retries", "Attempts put off or repeated", figures.retried),
            (
                "hearth_queue_leases_lost",
                "Results dropped because their lease was lost",
                figures.leases_lost,
            ),
            (
                "hearth_log_lines_dropped",
                "Log lines dropped because a bound was reached",
                e.log_lines_dropped + figures.log_lines_dropped,
            ),
        ];
        for (name, help, value) in code_counters(e).into_iter().chain(counters) {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        encode_connections(&mut encoder, &figures.connections)?;
        encode_pools(&mut encoder, &figures.functions)?;
        outgoing::encode(&mut encoder, &figures.functions)
    }
}

/// What became of compiled code.
fn code_counters(e: &EngineStats) -> [(&'static str, &'static str, u64); 9] {
    [
        (
            "hearth_background_invocations",
            "Invocations of functions that run long, on threads behind those that serve",
            e.in_background,
        ),
        ("hearth_compilations", "Compilations done", e.compilations),
        (
            "hearth_code_optimised",
            "Contents compiled fully after the fast tier had served them",
            e.optimised,
        ),
        (
            "hearth_code_optimisations_failed",
            "Contents that could not be compiled fully and stay in the fast tier",
            e.optimisations_failed,
        ),
        ("hearth_artifact_hits", "Artifacts found on disk and loaded", e.artifact_hits),
        (
            "hearth_shared_artifact_hits",
            "Artifacts of other servers that were loaded instead of compiling",
            e.shared_artifact_hits,
        ),
        (
            "hearth_shared_artifacts_stored",
            "Artifacts handed in for other servers",
            e.shared_artifacts_stored,
        ),
        (
            "hearth_shared_artifact_failures",
            "Times the place of shared artifacts failed",
            e.shared_artifact_failures,
        ),
        ("hearth_artifacts_rejected", "Artifacts that failed their check", e.artifacts_rejected),
    ]
}

fn encode_connections(encoder: &mut DescriptorEncoder<'_>, cores: &[usize]) -> std::fmt::Result {
    let help = "Connections, by the core that serves them";
    let mut family =
        encoder.encode_descriptor("hearth_connections", help, None, MetricType::Gauge)?;
    for (core, count) in cores.iter().enumerate() {
        let gauge = ConstGauge::new(i64::try_from(*count).unwrap_or(i64::MAX));
        gauge.encode(family.encode_family(&[("core", core.to_string())])?)?;
    }
    Ok(())
}

/// A figure of one pool.
type PoolFigure = (&'static str, fn(&FunctionStats) -> u32);

/// `service/function`, or `service.version/function` for one that is published.
pub(super) fn pool_name(identity: &Identity) -> String {
    match identity.version.as_str() {
        "" | LATEST => identity.to_string(),
        version => format!("{}.{version}/{}", identity.service, identity.function),
    }
}

fn encode_pools(
    encoder: &mut DescriptorEncoder<'_>,
    functions: &[FunctionStats],
) -> std::fmt::Result {
    let figures: [PoolFigure; 4] = [
        ("running", |stats| stats.running),
        ("waiting", |stats| stats.waiting),
        ("idle", |stats| stats.idle),
        ("limit", |stats| stats.max_instances),
    ];
    let help = "Instances and waiting invocations of each pool, by state";
    let mut family = encoder.encode_descriptor("hearth_pool", help, None, MetricType::Gauge)?;
    // One that was replaced goes on until its last invocation ends: what has one name is one pool to those who watch.
    let mut pools: BTreeMap<String, [i64; 4]> = BTreeMap::new();
    for stats in functions {
        let pool = pools.entry(pool_name(&stats.identity)).or_default();
        for (sum, (_, read)) in pool.iter_mut().zip(figures) {
            *sum = sum.saturating_add(i64::from(read(stats)));
        }
    }
    for (function, sums) in pools.iter().take(SHOWN_FUNCTIONS) {
        for (sum, (state, _)) in sums.iter().zip(figures) {
            let labels = [("function", function.as_str()), ("state", state)];
            ConstGauge::new(*sum).encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "Instances retired, by reason";
    let mut family =
        encoder.encode_descriptor("hearth_retired", help, None, MetricType::Counter)?;
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (reason, count) in functions.iter().flat_map(|stats| &stats.retired) {
        *sums.entry(reason).or_default() += count;
    }
    for (reason, count) in sums {
        ConstCounter::new(count).encode(family.encode_family(&[("reason", reason)])?)?;
    }
    Ok(())
}
