//! What is logged, and how.

use serde::{Deserialize, Serialize};

/// What is logged, and how. Everything goes to standard error; what guests write is kept by the platform, not here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// `human` or `json`. Default `human`.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or filters such as `info,hearth_engine=debug`. Default `info`.
    pub level: String,
    /// Which requests are logged, one line each: `off`, `errors` (the default: answers of 500 and more) or `all`.
    pub access: AccessLog,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { format: LogFormat::Human, level: "info".to_owned(), access: AccessLog::Errors }
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
