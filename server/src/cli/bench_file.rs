//! Measures a file with the engine in this process: compiling it, loading its artifact, a fresh instance, a warm one.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use hearth_engine::{
    Engine, EngineConfig, Function, FunctionSpec, Invocation, Isolation, StartKind,
};

use super::bench::Figure;
use super::deploy::read_code;
use super::run::{runtime, spec};
use crate::dialect::hearth::wire::DeployRequest;
use crate::terminal::{Progress, Terminal};

/// Compilations and loads are slow; this many say enough.
const COLD_COUNT: u64 = 20;
/// Calls of one figure at most: the histogram holds more, the patience of a person does not.
const CALLS_MAX: u64 = 5_000_000;
/// Calls before measuring begins.
const WARM_UP: u64 = 100;

/// Measures all four.
pub(super) fn measure(
    path: &Path,
    event: Vec<u8>,
    duration: Duration,
    request: DeployRequest,
    terminal: &Terminal,
) -> anyhow::Result<Vec<Figure>> {
    let code: bytes::Bytes = read_code(path)?.into();
    let event: bytes::Bytes = event.into();
    let chosen = request.isolation;
    let spec = move |isolation| {
        let mut spec: FunctionSpec = spec("bench", Vec::new(), request.clone());
        spec.code = code.clone();
        spec.isolation = isolation;
        spec
    };
    runtime()?.block_on(async {
        let mut figures = vec![
            cold(terminal, "compiled", duration, &event, || spec(Isolation::Reuse)).await?,
            cold(terminal, "loaded", duration, &event, || spec(Isolation::Reuse)).await?,
        ];
        // What was chosen for the function, if that is how fresh instances begin.
        let fresh = match chosen {
            Some(Isolation::Snapshot) => ("snapshot", Isolation::Snapshot),
            _ => ("fresh", Isolation::Fresh),
        };
        for (name, isolation) in [fresh, ("warm", Isolation::Reuse)] {
            let engine = Engine::builder().config(one_tier()).build()?;
            let function = engine.load(spec(isolation)).await?;
            figures.push(calls(terminal, name, duration, &event, &function).await?);
        }
        Ok(figures)
    })
}

/// From nothing to the first answer: each time with an engine of its own, and for `loaded` with an artifact on disk.
async fn cold(
    terminal: &Terminal,
    name: &'static str,
    duration: Duration,
    event: &bytes::Bytes,
    spec: impl Fn() -> FunctionSpec,
) -> anyhow::Result<Figure> {
    let mut figure = Figure::new(name)?;
    let progress = Progress::bar(terminal, name, COLD_COUNT);
    let artifacts = Artifacts::new()?;
    let began = Instant::now();
    if name == "loaded" {
        engine(&artifacts.0, name)?.load(spec()).await?;
    }
    for round in 0..COLD_COUNT {
        // Building an engine reserves address space once a process; a server pays for that at its start.
        let directory = if name == "loaded" {
            artifacts.0.clone()
        } else {
            artifacts.0.join(round.to_string())
        };
        let engine = engine(&directory, name)?;
        let spec = spec();
        let start = Instant::now();
        let function = engine.load(spec).await?;
        invoke(&function, event).await?;
        figure.latencies.record(start.elapsed());
        progress.at(round);
        if began.elapsed() > duration {
            break;
        }
    }
    Ok(figure)
}

/// What is measured after its first answer is code that is compiled fully.
fn one_tier() -> EngineConfig {
    EngineConfig { fast_tier_bytes: u64::MAX, ..EngineConfig::default() }
}

fn engine(directory: &Path, name: &str) -> anyhow::Result<Engine> {
    // Compiling up to the first answer is what a server does: in two tiers, where the code is large.
    let config = if name == "compiled" { EngineConfig::default() } else { one_tier() };
    let built = Engine::builder().config(config).artifact_dir(directory).build();
    built.map_err(|error| anyhow::Error::new(error).context(format!("engine for `{name}`")))
}

/// Calls one after another.
async fn calls(
    terminal: &Terminal,
    name: &'static str,
    duration: Duration,
    event: &bytes::Bytes,
    function: &Function,
) -> anyhow::Result<Figure> {
    let mut figure = Figure::new(name)?;
    for _ in 0..WARM_UP {
        invoke(function, event).await?;
    }
    let steps = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let progress = Progress::bar(terminal, name, steps);
    let mut unlike = 0u64;
    let began = Instant::now();
    for round in 0..CALLS_MAX {
        let start = Instant::now();
        let kind = invoke(function, event).await?;
        figure.latencies.record(start.elapsed());
        // A command gets a fresh instance each time, whatever was asked for: say so rather than call it warm.
        unlike += u64::from(kind.as_str() != name);
        if round % 256 == 0 {
            let spent = began.elapsed();
            progress.at(u64::try_from(spent.as_millis()).unwrap_or(steps));
            if spent > duration {
                break;
            }
        }
    }
    if unlike > 0 {
        figure.extra.insert(format!("calls that were not {name}"), unlike.into());
    }
    Ok(figure)
}

async fn invoke(function: &Function, event: &bytes::Bytes) -> anyhow::Result<StartKind> {
    let outcome = function.invoke(Invocation::new(event.clone())).await?;
    if let Err(fault) = &outcome.result {
        bail!("the guest {fault}\nhint: {}", fault.hint());
    }
    Ok(outcome.report.start)
}

/// A directory for artifacts that goes when the measurement ends.
struct Artifacts(std::path::PathBuf);

impl Artifacts {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("hearth-bench-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Artifacts {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
