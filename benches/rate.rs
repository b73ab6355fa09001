//! Load on an HTTP server at a constant rate, with latencies that count from when each request was meant to be sent; without `--rate` as much
//! as the server takes. A table for a terminal, JSON for a pipe.
//!
//! `cargo run --profile bench -p hearth-benches --bin rate -- URL --rate 20000 --seconds 10`

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is what a bench is for")]

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use hearth_benches::load::{Pace, Plan, Report, Summary, Target, run};
use serde_json::json;

/// Puts load on an HTTP server at a constant rate and says what latencies its callers see.
#[derive(Parser)]
struct Options {
    /// http://host:port/path
    url: String,
    /// Requests a second; without it each connection sends when it was answered (closed loop), which finds the capacity
    #[arg(long, short, value_parser = positive)]
    rate: Option<f64>,
    /// How long, in seconds
    #[arg(long, short, default_value = "10", value_parser = positive)]
    seconds: f64,
    /// Seconds before that which do not count
    #[arg(long, default_value = "1")]
    warm_up: f64,
    /// Connections, open all the while
    #[arg(long, short, default_value = "16")]
    connections: usize,
    /// Seconds that an answer may take
    #[arg(long, default_value = "10", value_parser = positive)]
    timeout: f64,
    /// GET, or POST where there is a body, unless another is given
    #[arg(long, short)]
    method: Option<String>,
    /// 'name: value'; may be given again
    #[arg(long = "header", short = 'H')]
    headers: Vec<String>,
    /// The body of each request
    #[arg(long, short, default_value = "")]
    body: String,
    /// A file for the whole distribution of latencies
    #[arg(long)]
    histogram: Option<PathBuf>,
    /// Otherwise a table on a terminal and JSON in a pipe
    #[arg(long)]
    format: Option<Format>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Table,
    Json,
}

fn positive(word: &str) -> Result<f64, String> {
    match word.parse() {
        Ok(number) if number > 0.0 && f64::is_finite(number) => Ok(number),
        _ => Err("give a number above 0".to_owned()),
    }
}

fn main() -> ExitCode {
    match report(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn report(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let otherwise = if options.body.is_empty() { "GET" } else { "POST" };
    let method = options.method.as_deref().unwrap_or(otherwise);
    let target = Target::new(&options.url, method, &options.headers, options.body.as_bytes())?;
    let pace = options.rate.map_or(Pace::Closed, Pace::Constant);
    let mut plan = Plan::new(target, pace, Duration::try_from_secs_f64(options.seconds)?)
        .warm_up(Duration::try_from_secs_f64(options.warm_up)?)
        .connections(options.connections);
    plan.timeout = Duration::try_from_secs_f64(options.timeout)?;
    let report = run(&plan).map_err(|why| format!("{}: {why}", options.url))?;
    if let Some(path) = &options.histogram {
        std::fs::write(path, report.distribution())
            .map_err(|why| format!("{}: {why}", path.display()))?;
    }
    let is_table = match options.format {
        Some(format) => format == Format::Table,
        None => std::io::stdout().is_terminal(),
    };
    match is_table {
        true => as_table(&report),
        false => as_json(&report),
    }
    Ok(())
}

fn as_table(report: &Report) {
    let Summary { achieved, p50, p90, p99, p999, max, errors, late, lag_p99 } = report.summary();
    match report.pace {
        Pace::Constant(wanted) => println!("constant rate  {achieved:.0} a second of {wanted:.0}"),
        Pace::Closed => println!("closed loop    {achieved:.0} a second"),
    }
    println!(
        "latency us     p50 {p50:.0}  p90 {p90:.0}  p99 {p99:.0}  p99.9 {p999:.0}  max {max:.0}"
    );
    println!("errors         {errors} of {}", report.intended);
    println!("own lag us     p99 {lag_p99:.0}, {late} requests sent late by more than 1 ms");
    for doubt in report.doubts() {
        println!("NOTE           {doubt}");
    }
}

fn as_json(report: &Report) {
    let Summary { achieved, p50, p90, p99, p999, max, errors, late, lag_p99 } = report.summary();
    let wanted = match report.pace {
        Pace::Constant(wanted) => Some(wanted),
        Pace::Closed => None,
    };
    let Report { intended, answered, refused, broken, unanswered, .. } = report;
    println!(
        "{}",
        json!({
            "wanted_rps": wanted, "achieved_rps": achieved, "seconds": report.took.as_secs_f64(),
            "p50_us": p50, "p90_us": p90, "p99_us": p99, "p999_us": p999, "max_us": max,
            "requests": intended, "answered": answered, "errors": errors,
            "refused": refused, "broken": broken, "unanswered": unanswered,
            "late_sends": late, "own_lag_p99_us": lag_p99, "doubts": report.doubts(),
        })
    );
}
