//! What it costs to know ten thousand functions: how long a server takes until it is ready and what it holds before any is called, and
//! what a warm call costs beside one in a platform that knows a single function.
//!
//! `cargo build --release -p hearth && cargo bench -p hearth-benches --bench functions`; `--count N`, `--hearth PATH`, and `start` or
//! `call` for one of the two. Each function has code of its own, so there are as many artifacts on disk.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench tells that it failed by panicking"
)]

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hearth_benches::{COLUMNS, Case, Options, Side, compare, guest, median, numbered, show_head};
use hearth_engine::{Engine, EngineConfig, Invocation};
use hearth_platform::{
    CodeUpload, FunctionName, FunctionSettings, NewFunction, Platform, PlatformConfig, ServiceName,
    ServiceSettings, Target,
};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const COUNT: u32 = 10_000;

/// Deployed at once; as many may wait for a place to compile.
const DEPLOYED_AT_ONCE: usize = 16;

/// Services that they are spread over.
const SERVICES: u32 = 100;

/// What is promised of a start with that many.
const READY_TARGET: Duration = Duration::from_secs(1);
const RESIDENT_TARGET_KIB: u64 = 200 << 10;

/// What a call may cost beside one where a single function is known.
const FLAT_TARGET: f64 = 1.3;

/// Functions that are called in turn where it is many at once: as many as may all rest warm.
const IN_TURN: u32 = 1000;

/// The longest a start is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let Some(options) = Options::from_arguments() else { return };
    let count = options.number("--count", if options.is_quick { 200 } else { COUNT });
    let wanted: Vec<&str> = options.wanted().collect();
    let wants = |what: &str| wanted.is_empty() || wanted.contains(&what);
    let home = tempfile::tempdir().expect("a temporary directory");
    let (one, many) = (home.path().join("one"), home.path().join("many"));
    let runtime = Rc::new(runtime());
    fill(&runtime, &one, 1);
    fill(&runtime, &many, count);
    if wants("start") {
        show_head(
            &options,
            "a start with functions known                 ready ms  target   RSS MiB  target",
        );
        for (dir, known) in [(&one, 1), (&many, count)] {
            show(&options, known, &starts(&options, dir));
        }
    }
    if wants("call") {
        show_head(&options, COLUMNS);
        let (one, many) = (Lab::open(&runtime, &one, 1), Lab::open(&runtime, &many, count));
        let mut warm = Case {
            what: "warm call, 10,000 functions known, one known",
            target: Some(FLAT_TARGET),
            ours: many.calls(1),
            beside: one.calls(1),
        };
        compare(&mut warm, options.is_quick).show(&options);
        let mut spread = Case {
            what: "warm calls of 1,000 functions in turn, of one",
            target: None,
            ours: many.calls(IN_TURN.min(count)),
            beside: one.calls(1),
        };
        compare(&mut spread, options.is_quick).show(&options);
    }
}

fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime of one thread")
}

fn names(number: u32) -> (String, String) {
    (format!("service-{}", number % SERVICES), format!("function-{number}"))
}

async fn open(dir: &Path) -> Platform {
    let config = EngineConfig { instances: 2 * IN_TURN, ..EngineConfig::default() };
    let engine = Engine::builder().config(config).artifact_dir(dir.join("artifacts")).build();
    let config = PlatformConfig::new(dir, engine.expect("an engine"));
    Platform::open(config).await.expect("a platform")
}

/// Deploys so many functions into a new data directory, some at once: most of the time goes by waiting for the disk.
fn fill(runtime: &Runtime, dir: &Path, count: u32) {
    runtime.block_on(async {
        let platform = open(dir).await;
        for number in 0..SERVICES.min(count) {
            let service = ServiceName::parse(&names(number).0).expect("a name");
            let made = platform.create_service(service, ServiceSettings::default()).await;
            made.expect("a service");
        }
        let mut deploying = JoinSet::new();
        for number in 0..count {
            deploying.spawn(deploy(platform.clone(), number));
            while deploying.len() >= DEPLOYED_AT_ONCE {
                deploying.join_next().await.expect("there are some").expect("it does not panic");
            }
        }
        while let Some(deployed) = deploying.join_next().await {
            deployed.expect("it does not panic");
        }
    });
}

async fn deploy(platform: Platform, number: u32) {
    let (service, name) = names(number);
    let new = NewFunction {
        name: FunctionName::parse(&name).expect("a name"),
        settings: FunctionSettings::default(),
        code: CodeUpload::Wasm(numbered(&guest("wat-echo"), number).into()),
        checksum: None,
    };
    platform.create_function(&service, new).await.expect("a function");
}

