//! `hearth run FILE.wasm`: runs a file once with the engine in this process. Nothing is kept on disk.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use hearth_engine::{Engine, FunctionSpec, Invocation, LoadError, LogType, Outcome};

use super::deploy::read_code;
use super::function_args::FunctionArgs;
use super::invoke::{EventArgs, show};
use super::{Ending, UsageError};
use crate::dialect::hearth::wire::DeployRequest;
use crate::terminal::{Progress, Style, Terminal, human_bytes, human_time};

/// Run a file once, without a server.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The .wasm file: a component or a core module
    path: PathBuf,
    #[command(flatten)]
    event: EventArgs,
    /// Show the last 4 KiB of what it logged
    #[arg(long)]
    tail: bool,
    #[command(flatten)]
    function: FunctionArgs,
}

/// What to load, as the flags say.
pub(super) fn spec(name: &str, code: Vec<u8>, request: DeployRequest) -> FunctionSpec {
    let mut spec = FunctionSpec::new(name, code);
    request.apply_limits(&mut spec.limits);
    spec.isolation = request.isolation.unwrap_or_default();
    spec.environment = request.environment.unwrap_or_default().into_iter().collect();
    spec.grants = request.grants.unwrap_or_default();
    spec
}

/// Why it was not loaded. What an initializer logged is told here, because nothing keeps it.
fn refused(error: &LoadError) -> String {
    let mut told = format!("{error}\nhint: {}", error.hint());
    if let LoadError::Initializer { log, .. } = error
        && !log.is_empty()
    {
        let _ = write!(told, "\nit logged:\n{}", log.trim_end());
    }
    told
}

impl Run {
    pub(super) fn run(self, terminal: &Terminal) -> anyhow::Result<Ending> {
        let code = read_code(&self.path)?;
        let event = self.event.read()?;
        let name = self
            .path
            .file_stem()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let spec = spec(&name, code, self.function.to_request()?);
        let log = if self.tail { LogType::Tail } else { LogType::None };
        let outcome = runtime()?.block_on(async {
            let progress = Progress::spinner(terminal, &format!("compiling {name}"));
            let engine = Engine::builder().build()?;
            let function = engine.load(spec).await.map_err(|error| UsageError(refused(&error)))?;
            progress.say("running");
            let mut invocation = Invocation::new(event).log(log);
            invocation.load = Some(function.load_report());
            let outcome = function.invoke(invocation).await;
            drop(progress);
            outcome.map_err(anyhow::Error::new)
        })?;
        finish(terminal, &outcome)
    }
}

/// A runtime on this thread.
pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn finish(terminal: &Terminal, outcome: &Outcome) -> anyhow::Result<Ending> {
    let log = outcome.tail_log.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let answer = outcome.result.as_deref().unwrap_or_default();
    show(terminal, answer, &log)?;
    let p = &outcome.report.phases;
    let figures = format!(
        "compile {}, load {}, instantiate {}, run {}, CPU {}, memory {}",
        human_time(p.compile),
        human_time(p.load),
        human_time(p.instantiate),
        human_time(p.run),
        human_time(outcome.report.cpu_time),
        human_bytes(outcome.report.memory_peak_bytes)
    );
    terminal.note(&terminal.paint(Style::Dim, &figures));
    let Err(fault) = &outcome.result else { return Ok(Ending::Done) };
    let label = terminal.paint(Style::Red, "function error:");
    terminal.note(&format!("{label} the guest {fault}"));
    for frame in fault.backtrace() {
        terminal.note(&format!("    at {}", frame.function.escape_debug()));
    }
    terminal.note(&terminal.paint(Style::Dim, &format!("hint: {}", fault.hint())));
    Ok(Ending::FunctionError)
}
