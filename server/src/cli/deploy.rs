//! `hearth deploy PATH --name SERVICE/FUNCTION`: puts a function on the server, from a file or from an object that the server reads.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ureq::http::Method;

use super::client::{Call, Client, escape};
use super::function_args::FunctionArgs;
use super::{Ending, FunctionName, UsageError};
use crate::config::Span;
use crate::dialect::hearth::wire::{DeployReply, SETTINGS_HEADER};
use crate::terminal::{Progress, Style, Terminal, human_bytes, human_time};

/// Put a function on the server. A function that exists is replaced without failing a call.
#[derive(Debug, Args)]
pub(super) struct Deploy {
    /// The .wasm file: a component or a core module
    #[arg(required_unless_present = "object")]
    path: Option<PathBuf>,
    /// Instead of a file, an object that the server reads: a .wasm, or a zip with one
    #[arg(long, value_name = "BUCKET/KEY", conflicts_with = "path")]
    object: Option<String>,
    /// Where it goes, as SERVICE/FUNCTION; the service is made if need be
    #[arg(long, short, value_name = "SERVICE/FUNCTION")]
    name: FunctionName,
    /// A sentence about it
    #[arg(long)]
    description: Option<String>,
    /// Give it an address that answers HTTP requests itself: to anybody, or with `function` to who signs with an access key
    #[arg(long, value_name = "WHO", num_args = 0..=1, require_equals = true, default_missing_value = "anonymous", value_parser = ["anonymous", "function"])]
    http: Option<String>,
    #[command(flatten)]
    function: FunctionArgs,
    /// Ready instances kept even when nobody calls [default: 0]
    #[arg(long, value_name = "N")]
    min_ready: Option<u32>,
    /// Most instances at once, hence its concurrency [default: 100]
    #[arg(long, value_name = "N")]
    max_instances: Option<u32>,
    /// Invocations that one instance serves at once, for `wasi:http` 0.3 components alone [default: 1]
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// An idle instance is dropped after this time [default: 60s]
    #[arg(long, value_name = "TIME")]
    idle_time: Option<Span>,
    /// Invocations an instance serves before it retires; 0 for no bound [default: 10000]
    #[arg(long, value_name = "N")]
    uses: Option<u32>,
    /// Invocations that may wait for an instance [default: 100]
    #[arg(long, value_name = "N")]
    queue: Option<u32>,
    /// How long one waits before it is refused [default: 1s]
    #[arg(long, value_name = "TIME")]
    queue_wait: Option<Span>,
}

/// Reads a file that was named on the command line.
pub(super) fn read_code(path: &std::path::Path) -> anyhow::Result<Vec<u8>> {
    hearth_engine::pieces::read(path)
        .map_err(|error| UsageError(format!("{} cannot be read: {error}", path.display())).into())
}

impl Deploy {
    pub(super) fn run(self, client: &Client, terminal: &Terminal) -> anyhow::Result<Ending> {
        let code = self.path.as_deref().map(read_code).transpose()?.unwrap_or_default();
        let mut request = self.function.to_request()?;
        request.description = self.description;
        request.min_ready = self.min_ready;
        request.max_instances = self.max_instances;
        request.concurrency = self.concurrency;
        request.idle_time = self.idle_time;
        request.uses = self.uses;
        request.queue = self.queue;
        request.queue_wait = self.queue_wait;
        let name = &self.name;
        let size = self.object.clone().unwrap_or_else(|| human_bytes(code.len() as u64));
        request.object = self.object;
        request.http = self.http;
        let progress = Progress::spinner(terminal, &format!("deploying {name} ({size})"));
        let path =
            format!("/hearth/v1/functions/{}/{}", escape(&name.service), escape(&name.function));
        let reply: DeployReply = client.json(Call {
            method: Method::PUT,
            path,
            headers: vec![
                ("content-type", "application/wasm".to_owned()),
                (SETTINGS_HEADER, serde_json::to_string(&request)?),
            ],
            body: &code,
        })?;
        drop(progress);
        if terminal.is_json() {
            terminal.line(&serde_json::to_string(&reply)?)?;
            return Ok(Ending::Done);
        }
        let done = if reply.created { "deployed" } else { "replaced" };
        let took = human_time(Duration::from_millis(reply.took_ms));
        terminal.note(&format!(
            "{} {name} ({size}, ready in {took})",
            terminal.paint(Style::Green, done)
        ));
        for setting in &reply.without_effect {
            terminal.note(&format!(
                "{}: {setting} has no effect on this function: its instances serve one invocation at a time",
                terminal.paint(Style::Yellow, "warning")
            ));
        }
        if let Some(url) = &reply.url {
            terminal.line(url)?;
            return Ok(Ending::Done);
        }
        let server = match client.server() {
            "http://127.0.0.1:9000" => String::new(),
            other => format!(" --server {other}"),
        };
        terminal.note(&terminal.paint(
            Style::Dim,
            &format!("call it: hearth invoke {name} --data '{{}}' --tail{server}"),
        ));
        Ok(Ending::Done)
    }
}