/// What a start came to: time until it is ready and resident memory after.
struct Start {
    ready: Duration,
    resident_kib: u64,
}

fn starts(options: &Options, dir: &Path) -> Start {
    let rounds = if options.is_quick { 1 } else { 5 };
    let mut all: Vec<Start> = (0..rounds).map(|_| start(options, dir)).collect();
    let ready = median(all.iter().map(|start| start.ready.as_secs_f64()).collect());
    all.sort_by_key(|start| start.resident_kib);
    let middle = all.len() / 2;
    Start {
        ready: Duration::from_secs_f64(ready),
        resident_kib: all.swap_remove(middle).resident_kib,
    }
}

/// A server, ended with this.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(options: &Options, dir: &Path) -> Start {
    try_start(options, dir).unwrap_or_else(|said| panic!("the server is not ready: {said}"))
}

/// What the server said where it ended, or was not ready in time.
fn try_start(options: &Options, dir: &Path) -> Result<Start, String> {
    let ports = dir.join("ports.json");
    // There is none the first time.
    let _ = std::fs::remove_file(&ports);
    let program = options.value("--hearth").map_or_else(beside_this, PathBuf::from);
    let mut command = Command::new(&program);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir);
    command.arg("--port-file").arg(&ports).stdout(Stdio::null()).stderr(Stdio::piped());
    let began = Instant::now();
    let server = command.spawn().unwrap_or_else(|why| {
        panic!("{}: {why}; `cargo build --release -p hearth` makes it", program.display())
    });
    let mut server = Server(server);
    while !ports.exists() {
        let has_ended = server.0.try_wait().expect("it was started here").is_some();
        if has_ended || began.elapsed() > PATIENCE {
            let _ = server.0.kill();
            let mut said = String::new();
            let _ = server.0.stderr.take().map(|mut told| told.read_to_string(&mut said));
            return Err(said);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let ready = began.elapsed();
    // What a start leaves to be done behind it belongs to it.
    std::thread::sleep(Duration::from_millis(500));
    Ok(Start { ready, resident_kib: resident_kib(server.0.id()) })
}

/// The server that was built with this bench.
fn beside_this() -> PathBuf {
    let this = std::env::current_exe().expect("its own program");
    let profile = this.parent().and_then(Path::parent).expect("it lies below a target directory");
    profile.join("hearth")
}

fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words = line.and_then(|line| line.split_whitespace().next());
    words.and_then(|kib| kib.parse().ok()).expect("Linux says what is resident")
}

/// A platform to call functions of.
struct Lab {
    runtime: Rc<Runtime>,
    platform: Platform,
    known: u32,
}

impl Lab {
    fn open(runtime: &Rc<Runtime>, dir: &Path, known: u32) -> Self {
        let platform = runtime.block_on(open(dir));
        Self { runtime: runtime.clone(), platform, known }
    }

    /// Calls of `among` functions in turn, spread over all that are known.
    fn calls(&self, among: u32) -> Side {
        let (runtime, platform) = (self.runtime.clone(), self.platform.clone());
        let step = self.known / among;
        let targets: Vec<_> = (0..among).map(|number| names(number * step + step / 2)).collect();
        Box::new(move |calls| {
            runtime.block_on(async {
                let began = Instant::now();
                for (service, name) in targets.iter().cycle().take(usize::try_from(calls).unwrap())
                {
                    let target = Target::latest(service, name);
                    let invoked = platform.invoke(target, Invocation::new("x")).await;
                    assert!(invoked.expect("it is called").outcome.result.is_ok());
                }
                began.elapsed()
            })
        })
    }
}

#[expect(clippy::print_stdout, reason = "this is what a bench is for")]
fn show(options: &Options, known: u32, start: &Start) {
    let Start { ready, resident_kib } = start;
    let (ready_ms, target_ms) = (ready.as_millis(), READY_TARGET.as_millis());
    if options.wants_json {
        println!(
            r#"{{"what":"start","functions":{known},"ready_ms":{ready_ms},"ready_target_ms":{target_ms},"rss_kib":{resident_kib},"rss_target_kib":{RESIDENT_TARGET_KIB}}}"#
        );
        return;
    }
    let holds = *ready <= READY_TARGET && *resident_kib <= RESIDENT_TARGET_KIB;
    println!(
        "{known:<44} {ready_ms:>8}  {target_ms:>6}  {:>8}  {:>6}  {}",
        resident_kib >> 10,
        RESIDENT_TARGET_KIB >> 10,
        if holds { "ok" } else { "MISSED" }
    );
}
