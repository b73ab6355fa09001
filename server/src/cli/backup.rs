//! `hearth backup` and `hearth check`: a copy of a data directory, and whether one is whole.

use std::path::PathBuf;

use clap::Args;

use super::Ending;
use super::run::runtime;
use crate::terminal::{Style, Terminal, human_bytes};

/// Copy a data directory, while its server works or not
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// Where to; a directory that is not there
    to: PathBuf,
    /// The data directory
    #[arg(long, value_name = "PATH", env = "HEARTH_DATA_DIR", default_value = "hearth-data")]
    data_dir: PathBuf,
}

/// Look whether a data directory, or a backup of one, is whole
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The directory; no server may work with it meanwhile
    #[arg(long, value_name = "PATH", env = "HEARTH_DATA_DIR", default_value = "hearth-data")]
    data_dir: PathBuf,
    /// The file that opens the secrets of access keys, if it is not in the directory
    #[arg(long, value_name = "PATH", env = "HEARTH_SEALING_KEY")]
    sealing_key: Option<PathBuf>,
}

impl Backup {
    pub(super) fn run(self, terminal: &Terminal) -> anyhow::Result<Ending> {
        rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
        if !self.data_dir.is_dir() {
            anyhow::bail!(
                "{} is no data directory; name one with --data-dir",
                self.data_dir.display()
            );
        }
        let report = runtime()?.block_on(hearth_platform::backup(&self.data_dir, &self.to))?;
        if terminal.is_json() {
            terminal.line(&serde_json::to_string(&report)?)?;
            return Ok(Ending::Done);
        }
        terminal.note(&format!(
            "{} {} functions, {} of code in {} files, to {}",
            terminal.paint(Style::Green, "copied"),
            report.functions,
            human_bytes(report.code_bytes),
            report.code_files,
            self.to.display()
        ));
        if report.has_keys {
            terminal.note(
                "the sealing key of the access keys is not in it: keep a copy of that elsewhere",
            );
        }
        Ok(Ending::Done)
    }
}

impl Check {
    pub(super) fn run(self, terminal: &Terminal) -> anyhow::Result<Ending> {
        if !self.data_dir.is_dir() {
            anyhow::bail!(
                "{} is no data directory; name one with --data-dir",
                self.data_dir.display()
            );
        }
        let report =
            runtime()?.block_on(hearth_platform::check(&self.data_dir, self.sealing_key))?;
        if terminal.is_json() {
            terminal.line(&serde_json::to_string(&report)?)?;
        } else {
            for problem in &report.problems {
                terminal.note(&format!("{} {problem}", terminal.paint(Style::Red, "wrong:")));
            }
            let verdict = match report.problems.len() {
                0 => terminal.paint(Style::Green, "whole:"),
                _ => terminal.paint(Style::Red, "not whole:"),
            };
            terminal.note(&format!(
                "{verdict} {} services, {} functions, {} code files, {} access keys, {} records of changes",
                report.services,
                report.functions,
                report.code_files,
                report.keys,
                report.audit_records
            ));
        }
        Ok(if report.problems.is_empty() { Ending::Done } else { Ending::Server })
    }
}
