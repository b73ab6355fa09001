//! What the tests share: engines, guests by name, and a runtime of one thread, so that a guest that does not yield is seen.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hearth_engine::{
    Engine, EngineConfig, Function, FunctionSpec, Invocation, Limits, LogType, Outcome,
};

/// Runs a story on one thread.
pub(crate) fn story<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(story)
}

/// Where the built guests are.
fn guests() -> PathBuf {
    std::env::var_os("GUEST_EXAMPLES_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-examples")),
        PathBuf::from,
    )
}

/// The binary of an example, or of a bad guest as `bad/NAME`.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    let path = match name.strip_prefix("bad/") {
        Some(bad) => guests().join("bad").join(format!("{bad}.wasm")),
        None => guests().join(name).join(format!("{name}.wasm")),
    };
    std::fs::read(&path).unwrap_or_else(|why| panic!("guest {}: {why}", path.display()))
}

/// A guest that is not kept in the repository, if it was built. Whoever names a folder of built guests wants all of them tested.
#[expect(
    clippy::print_stderr,
    reason = "whoever reads the test's output shall know that it tested nothing"
)]
pub(crate) fn guest_if_built(name: &str) -> Option<Vec<u8>> {
    let is_wanted = std::env::var_os("GUEST_EXAMPLES_DIR").is_some();
    let is_built = guests().join(name).join(format!("{name}.wasm")).exists();
    if !is_wanted && !is_built {
        eprintln!("{name} is not built (guest-examples/build.sh {name}): not tested");
        return None;
    }
    Some(guest(name))
}

/// An engine with a small pool, quick to build.
pub(crate) fn engine() -> Engine {
    engine_with(|_| {})
}

/// The same with some settings changed.
pub(crate) fn engine_with(change: impl FnOnce(&mut EngineConfig)) -> Engine {
    let mut config = EngineConfig { instances: 64, ..EngineConfig::default() };
    change(&mut config);
    Engine::builder().config(config).build().unwrap()
}

/// A spec of the guest of that name.
pub(crate) fn spec(name: &str) -> FunctionSpec {
    FunctionSpec::new(name.trim_start_matches("bad/"), guest(name))
}

/// Limits with this timeout.
pub(crate) fn timeout(milliseconds: u64) -> Limits {
    Limits { timeout: Duration::from_millis(milliseconds), ..Limits::default() }
}

/// Loads the guest of that name with defaults.
pub(crate) async fn load(engine: &Engine, name: &str) -> Function {
    engine.load(spec(name)).await.unwrap()
}

/// Invokes with the tail log on.
pub(crate) async fn invoke(function: &Function, event: &str) -> Outcome {
    let invocation = Invocation::new(event.to_owned()).log(LogType::Tail);
    function.invoke(invocation).await.unwrap()
}

/// The tail log as text.
pub(crate) fn tail(outcome: &Outcome) -> String {
    String::from_utf8(outcome.tail_log.clone().unwrap().to_vec()).unwrap()
}

/// Waits, at most ten seconds, until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen within ten seconds");
}

/// A log sink that remembers.
#[derive(Default)]
pub(crate) struct Seen(pub(crate) std::sync::Mutex<Vec<hearth_engine::LogLine<'static>>>);

impl hearth_engine::LogSink for Seen {
    fn write(&self, lines: &[hearth_engine::LogLine<'_>]) {
        self.0.lock().unwrap().extend(lines.iter().map(|line| line.clone().into_owned()));
    }
}

/// An engine whose log lines can be looked at.
pub(crate) fn engine_and_lines() -> (Engine, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let config = EngineConfig { instances: 64, ..EngineConfig::default() };
    let engine = Engine::builder().config(config).log_sink(seen.clone()).build().unwrap();
    (engine, seen)
}
