//! Three ways to schedule guests on the machine's cores, behind the same minimal server: one runtime that steals work, that with threads for
//! guests alone, and a thread for each core with connections and instances of its own; each with functions that run long on their callers'
//! threads, and the first and the last with those on threads behind (`EngineConfig::background_threads`) as well.
//!
//! `cargo bench -p hearth-benches --bench scheduling`; `--rounds 5 --seconds 3`, `--quick` only shows that it works. Rounds alternate.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench tells that it failed by panicking, and what it found by printing"
)]

mod serving;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hearth_benches::load::{Pace, Plan, Report, Summary, Target, run};
use hearth_benches::{Options, median, show_head};
use rustix::process::setpriority_process;
use serde_json::json;

use crate::serving::{Way, serve};

/// Connections that ask for the quick functions.
const CONNECTIONS: usize = 16;

/// Shares of each way's own capacity at which latencies are taken.
const SHARES: [f64; 2] = [0.5, 0.8];

/// Calls a second of the quick function beside the one that computes, and who calls that.
const QUICK_RATE: f64 = 250.0;
const COMPUTING_CLIENTS: usize = 4;

/// How long they call before it is looked at what that costs.
const LEAD: Duration = Duration::from_millis(300);

/// The quick function's callers would be on machines of their own, so its generator goes before what computes on this one, where it may.
const BEFORE_OTHERS: i32 = -10;

/// What is compared: a name, the way, and how many threads functions that run long have of their own; none is the engine's default.
const WAYS: [(&str, Way, Option<u32>); 5] = [
    ("shared runtime", Way::Shared, Some(0)),
    ("shared runtime, guests on workers", Way::Workers, Some(0)),
    ("thread for each core", Way::PerCore, Some(0)),
    ("shared runtime, long ones behind", Way::Shared, None),
    ("thread for each core, long ones behind", Way::PerCore, None),
];

/// Who is asked for what.
const GUESTS: [(&str, &str, &str); 2] =
    [("wasi:http component", "GET", "/"), ("echo of kind 4", "POST", "/echo")];

fn main() {
    if let Some(way) = std::env::var_os(SERVE).and_then(|way| way.to_str()?.parse::<usize>().ok()) {
        let (_, way, background_threads) = WAYS[way];
        return serve(way, background_threads);
    }
    let Some(options) = Options::from_arguments() else { return };
    let time = match options.is_quick {
        true => Duration::from_millis(150),
        false => Duration::from_secs(options.number("--seconds", 3).into()),
    };
    let rounds = options.number("--rounds", if options.is_quick { 1 } else { 5 });
    let servers: Vec<Server> = (0..WAYS.len()).map(Server::start).collect();
    let lab = Lab { options, time, rounds, servers };
    for guest in GUESTS {
        lab.quick_ones(guest);
    }
    lab.beside_one_that_computes();
}

/// The variable that makes this program a server: the place of its way among [`WAYS`].
const SERVE: &str = "BENCH_SCHEDULING";

