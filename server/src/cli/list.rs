//! `hearth ls`: the functions on the server.

use clap::Args;
use ureq::http::Method;

use super::Ending;
use super::client::{Call, Client};
use crate::config::Size;
use crate::dialect::hearth::wire::FunctionsReply;
use crate::terminal::{Table, Terminal, human_bytes};

/// List the functions on the server.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only those of this service
    service: Option<String>,
}

impl List {
    pub(super) fn run(self, client: &Client, terminal: &Terminal) -> anyhow::Result<Ending> {
        let mut reply: FunctionsReply =
            client.json(Call::new(Method::GET, "/hearth/v1/functions"))?;
        if let Some(service) = &self.service {
            reply.functions.retain(|function| function.service == *service);
        }
        if terminal.is_json() {
            terminal.line(&serde_json::to_string(&reply)?)?;
            return Ok(Ending::Done);
        }
        if reply.functions.is_empty() {
            terminal.note(
                "no functions; put one there with `hearth deploy FILE.wasm --name demo/hello`",
            );
            return Ok(Ending::Done);
        }
        let heading = ["NAME", "CODE", "MEMORY", "TIMEOUT", "ISOLATION", "INSTANCES", "MODIFIED"];
        let mut table = Table::new(&heading).right(&[1, 2, 3, 5]);
        for function in reply.functions {
            let isolation = serde_json::to_value(function.isolation)?;
            table.row([
                format!("{}/{}", function.service, function.function),
                human_bytes(function.code_bytes),
                Size(function.memory.0).to_string(),
                function.timeout.to_string(),
                isolation.as_str().unwrap_or_default().to_owned(),
                format!("{}..{}", function.min_ready, function.max_instances),
                function.modified,
            ]);
        }
        terminal.data(table.render().as_bytes())?;
        Ok(Ending::Done)
    }
}
