//! A server of ours: started with a data directory of its own, and functions put on it with its own command line.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Process, hearth};

/// A running server.
#[derive(Debug)]
pub struct Hearth {
    /// Its process.
    pub process: Process,
    /// Where it listens, as `http://address`.
    pub url: String,
}

/// The binary of an example.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    let examples = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-examples"));
    match name.split_once('/') {
        Some((folder, name)) => examples.join(folder).join(format!("{name}.wasm")),
        None => examples.join(name).join(format!("{name}.wasm")),
    }
}

impl Hearth {
    /// Starts one whose files are in `scratch` under that name.
    ///
    /// # Errors
    /// A sentence, when it does not come up.
    pub fn start(scratch: &Path, name: &str, flags: &[&str]) -> Result<Self, String> {
        let ports = scratch.join(format!("{name}.ports"));
        let mut command = Command::new(hearth());
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
        command
            .arg(scratch.join(format!("{name}.data")))
            .arg("--port-file")
            .arg(&ports)
            .args(flags);
        let mut process = Process::start(&mut command, &scratch.join(format!("{name}.log")))?;
        let url = |text: &str| {
            let ports: serde_json::Value = serde_json::from_str(text).ok()?;
            ports.get("url")?.as_str().map(str::to_owned)
        };
        let url = process.told(&ports, url)?;
        Ok(Self { process, url })
    }

    /// Puts code on it as `SERVICE/FUNCTION`.
    ///
    /// # Errors
    /// What the command line said.
    pub fn deploy(&self, code: &Path, function: &str, flags: &[&str]) -> Result<(), String> {
        let mut command = Command::new(hearth());
        command.args(["--server", &self.url, "deploy", "--name", function]).arg(code).args(flags);
        let output = command.output().map_err(|why| why.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")),
        }
    }

    /// Where code is put to deploy it.
    #[must_use]
    pub fn deployment(&self, service: &str, function: &str) -> String {
        format!("{}/hearth/v1/functions/{service}/{function}", self.url)
    }

    /// Where a function is invoked.
    #[must_use]
    pub fn invocations(&self, service: &str, function: &str) -> String {
        format!("{}/2016-08-15/services/{service}/functions/{function}/invocations", self.url)
    }
}
