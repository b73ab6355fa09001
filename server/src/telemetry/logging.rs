//! The process's log on standard error, for people or as JSON.
//!
//! Lines are written by a thread of its own behind a bounded queue, because whoever reads standard error may stop reading:
//! then lines are dropped, and no request waits.

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{AccessLog, LogFormat, LogSection};

/// Lines that may wait to be written.
const WAITING_LINES: usize = 16_384;

/// Writes what is still waiting when dropped.
#[derive(Debug)]
pub struct LogGuard {
    _writer: WorkerGuard,
}

/// Starts the log. Once a process; a second call is ignored.
///
/// # Errors
/// When the level is not understood.
pub fn start_logging(settings: &LogSection, colors: bool) -> Result<LogGuard, ParseError> {
    let access = match settings.access {
        AccessLog::Off => "hearth::access=off",
        AccessLog::Errors => "hearth::access=warn",
        AccessLog::All => "hearth::access=info",
    };
    let filter = EnvFilter::builder().parse(&settings.level)?.add_directive(access.parse()?);
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .lossy(true)
        .thread_name("hearth-log")
        .finish(std::io::stderr());
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colors);
    let started = match settings.format {
        LogFormat::Human => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "a log was started already");
    }
    Ok(LogGuard { _writer: guard })
}
