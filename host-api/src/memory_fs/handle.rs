//! A file system that several descriptors and streams share, and what is open in it.
//!
//! One instance runs one thing at a time, so the lock is never waited for; it is there because streams must be able to move
//! between threads. No lock is held across an await.

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use super::account::Space;
use super::error::MemoryFsError;
use super::facts::{Bounds, Kind, Listed, NodeId, OpenHow, Stat};
use super::tree::MemoryFs;

/// The file system of one instance. Clones share it; it is gone with the last of them and of what is open in it.
#[derive(Debug, Clone)]
pub struct Disk(Arc<Mutex<MemoryFs>>);

impl Disk {
    /// An empty one.
    #[must_use]
    pub fn new(bounds: Bounds, space: Arc<dyn Space>) -> Self {
        Self(Arc::new(Mutex::new(MemoryFs::new(bounds, space))))
    }

    /// Its topmost directory.
    #[must_use]
    pub fn root(&self) -> OpenNode {
        let mut fs = self.0.lock();
        let id = fs.root();
        fs.retain(id);
        OpenNode { disk: self.clone(), id, kind: Kind::Directory }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.root().entry_from(0), Ok(None))
    }

    /// Bytes of file contents that are held now.
    #[must_use]
    pub fn bytes_held(&self) -> u64 {
        self.0.lock().bytes_held()
    }
}

/// A file or directory that is open: what it holds stays as long as this does, even when it is removed meanwhile.
#[derive(Debug)]
pub struct OpenNode {
    disk: Disk,
    id: NodeId,
    kind: Kind,
}

impl Clone for OpenNode {
    fn clone(&self) -> Self {
        self.disk.0.lock().retain(self.id);
        Self { disk: self.disk.clone(), id: self.id, kind: self.kind }
    }
}

impl Drop for OpenNode {
    fn drop(&mut self) {
        self.disk.0.lock().release(self.id);
    }
}

impl OpenNode {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its number: unique in its file system, never used twice.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Whether both are the same file or directory.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.disk.0, &other.disk.0) && self.id == other.id
    }

    /// Opens what `path` names from here.
    ///
    /// # Errors
    /// As POSIX `openat`; over the bounds it is [`MemoryFsError::InsufficientSpace`].
    pub fn open(&self, path: &str, how: OpenHow) -> Result<Self, MemoryFsError> {
        let (id, kind) = self.disk.0.lock().open(self.id, path, how)?;
        Ok(Self { disk: self.disk.clone(), id, kind })
    }

    /// Facts about it.
    ///
    /// # Errors
    /// None while it is open.
    pub fn stat(&self) -> Result<Stat, MemoryFsError> {
        self.disk.0.lock().stat(self.id)
    }

    /// Facts about what `path` names from here.
    ///
    /// # Errors
    /// When it names nothing.
    pub fn stat_at(&self, path: &str) -> Result<Stat, MemoryFsError> {
        let fs = self.disk.0.lock();
        let id = fs.find(self.id, path)?;
        fs.stat(id)
    }

    /// Reads a file from `offset` on; how many bytes there were.
    ///
    /// # Errors
    /// When this is a directory.
    pub fn read(&self, offset: u64, out: &mut [u8]) -> Result<usize, MemoryFsError> {
        self.disk.0.lock().read(self.id, offset, out)
    }

    /// Writes to a file, as much as there is room for; how many bytes that were.
    ///
    /// # Errors
    /// [`MemoryFsError::InsufficientSpace`] when there is room for none.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<usize, MemoryFsError> {
        self.disk.0.lock().write(self.id, offset, bytes)
    }

    /// The same at the file's end; also where that was afterwards.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn append(&self, bytes: &[u8]) -> Result<(usize, u64), MemoryFsError> {
        let mut fs = self.disk.0.lock();
        let end = fs.stat(self.id)?.size;
        let written = fs.write(self.id, end, bytes)?;
        Ok((written, end.saturating_add(written as u64)))
    }

    /// Cuts a file or lets it grow by a hole.
    ///
    /// # Errors
    /// When this is a directory or the size is over [`FILE_BYTES_MAX`](super::FILE_BYTES_MAX).
    pub fn set_size(&self, size: u64) -> Result<(), MemoryFsError> {
        self.disk.0.lock().set_size(self.id, size)
    }

    /// Sets the times of access and modification; `None` leaves one as it is.
    ///
    /// # Errors
    /// None while it is open.
    pub fn set_times(
        &self,
        accessed: Option<SystemTime>,
        modified: Option<SystemTime>,
    ) -> Result<(), MemoryFsError> {
        self.disk.0.lock().set_times(self.id, accessed, modified)
    }

    /// The same for what `path` names from here.
    ///
    /// # Errors
    /// When it names nothing.
    pub fn set_times_at(
        &self,
        path: &str,
        accessed: Option<SystemTime>,
        modified: Option<SystemTime>,
    ) -> Result<(), MemoryFsError> {
        let mut fs = self.disk.0.lock();
        let id = fs.find(self.id, path)?;
        fs.set_times(id, accessed, modified)
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// As POSIX `mkdirat`; over the bounds it is [`MemoryFsError::InsufficientSpace`].
    pub fn create_directory(&self, path: &str) -> Result<(), MemoryFsError> {
        self.disk.0.lock().create_directory(self.id, path)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As POSIX `rmdir`.
    pub fn remove_directory(&self, path: &str) -> Result<(), MemoryFsError> {
        self.disk.0.lock().remove_directory(self.id, path)
    }

    /// Removes a file; its contents go when nothing has it open.
    ///
    /// # Errors
    /// As POSIX `unlinkat`.
    pub fn unlink(&self, path: &str) -> Result<(), MemoryFsError> {
        self.disk.0.lock().unlink(self.id, path)
    }

    /// Moves `from` here to `to` there, over what is at `to`.
    ///
    /// # Errors
    /// As POSIX `renameat`.
    pub fn rename(&self, from: &str, there: &Self, to: &str) -> Result<(), MemoryFsError> {
        if !Arc::ptr_eq(&self.disk.0, &there.disk.0) {
            return Err(MemoryFsError::CrossDevice);
        }
        self.disk.0.lock().rename(self.id, from, there.id, to)
    }

    /// The first entry of a directory whose place is at least `from`. Places never change and are never used twice, so going on
    /// from the last one plus one sees every entry that stays, once.
    ///
    /// # Errors
    /// When this is a file.
    pub fn entry_from(&self, from: u64) -> Result<Option<Listed>, MemoryFsError> {
        self.disk.0.lock().entry_from(self.id, from)
    }
}
