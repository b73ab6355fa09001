//! The one table: cold, fresh and warm starts in process beside bare wasmtime, throughput and tail latency over HTTP beside every host that
//! is found, memory, and what a quiet function pays beside those that misbehave, all in one run with rounds that alternate. `benches/all.sh`
//! builds what it needs and runs it.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a bench tells that it failed by panicking, and prints what it found"
)]

mod findings;
mod memory;
mod neighbours;
mod row;
mod starts;
mod tail;
mod throughput;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use hearth_benches::density::measure_if_told;
use hearth_benches::peers::Field;

use crate::findings::Findings;

/// Measures hearth beside bare wasmtime and every host that is found, and says where it stands.
#[derive(Parser)]
pub(crate) struct Settings {
    /// What to measure; everything unless told
    parts: Vec<Part>,
    /// Rounds in which all take turns
    #[arg(long, default_value = "5")]
    rounds: usize,
    /// Seconds of load in each turn
    #[arg(long, default_value = "4")]
    seconds: f64,
    /// Connections of the load
    #[arg(long, default_value = "16")]
    connections: usize,
    /// Only shows that it works; the figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Where table.md, table.json, the plots and the distributions of latencies go
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// Otherwise a table on a terminal and JSON in a pipe
    #[arg(long)]
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Cold, fresh and warm, in process, beside bare wasmtime
    Starts,
    /// Requests a second of each host
    Throughput,
    /// Latency of each host at 50 % and 80 % of what it can do
    Latency,
    /// Resident memory of instances, and of the hosts
    Memory,
    /// What a quiet function pays beside one that spins, logs, allocates or compiles without end
    Neighbours,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Table,
    Json,
}

impl Settings {
    fn has(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    fn rounds(&self) -> usize {
        if self.quick { 1 } else { self.rounds.max(1) }
    }

    fn time(&self) -> Duration {
        Duration::from_secs_f64(if self.quick { 0.3 } else { self.seconds })
    }

    /// For whoever waits.
    pub(crate) fn progress(&self, what: &str) {
        if std::io::stderr().is_terminal() {
            eprintln!("{what}");
        }
    }
}

fn main() {
    let Some(told) = hearth_benches::Options::from_arguments() else { return };
    if measure_if_told(&told) {
        return;
    }
    let settings = Settings::parse();
    let mut findings = Findings::default();
    if settings.has(Part::Starts) {
        starts::measure(&settings, &mut findings);
    }
    if settings.has(Part::Throughput) || settings.has(Part::Latency) {
        let field = Field::start();
        findings.left_out(&field);
        if settings.has(Part::Throughput) {
            throughput::measure(&settings, &field, &mut findings);
        }
        if settings.has(Part::Latency) {
            tail::measure(&settings, &field, &mut findings);
        }
    }
    if settings.has(Part::Memory) {
        memory::measure(&settings, &mut findings);
    }
    if settings.has(Part::Neighbours) {
        neighbours::measure(&settings, &mut findings);
    }
    findings.write(&settings);
    let is_table = match settings.format {
        Some(format) => format == Format::Table,
        None => std::io::stdout().is_terminal(),
    };
    match is_table {
        true => println!("{}", findings.as_text()),
        false => println!("{}", findings.as_json(&settings)),
    }
}
