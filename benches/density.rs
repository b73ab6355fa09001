//! What a loaded function with one idle warm instance costs in memory: loads many of different content, serves one event with
//! each and reads what is resident.
//!
//! `cargo bench -p hearth-benches --bench density`; `--count N`, `--guest NAME`. Compiling happens in this process and measuring
//! in one of its own, which finds only artifacts: what a compiler leaves behind in the heap is no part of a function.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench tells that it failed by panicking"
)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hearth_benches::{Options, guest, numbered, show_head};
use hearth_engine::{
    Engine, EngineConfig, FunctionSpec, Invocation, LoadSource, LogType, PoolPolicy,
};

/// Resident memory that a thousand functions may take.
const TARGET_KIB: u64 = 3 << 19;
const TARGET_COUNT: u32 = 1000;

const GUESTS: [&str; 3] = ["wat-echo", "c-echo", "rust-event"];

/// Long enough that no instance goes for want of work.
const IDLE_TIME: Duration = Duration::from_secs(3600);

fn main() {
    let Some(options) = Options::from_arguments() else { return };
    let count = options.number("--count", if options.is_quick { 20 } else { TARGET_COUNT });
    if let Some(directory) = options.value("--measure") {
        let name = options.value("--guest").expect("--measure comes with --guest");
        return measure(&options, Path::new(directory), name, count);
    }
    show_head(
        &options,
        "1 idle instance of each of                     functions  RSS MiB   anon   file  shmem  KiB each  target MiB",
    );
    let chosen = options.value("--guest").map(|name| vec![name]);
    for name in chosen.unwrap_or_else(|| GUESTS.to_vec()) {
        let home = tempfile::tempdir().expect("a temporary directory");
        compile(home.path(), name, count);
        let mut child = Command::new(std::env::current_exe().expect("its own program"));
        child.args(["--measure", &home.path().to_string_lossy(), "--guest", name]);
        child.args(["--count", &count.to_string()]);
        child.args(["--format", if options.wants_json { "json" } else { "table" }]);
        assert!(child.status().expect("a process").success(), "measuring {name} failed");
    }
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

fn measure(options: &Options, directory: &Path, name: &str, count: u32) {
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
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(engine.stats().instances, u64::from(count), "one idle instance each");
    show(options, name, count, &before, &Resident::now());
    drop(functions);
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

#[expect(clippy::print_stdout, reason = "this is what a bench is for")]
fn show(options: &Options, name: &str, count: u32, before: &Resident, after: &Resident) {
    let Resident { all, anonymous, file, shared } = after;
    let each = (all - before.all) / u64::from(count.max(1));
    // Fewer functions than the target speaks of say what a thousand would take.
    let thousand = before.all + each * u64::from(TARGET_COUNT);
    if options.wants_json {
        println!(
            r#"{{"guest":"{name}","functions":{count},"rss_kib":{all},"anon_kib":{anonymous},"file_kib":{file},"shmem_kib":{shared},"each_kib":{each},"engine_alone_kib":{},"target_kib":{TARGET_KIB}}}"#,
            before.all
        );
        return;
    }
    let verdict = if thousand <= TARGET_KIB { "ok" } else { "MISSED" };
    println!(
        "{name:<46} {count:>9} {:>8} {:>6} {:>6} {:>6} {each:>9} {:>11} {verdict}",
        all >> 10,
        anonymous >> 10,
        file >> 10,
        shared >> 10,
        TARGET_KIB >> 10
    );
}
