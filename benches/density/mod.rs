//! What a loaded function with one idle warm instance costs in memory, and what an instance of bare wasmtime does: loads many of different
//! content, serves one event with each and reads what is resident.
//!
//! Compiling happens in one process and measuring in another, which finds only artifacts: what a compiler leaves behind in the heap is no part
//! of a function.

mod bare;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hearth_engine::{
    Engine, EngineConfig, FunctionSpec, Invocation, LoadSource, LogType, PoolPolicy,
};
use serde_json::{Value, json};

use crate::in_process::bare::Crowd;
use crate::{Options, guest, numbered};

/// Functions that targets speak of.
pub const TARGET_COUNT: u32 = 1000;

/// What is measured unless another is asked for.
pub const GUESTS: [&str; 3] = ["wat-echo", "c-echo", "rust-event"];

/// Long enough that no instance goes for want of work.
const IDLE_TIME: Duration = Duration::from_secs(3600);

/// How long the keeper has until only what is idle is left.
const SETTLING: Duration = Duration::from_secs(2);

/// Resident memory, in KiB.
#[derive(Debug, Clone, Copy)]
pub struct Density {
    /// Of the process before it loaded any.
    pub before: u64,
    /// Of the process with all of them.
    pub all: u64,
    /// Of that, what is anonymous, of files and shared.
    pub kinds: (u64, u64, u64),
    /// How many there are.
    pub count: u32,
}

impl Density {
    /// For each of them.
    #[must_use]
    pub fn each(&self) -> u64 {
        self.all.saturating_sub(self.before) / u64::from(self.count.max(1))
    }

    /// For a thousand of them, with the process.
    #[must_use]
    pub fn thousand(&self) -> u64 {
        self.before + self.each() * u64::from(TARGET_COUNT)
    }
}

/// Measures in processes of this program, whose `main` must call `measure_if_told`.
///
/// # Errors
/// What one of them said that failed.
pub fn density(name: &str, count: u32, is_bare: bool) -> Result<Density, String> {
    let home = tempfile::tempdir().map_err(|why| why.to_string())?;
    let of = |task: &str| {
        let mut child = Command::new(std::env::current_exe().expect("its own program"));
        child.args([task, &home.path().to_string_lossy(), "--guest", name]);
        let side = if is_bare { "bare" } else { "hearth" };
        let output = child.args(["--count", &count.to_string(), "--side", side]).output();
        let output = output.expect("a process");
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr))),
        }
    };
    of("--compile")?;
    let told: Value = serde_json::from_slice(&of("--measure")?).expect("JSON");
    let figure = |name: &str| told.get(name).and_then(Value::as_u64).expect("a figure");
    Ok(Density {
        before: figure("before"),
        all: figure("all"),
        kinds: (figure("anon"), figure("file"), figure("shmem")),
        count,
    })
}

/// Does what `density` started this process for; false when it was started for something else.
#[must_use]
#[expect(clippy::print_stdout, reason = "another process reads it")]
pub fn measure_if_told(options: &Options) -> bool {
    let count = options.number("--count", TARGET_COUNT);
    let name = || options.value("--guest").expect("a guest");
    if let Some(directory) = options.value("--compile") {
        match options.value("--side") {
            Some("bare") => Crowd::compile(Path::new(directory), &guest(name()), count),
            _ => compile(Path::new(directory), name(), count),
        }
    } else if let Some(directory) = options.value("--measure") {
        let (before, after) = match options.value("--side") {
            Some("bare") => bare::measure(Path::new(directory), count),
            _ => measure(Path::new(directory), name(), count),
        };
        let Resident { all, anonymous, file, shared } = after;
        let told = json!({"before": before.all, "all": all, "anon": anonymous, "file": file, "shmem": shared});
        println!("{told}");
    } else {
        return false;
    }
    true
}

fn engine(directory: &Path, count: u32) -> Engine {
    let config = EngineConfig { instances: count.max(64) * 2, ..EngineConfig::default() };
    Engine::builder().config(config).artifact_dir(directory).build().expect("an engine")
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime of one thread")
}

fn spec(name: &str, code: &[u8], number: u32) -> FunctionSpec {
    let policy = PoolPolicy { idle_time: IDLE_TIME, ..PoolPolicy::default() };
    FunctionSpec::new(format!("{name}-{number}"), numbered(code, number)).pool(policy)
}

/// Leaves an artifact of each in the directory.
fn compile(directory: &Path, name: &str, count: u32) {
    let (engine, code) = (engine(directory, count), guest(name));
    let runtime = runtime();
    for number in 0..count {
        runtime.block_on(engine.load(spec(name, &code, number))).expect("it compiles");
    }
}

/// What is resident before and after.
fn measure(directory: &Path, name: &str, count: u32) -> (Resident, Resident) {
    let (engine, code) = (engine(directory, count), guest(name));
    let runtime = runtime();
    let before = Resident::now();
    let mut functions = Vec::new();
    for number in 0..count {
        let function = runtime.block_on(engine.load(spec(name, &code, number))).expect("it loads");
        assert_eq!(function.load_report().source, LoadSource::Artifact, "it was compiled before");
        let event = Invocation::new(r#"{"name":"x"}"#).log(LogType::Tail);
        let outcome = runtime.block_on(function.invoke(event)).expect("no refusal");
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        functions.push(function);
    }
    // The keeper may be about to do something.
    let begun = Instant::now();
    std::thread::sleep(Duration::from_millis(300));
    while engine.stats().instances != u64::from(count) && begun.elapsed() < SETTLING {
        std::thread::sleep(Duration::from_millis(50));
    }
    // Now and then a function has a second one, which makes no difference to the figure as long as it is the exception.
    let (instances, each) = (engine.stats().instances, u64::from(count));
    assert!((each..=each + 1 + each / 100).contains(&instances), "{instances} for {each}");
    let after = Resident::now();
    drop(functions);
    (before, after)
}

/// Resident memory of this process, in KiB.
struct Resident {
    all: u64,
    anonymous: u64,
    file: u64,
    shared: u64,
}

impl Resident {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let words = line.and_then(|line| line.split_whitespace().next());
            words.and_then(|kib| kib.parse().ok()).unwrap_or(0)
        };
        Self {
            all: of("VmRSS"),
            anonymous: of("RssAnon"),
            file: of("RssFile"),
            shared: of("RssShmem"),
        }
    }
}
