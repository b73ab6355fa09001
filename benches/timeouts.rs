//! How late after its deadline a guest ends that does not want to: one that spins and one that waits in a host call, each met at
//! many phases of the clock's tick. Says p50, p99 and the most of all runs; the most must stay within 2 ms.
//!
//! `cargo bench -p hearth-benches --bench timeouts`; `--runs N`. A busy machine shows here as lateness: run it on an idle one.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench tells that it failed by panicking"
)]

use std::time::{Duration, Instant};

use hearth_benches::{Options, guest, show_head};
use hearth_engine::{Engine, Fault, Function, FunctionSpec, Invocation};

/// How late an end may be.
const TARGET: Duration = Duration::from_millis(2);

/// Time that a guest gets; each run gets a little more than the one before, so that deadlines meet the tick at every phase.
const TIMEOUT: Duration = Duration::from_millis(8);
const STEP: Duration = Duration::from_micros(37);

/// Guests, and what is hard about each.
const GUESTS: &[(&str, &str)] = &[
    ("bad/infinite-loop", "spins in wasm"),
    ("bad/spin-with-clock", "spins through a host call"),
    ("bad/sleeper", "waits in a host call, core module"),
    ("bad/sleeper-component", "waits in a host call, component"),
];

fn main() {
    let Some(options) = Options::from_arguments() else { return };
    let runs = options.number("--runs", if options.is_quick { 20 } else { 200 });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime of one thread");
    let engine = Engine::builder().build().expect("an engine");
    show_head(
        &options,
        "late after the deadline, microseconds               p50        p99       most     target",
    );
    for (name, what) in GUESTS {
        let spec = FunctionSpec::new(*name, guest(name));
        let function = runtime.block_on(engine.load(spec)).expect("an example loads");
        let mut late: Vec<Duration> =
            (0..runs).map(|run| runtime.block_on(lateness(&function, run))).collect();
        late.sort();
        show(&options, what, &late);
    }
}

/// One run to its timeout: how long after the deadline the caller had its answer.
async fn lateness(function: &Function, run: u32) -> Duration {
    let deadline = Instant::now() + TIMEOUT + STEP * (run % 27);
    let mut invocation = Invocation::new("x");
    invocation.deadline = Some(deadline);
    let outcome = function.invoke(invocation).await.expect("no refusal");
    let late = deadline.elapsed();
    match outcome.result {
        Err(Fault::Timeout { .. }) => late,
        other => panic!("ended otherwise: {other:?}"),
    }
}

#[expect(clippy::print_stdout, reason = "this is what a bench is for")]
fn show(options: &Options, what: &str, late: &[Duration]) {
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    let (p50, p99) = (micros(late[late.len() / 2]), micros(late[late.len() * 99 / 100]));
    let (most, target) = (micros(late[late.len() - 1]), micros(TARGET));
    if options.wants_json {
        println!(
            r#"{{"what":"{what}","p50_us":{p50:.1},"p99_us":{p99:.1},"most_us":{most:.1},"target_us":{target}}}"#
        );
        return;
    }
    let verdict = if most <= target { "ok" } else { "MISSED" };
    println!("{what:<44} {p50:>10.0} {p99:>10.0} {most:>10.0} {target:>10.0} {verdict}");
}
