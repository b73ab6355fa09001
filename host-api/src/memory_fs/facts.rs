//! What is told and asked about nodes: bounds, kinds, facts, how to open, entries of a directory.

use std::sync::Arc;
use std::time::SystemTime;

/// The number of a node.
pub type NodeId = u64;

/// How much a file system may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of file contents, in whole pages of [`PAGE_BYTES`](super::PAGE_BYTES).
    pub bytes: u64,
    /// Files and directories, without the topmost one.
    pub nodes: u32,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
}

/// Facts about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Its number.
    pub id: NodeId,
    /// What it is.
    pub kind: Kind,
    /// Bytes in a file; 0 for a directory.
    pub size: u64,
    /// Names that lead to it: one, or none once it is removed.
    pub links: u64,
    /// When it was made, or what was set.
    pub accessed: SystemTime,
    /// When its contents last changed, or what was set.
    pub modified: SystemTime,
    /// When anything about it last changed.
    pub changed: SystemTime,
}

/// How to open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenHow {
    /// Make a file where there is nothing.
    pub create: bool,
    /// Fail where there is something.
    pub exclusive: bool,
    /// Fail unless it is a directory.
    pub directory: bool,
    /// Empty the file.
    pub truncate: bool,
    /// For writing, which a directory cannot be.
    pub write: bool,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its place in the directory's order.
    pub place: u64,
    /// Its name.
    pub name: Arc<str>,
    /// Its node.
    pub id: NodeId,
    /// What it is.
    pub kind: Kind,
}
