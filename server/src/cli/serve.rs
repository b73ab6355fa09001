//! `hearth serve`: starts a server and says where it is.

use std::path::PathBuf;

use clap::Args;

use super::compile_child::CompileChild;
use super::settings_args::SettingsArgs;
use super::{Ending, UsageError};
use crate::serve::{Listening, ServeError, ServeOptions, serve};
use crate::telemetry::start_logging;
use crate::terminal::{Style, Terminal};

/// Start a server
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Write the addresses it listens on to this file, as JSON, once it is ready
    #[arg(long, value_name = "PATH")]
    port_file: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsArgs,
}

impl Serve {
    pub(super) fn run(self, terminal: &Terminal) -> anyhow::Result<Ending> {
        keep_pages_small(true);
        let loaded = self.settings.load().map_err(|error| UsageError(error.to_string()))?;
        let settings = loaded.settings;
        settings.validate().map_err(|error| UsageError(error.to_string()))?;
        let _log = start_logging(&settings.log, terminal.has_colors())
            .map_err(|error| UsageError(format!("log.level: {error}")))?;
        if settings.large_code_pages {
            enlarge_code_pages();
        }
        let data_dir = settings.data_dir.display().to_string();
        let options = ServeOptions {
            compile_child: &CompileChild::ARGUMENTS,
            port_file: self.port_file.as_deref(),
        };
        match serve(settings, &options, |listening| greet(terminal, listening, &data_dir)) {
            Ok(()) => Ok(Ending::Done),
            Err(error @ ServeError::Open { .. }) => Err(UsageError(error.to_string()).into()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The allocator asks for pages of 2 MiB where it can have them: an idle server then holds three times what it uses, and so would an
/// instance on systems that give them unasked.
fn keep_pages_small(small: bool) {
    // A system that does not know the setting has no such pages to keep from.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(small);
    #[cfg(not(target_os = "linux"))]
    let _ = small;
}

/// Moves the code to large pages; where there are none, all goes on as it would without.
fn enlarge_code_pages() {
    #[cfg(target_os = "linux")]
    {
        keep_pages_small(false);
        match crate::large_code::move_code() {
            Ok(bytes) => tracing::info!(bytes, "the server's code is on large pages"),
            Err(why) => tracing::warn!(%why, "the server's code stays on small pages"),
        }
        keep_pages_small(true);
    }
    #[cfg(not(target_os = "linux"))]
    tracing::warn!("the setting `large_code_pages` has no effect on this system");
}

/// Says where the server is and what to type next.
fn greet(terminal: &Terminal, listening: &Listening, data_dir: &str) {
    let url = format!("http://{}", listening.listen);
    let green = |text: &str| terminal.paint(Style::Green, text);
    let flag =
        if url == "http://127.0.0.1:9000" { String::new() } else { format!(" --server {url}") };
    terminal.note(&format!("{} functions   {url}", green("hearth is ready")));
    if let Some(tls) = listening.tls {
        terminal.note(&format!("                over TLS    https://{tls}"));
    }
    terminal
        .note(&format!("                health      http://{}/readyz, /metrics", listening.admin));
    terminal.note(&format!("                data        {data_dir}"));
    if !listening.checks_callers {
        let warning = "nothing checks who calls: anyone who reaches this address can deploy and run functions";
        terminal.note(&format!("{} {warning}", terminal.paint(Style::Yellow, "warning:")));
    }
    terminal.note(&format!("next: hearth deploy FILE.wasm --name demo/hello{flag}"));
}
