//! Whose instance should go: Zipf traffic over ten thousand functions of four sizes, with room for a part of their instances, under either
//! policy of eviction on the real engine. Says how many calls found a warm instance, what a call took, and that both go down with the room
//! and nowhere at once.
//!
//! `cargo bench -p hearth-benches --bench eviction`; `--count N`, `--calls N`. `drift` moves the popular ones on, a hundred times in a run.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a test or a bench tells that it failed by panicking, and its figures are rough"
)]

use std::time::{Duration, Instant};

use hearth_benches::{Options, show_head};
use hearth_engine::{
    Engine, EngineConfig, Eviction, Function, FunctionSpec, Invocation, PoolPolicy, StartKind,
};
use tokio::runtime::Runtime;

/// Pages of the functions' memories, independent of how popular they are.
const PAGES: [u64; 4] = [1, 4, 16, 64];
const PAGE_BYTES: u64 = 64 << 10;

/// Parts of the memory of all that there is room for, in percent.
const ROOMS: [u64; 6] = [1, 2, 5, 10, 25, 50];

/// What Linux's default of `vm.max_map_count` has mappings for; more than half the bytes of all never take so many.
const INSTANCES_MAX: u32 = 8000;

const POLICIES: [(&str, Eviction); 2] =
    [("useful", Eviction::LeastUseful), ("recent", Eviction::LeastRecent)];

fn main() {
    let Some(options) = Options::from_arguments() else { return };
    let count = options.number("--count", if options.is_quick { 200 } else { 10_000 }) as usize;
    let calls = options.number("--calls", if options.is_quick { 2000 } else { 200_000 }) as usize;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime of one thread");
    show_head(
        &options,
        "traffic  room %    warm %: useful  recent    mean us: useful  recent    p99 us: useful  recent",
    );
    let wanted: Vec<&str> = options.wanted().collect();
    for traffic in ["steady", "drift"] {
        if !wanted.is_empty() && !wanted.contains(&traffic) {
            continue;
        }
        let turns = Zipf::new(count).turns(calls, traffic == "drift");
        for room in ROOMS {
            let measured =
                POLICIES.map(|(_, policy)| measure(&runtime, count, room, policy, &turns));
            show(&options, traffic, room, &measured);
        }
    }
}

/// What came of a run.
struct Measured {
    warm_percent: f64,
    mean_us: f64,
    p99_us: f64,
}

fn measure(
    runtime: &Runtime,
    count: usize,
    room: u64,
    eviction: Eviction,
    turns: &[usize],
) -> Measured {
    let held: u64 = (0..count).map(|number| pages(number) * PAGE_BYTES).sum();
    let config = EngineConfig {
        instances: u32::try_from(count).expect("few").min(INSTANCES_MAX),
        memory_budget_bytes: (held * room / 100).max(8 << 20),
        eviction,
        ..EngineConfig::default()
    };
    let engine = Engine::builder().config(config).build().expect("an engine");
    let functions: Vec<Function> =
        (0..count).map(|number| runtime.block_on(loaded(&engine, number))).collect();
    // The first half fills the room; the second counts.
    let (before, counted) = turns.split_at(turns.len() / 2);
    runtime.block_on(async {
        for turn in before {
            call(&functions[*turn]).await;
        }
        let (mut times, mut warm) = (Vec::with_capacity(counted.len()), 0_usize);
        for turn in counted {
            let (taken, start) = call(&functions[*turn]).await;
            times.push(taken);
            warm += usize::from(start == StartKind::Warm);
        }
        let mean_us = times.iter().sum::<Duration>().as_secs_f64() * 1e6 / times.len() as f64;
        times.sort_unstable();
        let p99_us = times[times.len() * 99 / 100].as_secs_f64() * 1e6;
        Measured { warm_percent: warm as f64 * 100.0 / counted.len() as f64, mean_us, p99_us }
    })
}

fn pages(number: usize) -> u64 {
    PAGES[number.wrapping_mul(2_654_435_761) >> 8 & 3]
}

async fn loaded(engine: &Engine, number: usize) -> Function {
    let text = format!(
        r#"(module (memory (export "memory") {})
            (func (export "alloc") (param i32) (result i32) i32.const 1024)
            (func (export "handle") (param $ptr i32) (param $len i32) (result i64)
                (i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32))
                        (i64.extend_i32_u (local.get $len)))))"#,
        pages(number)
    );
    let code = wat::parse_str(text).expect("it is text of the right kind");
    let policy = PoolPolicy { idle_time: Duration::from_secs(3600), ..PoolPolicy::default() };
    let spec = FunctionSpec::new(format!("f{number}"), code).pool(policy);
    engine.load(spec).await.expect("it loads")
}

async fn call(function: &Function) -> (Duration, StartKind) {
    let began = Instant::now();
    let outcome = function.invoke(Invocation::new("x")).await.expect("no refusal");
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    (began.elapsed(), outcome.report.start)
}

/// Picks functions, the one of rank n with a probability of 1/n.
struct Zipf {
    sums: Vec<f64>,
    state: u64,
}

impl Zipf {
    fn new(count: usize) -> Self {
        let mut sum = 0.0;
        let weigh = |rank: usize| {
            sum += 1.0 / (rank + 1) as f64;
            sum
        };
        Self { sums: (0..count).map(weigh).collect(), state: 42 }
    }

    /// The functions to call, in order. With `drifts` ranks move on by a hundredth of all, a hundred times.
    fn turns(mut self, calls: usize, drifts: bool) -> Vec<usize> {
        let count = self.sums.len();
        let rank = |call: usize| {
            // SplitMix64: the same turns in every run.
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = self.state;
            bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            let drawn = (bits >> 11) as f64 / (1_u64 << 53) as f64 * self.sums[count - 1];
            let rank = self.sums.partition_point(|sum| *sum <= drawn).min(count - 1);
            let moved = if drifts { call * 100 / calls * count.div_ceil(100) } else { 0 };
            (rank + moved) % count
        };
        (0..calls).map(rank).collect()
    }
}

#[expect(clippy::print_stdout, reason = "this is what a bench is for")]
fn show(options: &Options, traffic: &str, room: u64, measured: &[Measured; 2]) {
    if options.wants_json {
        for ((policy, _), Measured { warm_percent, mean_us, p99_us }) in
            POLICIES.iter().zip(measured)
        {
            println!(
                r#"{{"traffic":"{traffic}","room_percent":{room},"policy":"{policy}","warm_percent":{warm_percent:.1},"mean_us":{mean_us:.1},"p99_us":{p99_us:.1}}}"#
            );
        }
        return;
    }
    let [useful, recent] = measured;
    println!(
        "{traffic:<8} {room:>6} {:>18.1} {:>7.1} {:>18.1} {:>7.1} {:>17.1} {:>7.1}",
        useful.warm_percent,
        recent.warm_percent,
        useful.mean_us,
        recent.mean_us,
        useful.p99_us,
        recent.p99_us
    );
}
