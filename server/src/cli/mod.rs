//! The command line: what people type, and what they see.
//!
//! Data goes to standard output and everything for a person to standard error. An error says what to do. Everything that needs
//! a server goes through `client`; `run` and `bench FILE` use the engine in this process.

mod audit;
mod backup;
mod bench;
mod bench_file;
mod bench_server;
mod client;
mod compile_child;
mod completions;
mod config;
mod dead;
mod deploy;
mod function_args;
mod invoke;
mod key;
mod list;
mod logs;
mod remove;
mod run;
mod serve;
mod settings_args;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::terminal::{Format, Terminal};

/// Run WebAssembly functions: deploy once, call over HTTP, see the answer and its log.
#[derive(Debug, Parser)]
#[command(name = "hearth", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    shared: Shared,
}

/// What every command takes.
#[derive(Debug, Clone, clap::Args)]
struct Shared {
    /// The server to talk to
    #[arg(
        long,
        global = true,
        env = "HEARTH_SERVER",
        default_value = "http://127.0.0.1:9000",
        value_name = "URL"
    )]
    server: String,
    /// The access key that signs requests, where the server asks for one
    #[arg(long, global = true, env = "HEARTH_ACCESS_KEY_ID", value_name = "ID")]
    access_key_id: Option<String>,
    /// Its secret; better given in the environment, where other users cannot see it
    #[arg(
        long,
        global = true,
        env = "HEARTH_ACCESS_KEY_SECRET",
        value_name = "SECRET",
        hide_env_values = true
    )]
    access_key_secret: Option<String>,
    /// The security token of a temporary key
    #[arg(
        long,
        global = true,
        env = "HEARTH_SECURITY_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    security_token: Option<String>,
    /// The form of data; JSON unless standard output is a terminal
    #[arg(long, global = true, env = "HEARTH_FORMAT")]
    format: Option<Format>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a server
    Serve(serve::Serve),
    /// Put a function on the server
    Deploy(deploy::Deploy),
    /// Call a function and print its answer
    Invoke(invoke::Invoke),
    /// List the functions on the server
    #[command(visible_alias = "list")]
    Ls(list::List),
    /// Show what functions logged
    Logs(logs::Logs),
    /// Look at invocations that gave up, and queue them again
    Dead(dead::Dead),
    /// Show who changed what, and whether that trail is whole
    Audit(audit::Audit),
    /// Remove functions from the server
    #[command(visible_alias = "remove")]
    Rm(remove::Remove),
    /// Run a file once, without a server
    Run(run::Run),
    /// Copy a data directory, while its server works or not
    Backup(backup::Backup),
    /// Look whether a data directory, or a backup of one, is whole
    Check(backup::Check),
    /// Make, list, rotate and revoke access keys
    Key(key::Key),
    /// Measure a function on a server, or a file without one
    Bench(bench::Bench),
    /// Print the settings a server would start with
    Config(config::ShowConfig),
    /// Print a completion script for a shell
    Completions(completions::Completions),
    /// Compile one file; what a server runs in a child process
    #[command(hide = true)]
    CompileChild(compile_child::CompileChild),
}

/// How a command ended, as a process says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// All is well.
    Done,
    /// The function ran and reported an error or was stopped.
    FunctionError,
    /// What was typed makes no sense.
    Usage,
    /// The server or the way to it failed.
    Server,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Done => Self::SUCCESS,
            Ending::FunctionError => Self::from(1),
            Ending::Usage => Self::from(2),
            Ending::Server => Self::from(3),
        }
    }
}

/// An error that is the typist's: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

/// Runs what was typed.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors to clap, but not to whoever asked.
            let code = if error.use_stderr() { Ending::Usage } else { Ending::Done };
            let _ = error.print();
            return code.into();
        }
    };
    // The convention of no-color.org: set and not empty.
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let terminal = Terminal::detect(cli.shared.format, no_color);
    match dispatch(cli, &terminal) {
        Ok(ending) => ending.into(),
        Err(error) if is_broken_pipe(&error) => Ending::Done.into(),
        Err(error) => {
            let label = terminal.paint(crate::terminal::Style::Red, "error:");
            terminal.note(&format!("{label} {error:#}"));
            let usage = error.downcast_ref::<UsageError>().is_some();
            if usage { Ending::Usage } else { Ending::Server }.into()
        }
    }
}

fn dispatch(cli: Cli, terminal: &Terminal) -> anyhow::Result<Ending> {
    let shared = cli.shared.clone();
    let signer =
        client::Signer::of(shared.access_key_id, shared.access_key_secret, shared.security_token)?;
    let client = || client::Client::new(&cli.shared.server, signer.clone());
    match cli.command {
        Command::Serve(command) => command.run(terminal),
        Command::Deploy(command) => command.run(&client()?, terminal),
        Command::Invoke(command) => command.run(&client()?, terminal),
        Command::Ls(command) => command.run(&client()?, terminal),
        Command::Logs(command) => command.run(&client()?, terminal),
        Command::Dead(command) => command.run(&client()?, terminal),
        Command::Audit(command) => command.run(&client()?, terminal),
        Command::Rm(command) => command.run(&client()?, terminal),
        Command::Run(command) => command.run(terminal),
        Command::Backup(command) => command.run(terminal),
        Command::Check(command) => command.run(terminal),
        Command::Key(command) => command.run(&client()?, terminal),
        Command::Bench(command) => command.run(&cli.shared.server, signer.as_ref(), terminal),
        Command::Config(command) => command.run(terminal),
        Command::Completions(command) => command.run(terminal),
        Command::CompileChild(command) => command.run(),
    }
}

/// Whether whoever read standard output has gone, as `head` does: no error of ours.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// A function's full name, as `service/function`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FunctionName {
    service: String,
    function: String,
}

impl std::str::FromStr for FunctionName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((service, function))
                if !service.is_empty() && !function.is_empty() && !function.contains('/') =>
            {
                Ok(Self { service: service.to_owned(), function: function.to_owned() })
            }
            _ => Err(format!("`{text}` is not SERVICE/FUNCTION, such as `demo/hello`")),
        }
    }
}

impl std::fmt::Display for FunctionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.service, self.function)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn names_have_two_parts() {
        assert_eq!("a/b".parse::<FunctionName>().unwrap().to_string(), "a/b");
        for text in ["", "a", "/", "a/", "/b", "a/b/c"] {
            assert!(text.parse::<FunctionName>().is_err(), "{text}");
        }
    }
}
