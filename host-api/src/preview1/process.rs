//! What a preview 1 guest finds around it: its arguments and environment, its three streams, a clock.

use std::sync::Arc;
use std::time::Instant;

use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{HostMonotonicClock, WasiCtxBuilder};

use crate::capture::{BoundedCapture, EventInput};
use crate::log_stream::{LogStream, LogWriter, Stream};

/// Random bytes that a guest may ask for at once.
pub(super) const RANDOM_BYTES_MAX: u64 = 1 << 20;

/// Arguments and environment, which all instances of a function have in common.
#[derive(Default)]
pub struct Facts {
    pub(super) arguments: Strings,
    pub(super) environment: Strings,
    plain: (Vec<String>, Vec<(String, String)>),
}

impl std::fmt::Debug for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The environment may hold secrets.
        f.debug_struct("Facts").field("arguments", &self.plain.0).finish_non_exhaustive()
    }
}

impl Facts {
    /// With these arguments, of which the first is the program's name, and these names and values.
    #[must_use]
    pub fn new(arguments: Vec<String>, environment: Vec<(String, String)>) -> Self {
        Self {
            arguments: Strings::new(arguments.iter().cloned()),
            environment: Strings::new(
                environment.iter().map(|(name, value)| format!("{name}={value}")),
            ),
            plain: (arguments, environment),
        }
    }

    /// A `wasmtime-wasi` context with these, whose output goes to `log` and whose input is empty.
    #[must_use]
    pub fn context(&self, log: &Arc<dyn LogWriter>) -> WasiCtxBuilder {
        let mut wasi = WasiCtxBuilder::new();
        let (arguments, environment) = &self.plain;
        wasi.args(arguments)
            .envs(environment)
            .stdout(LogStream::new(log.clone(), Stream::Stdout))
            .stderr(LogStream::new(log.clone(), Stream::Stderr))
            .max_random_size(RANDOM_BYTES_MAX);
        wasi
    }
}

/// Strings as preview 1 hands them over: one after the other, each ended by a zero, and where each begins.
#[derive(Default)]
pub(super) struct Strings {
    pub(super) bytes: Vec<u8>,
    pub(super) begins: Vec<usize>,
}

impl Strings {
    fn new(strings: impl Iterator<Item = String>) -> Self {
        let mut all = Self::default();
        for string in strings {
            all.begins.push(all.bytes.len());
            all.bytes.extend_from_slice(string.as_bytes());
            all.bytes.push(0);
        }
        all
    }
}

/// All of it, for one instance.
pub struct Process {
    pub(super) facts: Arc<Facts>,
    pub(super) log: Arc<dyn LogWriter>,
    pub(super) pipes: Option<(EventInput, BoundedCapture)>,
    /// When its monotonic clock began.
    pub(super) began: Instant,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Process {
    /// One that began at `began`, reads nothing, and writes to `log`.
    #[must_use]
    pub fn new(facts: Arc<Facts>, log: Arc<dyn LogWriter>, began: Instant) -> Self {
        Self { facts, log, pipes: None, began }
    }

    /// Has it read from and write to these, all but its standard error.
    #[must_use]
    pub fn pipes(mut self, input: EventInput, output: BoundedCapture) -> Self {
        self.pipes = Some((input, output));
        self
    }

    /// The same for `wasmtime-wasi`, which sees the same streams and the same clock.
    #[must_use]
    pub fn context(&self) -> WasiCtxBuilder {
        let mut wasi = self.facts.context(&self.log);
        wasi.monotonic_clock(Clock(self.began));
        if let Some((input, output)) = &self.pipes {
            wasi.stdin(input.clone()).stdout(output.clone());
        }
        wasi
    }

    pub(super) fn build(&self) -> Box<WasiP1Ctx> {
        Box::new(self.context().build_p1())
    }

    /// Nanoseconds since it began.
    pub(super) fn monotonic(&self) -> u64 {
        Clock(self.began).now()
    }
}

/// A clock that began then.
struct Clock(Instant);

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
