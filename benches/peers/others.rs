//! How each host is started: ours, bare axum, `wasmtime serve` at its best settings, Spin, and workerd.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Field;
use super::hearth::{Hearth, example};
use super::process::{Process, hearth, programs};
use crate::load::Target;

/// Where a peer that is no part of this workspace is looked for.
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/peers");

const GET_WASMTIME: &str = "not found: set WASMTIME, or cargo install wasmtime-cli --version 48.0.8 --locked --root target/peers";
const GET_SPIN: &str = "not found: set SPIN, or put a release of https://github.com/spinframework/spin at target/peers/bin/spin";
const GET_WORKERD: &str = "not found: set WORKERD, or npm install --prefix target/peers workerd";

fn get(url: &str) -> Result<Target, String> {
    Target::get(url).map_err(|why| why.to_string())
}

fn post(url: &str) -> Result<Target, String> {
    Target::new(url, "POST", &[], b"hello").map_err(|why| why.to_string())
}

impl Field {
    /// No wasm at all: the ceiling. The same process answers both kinds of request.
    pub(super) fn start_axum(&mut self) {
        if let Some((address, process)) = self.start_baseline("axum", "bare-axum") {
            self.join("axum", get(&format!("http://{address}/")), None, process);
            self.join("axum-post", post(&format!("http://{address}/")), None, process);
        }
    }

    /// Nothing around wasmtime but hyper: the ceiling of what keeps instances of the component.
    pub(super) fn start_bare_wasmtime(&mut self) {
        if let Some((address, process)) = self.start_baseline("bare-wasmtime", "bare-wasmtime") {
            self.join("bare-wasmtime", get(&format!("http://{address}/")), None, process);
        }
    }

    /// A program of this workspace that prints its address.
    fn start_baseline(&mut self, name: &'static str, program: &str) -> Option<(String, usize)> {
        let mut command = Command::new(programs().join(program));
        let started = Process::start(&mut command, &self.scratch().join(format!("{name}.log")));
        let address = |text: &str| text.ends_with('\n').then(|| text.trim().to_owned());
        match started.and_then(|mut process| Ok((process.says(address)?, process))) {
            Ok((address, process)) => Some((address, self.add(process))),
            Err(why) => {
                self.leave(name, why);
                None
            }
        }
    }

    /// A server for each isolation, at its best settings, so that the memory of each can be told. The one that reuses has an echo of
    /// events as well.
    pub(super) fn start_hearth(&mut self, name: &'static str, isolation: &str) {
        let hearth = Hearth::start(self.scratch(), name, &["--large-code-pages", "true"]);
        let deployed = hearth.and_then(|hearth| {
            let flags = ["--isolation", isolation, "--http"];
            hearth.deploy(&example("rust-http"), "bench/hello", &flags)?;
            hearth.deploy(&example("wat-echo"), "bench/echo", &["--isolation", isolation])?;
            Ok(hearth)
        });
        match deployed {
            Ok(hearth) => {
                let hello = get(&format!("{}/2016-08-15/proxy/bench/hello/", hearth.url));
                let echo = post(&hearth.invocations("bench", "echo"));
                let process = self.add(hearth.process);
                self.join(name, hello, about_hearth(), process);
                if isolation == "reuse" {
                    self.join("hearth-invoke", echo, about_hearth(), process);
                }
            }
            Err(why) => self.leave(name, why),
        }
    }

    /// With the pooling allocator, what instances dirtied kept resident, and reset by a scan of the page map.
    pub(super) fn start_wasmtime(&mut self, name: &'static str, uses: u32) {
        let Some((program, about)) = wasmtime() else {
            return self.leave(name, GET_WASMTIME.to_owned());
        };
        let mut command = Command::new(program);
        command.args(["serve", "--addr", "127.0.0.1:0", "-S", "cli", "-O", "pooling-allocator"]);
        command.args([
            "-O",
            "pooling-memory-keep-resident=2097152",
            "-O",
            "pooling-table-keep-resident=2097152",
        ]);
        command.args([
            "-O",
            "pooling-pagemap-scan=y",
            "--max-instance-reuse-count",
            &uses.to_string(),
        ]);
        command.arg(example("rust-http"));
        let started = Process::start(&mut command, &self.scratch().join(format!("{name}.log")));
        match started.and_then(|mut process| Ok((process.says(url_said)?, process))) {
            Ok((url, process)) => {
                let process = self.add(process);
                self.join(name, get(&url), Some(about), process);
            }
            Err(why) => self.leave(name, why),
        }
    }

