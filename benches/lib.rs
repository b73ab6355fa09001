//! What the benches share: rounds that alternate between ours and the baseline, so that a noisy machine is noisy for both.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench tells that it failed by panicking"
)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The binary of an example.
///
/// # Panics
/// When it is not there; it is committed.
#[must_use]
pub fn guest(name: &str) -> Vec<u8> {
    let folder =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-examples")).join(name);
    let path = folder.join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|why| panic!("guest {}: {why}", path.display()))
}

/// How long a run takes.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Alternating rounds; the median counts.
    pub rounds: u32,
    /// Time of each side in each round.
    pub time: Duration,
}

impl Effort {
    /// Long enough for figures, or only long enough to see that it works.
    #[must_use]
    pub fn from_arguments() -> Self {
        if std::env::args().any(|argument| argument == "--quick") {
            Self { rounds: 3, time: Duration::from_millis(20) }
        } else {
            Self { rounds: 9, time: Duration::from_millis(300) }
        }
    }
}

/// One comparison: microseconds of each side and their ratio, by medians.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What is done.
    pub what: &'static str,
    /// The most that the ratio may be.
    pub target: f64,
    /// Ours, in microseconds.
    pub ours: f64,
    /// Bare wasmtime, in microseconds.
    pub bare: f64,
    /// Median of the rounds' ratios.
    pub ratio: f64,
}

/// Alternates between both sides and takes medians.
pub fn compare(
    what: &'static str,
    target: f64,
    effort: Effort,
    mut ours: impl FnMut(),
    mut bare: impl FnMut(),
) -> Comparison {
    // Caches, branch predictors and pools settle first.
    time(effort.time, &mut ours);
    time(effort.time, &mut bare);
    let (mut our_times, mut bare_times, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        let (a, b) = (time(effort.time, &mut ours), time(effort.time, &mut bare));
        our_times.push(a);
        bare_times.push(b);
        ratios.push(a / b);
    }
    Comparison {
        what,
        target,
        ours: median(our_times),
        bare: median(bare_times),
        ratio: median(ratios),
    }
}

/// Microseconds of one call, over as many calls as fit.
fn time(duration: Duration, work: &mut impl FnMut()) -> f64 {
    let started = Instant::now();
    let mut calls = 0_u32;
    while started.elapsed() < duration {
        for _ in 0..16 {
            work();
        }
        calls += 16;
    }
    started.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints a table for a person, or JSON where standard output is no terminal or `--format json` is given.
#[expect(clippy::print_stdout, reason = "this is what a bench is for")]
pub fn show(comparisons: &[Comparison]) {
    use std::io::IsTerminal;
    let wants_json = std::env::args().any(|argument| argument == "json");
    if wants_json {
        for c in comparisons {
            println!(
                r#"{{"what":"{}","ours_us":{:.3},"bare_us":{:.3},"ratio":{:.3},"target":{}}}"#,
                c.what, c.ours, c.bare, c.ratio, c.target
            );
        }
        return;
    }
    let (bold, plain) =
        if std::io::stdout().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    println!(
        "{bold}{:<44} {:>10} {:>10} {:>7} {:>7}{plain}",
        "", "hearth us", "bare us", "ratio", "target"
    );
    for c in comparisons {
        let verdict = if c.ratio <= c.target { "ok" } else { "MISSED" };
        println!(
            "{:<44} {:>10.2} {:>10.2} {:>7.2} {:>7.1} {verdict}",
            c.what, c.ours, c.bare, c.ratio, c.target
        );
    }
}