/// A server of one way, which ends with this.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(way: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("its own program"));
        command.env(SERVE, way.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut address = String::new();
        let told = child.stdout.take().expect("it is piped");
        BufReader::new(told).read_line(&mut address).expect("it tells its address");
        Self { child, url: format!("http://{}", address.trim()) }
    }

    fn target(&self, method: &str, path: &str) -> Target {
        let url = format!("{}{path}", self.url);
        let body: &[u8] = if method == "POST" { b"hello" } else { b"" };
        Target::new(&url, method, &[], body).expect("a target")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

struct Lab {
    options: Options,
    time: Duration,
    rounds: u32,
    servers: Vec<Server>,
}

/// What the rounds of one way came to at one load.
#[derive(Default, Clone)]
struct Latency {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Latency {
    fn add(&mut self, Summary { p50, p99, .. }: Summary) {
        self.p50.push(p50);
        self.p99.push(p99);
    }

    fn medians(&self) -> (f64, f64) {
        (median(self.p50.clone()), median(self.p99.clone()))
    }
}

impl Lab {
    /// Ways whose turn it is, in the order of that round: who comes first in one comes last in the next.
    fn turns(&self, ways: usize) -> impl Iterator<Item = usize> {
        (0..self.rounds as usize)
            .flat_map(move |round| (0..ways).map(move |at| (at + round) % ways))
    }

    fn load(&self, way: usize, target: Target, pace: Pace) -> Report {
        let warm_up = self.time / 10;
        let plan = Plan::new(target, pace, self.time).warm_up(warm_up).connections(CONNECTIONS);
        let report = run(&plan).expect("a server that is there");
        for doubt in report.doubts() {
            eprintln!("NOTE {}: {doubt}", WAYS[way].0);
        }
        report
    }

    /// Capacity, and latencies at shares of it. Nothing runs long here, so where that is done makes no difference.
    fn quick_ones(&self, (guest, method, path): (&str, &str, &str)) {
        let ways = WAYS.iter().filter(|(.., behind)| behind.is_some()).count();
        let target = |way: usize| self.servers[way].target(method, path);
        let mut capacity = vec![Vec::new(); ways];
        for way in self.turns(ways) {
            let report = self.load(way, target(way), Pace::Closed);
            capacity[way].push(report.summary().achieved);
        }
        let capacity: Vec<f64> = capacity.into_iter().map(median).collect();
        let mut latencies = vec![[Latency::default(), Latency::default()]; ways];
        for way in self.turns(ways) {
            for (share, latency) in SHARES.iter().zip(&mut latencies[way]) {
                let pace = Pace::Constant(capacity[way] * share);
                latency.add(self.load(way, target(way), pace).summary());
            }
        }
        show_head(
            &self.options,
            &format!("{guest:<40} a second   at 50%: p50 us    p99   at 80%: p50 us    p99"),
        );
        for (way, [half, most]) in latencies.iter().enumerate() {
            let (name, capacity) = (WAYS[way].0, capacity[way]);
            let ((a, b), (c, d)) = (half.medians(), most.medians());
            match self.options.wants_json {
                true => println!(
                    "{}",
                    json!({"guest": guest, "way": name, "rps": capacity, "p50_us_at_50": a, "p99_us_at_50": b,
                           "p50_us_at_80": c, "p99_us_at_80": d})
                ),
                false => {
                    println!("{name:<40} {capacity:>8.0} {a:>16.0} {b:>6.0} {c:>16.0} {d:>6.0}")
                }
            }
        }
    }

    /// The quick echo alone, and while others call a function that computes for 20 ms.
    fn beside_one_that_computes(&self) {
        let ways = WAYS.len();
        let mut alone = vec![Latency::default(); ways];
        let mut beside = vec![Latency::default(); ways];
        let mut computed = vec![Vec::new(); ways];
        for way in self.turns(ways) {
            alone[way].add(self.quick_echo(way));
            let target = self.servers[way].target("POST", "/computes");
            let plan = Plan::new(target, Pace::Closed, LEAD + self.time + self.time / 10);
            let plan = plan.connections(COMPUTING_CLIENTS);
            std::thread::scope(|threads| {
                let computing = threads.spawn(|| run(&plan).expect("a server that is there"));
                std::thread::sleep(LEAD);
                beside[way].add(self.quick_echo(way));
                let report = computing.join().expect("it does not panic");
                computed[way].push(report.summary().achieved);
            });
        }
        show_head(
            &self.options,
            "quick echo beside one that computes      alone: p50 us    p99   beside: p50 us    p99   computed a second",
        );
        for (way, (name, ..)) in WAYS.iter().enumerate() {
            let ((a, b), (c, d)) = (alone[way].medians(), beside[way].medians());
            let computed = median(computed[way].clone());
            match self.options.wants_json {
                true => println!(
                    "{}",
                    json!({"beside": "computes 20 ms", "way": name, "p50_us_alone": a, "p99_us_alone": b,
                           "p50_us_beside": c, "p99_us_beside": d, "computed_rps": computed})
                ),
                false => {
                    println!("{name:<40} {a:>14.0} {b:>6.0} {c:>16.0} {d:>6.0} {computed:>19.1}")
                }
            }
        }
    }

    fn quick_echo(&self, way: usize) -> Summary {
        let _ = setpriority_process(None, BEFORE_OTHERS);
        let target = self.servers[way].target("POST", "/echo");
        let report = self.load(way, target, Pace::Constant(QUICK_RATE));
        let _ = setpriority_process(None, 0);
        report.summary()
    }
}
