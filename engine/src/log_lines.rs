//! Log lines as they leave the engine, and the port they leave through.
//!
//! A line belongs to exactly one invocation. Text is guest-controlled: it is cut to a bound and stripped of what could forge
//! another line or drive a terminal before it gets here, so a sink may write it as it is.

use std::borrow::Cow;
use std::time::SystemTime;

pub use hearth_host_api::log_stream::Stream;
pub use hearth_host_api::logging::Level;

/// Longest text of one line, in bytes; the rest of the line is dropped and the line marked as cut.
pub const LINE_BYTES_MAX: usize = 32 * 1024;

/// One full line that a guest wrote. What a sink is given borrows from the engine's buffer; [`into_owned`](Self::into_owned) is what to
/// keep.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogLine<'a> {
    /// When the line was complete.
    pub time: SystemTime,
    /// The invocation it belongs to.
    pub request_id: Cow<'a, str>,
    /// The function, as `service/function`.
    pub function: Cow<'a, str>,
    /// Where the guest wrote it.
    pub stream: Stream,
    /// How grave it is: `Info` for stdout, `Warn` for stderr, the guest's choice for the logging import.
    pub level: Level,
    /// The text without its newline: valid UTF-8, control characters escaped, at most [`LINE_BYTES_MAX`].
    pub text: Cow<'a, str>,
    /// Whether the text was cut.
    pub cut: bool,
}

impl<'a> LogLine<'a> {
    /// A line that the guest wrote to stdout just now, for tests of sinks.
    #[must_use]
    pub fn new(function: &'a str, request_id: &'a str, text: &'a str) -> Self {
        Self {
            time: SystemTime::now(),
            request_id: Cow::Borrowed(request_id),
            function: Cow::Borrowed(function),
            stream: Stream::Stdout,
            level: Level::Info,
            text: Cow::Borrowed(text),
            cut: false,
        }
    }

    /// The same line with text of its own.
    #[must_use]
    pub fn into_owned(self) -> LogLine<'static> {
        LogLine {
            request_id: Cow::Owned(self.request_id.into_owned()),
            function: Cow::Owned(self.function.into_owned()),
            text: Cow::Owned(self.text.into_owned()),
            ..self
        }
    }
}

/// Where full lines go. Called on a thread of the engine's own, in order for each invocation, never concurrently.
///
/// A slow sink cannot slow a guest: lines wait in a bounded queue, and those that find it full are dropped and counted in
/// [`EngineStats::log_lines_dropped`](crate::EngineStats::log_lines_dropped).
pub trait LogSink: Send + Sync + 'static {
    /// Takes a batch of lines, oldest first; those of one invocation stand together as they were handed over.
    fn write(&self, lines: &[LogLine<'_>]);
}
