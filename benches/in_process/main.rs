//! Warm, fresh and cold starts in process, each as a ratio to bare wasmtime at its best settings doing the same in the same run.
//!
//! `cargo bench -p hearth-benches --bench in_process`; `-- --quick` only shows that it works, `-- --format json` is for programs,
//! `-- cold` makes only the comparisons with that word. One thread; ours with deadline and limits on.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench tells that it failed by panicking"
)]

use hearth_benches::in_process::{ALL, Lab};
use hearth_benches::{COLUMNS, Options, compare, show_head};

fn main() {
    let Some(options) = Options::from_arguments() else { return };
    let wanted: Vec<&str> = options.wanted().collect();
    let lab = Lab::new(options.is_quick);
    show_head(&options, COLUMNS);
    for (what, make) in ALL {
        if wanted.is_empty() || wanted.iter().any(|word| what.contains(word)) {
            compare(&mut make(&lab, what), options.is_quick).show(&options);
        }
    }
}
