//! What each descriptor number of a preview 1 guest means. Numbers are given lowest first; the table is bounded.

use std::collections::BTreeMap;

use wasmtime_wasi::p1::types::{Errno, Error};

use super::MemoryFile;
use crate::memory_fs::OpenNode;

/// Standard input, output and error.
const STANDARD: u32 = 3;

/// Descriptors that a guest may hold at once.
const DESCRIPTORS_MAX: usize = 4096;

/// What a number means.
#[derive(Debug)]
pub(super) enum Target {
    /// The number that `wasmtime-wasi` knows it by.
    Wasi(u32),
    /// A file or directory of `/tmp`.
    Memory(MemoryFile),
}

/// The table.
#[derive(Debug)]
pub(super) struct Descriptors(BTreeMap<u32, Target>);

impl Descriptors {
    /// What a guest begins with: the standard three, the directories of the host, and `/tmp`.
    pub(super) fn new(root: OpenNode, host_directories: usize) -> Self {
        let count = STANDARD.saturating_add(u32::try_from(host_directories).unwrap_or(u32::MAX));
        let mut all: BTreeMap<_, _> = (0..count).map(|fd| (fd, Target::Wasi(fd))).collect();
        all.insert(count, Target::Memory(MemoryFile::preopened(root)));
        Self(all)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&mut self, fd: u32) -> Result<&mut Target, Error> {
        self.0.get_mut(&fd).ok_or_else(|| Errno::Badf.into())
    }

    pub(super) fn look(&self, fd: u32) -> Result<&Target, Error> {
        self.0.get(&fd).ok_or_else(|| Errno::Badf.into())
    }

    /// Gives it the lowest free number.
    pub(super) fn insert(&mut self, target: Target) -> Result<u32, Error> {
        if self.0.len() >= DESCRIPTORS_MAX {
            return Err(Errno::Mfile.into());
        }
        let free = (0..).zip(self.0.keys()).find(|(expected, fd)| expected != *fd);
        let fd = match free {
            Some((fd, _)) => fd,
            None => u32::try_from(self.0.len()).map_err(|_| Errno::Mfile)?,
        };
        self.0.insert(fd, target);
        Ok(fd)
    }

    pub(super) fn remove(&mut self, fd: u32) -> Result<Target, Error> {
        self.0.remove(&fd).ok_or_else(|| Errno::Badf.into())
    }

    /// Makes `to` mean what `from` meant; what `to` meant before, for whoever has to close it.
    pub(super) fn renumber(&mut self, from: u32, to: u32) -> Result<Option<Target>, Error> {
        if !self.0.contains_key(&to) || !self.0.contains_key(&from) {
            return Err(Errno::Badf.into());
        }
        if from == to {
            return Ok(None);
        }
        let moved = self.remove(from)?;
        Ok(self.0.insert(to, moved))
    }
}
