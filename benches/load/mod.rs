//! Load over HTTP/1.1 on kept connections, from one thread: at a constant rate, where latency counts from the moment at which a request was
//! meant to be sent, or each connection as fast as it is answered. It says how late it was itself; it speaks no TLS.
//!
//! A generator that waits for an answer before it sends the next request leaves out just those that a stall would have hit ("coordinated
//! omission"). Here the schedule stands before the run: what could not be sent in time, because every connection waited, counts from when it
//! was due, and what was never answered counts with all the time that it waited.

mod account;
mod alarm;
mod answer;
mod link;
mod once;
mod run;
mod schedule;
mod target;
#[cfg(test)]
mod tests;

pub use account::{Report, Summary};
pub use once::ask;
pub use run::run;
pub use schedule::Schedule;
pub use target::{Target, TargetError};

use std::time::Duration;

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many a second, at times that do not depend on answers.
    Constant(f64),
    /// Each connection sends when it was answered, which finds what a server can do.
    Closed,
}

/// A run of load.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Who is asked for what.
    pub target: Target,
    /// When.
    pub pace: Pace,
    /// How long requests are sent whose answers count.
    pub duration: Duration,
    /// How long requests are sent before that, which do not count.
    pub warm_up: Duration,
    /// Connections that are open all the while.
    pub connections: usize,
    /// How long an answer may take; then it is an error, and its connection is replaced.
    pub timeout: Duration,
}

impl Plan {
    /// A run with 16 connections, no warm-up and 10 s for an answer.
    #[must_use]
    pub fn new(target: Target, pace: Pace, duration: Duration) -> Self {
        let (connections, timeout) = (16, Duration::from_secs(10));
        Self { target, pace, duration, warm_up: Duration::ZERO, connections, timeout }
    }

    /// With requests before that do not count.
    #[must_use]
    pub fn warm_up(mut self, warm_up: Duration) -> Self {
        self.warm_up = warm_up;
        self
    }

    /// With so many connections, at least one.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }
}
