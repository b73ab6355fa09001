//! What is logged, and how.

use std::path::Path;

use hearth_platform::LogConfig;
use serde::{Deserialize, Serialize};

use super::Size;

/// What is logged, and how: the server's own log goes to standard error, what functions write is kept for `hearth logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// `human` or `json`. Default `human`.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or filters such as `info,hearth_engine=debug`. Default `info`.
    pub level: String,
    /// Which requests are logged, one line each: `off`, `errors` (the default: answers of 500 and more) or `all`.
    pub access: AccessLog,
    /// Lines of one function kept in memory. Default 1000.
    pub function_lines: u32,
    /// Memory for the lines of all functions. Default 32MiB.
    pub function_memory: Size,
    /// Disk for the lines of all functions; the oldest go first. Default 256MiB; 0 keeps none on disk.
    pub function_disk: Size,
}

impl LogSection {
    /// The platform's own configuration, with files under `data_dir`.
    pub fn to_store(&self, data_dir: &Path) -> LogConfig {
        let on_disk = self.function_disk.0 > 0;
        let defaults = LogConfig::new(on_disk.then(|| data_dir.join("logs")));
        LogConfig {
            lines_per_function: self.function_lines as usize,
            memory_bytes: usize::try_from(self.function_memory.0).unwrap_or(usize::MAX),
            // At least four files, so that dropping the oldest drops no more than a quarter.
            segment_bytes: defaults.segment_bytes.min(self.function_disk.0 / 4).max(1),
            disk_bytes: self.function_disk.0,
            ..defaults
        }
    }
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            level: "info".to_owned(),
            access: AccessLog::Errors,
            function_lines: 1000,
            function_memory: Size(32 << 20),
            function_disk: Size(256 << 20),
        }
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For a person at a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// Which requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessLog {
    /// None.
    Off,
    /// Those answered with a status of 500 or more.
    Errors,
    /// All.
    All,
}
