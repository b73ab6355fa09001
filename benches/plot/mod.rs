//! Plots as SVG, written by hand: latencies by percentile, and bars. What makes a PNG of one is a program beside it.

mod bars;
mod canvas;
mod latency;
#[cfg(test)]
mod tests;

pub use bars::{Bar, Panel, bars};
pub use latency::{Curve, Facet, latency};

use std::path::{Path, PathBuf};
use std::process::Command;

/// A colour for each host, told apart by people who see few, and the same in every plot.
const COLOURS: [&str; 8] =
    ["#d62728", "#ff7f0e", "#e377c2", "#7f7f7f", "#1f77b4", "#17becf", "#2ca02c", "#8c564b"];

fn colour(number: usize) -> &'static str {
    COLOURS.get(number % COLOURS.len()).copied().unwrap_or("#000000")
}

/// Makes a PNG beside an SVG; why not, where nothing that can is found: `$RESVG`, `target/peers/bin/resvg`, `resvg` or `rsvg-convert`.
///
/// # Errors
/// A sentence for the reader of the table.
pub fn png(svg: &Path) -> Result<PathBuf, String> {
    let out = svg.with_extension("png");
    let given = std::env::var_os("RESVG").map(PathBuf::from);
    let local = Path::new("target/peers/bin/resvg").to_owned();
    let programs = given.into_iter().chain([local, "resvg".into()]);
    for program in programs {
        // Twice as large, for screens with small pixels.
        let done = Command::new(&program).args(["--zoom", "2"]).arg(svg).arg(&out).output();
        if done.is_ok_and(|done| done.status.success()) {
            return Ok(out);
        }
    }
    let done = Command::new("rsvg-convert").args(["-z", "2", "-o"]).arg(&out).arg(svg).output();
    match done.is_ok_and(|done| done.status.success()) {
        true => Ok(out),
        false => {
            Err("no PNG: cargo install resvg --version 0.49.0 --locked --root target/peers"
                .to_owned())
        }
    }
}