    /// What `spin up` starts once it has read a manifest, with what `spin up` would tell it: the process that serves, not one beside it, because it
    /// is ended by its id and its memory is looked at. Spin makes an instance for each request to a component of WASI 0.2, whatever it is
    /// told (`spin trigger http --help`), and takes instances from a pool where it can.
    pub(super) fn start_spin(&mut self) {
        let Some((program, about)) = spin() else {
            return self.leave("spin", GET_SPIN.to_owned());
        };
        let scratch = self.scratch().join("spin");
        let app = scratch.join("locked.json");
        let wasm = example("rust-http").canonicalize();
        let written = wasm.and_then(|wasm| {
            std::fs::create_dir_all(&scratch)?;
            std::fs::write(&app, spin_app(&format!("file://{}", wasm.display())).to_string())
        });
        if let Err(why) = written {
            return self.leave("spin", why.to_string());
        }
        let mut command = Command::new(program);
        command.args(["trigger", "http", "--listen", "127.0.0.1:0", "--quiet", "--disable-cache"]);
        command.arg("--state-dir").arg(scratch.join("state"));
        command.arg("--log-dir").arg(scratch.join("logs"));
        command.env("SPIN_LOCKED_URL", format!("file://{}", app.display()));
        command.env("SPIN_WORKING_DIR", &scratch);
        let started = Process::start(&mut command, &self.scratch().join("spin.log"));
        match started.and_then(|mut process| Ok((process.says(url_said)?, process))) {
            Ok((url, process)) => {
                let process = self.add(process);
                self.join("spin", get(&url), Some(about), process);
            }
            Err(why) => self.leave("spin", why),
        }
    }

    /// A hello in JavaScript.
    pub(super) fn start_workerd(&mut self) {
        let Some((program, about)) = workerd() else {
            return self.leave("workerd", GET_WORKERD.to_owned());
        };
        // Nothing tells which port it took, so one is chosen that was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let address = match port {
            Ok(address) => address.to_string(),
            Err(why) => return self.leave("workerd", why.to_string()),
        };
        let config = self.scratch().join("workerd.capnp");
        let written = std::fs::write(self.scratch().join("hello.js"), HELLO_JS)
            .and_then(|()| std::fs::write(&config, WORKERD_CONFIG.replace("ADDRESS", &address)));
        let started = written.map_err(|why| why.to_string()).and_then(|()| {
            let log = self.scratch().join("workerd.log");
            Process::start(Command::new(program).arg("serve").arg(&config), &log)
        });
        match started {
            Ok(process) => {
                let process = self.add(process);
                self.join("workerd", get(&format!("http://{address}/")), Some(about), process);
            }
            Err(why) => self.leave("workerd", why),
        }
    }
}

const HELLO_JS: &str = "addEventListener('fetch', event => event.respondWith(new Response('hello from workerd\\n')));\n";

const WORKERD_CONFIG: &str = r#"using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .hello)],
  sockets = [(name = "http", address = "ADDRESS", http = (), service = "main")]
);
const hello :Workerd.Worker = (serviceWorkerScript = embed "hello.js", compatibilityDate = "2025-01-01");
"#;

/// The first URL in what a host wrote, once it is there to its end.
fn url_said(text: &str) -> Option<String> {
    let url = text.get(text.find("http://")?..)?;
    Some(url.get(..url.find(char::is_whitespace)?)?.to_owned())
}

/// What `spin up` makes of a manifest with one component at `/...`, its locked application.
fn spin_app(source: &str) -> serde_json::Value {
    let wasm = serde_json::json!({"content_type": "application/wasm", "source": source});
    let route = serde_json::json!({"component": "hello", "route": "/..."});
    serde_json::json!({
        "spin_lock_version": 1, "metadata": {"name": "bench", "triggers": {"http": {}}},
        "triggers": [{"id": "hello", "trigger_type": "http", "trigger_config": route}],
        "components": [{"id": "hello", "source": wasm}],
    })
}

/// A program and its version, of the first of those that starts.
fn first_of(programs: impl IntoIterator<Item = PathBuf>) -> Option<(PathBuf, String)> {
    programs.into_iter().find_map(|program| {
        let output = Command::new(&program).arg("--version").output().ok()?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some((program, version))
    })
}

/// Its version, and whether it is another program than the one that was built with this.
fn about_hearth() -> Option<String> {
    let (_, version) = first_of([hearth()])?;
    let given = std::env::var_os("HEARTH").map_or("", |_| ", from $HEARTH");
    Some(format!("{version}{given}"))
}

fn wasmtime() -> Option<(PathBuf, String)> {
    let given = std::env::var_os("WASMTIME").map(PathBuf::from);
    first_of(given.into_iter().chain([Path::new(PEERS).join("bin/wasmtime"), "wasmtime".into()]))
}

fn spin() -> Option<(PathBuf, String)> {
    let given = std::env::var_os("SPIN").map(PathBuf::from);
    first_of(given.into_iter().chain([Path::new(PEERS).join("bin/spin"), "spin".into()]))
}

/// The program itself, not the script around it: it is ended by its id, and its memory is looked at.
fn workerd() -> Option<(PathBuf, String)> {
    let given = std::env::var_os("WORKERD").map(PathBuf::from);
    let scripts = given.into_iter().chain([Path::new(PEERS).join("node_modules/.bin/workerd")]);
    first_of(scripts.flat_map(|script| {
        let beside = script.parent().map(|folder| folder.join("../@cloudflare"));
        let packages = beside.and_then(|folder| std::fs::read_dir(folder).ok());
        let native = packages
            .into_iter()
            .flatten()
            .flatten()
            .map(|package| package.path().join("bin/workerd"));
        native.chain([script]).collect::<Vec<_>>()
    }))
}
