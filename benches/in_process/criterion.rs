//! The pieces of work of `in_process` with criterion's statistics, ours and the baseline each, to compare one commit with another
//! (`--save-baseline`, `--baseline`). Ratios and their targets are in `in_process`, where both sides take turns.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench tells that it failed by panicking"
)]

use std::time::Duration;

use criterion::Criterion;
use hearth_benches::in_process::{ALL, Lab};

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let is_quick = std::env::args().any(|word| word == "--quick" || word == "--test");
    let lab = Lab::new(is_quick);
    // What is not asked for need not be made ready: two thousand functions are, for one of them.
    let asked = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let is_asked = |what: &str| {
        let word = asked.as_deref().unwrap_or_default();
        what.contains(word.split('/').next().unwrap_or_default())
    };
    for (what, make) in ALL.iter().filter(|(what, _)| is_asked(what)) {
        let mut case = make(&lab, what);
        let mut group = criterion.benchmark_group(*what);
        group.bench_function("hearth", |bencher| bencher.iter_custom(&mut case.ours));
        group.bench_function("beside", |bencher| bencher.iter_custom(&mut case.beside));
        group.finish();
    }
    criterion.final_summary();
}
