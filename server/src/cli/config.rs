//! `hearth config`: the settings a server would start with, and where each came from.

use clap::Args;

use super::settings_args::SettingsArgs;
use super::{Ending, UsageError};
use crate::config::{as_json, as_toml};
use crate::terminal::{Style, Terminal};

/// Print the settings a server would start with.
#[derive(Debug, Args)]
pub(super) struct ShowConfig {
    #[command(flatten)]
    settings: SettingsArgs,
}

impl ShowConfig {
    pub(super) fn run(self, terminal: &Terminal) -> anyhow::Result<Ending> {
        let loaded = self.settings.load().map_err(|error| UsageError(error.to_string()))?;
        if terminal.is_json() {
            terminal.line(&serde_json::to_string_pretty(&as_json(&loaded))?)?;
        } else {
            terminal.data(as_toml(&loaded)?.as_bytes())?;
        }
        // Shown first, judged after: what is refused is easier to mend when it can be seen.
        match loaded.settings.validate() {
            Ok(()) => Ok(Ending::Done),
            Err(error) => {
                let label = terminal.paint(Style::Red, "error:");
                terminal.note(&format!("{label} a server would refuse these settings: {error}"));
                Ok(Ending::Usage)
            }
        }
    }
}
