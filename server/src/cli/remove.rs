//! `hearth rm SERVICE/FUNCTION...`: removes functions from the server.

use clap::Args;
use ureq::http::Method;

use super::client::{Call, Client, escape};
use super::{Ending, FunctionName};
use crate::terminal::{Style, Terminal};

/// Remove functions from the server.
#[derive(Debug, Args)]
pub(super) struct Remove {
    /// Which functions, as SERVICE/FUNCTION
    #[arg(required = true)]
    names: Vec<FunctionName>,
}

impl Remove {
    pub(super) fn run(self, client: &Client, terminal: &Terminal) -> anyhow::Result<Ending> {
        for name in &self.names {
            let path = format!(
                "/hearth/v1/functions/{}/{}",
                escape(&name.service),
                escape(&name.function)
            );
            client.send(Call::new(Method::DELETE, path))?;
            terminal.note(&format!("{} {name}", terminal.paint(Style::Green, "removed")));
        }
        Ok(Ending::Done)
    }
}
