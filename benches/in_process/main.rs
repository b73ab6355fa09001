//! Warm, fresh and cold starts in process, each as a ratio to bare wasmtime at its best settings doing the same in the same run.
//!
//! `cargo bench -p hearth-benches --bench in_process`; `-- --quick` only shows that it works, `-- --format json` is for programs,
//! `-- cold` makes only the comparisons with that word. One thread; ours with deadline and limits on. Guests in JavaScript and Python are
//! compared where `guest-examples/build.sh --all` or, into the folder that `GUEST_EXAMPLES_DIR` names, `--all --out` made them.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test or a bench tells that it failed by panicking"
)]

use hearth_benches::in_process::{ALL, INTERPRETED, Lab};
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
    // Some seconds each to compile, so only where somebody built them.
    for interpreted in INTERPRETED {
        if !wanted.is_empty() && !wanted.iter().any(|word| interpreted.what.contains(word)) {
            continue;
        }
        match interpreted.make(&lab) {
            Ok(mut case) => compare(&mut case, options.is_quick).show(&options),
            Err(guest) => eprintln!("{}: needs guest-examples/build.sh {guest}", interpreted.what),
        }
    }
}
