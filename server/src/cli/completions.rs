//! `hearth completions SHELL`: the script that completes commands and flags.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Ending};
use crate::terminal::Terminal;

/// Print a completion script for a shell.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, terminal: &Terminal) -> anyhow::Result<Ending> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "hearth", &mut script);
        terminal.data(&script)?;
        Ok(Ending::Done)
    }
}
