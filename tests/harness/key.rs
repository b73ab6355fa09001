//! Access keys: made on the command line, and what they sign.

use std::path::Path;
use std::process::{Command, Output};
use std::time::SystemTime;

use hearth::dialect::function_compute::signature::{Signed, authorization};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Reply, Server, Start, binary};

/// A key as the command line tells it.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// Its security token, if it is temporary.
    pub token: Option<String>,
}

impl Key {
    /// Reads what the command line told of a key that it made.
    ///
    /// # Panics
    /// When it made none.
    #[must_use]
    pub fn read(told: &Output) -> Self {
        let errors = String::from_utf8_lossy(&told.stderr);
        assert!(told.status.success(), "{errors}");
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        let text = |name: &str| told[name].as_str().map(str::to_owned);
        Self {
            id: text("accessKeyId").unwrap(),
            secret: text("accessKeySecret").unwrap(),
            token: text("securityToken"),
        }
    }

    /// Runs the command line against a server with this key.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn run(&self, server: &Server, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command
            .args(["--server", &format!("http://{}", server.address()), "--format", "json"])
            .args(arguments);
        command.env("HEARTH_ACCESS_KEY_ID", &self.id);
        command.env("HEARTH_ACCESS_KEY_SECRET", &self.secret);
        if let Some(token) = &self.token {
            command.env("HEARTH_SECURITY_TOKEN", token);
        }
        command.output().unwrap()
    }

    /// The code of the refusal, or an empty text for success.
    #[must_use]
    pub fn refusal(&self, server: &Server, arguments: &[&str]) -> String {
        let output = self.run(server, arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return String::new();
        }
        let told = errors.rsplit('(').next().unwrap_or_default();
        told.split(',').next().unwrap_or_default().to_owned()
    }

    /// Sends a request that it signs.
    ///
    /// # Panics
    /// When no answer comes.
    #[must_use]
    pub fn send(&self, server: &Server, method: &str, path: &str, body: &str) -> Reply {
        let headers = self.sign(method, path, &[], SystemTime::now());
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        server.send(method, path, &headers, body.as_bytes())
    }

    /// The headers of a request that it signs, dated like this and with more of them.
    ///
    /// # Panics
    /// When there is no such method or path.
    #[must_use]
    pub fn sign(
        &self,
        method: &str,
        path: &str,
        more: &[(&'static str, &str)],
        date: SystemTime,
    ) -> Vec<(&'static str, String)> {
        let date = httpdate::fmt_http_date(date);
        let mut headers = http::HeaderMap::new();
        headers.insert("date", date.parse().expect("a date is a header"));
        if let Some(token) = &self.token {
            headers.insert("x-fc-security-token", token.parse().expect("a token is a header"));
        }
        for (name, value) in more {
            headers.insert(*name, value.parse().expect("a value is a header"));
        }
        let (verb, uri) = (method.parse().expect("a method"), path.parse().expect("a path"));
        let signed = Signed { method: &verb, uri: &uri, headers: &headers };
        let mut made = vec![("authorization", authorization(signed, &self.id, &self.secret))];
        made.push(("date", date));
        made.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        made.extend(self.token.clone().map(|token| ("x-fc-security-token", token)));
        made
    }

    /// Makes another key on a server.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn make(&self, server: &Server, arguments: &[&str]) -> Self {
        Self::read(&self.run(server, &[&["key", "create"], arguments].concat()))
    }
}

/// Makes a key where no server runs.
///
/// # Panics
/// When the command line does not start.
#[must_use]
pub fn make_key_in(data_dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(["key", "create", "--format", "json", "--data-dir"]).arg(data_dir);
    command.args(arguments).output().unwrap()
}

/// A server that asks who calls, and a key that may do everything.
///
/// # Panics
/// When it does not come up.
#[must_use]
pub fn guarded(start: Start) -> (Server, Key, TempDir) {
    let home = tempfile::tempdir().unwrap();
    let admin = Key::read(&make_key_in(home.path(), &[]));
    (start.on(home.path()).start(), admin, home)
}
