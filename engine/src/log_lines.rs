//! Log lines as they leave the engine, and the port they leave through.
//!
//! A line belongs to exactly one invocation. Text is guest-controlled: it is cut to a bound and stripped of what could forge
//! another line or drive a terminal before it gets here, so a sink may write it as it is.

use std::sync::Arc;
use std::time::SystemTime;

pub use hearth_host_api::log_stream::Stream;
pub use hearth_host_api::logging::Level;

/// Longest text of one line, in bytes; the rest of the line is dropped and the line marked as cut.
pub const LINE_BYTES_MAX: usize = 32 * 1024;

/// One full line that a guest wrote.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogLine {
    /// When the line was complete.
    pub time: SystemTime,
    /// The invocation it belongs to.
    pub request_id: Arc<str>,
    /// The function, as `service/function`.
    pub function: Arc<str>,
    /// Where the guest wrote it.
    pub stream: Stream,
    /// How grave it is: `Info` for stdout, `Warn` for stderr, the guest's choice for the logging import.
    pub level: Level,
    /// The text without its newline: valid UTF-8, control characters escaped, at most [`LINE_BYTES_MAX`].
    pub text: String,
    /// Whether the text was cut.
    pub cut: bool,
}

/// Where full lines go. Called on a thread of the engine's own, in order for each invocation, never concurrently.
///
/// A slow sink cannot slow a guest: lines wait in a bounded queue, and those that find it full are dropped and counted in
/// [`EngineStats::log_lines_dropped`](crate::EngineStats::log_lines_dropped).
pub trait LogSink: Send + Sync + 'static {
    /// Takes a batch of lines, oldest first.
    fn write(&self, lines: &[LogLine]);
}
