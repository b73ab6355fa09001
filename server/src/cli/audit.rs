//! `hearth audit`: who changed what on a server, and whether its trail is whole.

use std::time::SystemTime;

use clap::{Args, Subcommand};
use hearth_platform::{AuditHead, AuditReport};
use ureq::http::Method;

use super::Ending;
use super::client::{Call, Client, escape};
use crate::config::Span;
use crate::dialect::hearth::wire::{AuditRecordView, AuditReply};
use crate::terminal::{Style, Table, Terminal, printable};

/// Records that are asked for at once.
const PAGE: usize = 100;

/// Show who changed what, newest first; takes a key with role admin
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Audit {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only from this time on: 2030-01-31T12:00:00Z, or how long ago, such as 12h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<String>,
    /// Only before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<String>,
    /// Only by this access key, or `local` where no key was asked for
    #[arg(long, value_name = "ID")]
    who: Option<String>,
    /// Only changes that say this, such as `delete function` or `demo/hello`
    #[arg(long, value_name = "TEXT")]
    what: Option<String>,
    /// From the oldest on
    #[arg(long)]
    oldest_first: bool,
    /// At most so many
    #[arg(long, short = 'n', default_value_t = PAGE, value_name = "N")]
    limit: usize,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look whether anything was altered in the trail or taken away from it
    Verify {
        /// Where it stood when this printed so before, as NUMBER:HASH; what was rewritten since then is found as well
        #[arg(long, value_name = "NUMBER:HASH", value_parser = head)]
        head: Option<String>,
    },
}

/// A time as the server takes it.
fn moment(text: &str) -> Result<String, String> {
    let ago = |Span(span): Span| SystemTime::now().checked_sub(span);
    let time = match text.parse::<Span>() {
        Ok(span) => ago(span),
        Err(_) => humantime::parse_rfc3339_weak(text).ok(),
    };
    let wrong =
        || format!("`{text}` is neither a time such as 2030-01-31T12:00:00Z nor one such as 12h");
    Ok(humantime::format_rfc3339_millis(time.ok_or_else(wrong)?).to_string())
}

/// A head, looked at before it is sent.
fn head(text: &str) -> Result<String, String> {
    text.parse::<AuditHead>().map(|_| text.to_owned())
}

impl Audit {
    pub(super) fn run(self, client: &Client, terminal: &Terminal) -> anyhow::Result<Ending> {
        if let Some(Command::Verify { head }) = &self.command {
            return verify(client, terminal, head.as_deref());
        }
        let records = self.records(client)?;
        if terminal.is_json() {
            terminal.line(&serde_json::to_string(&AuditReply { records, next: None })?)?;
            return Ok(Ending::Done);
        }
        if records.is_empty() {
            terminal.note("the audit trail says nothing of that");
            return Ok(Ending::Done);
        }
        let heading = ["NUMBER", "TIME", "WHO", "ROLE", "WHAT", "BECAME", "REQUEST ID"];
        let mut table = Table::new(&heading).right(&[0]);
        for AuditRecordView { number, time, deed, .. } in records {
            table.row([
                number.to_string(),
                time,
                printable(&deed.who),
                deed.role.map_or("", hearth_platform::Role::as_str).to_owned(),
                printable(&deed.what()),
                printable(&deed.became.unwrap_or_default()),
                printable(&deed.request_id.unwrap_or_default()),
            ]);
        }
        terminal.data(table.render().as_bytes())?;
        Ok(Ending::Done)
    }

    /// As many as there are, at most as many as are wanted.
    fn records(&self, client: &Client) -> anyhow::Result<Vec<AuditRecordView>> {
        let (mut found, mut from) = (Vec::new(), None);
        while found.len() < self.limit {
            let order = if self.oldest_first { "oldest" } else { "newest" };
            let count = (self.limit - found.len()).min(PAGE);
            let mut path = format!("/hearth/v1/audit?order={order}&limit={count}");
            let asked = [
                ("since", self.since.clone()),
                ("until", self.until.clone()),
                ("who", self.who.clone()),
                ("what", self.what.clone()),
                ("from", from.map(|number: u64| number.to_string())),
            ];
            for (key, value) in asked {
                if let Some(value) = value {
                    path.push_str(&format!("&{key}={}", escape(&value)));
                }
            }
            let page: AuditReply = client.json(Call::new(Method::GET, path))?;
            found.extend(page.records);
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        Ok(found)
    }
}

fn verify(client: &Client, terminal: &Terminal, head: Option<&str>) -> anyhow::Result<Ending> {
    let head = head.map(|head| format!("?head={}", escape(head))).unwrap_or_default();
    let path = format!("/hearth/v1/audit/verify{head}");
    let report: AuditReport = client.json(Call::new(Method::GET, path))?;
    if terminal.is_json() {
        terminal.line(&serde_json::to_string(&report)?)?;
    } else {
        match &report.problem {
            None => terminal.note(&format!(
                "{} {} records of changes; it stands at",
                terminal.paint(Style::Green, "whole:"),
                report.records
            )),
            Some(problem) => terminal.note(&format!(
                "{} {problem}; {} records before fit",
                terminal.paint(Style::Red, "not whole:"),
                report.records
            )),
        }
        if report.problem.is_none() && report.last > 0 {
            terminal.line(&format!("{}:{}", report.last, report.hash))?;
        }
    }
    Ok(if report.problem.is_none() { Ending::Done } else { Ending::Server })
}
