//! What a neighbour pays: an echo called a thousand times a second on one thread, alone and beside a guest that misbehaves on the same
//! thread, in rounds that alternate. Says p50 and p99 of both and the ratio of the p99.
//!
//! `cargo bench -p hearth-benches --bench neighbours`; `--calls N`, and words to choose offenders by. The worst case on purpose: a server has a thread on each core, and
//! a guest that spins holds one of them.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench tells that it failed by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hearth_benches::{Options, guest, median, numbered, show_head};
use hearth_engine::{Engine, Function, FunctionSpec, Invocation, Limits, LogType};
use tokio::net::UdpSocket;

/// Between two calls of the echo.
const PACE: Duration = Duration::from_millis(1);

/// A guest that is called again and again, or code that is loaded again and again.
const OFFENDERS: &[(&str, &str)] = &[
    ("bad/infinite-loop", "one that spins"),
    ("bad/log-flood", "one that floods its log"),
    ("bad/memory-hog", "one that takes all memory it gets"),
    ("bad/trap", "one that traps"),
    ("rust-http", "one whose code is compiled all the time"),
];

fn main() {
    let Some(options) = Options::from_arguments() else { return };
    let calls = options.number("--calls", if options.is_quick { 50 } else { 1000 });
    let rounds = if options.is_quick { 1 } else { 5 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime of one thread");
    let engine = Engine::builder().build().expect("an engine");
    show_head(
        &options,
        "an echo on the thread of                          alone p50    p99   beside p50    p99   p99 ratio  (us)",
    );
    let wanted: Vec<&str> = options.wanted().collect();
    for (name, what) in OFFENDERS {
        if !wanted.is_empty() && !wanted.iter().any(|word| what.contains(word)) {
            continue;
        }
        let measured = runtime.block_on(compare(&engine, name, (calls, rounds)));
        show(&options, what, &measured);
    }
}

/// Medians over the rounds of p50 and p99, alone and beside the offender.
struct Measured {
    alone: (f64, f64),
    beside: (f64, f64),
    ratio: f64,
}

async fn compare(engine: &Engine, offender: &str, (calls, rounds): (u32, u32)) -> Measured {
    let echo = load(engine, "wat-echo").await;
    let mut seen: [Vec<f64>; 5] = Default::default();
    for round in 0..rounds {
        let alone = latencies(&echo, calls).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let offending = tokio::spawn({
            let (engine, name, is_over) = (engine.clone(), offender.to_owned(), is_over.clone());
            async move { offend(&engine, &name, round, &is_over).await }
        });
        let beside = latencies(&echo, calls).await;
        is_over.store(true, Ordering::Relaxed);
        offending.await.expect("the offender ends");
        let figures = [alone.0, alone.1, beside.0, beside.1, beside.1 / alone.1];
        seen.iter_mut().zip(figures).for_each(|(all, figure)| all.push(figure));
    }
    let [a50, a99, b50, b99, ratio] = seen.map(median);
    Measured { alone: (a50, a99), beside: (b50, b99), ratio }
}

async fn load(engine: &Engine, name: &str) -> Function {
    engine.load(FunctionSpec::new(name, guest(name))).await.expect("an example loads")
}

/// Misbehaves until it is over.
async fn offend(engine: &Engine, name: &str, round: u32, is_over: &AtomicBool) {
    let limits = Limits { timeout: Duration::from_millis(200), ..Limits::default() };
    let code = guest(name);
    let mut number = round << 16;
    while !is_over.load(Ordering::Relaxed) {
        let code = match name.starts_with("bad/") {
            true => code.clone(),
            false => numbered(&code, number),
        };
        number += 1;
        let spec = FunctionSpec::new(name, code).limits(limits.clone());
        let function = engine.load(spec).await.expect("an example loads");
        while name.starts_with("bad/") && !is_over.load(Ordering::Relaxed) {
            // Whatever it ends as is not what is measured.
            let _ = function.invoke(Invocation::new("x").log(LogType::Tail)).await;
            tokio::task::yield_now().await;
        }
    }
}

/// Microseconds from when an event was sent to its answer: p50 and p99. Events come from outside, as in a server: a thread sends a
/// datagram for each, and the runtime's own look at its sockets finds it.
async fn latencies(echo: &Function, calls: u32) -> (f64, f64) {
    let inbox = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let address = inbox.local_addr().expect("its address");
    let begun = Instant::now();
    let sender = std::thread::spawn(move || {
        let outbox = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        for call in 0..calls {
            std::thread::sleep((begun + PACE * call).saturating_duration_since(Instant::now()));
            let sent = u64::try_from(begun.elapsed().as_nanos()).expect("a short run");
            outbox.send_to(&sent.to_le_bytes(), address).expect("loopback takes it");
        }
    });
    let mut taken = Vec::new();
    for _ in 0..calls {
        let mut sent = [0; 8];
        inbox.recv(&mut sent).await.expect("loopback brings it");
        let outcome = echo.invoke(Invocation::new("hello")).await.expect("no refusal");
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        let sent = begun + Duration::from_nanos(u64::from_le_bytes(sent));
        taken.push(begun.elapsed().saturating_sub(sent - begun).as_secs_f64() * 1e6);
    }
    sender.join().expect("it sent all");
    taken.sort_by(f64::total_cmp);
    (taken[taken.len() / 2], taken[taken.len() * 99 / 100])
}

#[expect(clippy::print_stdout, reason = "this is what a bench is for")]
fn show(options: &Options, what: &str, measured: &Measured) {
    let Measured { alone, beside, ratio } = measured;
    if options.wants_json {
        println!(
            r#"{{"beside":"{what}","alone_p50_us":{:.0},"alone_p99_us":{:.0},"beside_p50_us":{:.0},"beside_p99_us":{:.0},"p99_ratio":{ratio:.2}}}"#,
            alone.0, alone.1, beside.0, beside.1
        );
        return;
    }
    println!(
        "{what:<48} {:>10.0} {:>6.0} {:>12.0} {:>6.0} {ratio:>11.2}",
        alone.0, alone.1, beside.0, beside.1
    );
}
