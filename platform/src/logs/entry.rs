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

impl LogEntry {
    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        self.text.len() + 128
    }
}

impl From<&LogLine> for LogEntry {
    fn from(line: &LogLine) -> Self {
        Self {
            time_ms: to_ms(line.time),
            request_id: line.request_id.clone(),
            function: line.function.clone(),
            stream: Cow::Borrowed(match line.stream {
                Stream::Stdout => "stdout",
                Stream::Stderr => "stderr",
                Stream::Log => "log",
            }),
            level: Cow::Borrowed(match line.level {
                Level::Trace => "trace",
                Level::Debug => "debug",
                Level::Info => "info",
                Level::Warn => "warn",
                Level::Error => "error",
                Level::Critical => "critical",
            }),
            text: line.text.clone(),
            cut: line.cut,
        }
    }
}
