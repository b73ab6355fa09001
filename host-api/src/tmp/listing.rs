//! A directory of `/tmp` being listed: only a position, so a guest may have as many as it has handles.

use wasmtime_wasi::p2::bindings::filesystem::types::DirectoryEntry;

use super::descriptor::kind;
use crate::memory_fs::{MemoryFsError, OpenNode};

/// Where a listing is.
#[derive(Debug)]
pub(super) struct Listing {
    directory: OpenNode,
    next: u64,
}

impl Listing {
    pub(super) fn new(directory: OpenNode) -> Self {
        Self { directory, next: 0 }
    }

    pub(super) fn next(&mut self) -> Result<Option<DirectoryEntry>, MemoryFsError> {
        let Some(entry) = self.directory.entry_from(self.next)? else { return Ok(None) };
        self.next = entry.place.saturating_add(1);
        Ok(Some(DirectoryEntry { type_: kind(entry.kind), name: entry.name.as_ref().to_owned() }))
    }
}
