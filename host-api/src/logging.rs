//! The logging import: `wasi:logging` for components, and the levels that every log entry of a guest has.
//!
//! An entry is handed on as it comes, cut at [`MAX_MESSAGE_BYTES`]; how lines are split, kept and escaped is the business of
//! who takes them. Nothing here waits or fails.

use crate::bindings::generated::wasi::logging::logging as wit;
use crate::view::{HostCall, HostView};

/// The most bytes of one entry's message that go further. One entry must not push everything else out of a tail log many times
/// its size, and this bounds the copy that decoding makes.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// The most bytes of an entry's context string that go further; it is a word, not a text.
pub const MAX_CONTEXT_BYTES: usize = 256;

/// How serious a log entry is, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Single steps and values.
    Trace,
    /// What helps someone who debugs.
    Debug,
    /// What someone who watches wants to know.
    Info,
    /// Something may go wrong.
    Warn,
    /// Something went wrong.
    Error,
    /// Something went wrong that the program cannot survive.
    Critical,
}

impl Level {
    /// The level that the core ABI means by `number`, 0 to 5; `None` above.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Trace,
            1 => Self::Debug,
            2 => Self::Info,
            3 => Self::Warn,
            4 => Self::Error,
            5 => Self::Critical,
            _ => return None,
        })
    }

    /// Its name in capitals, as log lines carry it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl From<wit::Level> for Level {
    fn from(level: wit::Level) -> Self {
        match level {
            wit::Level::Trace => Self::Trace,
            wit::Level::Debug => Self::Debug,
            wit::Level::Info => Self::Info,
            wit::Level::Warn => Self::Warn,
            wit::Level::Error => Self::Error,
            wit::Level::Critical => Self::Critical,
        }
    }
}

/// Takes the entries of the logging import. Called on the thread that runs the guest: it must not block, and must bound what it
/// keeps.
pub trait GuestLog {
    /// Takes one entry. `context` groups entries and may be empty; neither text is trusted, and both may hold newlines.
    fn log(&mut self, level: Level, context: &str, message: &str);
}

impl<T: HostView> wit::Host for HostCall<'_, T> {
    fn log(&mut self, level: wit::Level, context: String, message: String) -> wasmtime::Result<()> {
        let context = prefix(&context, MAX_CONTEXT_BYTES);
        let message = prefix(&message, MAX_MESSAGE_BYTES);
        self.0.log().log(level.into(), context, message);
        Ok(())
    }
}

/// The first bytes of `text`, at most `limit`, cut before a character rather than inside it.
fn prefix(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(prefix("aé", 2), "a");
        assert_eq!(prefix("aé", 3), "aé");
        assert_eq!(prefix("aé", 99), "aé");
        assert_eq!(prefix("", 0), "");
    }

    #[test]
    fn the_numbers_are_those_of_the_core_abi() {
        let levels: Vec<_> = (0..6).filter_map(Level::from_number).collect();
        assert!(levels.is_sorted() && levels.len() == 6);
        assert_eq!(Level::from_number(6), None);
        assert_eq!(Level::from_number(u32::MAX), None);
    }
}
