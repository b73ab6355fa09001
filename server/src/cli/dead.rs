//! `hearth dead`: invocations that gave up, listed, shown and queued again.

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use ureq::http::Method;

use super::client::{Call, Client, escape};
use super::{Ending, FunctionName, UsageError};
use crate::dialect::hearth::wire::{DeadLetterView, DeadLettersReply, RedriveReply};
use crate::terminal::{Table, Terminal, human_bytes, printable};

/// Most that are listed unless told otherwise.
const LISTED: usize = 100;

/// Look at invocations that gave up, and queue them again.
#[derive(Debug, Args)]
pub(super) struct Dead {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List them in the order of their request ids
    List {
        /// Only those of this function, as SERVICE/FUNCTION
        function: Option<FunctionName>,
        /// At most so many
        #[arg(long, short = 'n', default_value_t = LISTED, value_name = "N")]
        limit: usize,
    },
    /// Show one with its event
    Show {
        /// Its request id
        request_id: String,
    },
    /// Queue some again, as new invocations with the same events
    Redrive {
        /// Their request ids
        request_ids: Vec<String>,
        /// All of this function, as SERVICE/FUNCTION
        #[arg(long, value_name = "SERVICE/FUNCTION", conflicts_with = "request_ids")]
        function: Option<FunctionName>,
    },
}

impl Dead {
    pub(super) fn run(self, client: &Client, terminal: &Terminal) -> anyhow::Result<Ending> {
        match self.command {
            Command::List { function, limit } => list(client, terminal, function.as_ref(), limit),
            Command::Show { request_id } => show(client, terminal, &request_id),
            Command::Redrive { request_ids, function: None } if request_ids.is_empty() => {
                let hint = "name request ids, or a function with --function";
                Err(UsageError(hint.to_owned()).into())
            }
            Command::Redrive { request_ids, function: None } => {
                request_ids.iter().try_for_each(|id| redrive(client, terminal, id))?;
                Ok(Ending::Done)
            }
            Command::Redrive { function: Some(function), .. } => {
                // Those that give up again meanwhile have new ids: the walk ends.
                let known = letters(client, Some(&function), usize::MAX)?;
                known
                    .iter()
                    .try_for_each(|letter| redrive(client, terminal, &letter.request_id))?;
                terminal.note(&format!("queued {} again", known.len()));
                Ok(Ending::Done)
            }
        }
    }
}

/// As many as there are, at most `limit`.
fn letters(
    client: &Client,
    function: Option<&FunctionName>,
    limit: usize,
) -> anyhow::Result<Vec<DeadLetterView>> {
    let (mut found, mut after) = (Vec::new(), String::new());
    while found.len() < limit {
        let count = (limit - found.len()).min(LISTED);
        let mut path = format!("/hearth/v1/dead?limit={count}&after={}", escape(&after));
        if let Some(function) = function {
            path.push_str(&format!("&function={}", escape(&function.to_string())));
        }
        let page: DeadLettersReply = client.json(Call::new(Method::GET, path))?;
        found.extend(page.dead_letters);
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    Ok(found)
}

fn list(
    client: &Client,
    terminal: &Terminal,
    function: Option<&FunctionName>,
    limit: usize,
) -> anyhow::Result<Ending> {
    let found = letters(client, function, limit)?;
    if terminal.is_json() {
        let reply = DeadLettersReply { dead_letters: found, next: None };
        terminal.line(&serde_json::to_string(&reply)?)?;
        return Ok(Ending::Done);
    }
    if found.is_empty() {
        terminal.note("no invocation gave up");
        return Ok(Ending::Done);
    }
    let heading = ["REQUEST ID", "FUNCTION", "ATTEMPTS", "EVENT", "GAVE UP", "WHY"];
    let mut table = Table::new(&heading).right(&[2, 3]);
    for letter in found {
        table.row([
            letter.request_id,
            letter.function,
            letter.attempts.to_string(),
            human_bytes(letter.event_bytes),
            letter.parked,
            printable(&letter.reason),
        ]);
    }
    terminal.data(table.render().as_bytes())?;
    Ok(Ending::Done)
}

fn show(client: &Client, terminal: &Terminal, id: &str) -> anyhow::Result<Ending> {
    let path = format!("/hearth/v1/dead/{}", escape(id));
    let letter: DeadLetterView = client.json(Call::new(Method::GET, path))?;
    if terminal.is_json() {
        terminal.line(&serde_json::to_string(&letter)?)?;
        return Ok(Ending::Done);
    }
    let event =
        STANDARD.decode(letter.event.unwrap_or_default()).context("its event is damaged")?;
    for (name, value) in [
        ("request id", letter.request_id),
        ("function", letter.function),
        ("attempts", letter.attempts.to_string()),
        ("accepted", letter.accepted),
        ("gave up", letter.parked),
        ("why", printable(&letter.reason)),
        ("event", printable(&String::from_utf8_lossy(&event))),
    ] {
        terminal.line(&format!("{name:<11} {value}"))?;
    }
    Ok(Ending::Done)
}

fn redrive(client: &Client, terminal: &Terminal, id: &str) -> anyhow::Result<()> {
    let path = format!("/hearth/v1/dead/{}", escape(id));
    let reply: RedriveReply = client.json(Call::new(Method::POST, path))?;
    if terminal.is_json() {
        let shown = serde_json::json!({"request_id": id, "queued_as": reply.request_id});
        terminal.line(&shown.to_string())?;
    } else {
        terminal.line(&format!("{id} is queued again as {}", reply.request_id))?;
    }
    Ok(())
}
