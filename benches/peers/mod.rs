//! The hosts that are set beside each other, each a process of its own on a free port of loopback, ended with this one. Who is not found, or
//! does not answer, is left out and said.

mod hearth;
mod others;
mod process;

pub use hearth::{Hearth, example};
pub use process::{Process, programs};

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::load::{Pace, Plan, Target, run};

/// A host with a request that it answers.
#[derive(Debug)]
pub struct Peer {
    /// Such as `hearth-reuse` or `axum`.
    pub name: &'static str,
    /// What it is asked.
    pub target: Target,
    /// Its version, where it says one.
    pub about: Option<String>,
    /// Where in `Field::processes` the process is that answers.
    process: usize,
}

/// All who take part.
#[derive(Debug)]
pub struct Field {
    /// In the order in which they take turns.
    pub peers: Vec<Peer>,
    /// Who does not take part, and why.
    pub left_out: Vec<(&'static str, String)>,
    processes: Vec<Process>,
    scratch: TempDir,
}

impl Field {
    /// Starts all that are found. The same `wasi:http` hello on each that runs one; an echo of events on hearth, and a hello to the same
    /// request on axum.
    #[must_use]
    pub fn start() -> Self {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let mut field = Self { peers: vec![], left_out: vec![], processes: vec![], scratch };
        field.start_axum();
        field.start_bare_wasmtime();
        field.start_hearth("hearth-reuse", "reuse");
        field.start_hearth("hearth-fresh", "fresh");
        field.start_wasmtime("wasmtime-reuse", 100_000);
        field.start_wasmtime("wasmtime-fresh", 1);
        field.start_spin();
        field.start_workerd();
        field
    }

    fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// The peer of that name.
    #[must_use]
    pub fn peer(&self, name: &str) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.name == name)
    }

    /// The most memory that the process behind that peer had resident, in MiB.
    #[must_use]
    pub fn peak_mib(&self, peer: &Peer) -> u64 {
        self.processes.get(peer.process).map_or(0, |process| process.memory_kib("VmHWM") >> 10)
    }

    fn add(&mut self, process: Process) -> usize {
        self.processes.push(process);
        self.processes.len() - 1
    }

    /// Takes part if it answers well.
    fn join(
        &mut self,
        name: &'static str,
        target: Result<Target, String>,
        about: Option<String>,
        process: usize,
    ) {
        let joined = target.and_then(|target| {
            let ask =
                Plan::new(target.clone(), Pace::Closed, Duration::from_millis(20)).connections(1);
            let mut why = String::from("it does not answer");
            for _ in 0..100 {
                match run(&ask) {
                    Ok(report) if report.answered > 0 && report.refused == 0 => return Ok(target),
                    Ok(report) => {
                        why = format!("it answers with errors: {}", report.doubts().join("; "))
                    }
                    Err(error) => why = format!("it does not answer: {error}"),
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(why)
        });
        match joined {
            Ok(target) => self.peers.push(Peer { name, target, about, process }),
            Err(why) => self.leave(name, why),
        }
    }

    fn leave(&mut self, name: &'static str, why: String) {
        self.left_out.push((name, why));
    }
}
