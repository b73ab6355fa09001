//! `hearth logs SERVICE/FUNCTION`: what a function logged, and with `-f` what it logs from now on.

use std::io::{BufRead, BufReader, Read};

use clap::Args;
use ureq::http::Method;

use super::client::{Call, Client, escape};
use super::{Ending, FunctionName};
use crate::dialect::hearth::wire::LogLineView;
use crate::terminal::{Style, Terminal, printable};

/// Longest line that is read from the server: the longest a guest's may be, escaped, and its frame.
const LINE_BYTES: u64 = 512 << 10;

/// Show what a function logged.
#[derive(Debug, Args)]
pub(super) struct Logs {
    /// Which function, as SERVICE/FUNCTION
    name: FunctionName,
    /// Go on with what it logs from now on, until interrupted
    #[arg(long, short)]
    follow: bool,
    /// Only the lines of this invocation
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// At most so many past lines
    #[arg(long, short = 'n', default_value_t = 100, value_name = "N")]
    lines: u32,
}

impl Logs {
    pub(super) fn run(self, client: &Client, terminal: &Terminal) -> anyhow::Result<Ending> {
        let mut path = format!(
            "/hearth/v1/logs?function={}&limit={}&follow={}",
            escape(&self.name.to_string()),
            self.lines,
            self.follow
        );
        if let Some(id) = &self.request_id {
            path.push_str(&format!("&request_id={}", escape(id)));
        }
        let response = client.send(Call::new(Method::GET, path))?;
        let mut lines = BufReader::new(response.into_body().into_reader());
        let mut line = Vec::new();
        loop {
            line.clear();
            if lines.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
                return Ok(Ending::Done);
            }
            if terminal.is_json() {
                terminal.data(&line)?;
            } else {
                terminal.line(&pretty(terminal, &serde_json::from_slice(&line)?))?;
            }
        }
    }
}

fn pretty(terminal: &Terminal, line: &LogLineView) -> String {
    let id = line.request_id.get(..8).unwrap_or(&line.request_id);
    let frame = terminal.paint_out(Style::Dim, &format!("{} {id} {:<6}", line.time, line.stream));
    let level = match line.level.as_str() {
        "error" | "critical" => terminal.paint_out(Style::Red, &line.level),
        "warn" if line.stream == "log" => terminal.paint_out(Style::Yellow, &line.level),
        _ if line.stream == "log" => line.level.clone(),
        // The streams have no level of their own.
        _ => String::new(),
    };
    let cut = if line.cut { " [cut]" } else { "" };
    let space = if level.is_empty() { "" } else { " " };
    format!("{frame} {level}{space}{}{cut}", printable(&line.text))
}
