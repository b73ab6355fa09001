//! What a file system holds, counted against its own bounds and against whoever else counts the host's memory.

use std::sync::Arc;

use super::content::PAGE_BYTES;
use super::error::MemoryFsError;
use super::facts::Bounds;

/// Host memory that a node takes beside its pages: its entry, its name, its times.
const NODE_BYTES: u64 = 512;

/// Who counts the host memory that file systems take, beside their own bounds.
pub trait Space: Send + Sync + std::fmt::Debug {
    /// Takes `bytes`; false when there is no room, and then nothing is taken.
    fn take(&self, bytes: u64) -> bool;

    /// Gives back what was taken.
    fn give_back(&self, bytes: u64);
}

/// Counts nothing: only a file system's own bounds hold.
#[derive(Debug, Clone, Copy)]
pub struct Unmetered;

impl Space for Unmetered {
    fn take(&self, _: u64) -> bool {
        true
    }

    fn give_back(&self, _: u64) {}
}

/// The account of one file system. Dropping it gives everything back.
#[derive(Debug)]
pub(super) struct Account {
    bounds: Bounds,
    bytes: u64,
    nodes: u32,
    space: Arc<dyn Space>,
}

impl Account {
    pub(super) fn new(bounds: Bounds, space: Arc<dyn Space>) -> Self {
        Self { bounds, bytes: 0, nodes: 0, space }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn nodes(&self) -> u32 {
        self.nodes
    }

    /// Whether one more page may be held; it is counted then.
    pub(super) fn take_page(&mut self) -> bool {
        let fits = self.bytes.saturating_add(PAGE_BYTES) <= self.bounds.bytes;
        let taken = fits && self.space.take(PAGE_BYTES);
        if taken {
            self.bytes += PAGE_BYTES;
        }
        taken
    }

    pub(super) fn give_pages(&mut self, pages: u64) {
        let bytes = pages.saturating_mul(PAGE_BYTES);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.space.give_back(bytes);
    }

    pub(super) fn take_node(&mut self) -> Result<(), MemoryFsError> {
        if self.nodes >= self.bounds.nodes || !self.space.take(NODE_BYTES) {
            return Err(MemoryFsError::InsufficientSpace);
        }
        self.nodes += 1;
        Ok(())
    }

    pub(super) fn give_node(&mut self) {
        self.nodes = self.nodes.saturating_sub(1);
        self.space.give_back(NODE_BYTES);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let nodes = u64::from(self.nodes).saturating_mul(NODE_BYTES);
        self.space.give_back(self.bytes.saturating_add(nodes));
    }
}
