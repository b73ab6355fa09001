//! The library behind the `hearth` binary: API dialects over HTTP, settings, telemetry and the command line.
//!
//! It translates. What a service, a function or a queued invocation is, and which rules hold for them, is the platform's
//! business; how a guest runs is the engine's.

pub mod app;
mod certificates;
pub mod cli;
pub mod config;
pub mod dialect;
pub(crate) mod gateway;
pub mod http;
#[cfg(target_os = "linux")]
mod large_code;
pub mod serve;
pub mod telemetry;
pub mod terminal;
