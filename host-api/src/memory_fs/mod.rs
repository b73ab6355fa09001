//! A small file system in host memory, for one instance: files and directories, bounded in bytes and in nodes.
//!
//! It knows no WebAssembly and never touches the host's file system; `tmp` shows it to guests. File contents are held in pages
//! of 4 KiB, as a `tmpfs` does: holes of a sparse file cost nothing, and what is unlinked but still open keeps counting. There
//! are no links of either kind, so a path means what it spells and `..` cannot leave the directory it starts from. Nothing
//! recurses: a tree may be as deep as it has nodes. Times of access change only when they are set.

mod account;
mod content;
mod error;
mod facts;
mod handle;
mod path;
mod tree;

#[cfg(test)]
mod model_test;
#[cfg(test)]
mod tests;

pub use self::account::{Space, Unmetered};
pub use self::content::{FILE_BYTES_MAX, PAGE_BYTES};
pub use self::error::MemoryFsError;
pub use self::facts::{Bounds, Kind, Listed, NodeId, OpenHow, Stat};
pub use self::handle::{Disk, OpenNode};
pub use self::path::{NAME_BYTES_MAX, PATH_BYTES_MAX};
pub use self::tree::MemoryFs;
