//! One log line as it is kept: what the engine told, with its time as a number.

use std::borrow::Cow;
use std::sync::Arc;

use hearth_engine::{Level, LogLine, Stream};
use serde::{Deserialize, Serialize};

use crate::clock::to_ms;

/// One log line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LogEntry {
    /// When it was complete, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The invocation it belongs to.
    pub request_id: Arc<str>,
    /// `service/function`.
    pub function: Arc<str>,
    /// `stdout`, `stderr` or `log`: where the guest wrote it.
    pub stream: Cow<'static, str>,
    /// `trace` to `critical`.
    pub level: Cow<'static, str>,
    /// The text, without its newline and fit for a terminal.
    pub text: String,
    /// Whether the text was cut.
    pub cut: bool,
}

/// A line as it is written to a file, from what the engine lends; it is read as a [`LogEntry`], whose fields have the same names.
#[derive(Debug, Serialize)]
pub(super) struct Written<'a> {
    time_ms: u64,
    request_id: &'a str,
    function: &'a str,
    stream: &'static str,
    level: &'static str,
    text: &'a str,
    cut: bool,
}

impl<'a> From<&'a LogLine<'_>> for Written<'a> {
    fn from(line: &'a LogLine<'_>) -> Self {
        Self {
            time_ms: to_ms(line.time),
            request_id: &line.request_id,
            function: &line.function,
            stream: stream(line.stream),
            level: level(line.level),
            text: &line.text,
            cut: line.cut,
        }
    }
}

impl LogEntry {
    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        self.text.len() + 128
    }

    /// A line of the invocation and the function. Its text is put where another was, if that has not much too much memory.
    pub(super) fn new(
        line: &LogLine<'_>,
        (request_id, function): (Arc<str>, Arc<str>),
        mut text: String,
    ) -> Self {
        text.clear();
        if text.capacity() > 2 * line.text.len().max(64) {
            text = String::new();
        }
        text.push_str(&line.text);
        Self {
            time_ms: to_ms(line.time),
            request_id,
            function,
            stream: Cow::Borrowed(stream(line.stream)),
            level: Cow::Borrowed(level(line.level)),
            text,
            cut: line.cut,
        }
    }
}

impl From<&LogLine<'_>> for LogEntry {
    fn from(line: &LogLine<'_>) -> Self {
        let owner = (Arc::from(&*line.request_id), Arc::from(&*line.function));
        Self::new(line, owner, String::new())
    }
}

fn stream(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
        Stream::Log => "log",
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
        Level::Critical => "critical",
    }
}
