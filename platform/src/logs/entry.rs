//! One log line as it is kept: what the engine told, with its time as a number.

use std::borrow::Cow;
use std::sync::Arc;

use hearth_engine::{Level, LogLine, Stream};
use serde::{Deserialize, Serialize};

use crate::clock::to_ms;

/// One log line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// What a file has of a line: as [`LogEntry`] reads it, written from what the engine lends.
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

    /// A line of the invocation and the function.
    pub(super) fn new(line: &LogLine<'_>, request_id: Arc<str>, function: Arc<str>) -> Self {
        Self {
            time_ms: to_ms(line.time),
            request_id,
            function,
            stream: Cow::Borrowed(stream(line.stream)),
            level: Cow::Borrowed(level(line.level)),
            text: line.text.to_string(),
            cut: line.cut,
        }
    }

    /// Becomes `line`, of the function that this one is of. Its text's memory is used again where it is not much too large.
    pub(super) fn reuse(&mut self, line: &LogLine<'_>, request_id: Arc<str>) {
        self.time_ms = to_ms(line.time);
        self.request_id = request_id;
        self.stream = Cow::Borrowed(stream(line.stream));
        self.level = Cow::Borrowed(level(line.level));
        self.text.clear();
        if self.text.capacity() > 2 * line.text.len().max(64) {
            self.text = String::new();
        }
        self.text.push_str(&line.text);
        self.cut = line.cut;
    }
}

impl From<&LogLine<'_>> for LogEntry {
    fn from(line: &LogLine<'_>) -> Self {
        Self::new(line, Arc::from(&*line.request_id), Arc::from(&*line.function))
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
