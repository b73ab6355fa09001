//! `hearth bench`: latencies of a function on a server, or of a file without one.

use std::path::PathBuf;

use clap::Args;

use super::client::Signer;
use super::function_args::FunctionArgs;
use super::invoke::EventArgs;
use super::{Ending, FunctionName, UsageError, bench_file, bench_server};
use crate::config::Span;
use crate::terminal::{Histogram, Style, Terminal};

/// Measure a function on a server, or a file without one.
#[derive(Debug, Args)]
pub(super) struct Bench {
    /// SERVICE/FUNCTION on the server, or a .wasm file
    target: String,
    #[command(flatten)]
    event: EventArgs,
    /// Connections that call at once; for a function on a server
    #[arg(long, short, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// How long to measure each figure
    #[arg(long, default_value = "5s", value_name = "TIME")]
    duration: Span,
    #[command(flatten)]
    function: FunctionArgs,
}

/// One measured figure.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) latencies: Histogram,
    pub(super) extra: serde_json::Map<String, serde_json::Value>,
}

impl Figure {
    pub(super) fn new(name: &'static str) -> anyhow::Result<Self> {
        Ok(Self { name, latencies: Histogram::new()?, extra: serde_json::Map::new() })
    }
}

impl Bench {
    pub(super) fn run(
        self,
        server: &str,
        signer: Option<&Signer>,
        terminal: &Terminal,
    ) -> anyhow::Result<Ending> {
        let event = self.event.read()?;
        let path = PathBuf::from(&self.target);
        let figures = if path.is_file() {
            bench_file::measure(
                &path,
                event,
                self.duration.0,
                self.function.to_request()?,
                terminal,
            )?
        } else {
            let name: FunctionName = self.target.parse().map_err(|_| {
                UsageError(format!("`{}` is no file and not SERVICE/FUNCTION", self.target))
            })?;
            let load = bench_server::Load {
                connections: self.connections,
                duration: self.duration.0,
                event,
            };
            vec![bench_server::measure((server, signer), &name, load, terminal)?]
        };
        print(terminal, &self.target, &figures)?;
        let failed = figures
            .iter()
            .any(|figure| figure.extra.get("errors").is_some_and(|errors| *errors != 0));
        Ok(if failed { Ending::FunctionError } else { Ending::Done })
    }
}

fn print(terminal: &Terminal, target: &str, figures: &[Figure]) -> anyhow::Result<()> {
    if terminal.is_json() {
        let figures: serde_json::Map<_, _> = figures
            .iter()
            .map(|figure| {
                let mut json = figure.latencies.to_json();
                if let Some(object) = json.as_object_mut() {
                    object.extend(figure.extra.clone());
                }
                (figure.name.to_owned(), json)
            })
            .collect();
        terminal.line(&serde_json::json!({"target": target, "figures": figures}).to_string())?;
        return Ok(());
    }
    let mut table = crate::terminal::Table::new(&["", "COUNT", "P50", "P90", "P99", "P99.9"])
        .right(&[1, 2, 3, 4, 5]);
    for figure in figures {
        let mut row = vec![figure.name.to_owned(), figure.latencies.count().to_string()];
        row.extend(figure.latencies.quantiles().map(|(_, time)| crate::terminal::human_time(time)));
        table.row(row);
    }
    terminal.data(table.render().as_bytes())?;
    for figure in figures {
        let extra: Vec<String> =
            figure.extra.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let extra =
            if extra.is_empty() { String::new() } else { format!(" ({})", extra.join(", ")) };
        terminal.line(&format!("\n{}{extra}", terminal.paint_out(Style::Bold, figure.name)))?;
        terminal.data(figure.latencies.draw().as_bytes())?;
    }
    Ok(())
}
