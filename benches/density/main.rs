//! What a loaded function with one idle warm instance costs in memory: loads many of different content, serves one event with
//! each and reads what is resident.
//!
//! `cargo bench -p hearth-benches --bench density`; `--count N`, `--guest NAME`.

#![allow(clippy::print_stdout, clippy::panic, reason = "a bench prints what it found, or fails")]

use hearth_benches::density::{Density, GUESTS, TARGET_COUNT, density, measure_if_told};
use hearth_benches::{Options, show_head};

/// Resident memory that a thousand functions may take.
const TARGET_KIB: u64 = 3 << 19;

fn main() {
    let Some(options) = Options::from_arguments() else { return };
    if measure_if_told(&options) {
        return;
    }
    let count = options.number("--count", if options.is_quick { 20 } else { TARGET_COUNT });
    show_head(
        &options,
        "1 idle instance of each of                     functions  RSS MiB   anon   file  shmem  KiB each  target MiB",
    );
    let chosen = options.value("--guest").map(|name| vec![name]);
    for name in chosen.unwrap_or_else(|| GUESTS.to_vec()) {
        let measured = density(name, count, false).unwrap_or_else(|why| panic!("{why}"));
        show(&options, name, &measured);
    }
}

fn show(options: &Options, name: &str, measured: &Density) {
    let Density { before, all, kinds: (anonymous, file, shared), count } = measured;
    let each = measured.each();
    if options.wants_json {
        println!(
            r#"{{"guest":"{name}","functions":{count},"rss_kib":{all},"anon_kib":{anonymous},"file_kib":{file},"shmem_kib":{shared},"each_kib":{each},"engine_alone_kib":{before},"target_kib":{TARGET_KIB}}}"#,
        );
        return;
    }
    // Fewer functions than the target speaks of say what a thousand would take.
    let verdict = if measured.thousand() <= TARGET_KIB { "ok" } else { "MISSED" };
    println!(
        "{name:<46} {count:>9} {:>8} {:>6} {:>6} {:>6} {each:>9} {:>11} {verdict}",
        all >> 10,
        anonymous >> 10,
        file >> 10,
        shared >> 10,
        TARGET_KIB >> 10
    );
}
