//! Log lines of functions: a sink for the engine, a bounded memory of recent lines, bounded files, and followers.
//!
//! The engine calls the sink on a thread of its own, so files are written there; they are not synced: logs may lose their last second,
//! records may not. A follower that lags is told how many lines it missed. Bounds: lines and bytes per function and over all in memory,
//! bytes on disk.

mod entry;
mod recent;
mod segments;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hearth_engine::{LogLine, LogSink};
use parking_lot::Mutex;
use tokio::sync::broadcast;

pub use entry::LogEntry;
use recent::Recent;
use segments::Segments;

/// Where logs are kept and how much of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Directory of the files; none keeps logs in memory only.
    pub dir: Option<PathBuf>,
    /// Lines of one function kept in memory. Default 1,000.
    pub lines_per_function: usize,
    /// Bytes of all lines in memory. Default 32 MiB; the functions that logged least recently lose theirs first.
    pub memory_bytes: usize,
    /// Bytes of one file. Default 8 MiB.
    pub segment_bytes: u64,
    /// Bytes of all files. Default 256 MiB; the oldest goes first.
    pub disk_bytes: u64,
    /// Lines that a follower may lag behind. Default 1,024.
    pub follow_lines: usize,
}

impl LogConfig {
    /// Defaults, with files in `dir`.
    pub fn new(dir: Option<PathBuf>) -> Self {
        Self {
            dir,
            lines_per_function: 1000,
            memory_bytes: 32 << 20,
            segment_bytes: 8 << 20,
            disk_bytes: 256 << 20,
            follow_lines: 1024,
        }
    }
}

/// Which lines, oldest first; of more than `limit` the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// The function, as `service/function`.
    pub function: String,
    /// Only at this time or later, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// Only of this invocation.
    pub request_id: Option<String>,
    /// At most so many, 1 to 10,000.
    pub limit: usize,
}

impl LogQuery {
    fn takes(&self, entry: &LogEntry) -> bool {
        self.function == *entry.function
            && self.since_ms.is_none_or(|since| entry.time_ms >= since)
            && self.request_id.as_deref().is_none_or(|id| id == &*entry.request_id)
    }

    fn limit(&self) -> usize {
        self.limit.clamp(1, 10_000)
    }
}

/// The log store. Make it before the engine and give it to the engine as its sink.
#[derive(Debug)]
pub struct LogStore {
    recent: Mutex<Recent>,
    segments: Option<Mutex<Segments>>,
    followers: broadcast::Sender<Arc<LogEntry>>,
    written: AtomicU64,
    lost: AtomicU64,
}

impl LogStore {
    /// Opens it, and the directory if there is one.
    ///
    /// # Errors
    /// The directory cannot be made or written.
    #[expect(clippy::needless_pass_by_value, reason = "settings are handed over")]
    pub fn open(config: LogConfig) -> std::io::Result<Arc<Self>> {
        let segments = config
            .dir
            .as_ref()
            .map(|dir| Segments::open(dir, config.segment_bytes, config.disk_bytes))
            .transpose()?;
        Ok(Arc::new(Self {
            recent: Mutex::new(Recent::new(config.lines_per_function, config.memory_bytes)),
            segments: segments.map(Mutex::new),
            followers: broadcast::Sender::new(config.follow_lines.max(1)),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }))
    }

    /// Finds lines: from memory where it holds all that is asked for, from the files otherwise. What memory has is found even where
    /// others logged so much that its file has gone.
    ///
    /// # Errors
    /// A file cannot be read.
    pub async fn query(self: &Arc<Self>, query: LogQuery) -> std::io::Result<Vec<Arc<LogEntry>>> {
        let (found, whole) = self.recent.lock().find(&query);
        let enough = whole || found.len() == query.limit();
        let Some(paths) = self.segments.as_ref().filter(|_| !enough) else { return Ok(found) };
        let paths = paths.lock().paths();
        let read = tokio::task::spawn_blocking(move || segments::find(&paths, &query)).await;
        let read = read.map_err(std::io::Error::other)??;
        // Each has the newest lines without a gap, the files only as many as there is room for beside everybody else's.
        Ok(if read.len() < found.len() { found } else { read })
    }

    /// Follows the lines of a function, or of all, from now on.
    pub fn follow(&self, function: Option<&str>) -> LogFollower {
        LogFollower { function: function.map(str::to_owned), lines: self.followers.subscribe() }
    }

    /// Lines taken since start.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Lines that could not be written to a file since start.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl LogSink for LogStore {
    fn write(&self, lines: &[LogLine<'_>]) {
        self.written.fetch_add(lines.len() as u64, Ordering::Relaxed);
        let appended = self.segments.as_ref().map(|segments| segments.lock().append(lines));
        if let Some(Err(error)) = appended {
            let before = self.lost.fetch_add(lines.len() as u64, Ordering::Relaxed);
            if before == 0 {
                tracing::warn!(%error, "log lines cannot be written to disk");
            }
        }
        self.recent.lock().push(lines);
        // Only now: who begins to follow after this look finds them among the recent ones.
        if self.followers.receiver_count() > 0 {
            for line in lines {
                // The last one may have gone.
                let _ = self.followers.send(Arc::new(LogEntry::from(line)));
            }
        }
    }
}

/// What a follower gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// A line.
    Line(Arc<LogEntry>),
    /// It lagged, and so many lines (of all functions) went by.
    Missed(u64),
}

/// Follows lines as they come.
#[derive(Debug)]
pub struct LogFollower {
    function: Option<String>,
    lines: broadcast::Receiver<Arc<LogEntry>>,
}

impl LogFollower {
    /// The next line; none when the log store is gone. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Followed> {
        loop {
            match self.lines.recv().await {
                Ok(line) if self.function.as_ref().is_none_or(|name| **name == *line.function) => {
                    return Some(Followed::Line(line));
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    return Some(Followed::Missed(count));
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
