//! Paths of a file system in memory, taken apart: relative, bounded, and without a way out of where they start.

use super::error::MemoryFsError;

/// Longest path, in bytes.
pub const PATH_BYTES_MAX: usize = 4096;

/// Longest name of one file or directory, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// One step of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'p> {
    /// Down to what has this name.
    Down(&'p str),
    /// Back up by one.
    Up,
}

/// A path that was checked.
#[derive(Debug)]
pub(super) struct Path<'p> {
    /// All steps but the last.
    pub(super) to_parent: Vec<Step<'p>>,
    /// The last one; none when the path means the directory it starts from.
    pub(super) last: Option<Step<'p>>,
    /// It ends in a slash (or a dot), so only a directory is meant.
    pub(super) wants_directory: bool,
}

impl<'p> Path<'p> {
    pub(super) fn parse(text: &'p str) -> Result<Self, MemoryFsError> {
        if text.is_empty() {
            return Err(MemoryFsError::NoEntry);
        }
        if text.len() > PATH_BYTES_MAX {
            return Err(MemoryFsError::NameTooLong);
        }
        if text.starts_with('/') {
            return Err(MemoryFsError::NotPermitted);
        }
        if text.contains('\0') {
            return Err(MemoryFsError::Invalid);
        }
        let mut steps = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => steps.push(Step::Up),
                name if name.len() > NAME_BYTES_MAX => return Err(MemoryFsError::NameTooLong),
                name => steps.push(Step::Down(name)),
            }
        }
        let last = steps.pop();
        let wants_directory = text.ends_with('/') || text.ends_with("/.") || text == ".";
        Ok(Self { to_parent: steps, last, wants_directory })
    }
}
