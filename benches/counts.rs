//! What a call costs in instructions and allocations: figures that a noisy machine does not move, so that CI can hold them.
//!
//! Allocations are those of the calling thread. Instructions are counted by valgrind, which runs this program twice with different
//! numbers of calls: the difference is the calls' alone. Both are compared with `counts.txt`, in a build that is not optimised, such as CI's, with
//! `counts-dev.txt`; more than a tolerance above it fails. `UPDATE_EXPECTED=1` writes the file.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a bench tells that it failed by panicking, and prints what it counted"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use bytes::Bytes;
use hearth_benches::{Options, guest};
use hearth_engine::{
    Engine, EngineConfig, Function, FunctionSpec, Invocation, InvokeError, Isolation, Limits,
    LogType, Outcome, PoolPolicy, RequestBody, Served,
};
use http_body_util::{BodyExt as _, Empty};
use tokio::runtime::Runtime;

/// What is called, by name.
const CASES: &[(&str, &str, Isolation, Way)] = &[
    ("warm echo", "wat-echo", Isolation::Reuse, Way::Event("hello")),
    ("fresh echo", "wat-echo", Isolation::Fresh, Way::Event("hello")),
    ("fresh WASI command", "rust-command", Isolation::Fresh, Way::Event("hello")),
    ("warm event component", "rust-event", Isolation::Reuse, Way::Event(r#"{"name":"x"}"#)),
    ("fresh event component", "rust-event", Isolation::Fresh, Way::Event(r#"{"name":"x"}"#)),
    ("warm HTTP component", "rust-http", Isolation::Reuse, Way::Request),
    ("fresh HTTP component", "rust-http", Isolation::Fresh, Way::Request),
];

/// How a guest is called.
#[derive(Clone, Copy)]
enum Way {
    Event(&'static str),
    Request,
}

/// Calls before anything is counted: pools and caches are as they stay.
const BEFORE: u32 = 200;

/// Calls that allocations are counted over.
const COUNTED: u32 = 100;

/// What a call, and a start, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Calls of the shorter run under valgrind.
const FEW: u32 = 500;

/// How many more calls the longer one makes: so many that what the engine's other threads do meanwhile, a million instructions or two,
/// does not matter. Code that is not optimised has more instructions to a call.
fn more(case: &str) -> u32 {
    let calls = if case == "warm echo" { 40_000 } else { 3000 };
    if cfg!(debug_assertions) { calls / 4 } else { calls }
}

/// How far above what is written down a figure may be, in percent.
const TOLERANCE: u64 = 5;

/// The same for instructions: of what other processors are offered by valgrind and used by the compiler and the C library, some differ. Code that
/// is not optimised takes so long under valgrind that the ticks of the engine's clock meanwhile are a part of it, more on a slower machine.
const TOLERANCE_OF_INSTRUCTIONS: u64 = if cfg!(debug_assertions) { 50 } else { 15 };

/// Where the figures are written down, and how they are made.
const WRITTEN: (&str, &str) = if cfg!(debug_assertions) {
    (
        concat!(env!("CARGO_MANIFEST_DIR"), "/counts-dev.txt"),
        "cargo bench --profile dev --workspace --bench counts",
    )
} else {
    (
        concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt"),
        "cargo bench -p hearth-benches --bench counts",
    )
};

/// One function of an engine of its own, on this thread.
struct Lab {
    runtime: Runtime,
    function: Function,
    way: Way,
}

impl Lab {
    fn new(&(_, name, isolation, way): &(&str, &str, Isolation, Way), artifacts: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime of one thread");
        // Small enough for the address space that valgrind leaves.
        let config = EngineConfig { instances: 4, ..EngineConfig::default() };
        // Compiled once: what a compiler does is no part of a call, and not the same each time.
        let engine = Engine::builder().config(config).artifact_dir(artifacts).build();
        let engine = engine.expect("an engine");
        // Valgrind is slow, and a busy machine more so: nobody's call is to end for that.
        let (timeout, initialize_timeout) = (PATIENCE, PATIENCE);
        let limits = Limits { timeout, initialize_timeout, ..Limits::default() };
        let pool = PoolPolicy { queue_wait: PATIENCE, ..PoolPolicy::default() };
        let spec = FunctionSpec::new(name, guest(name)).isolation(isolation).limits(limits);
        let spec = spec.pool(pool);
        let function = runtime.block_on(engine.load(spec)).expect("an example loads");
        Self { runtime, function, way }
    }

    fn call(&self, calls: u32) {
        self.runtime.block_on(async {
            for _ in 0..calls {
                match self.way {
                    Way::Event(event) => self.event(event).await,
                    Way::Request => self.request().await,
                }
            }
        });
    }

    async fn event(&self, event: &'static str) {
        let invocation = Invocation::new(event).log(LogType::None);
        let outcome = self.function.invoke(invocation).await.expect("an outcome");
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    }

    async fn request(&self) {
        let body = Empty::<Bytes>::new().map_err(|never| match never {});
        let request = http::Request::get("http://localhost/").body(RequestBody::new(body));
        let request = request.expect("a plain request");
        let nobody = || |_: Result<&Outcome, &InvokeError>| {};
        let served = self.function.serve(request, Invocation::new(Bytes::new()), nobody).await;
        let Ok(Served::Answering { response, .. }) = served else {
            panic!("no answer: {served:?}")
        };
        let body = response.into_body().collect().await.expect("a whole answer").to_bytes();
        assert!(body.starts_with(b"hello"), "{body:?}");
    }
}

/// What one call of a case costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    allocations: u64,
    bytes: u64,
    /// None without valgrind.
    instructions: Option<u64>,
}

fn main() -> ExitCode {
    let Some(options) = Options::from_arguments() else { return ExitCode::SUCCESS };
    if let Some(name) = options.value("--calls-of") {
        let case = CASES.iter().find(|(case, ..)| *case == name).expect("a case of that name");
        let lab = Lab::new(case, Path::new(options.value("--artifacts").expect("a directory")));
        lab.call(BEFORE + options.number("--calls", FEW));
        return ExitCode::SUCCESS;
    }
    let has_valgrind = valgrind(&["--version"]).is_ok();
    if !has_valgrind {
        eprintln!(
            "valgrind is not there (Debian: apt-get install valgrind): instructions are not counted"
        );
    }
    let mut costs: Vec<_> = CASES.iter().map(|case| (case.0, allocated(case))).collect();
    if has_valgrind {
        // Side by side: it changes nothing about how many there are.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let share = costs.len().div_ceil(cores);
        std::thread::scope(|scope| {
            for costs in costs.chunks_mut(share) {
                scope.spawn(|| costs.iter_mut().for_each(|(case, cost)| instructions(case, cost)));
            }
        });
    }
    let table = table(&costs);
    print!("{table}");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(WRITTEN.0, table).expect("the figures are written");
        return ExitCode::SUCCESS;
    }
    let written = std::fs::read_to_string(WRITTEN.0).unwrap_or_default();
    let complaints = compare(&written, &costs);
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What calls allocate.
fn allocated(case: &(&str, &str, Isolation, Way)) -> Cost {
    let artifacts = tempfile::tempdir().expect("a directory for artifacts");
    let lab = Lab::new(case, artifacts.path());
    lab.call(BEFORE);
    let counted = allocation_counter::measure(|| lab.call(COUNTED));
    let calls = u64::from(COUNTED);
    Cost {
        allocations: counted.count_total / calls,
        bytes: counted.bytes_total / calls,
        instructions: None,
    }
}

/// Counts the instructions as well.
fn instructions(case: &str, cost: &mut Cost) {
    let artifacts = tempfile::tempdir().expect("a directory for artifacts");
    // Compiles: valgrind shows its programs another processor than there is.
    count(case, 1, artifacts.path());
    let more = more(case);
    let few = count(case, FEW, artifacts.path());
    let many = count(case, FEW + more, artifacts.path());
    cost.instructions = Some(many.saturating_sub(few) / u64::from(more));
}

/// Instructions that so many calls take, with all around them.
fn count(case: &str, calls: u32, artifacts: &Path) -> u64 {
    let this = std::env::current_exe().expect("a path of this program");
    let (this, calls) = (this.to_string_lossy(), calls.to_string());
    let arguments = [
        "--tool=cachegrind",
        "--cache-sim=no",
        "--cachegrind-out-file=/dev/null",
        &this,
        "--calls-of",
        case,
        "--calls",
        &calls,
        "--artifacts",
        &artifacts.to_string_lossy(),
    ];
    // Once more, where the machine was too busy for it: what counts is what it says in the end.
    let told = valgrind(&arguments).or_else(|why| {
        eprintln!("{case}, {calls} calls under valgrind, counted anew: {why}");
        valgrind(&arguments)
    });
    let told = told.unwrap_or_else(|why| panic!("{case}, {calls} calls under valgrind: {why}"));
    let line = told
        .lines()
        .find_map(|line| line.split_once("I   refs:").or_else(|| line.split_once("I refs:")));
    let (_, number) = line.unwrap_or_else(|| panic!("valgrind counts: {told}"));
    number.trim().replace(',', "").parse().expect("a number of instructions")
}

/// What valgrind says, and its program.
///
/// # Errors
/// The same where it is not there or does not end well.
fn valgrind(arguments: &[&str]) -> Result<String, String> {
    let ran = Command::new("valgrind").args(arguments).stdin(Stdio::null()).output();
    let ran = ran.map_err(|why| why.to_string())?;
    let told = String::from_utf8_lossy(&ran.stderr).into_owned();
    if ran.status.success() { Ok(told) } else { Err(format!("{}: {told}", ran.status)) }
}

fn table(costs: &[(&str, Cost)]) -> String {
    let mut table = format!(
        "# What one call costs; made by {} with UPDATE_EXPECTED=1.\n{:24} {:>12} {:>12} {:>14}\n",
        WRITTEN.1, "# call", "allocations", "bytes", "instructions"
    );
    for (name, Cost { allocations, bytes, instructions }) in costs {
        let instructions = instructions.map_or("-".to_owned(), |count| count.to_string());
        let name = name.replace(' ', "-");
        let _ = writeln!(table, "{name:24} {allocations:>12} {bytes:>12} {instructions:>14}");
    }
    table
}

/// What is not as it is written down.
fn compare(written: &str, costs: &[(&str, Cost)]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, cost) in costs {
        let name = name.replace(' ', "-");
        let line = written.lines().find(|line| line.split_whitespace().next() == Some(&*name));
        let Some(line) = line else {
            complaints.push(format!("{name} is not written down; run with UPDATE_EXPECTED=1"));
            continue;
        };
        let mut figures = line.split_whitespace().skip(1).map(|word| word.parse::<u64>().ok());
        let now = [
            ("allocations", Some(cost.allocations), TOLERANCE),
            ("bytes", Some(cost.bytes), TOLERANCE),
            ("instructions", cost.instructions, TOLERANCE_OF_INSTRUCTIONS),
        ];
        for (what, now, tolerance) in now {
            let (Some(Some(before)), Some(now)) = (figures.next(), now) else { continue };
            if now > before.saturating_add(before * tolerance / 100) {
                complaints.push(format!(
                    "{name}: {now} {what} a call, and {before} before: find out why"
                ));
            }
        }
    }
    complaints
}
