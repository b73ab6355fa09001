//! Counters and histograms of invocations, under the OpenTelemetry `faas.*` names in Prometheus form where such a name exists
//! and under `hearth_*` where not.
//!
//! Labels are bounded: a function gets its own label only after an invocation that found it, and only the first
//! [`LABELLED_FUNCTIONS`] do; the rest share `other`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use hearth_engine::{Fault, Outcome, Report, StartKind};
use hearth_platform::{PlatformError, Revision};
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

use super::collector::{Collector, FiguresSource};
use super::spread::{SpreadCounter, SpreadHistogram};

/// Functions with a label of their own.
const LABELLED_FUNCTIONS: usize = 500;

/// The label of the functions beyond those.
const OTHER: &str = "other";

/// OpenTelemetry's bounds for `faas.*` durations, with finer ones below: a warm guest takes microseconds.
const SECONDS: [f64; 18] = [
    0.000_01, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0,
    2.5, 5.0, 7.5, 10.0,
];

/// The metrics could not be written as text.
#[derive(Debug, thiserror::Error)]
#[error("metrics could not be encoded")]
pub struct MetricsError(#[from] std::fmt::Error);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByFunction {
    function: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByError {
    function: String,
    r#type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    function: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPhase {
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByStatus {
    status: &'static str,
}

/// The series of one function, so that an invocation looks them up once.
#[derive(Debug)]
struct FunctionSeries {
    label: String,
    invocations: SpreadCounter,
    timeouts: Counter,
    cold_starts: SpreadCounter,
    starts: [SpreadCounter; StartKind::ALL.len()],
    invoke: SpreadHistogram,
    initialize: SpreadHistogram,
}

/// The series of a function as they are kept with its revisions.
struct Series(Arc<FunctionSeries>);

/// A histogram family whose members are all made the same way.
type Histograms<L> = Family<L, SpreadHistogram, fn() -> SpreadHistogram>;

fn durations() -> SpreadHistogram {
    SpreadHistogram::new(SECONDS)
}

/// All figures of this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Asked once for each revision, which keeps its own.
    functions: Mutex<HashMap<String, Arc<FunctionSeries>>>,
    invocations: Family<ByFunction, SpreadCounter>,
    errors: Family<ByError, Counter>,
    timeouts: Family<ByFunction, Counter>,
    cold_starts: Family<ByFunction, SpreadCounter>,
    starts: Family<ByKind, SpreadCounter>,
    refusals: Family<ByReason, Counter>,
    invoke: Histograms<ByFunction>,
    initialize: Histograms<ByFunction>,
    phases: [SpreadHistogram; 5],
    memory: SpreadHistogram,
    cpu: SpreadHistogram,
    responses: [SpreadCounter; 5],
    failures: Counter,
}

/// In the order of `Metrics::phases`.
const PHASES: [&str; 5] = ["wait", "compile", "load", "instantiate", "run"];

impl Metrics {
    /// The figures, with those that `source` reads at each scrape.
    pub fn new(source: Arc<dyn FiguresSource>) -> Self {
        let mut registry = Registry::default();
        let by_phase = Histograms::<ByPhase>::new_with_constructor(durations);
        let by_status = Family::<ByStatus, SpreadCounter>::default();
        let phases = PHASES.map(|phase| by_phase.get_or_create_owned(&ByPhase { phase }));
        let responses = ["1xx", "2xx", "3xx", "4xx", "5xx"]
            .map(|status| by_status.get_or_create_owned(&ByStatus { status }));
        let metrics = Self {
            functions: Mutex::default(),
            invocations: Family::default(),
            errors: Family::default(),
            timeouts: Family::default(),
            cold_starts: Family::default(),
            starts: Family::default(),
            refusals: Family::default(),
            invoke: Family::new_with_constructor(durations),
            initialize: Family::new_with_constructor(durations),
            phases,
            memory: SpreadHistogram::new(
                (0..12).map(|power| f64::from(1u32 << power) * 1_048_576.0),
            ),
            cpu: durations(),
            responses,
            failures: Counter::default(),
            registry: Registry::default(),
        };
        metrics.register_counts(&mut registry);
        metrics.register_measures(&mut registry, by_phase);
        registry.register("hearth_http_responses", "Responses by class of status", by_status);
        registry.register_collector(Box::new(Collector(source)));
        Self { registry, ..metrics }
    }

    fn register_counts(&self, registry: &mut Registry) {
        registry.register(
            "faas_invocations",
            "Invocations that ran, well or badly",
            self.invocations.clone(),
        );
        registry.register(
            "faas_errors",
            "Invocations that ended in a fault of the guest, by its type",
            self.errors.clone(),
        );
        registry.register(
            "faas_timeouts",
            "Invocations that ran into their timeout",
            self.timeouts.clone(),
        );
        registry.register(
            "faas_coldstarts",
            "Invocations whose instance had served nobody",
            self.cold_starts.clone(),
        );
        registry.register(
            "hearth_starts",
            "Invocations by how their instance started",
            self.starts.clone(),
        );
        registry.register(
            "hearth_refusals",
            "Invocations declined before they ran, by reason",
            self.refusals.clone(),
        );
        registry.register(
            "hearth_failures",
            "Invocations that failed because of the host",
            self.failures.clone(),
        );
    }

    fn register_measures(&self, registry: &mut Registry, by_phase: Histograms<ByPhase>) {
        let (seconds, bytes) = (|| Unit::Seconds, || Unit::Bytes);
        registry.register_with_unit(
            "faas_invoke_duration",
            "Time of the guest's execution",
            seconds(),
            self.invoke.clone(),
        );
        registry.register_with_unit(
            "faas_init_duration",
            "Time of making an instance, where one was made",
            seconds(),
            self.initialize.clone(),
        );
        registry.register_with_unit(
            "hearth_phase_duration",
            "Time of each phase that happened",
            seconds(),
            by_phase,
        );
        registry.register_with_unit(
            "faas_cpu_usage",
            "CPU time of an invocation",
            seconds(),
            self.cpu.clone(),
        );
        registry.register_with_unit(
            "faas_mem_usage",
            "Peak memory of the instance that served",
            bytes(),
            self.memory.clone(),
        );
    }

    /// Counts an invocation that brought no outcome.
    pub fn not_run(&self, target: &dyn std::fmt::Display, error: &PlatformError) {
        match error {
            PlatformError::Refused(refusal) => self.refused(refusal.as_str()),
            PlatformError::Request(_) => {}
            error => {
                tracing::debug!(%target, %error, "a call brought no outcome");
                self.failed();
            }
        }
    }

    /// Counts an invocation that failed because of the host.
    fn failed(&self) {
        self.failures.inc();
    }

    /// Counts an invocation that was declined before any guest ran.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&ByReason { reason }).inc();
    }

    /// Counts an invocation that ran.
    pub fn ran(&self, revision: &Revision, outcome: &Outcome) {
        let (fault, report) = (outcome.result.as_ref().err(), &outcome.report);
        let p = &report.phases;
        let series = revision.beside(|| Series(self.series(revision.label())));
        if let Some(Series(series)) = series {
            self.ran_as(series, fault, report);
        }
        let spent = [p.wait, p.compile, p.load, p.instantiate, p.run];
        for (histogram, spent) in self.phases.iter().zip(spent) {
            if !spent.is_zero() {
                histogram.observe(spent.as_secs_f64());
            }
        }
        self.cpu.observe(report.cpu_time.as_secs_f64());
        // Exact far beyond any memory: f64 counts bytes up to 8 PiB.
        #[allow(clippy::cast_precision_loss, reason = "sizes stay far below 2^53")]
        self.memory.observe(report.memory_peak_bytes as f64);
    }

    /// Counts with the figures of its function.
    fn ran_as(&self, series: &FunctionSeries, fault: Option<&Fault>, report: &Report) {
        series.invocations.inc();
        if let Some(fault) = fault {
            let function = series.label.clone();
            self.errors.get_or_create(&ByError { function, r#type: fault.as_str() }).inc();
            if matches!(fault, Fault::Timeout { .. } | Fault::InitializeTimeout { .. }) {
                series.timeouts.inc();
            }
        }
        for (kind, counter) in StartKind::ALL.iter().zip(&series.starts) {
            if *kind == report.start {
                counter.inc();
            }
        }
        if report.start != StartKind::Warm {
            series.cold_starts.inc();
        }
        let p = &report.phases;
        series.invoke.observe(p.run.as_secs_f64());
        let made = p.compile + p.load + p.instantiate;
        if !made.is_zero() {
            series.initialize.observe(made.as_secs_f64());
        }
    }

    /// Counts a response.
    pub fn answered(&self, status: u16) {
        if let Some(counter) = self.responses.get(usize::from(status / 100).saturating_sub(1)) {
            counter.inc();
        }
    }

    /// The figures of a function, or those that the ones without a label of their own share.
    fn series(&self, function: &str) -> Arc<FunctionSeries> {
        let mut functions = self.functions.lock();
        if let Some(series) = functions.get(function) {
            return series.clone();
        }
        let label = if functions.len() < LABELLED_FUNCTIONS { function } else { OTHER };
        let series =
            functions.entry(label.to_owned()).or_insert_with(|| Arc::new(self.make_series(label)));
        series.clone()
    }

    fn make_series(&self, label: &str) -> FunctionSeries {
        let by = ByFunction { function: label.to_owned() };
        FunctionSeries {
            label: label.to_owned(),
            invocations: self.invocations.get_or_create_owned(&by),
            timeouts: self.timeouts.get_or_create_owned(&by),
            cold_starts: self.cold_starts.get_or_create_owned(&by),
            starts: StartKind::ALL.map(|kind| {
                let by = ByKind { function: label.to_owned(), kind: kind.as_str() };
                self.starts.get_or_create_owned(&by)
            }),
            invoke: self.invoke.get_or_create_owned(&by),
            initialize: self.initialize.get_or_create_owned(&by),
        }
    }

    /// All figures as Prometheus reads them.
    ///
    /// # Errors
    /// When a source writes what has no text form.
    pub fn encode(&self) -> Result<String, MetricsError> {
        let mut text = String::with_capacity(16 << 10);
        encode(&mut text, &self.registry)?;
        text.write_str("")?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::collector::Figures;
    use super::*;

    struct Nothing;

    impl FiguresSource for Nothing {
        fn read(&self) -> Figures {
            Figures::default()
        }
    }

    #[test]
    fn labels_are_bounded() {
        let metrics = Metrics::new(Arc::new(Nothing));
        for number in 0..LABELLED_FUNCTIONS + 20 {
            metrics.series(&format!("s/f{number}")).invocations.inc();
        }
        let text = metrics.encode().unwrap();
        assert!(text.contains("faas_invocations_total{function=\"s/f0\"} 1\n"), "{text}");
        assert!(text.contains("faas_invocations_total{function=\"other\"} 20\n"));
        assert!(text.contains("# TYPE faas_invoke_duration_seconds histogram"));
        assert!(text.contains("hearth_http_responses_total{status=\"5xx\"} 0"));
    }
}
