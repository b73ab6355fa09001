//! `hearth invoke SERVICE/FUNCTION`: calls a function and prints its answer; its log and figures go to standard error.

use std::io::{IsTerminal, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::json;
use ureq::http::Method;

use super::client::{Call, Client, escape, header, read};
use super::{Ending, FunctionName, UsageError};
use crate::terminal::{Style, Terminal};

/// Largest event that is read from a file or standard input: the largest a server may be told to take.
const EVENT_BYTES: u64 = 32 << 20;

/// Call a function and print its answer.
#[derive(Debug, Args)]
pub(super) struct Invoke {
    /// Which function, as SERVICE/FUNCTION
    name: FunctionName,
    #[command(flatten)]
    event: EventArgs,
    /// Show the last 4 KiB of what it logged
    #[arg(long, conflicts_with = "asynchronous")]
    tail: bool,
    /// Queue the call and return; it runs at least once
    #[arg(long = "async")]
    asynchronous: bool,
    /// A version or an alias
    #[arg(long, value_name = "NAME")]
    qualifier: Option<String>,
}

/// What is sent to the function.
#[derive(Debug, Clone, Args)]
pub(super) struct EventArgs {
    /// The event: text, @FILE, or - for standard input [default: empty]
    #[arg(long, short, value_name = "TEXT|@FILE|-", allow_hyphen_values = true)]
    data: Option<String>,
}

impl EventArgs {
    /// The bytes of the event.
    pub(super) fn read(&self) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.data.as_deref() {
            None => {}
            Some("-") => {
                std::io::stdin().lock().take(EVENT_BYTES + 1).read_to_end(&mut bytes)?;
            }
            Some(data) => match data.strip_prefix('@') {
                None => bytes = data.as_bytes().to_vec(),
                Some(path) => {
                    let opened = std::fs::File::open(path);
                    opened
                        .and_then(|file| file.take(EVENT_BYTES + 1).read_to_end(&mut bytes))
                        .map_err(|error| UsageError(format!("{path} cannot be read: {error}")))?;
                }
            },
        }
        if bytes.len() as u64 > EVENT_BYTES {
            return Err(UsageError(format!("the event is over {EVENT_BYTES} bytes")).into());
        }
        Ok(bytes)
    }
}

impl Invoke {
    pub(super) fn run(self, client: &Client, terminal: &Terminal) -> anyhow::Result<Ending> {
        let event = self.event.read()?;
        let qualifier =
            self.qualifier.map(|name| format!(".{}", escape(&name))).unwrap_or_default();
        let path = format!(
            "/2016-08-15/services/{}{qualifier}/functions/{}/invocations",
            escape(&self.name.service),
            escape(&self.name.function)
        );
        let mut headers = vec![("content-type", "application/octet-stream".to_owned())];
        if self.tail {
            headers.push(("x-fc-log-type", "Tail".to_owned()));
        }
        if self.asynchronous {
            headers.push(("x-fc-invocation-type", "Async".to_owned()));
        }
        let mut response =
            client.send(Call { method: Method::POST, path, headers, body: &event })?;
        let answer = read(&mut response)?;
        let text = |name| header(&response, name).unwrap_or_default();
        let request_id = text("x-fc-request-id");
        if self.asynchronous {
            terminal.note(&format!("queued as request {request_id}"));
            if terminal.is_json() {
                terminal.line(&json!({"request_id": request_id}).to_string())?;
            }
            return Ok(Ending::Done);
        }
        let log = STANDARD.decode(text("x-fc-log-result")).unwrap_or_default();
        show(terminal, &answer, &String::from_utf8_lossy(&log))?;
        let error = text("x-fc-error-type");
        if !self.tail {
            let figures = format!(
                "request {request_id}: {} start, {} ms, {} MB",
                text("x-hearth-start"),
                text("x-fc-invocation-duration"),
                text("x-fc-max-memory-usage")
            );
            terminal.note(&terminal.paint(Style::Dim, &figures));
        }
        if error.is_empty() {
            return Ok(Ending::Done);
        }
        let label = terminal.paint(Style::Red, "function error:");
        terminal.note(&format!("{label} {error}"));
        Ok(Ending::FunctionError)
    }
}

/// Prints an answer to standard output as it is, with a newline if a terminal would otherwise lack one, and the log to
/// standard error.
pub(super) fn show(terminal: &Terminal, answer: &[u8], log: &str) -> anyhow::Result<()> {
    terminal.data(answer)?;
    if std::io::stdout().is_terminal() && !answer.is_empty() && !answer.ends_with(b"\n") {
        std::io::stdout().write_all(b"\n")?;
    }
    if !log.is_empty() {
        terminal.note_foreign(Style::Dim, log.trim_end());
    }
    Ok(())
}
