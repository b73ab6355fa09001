//! A file or directory of `/tmp` as a preview 1 guest holds it: with a position, and the functions that preview 1 has for it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wasmtime_wasi::p1::types::{self, Errno, Fdflags, Fstflags, Oflags, Rights};
use wiggle::{GuestMemory, GuestPtr, GuestType};

use super::{Result, read_path};
use crate::memory_fs::{Kind, MemoryFsError, OpenHow, OpenNode, Stat};
use crate::tmp::codes::nanoseconds;
use crate::tmp::descriptor::read_some;
use crate::tmp::{READ_BYTES_MAX, TMP_PATH};

/// Buffers in one read or write that are looked at.
const BUFFERS_MAX: usize = 1024;

/// The device number of `/tmp`; those of the host's directories are 1.
const DEVICE: u64 = 2;

/// Places in a directory before its entries: `.` and `..`.
const DOTS: u64 = 2;

/// One open file or directory.
#[derive(Debug)]
pub(super) struct MemoryFile {
    node: OpenNode,
    position: u64,
    flags: Fdflags,
    rights: Rights,
    is_preopened: bool,
}

/// What a guest may do with a directory.
fn directory_rights() -> Rights {
    Rights::all()
        & !(Rights::FD_SEEK | Rights::FD_FILESTAT_SET_SIZE | Rights::PATH_FILESTAT_SET_SIZE)
}

impl MemoryFile {
    pub(super) fn preopened(node: OpenNode) -> Self {
        Self {
            node,
            position: 0,
            flags: Fdflags::empty(),
            rights: directory_rights(),
            is_preopened: true,
        }
    }

    fn directory(&self) -> Result<&OpenNode> {
        match self.node.kind() {
            Kind::Directory => Ok(&self.node),
            Kind::File => Err(Errno::Notdir.into()),
        }
    }

    /// The file, if it was opened for this.
    fn file(&self, right: Rights) -> Result<&OpenNode> {
        match self.node.kind() {
            Kind::Directory => Err(Errno::Isdir.into()),
            Kind::File if self.rights.contains(right) => Ok(&self.node),
            Kind::File => Err(Errno::Badf.into()),
        }
    }

    pub(super) fn path_open(
        &self,
        memory: &GuestMemory<'_>,
        path: GuestPtr<str>,
        how: Oflags,
        base: Rights,
        flags: Fdflags,
    ) -> Result<Self> {
        let path = read_path(memory, path)?;
        let write = base.contains(Rights::FD_WRITE);
        let how = OpenHow {
            create: how.contains(Oflags::CREAT),
            exclusive: how.contains(Oflags::EXCL),
            directory: how.contains(Oflags::DIRECTORY),
            truncate: how.contains(Oflags::TRUNC),
            write,
        };
        let node = self.directory()?.open(&path, how)?;
        let mut rights = Rights::all();
        if node.kind() == Kind::Directory {
            rights = directory_rights();
        } else {
            if !write {
                rights &= !Rights::FD_WRITE;
            }
            if write && !base.contains(Rights::FD_READ) {
                rights &= !Rights::FD_READ;
            }
        }
        Ok(Self { node, position: 0, flags, rights, is_preopened: false })
    }

    pub(super) fn rename(&self, from: &str, there: &Self, to: &str) -> Result<()> {
        Ok(self.directory()?.rename(from, there.directory()?, to)?)
    }

    fn read_at(
        &self,
        memory: &mut GuestMemory<'_>,
        buffers: types::IovecArray,
        offset: u64,
    ) -> Result<u32> {
        let file = self.file(Rights::FD_READ)?;
        let mut buffer = GuestPtr::<[u8]>::new((0, 0));
        for found in buffers.iter().take(BUFFERS_MAX) {
            let found = memory.read(found?)?;
            if found.buf_len > 0 {
                buffer = found.buf.as_array(found.buf_len);
                break;
            }
        }
        let length = buffer.len().min(u32::try_from(READ_BYTES_MAX)?);
        let part = buffer.get_range(0..length).ok_or(Errno::Inval)?;
        if let Some(to) = memory.as_slice_mut(part)? {
            return Ok(u32::try_from(file.read(offset, to)?)?);
        }
        // Memory that the guest's threads share cannot be borrowed, only copied to.
        let bytes = read_some(file, offset, READ_BYTES_MAX.min(usize::try_from(length)?))?;
        let count = u32::try_from(bytes.len())?;
        memory.copy_from_slice(&bytes, part.get_range(0..count).ok_or(Errno::Inval)?)?;
        Ok(count)
    }

    /// Writes at an offset, or at the end of a file that is open for appending; how much, and where that ended.
    fn write_at(
        &self,
        memory: &GuestMemory<'_>,
        buffers: types::CiovecArray,
        offset: u64,
    ) -> Result<(u32, u64)> {
        let file = self.file(Rights::FD_WRITE)?;
        let mut buffer = GuestPtr::<[u8]>::new((0, 0));
        for found in buffers.iter().take(BUFFERS_MAX) {
            let found = memory.read(found?)?;
            if found.buf_len > 0 {
                buffer = found.buf.as_array(found.buf_len);
                break;
            }
        }
        let length = buffer.len().min(u32::try_from(READ_BYTES_MAX)?);
        let part = buffer.get_range(0..length).ok_or(Errno::Inval)?;
        let bytes = memory.as_cow(part)?;
        let (count, end) = if self.flags.contains(Fdflags::APPEND) {
            file.append(&bytes)?
        } else {
            let count = file.write(offset, &bytes)?;
            (count, offset.saturating_add(count as u64))
        };
        Ok((u32::try_from(count)?, end))
    }
}

/// The functions of preview 1, under their names there.
impl MemoryFile {
    pub(super) fn fd_advise(
        &self,
        _: &GuestMemory<'_>,
        _: types::Filesize,
        _: types::Filesize,
        _: types::Advice,
    ) -> Result<()> {
        self.file(Rights::empty()).map(drop)
    }

    pub(super) fn fd_allocate(
        &self,
        _: &GuestMemory<'_>,
        _: types::Filesize,
        _: types::Filesize,
    ) -> Result<()> {
        Err(Errno::Notsup.into())
    }

    pub(super) fn fd_datasync(&self, _: &GuestMemory<'_>) -> Result<()> {
        Ok(())
    }

    pub(super) fn fd_sync(&self, _: &GuestMemory<'_>) -> Result<()> {
        Ok(())
    }

    pub(super) fn fd_fdstat_get(&self, _: &GuestMemory<'_>) -> Result<types::Fdstat> {
        Ok(types::Fdstat {
            fs_filetype: filetype(self.node.kind()),
            fs_flags: self.flags,
            fs_rights_base: self.rights,
            fs_rights_inheriting: Rights::all(),
        })
    }

    pub(super) fn fd_fdstat_set_flags(
        &mut self,
        _: &GuestMemory<'_>,
        flags: Fdflags,
    ) -> Result<()> {
        self.file(Rights::empty())?;
        if flags.intersects(Fdflags::DSYNC | Fdflags::SYNC | Fdflags::RSYNC) {
            return Err(Errno::Inval.into());
        }
        self.flags = flags;
        Ok(())
    }

    pub(super) fn fd_fdstat_set_rights(
        &self,
        _: &GuestMemory<'_>,
        _: Rights,
        _: Rights,
    ) -> Result<()> {
        Err(Errno::Notsup.into())
    }

    pub(super) fn fd_filestat_get(&self, _: &GuestMemory<'_>) -> Result<types::Filestat> {
        Ok(filestat(&self.node.stat()?))
    }

    pub(super) fn fd_filestat_set_size(
        &self,
        _: &GuestMemory<'_>,
        size: types::Filesize,
    ) -> Result<()> {
        Ok(self.file(Rights::FD_WRITE)?.set_size(size)?)
    }

    pub(super) fn fd_filestat_set_times(
        &self,
        _: &GuestMemory<'_>,
        accessed: types::Timestamp,
        modified: types::Timestamp,
        which: Fstflags,
    ) -> Result<()> {
        let (accessed, modified) = wanted(accessed, modified, which)?;
        Ok(self.node.set_times(accessed, modified)?)
    }

    pub(super) fn fd_read(
        &mut self,
        memory: &mut GuestMemory<'_>,
        buffers: types::IovecArray,
    ) -> Result<types::Size> {
        let count = self.read_at(memory, buffers, self.position)?;
        self.position = self.position.saturating_add(count.into());
        Ok(count)
    }

    pub(super) fn fd_pread(
        &self,
        memory: &mut GuestMemory<'_>,
        buffers: types::IovecArray,
        offset: types::Filesize,
    ) -> Result<types::Size> {
        self.read_at(memory, buffers, offset)
    }

    pub(super) fn fd_write(
        &mut self,
        memory: &GuestMemory<'_>,
        buffers: types::CiovecArray,
    ) -> Result<types::Size> {
        let (count, end) = self.write_at(memory, buffers, self.position)?;
        self.position = end;
        Ok(count)
    }

    pub(super) fn fd_pwrite(
        &self,
        memory: &GuestMemory<'_>,
        buffers: types::CiovecArray,
        offset: types::Filesize,
    ) -> Result<types::Size> {
        self.write_at(memory, buffers, offset).map(|(count, _)| count)
    }

    pub(super) fn fd_seek(
        &mut self,
        _: &GuestMemory<'_>,
        offset: types::Filedelta,
        whence: types::Whence,
    ) -> Result<types::Filesize> {
        let size = self.file(Rights::FD_SEEK)?.stat()?.size;
        let from = match whence {
            types::Whence::Set => 0,
            types::Whence::Cur => self.position,
            types::Whence::End => size,
        };
        self.position = from.checked_add_signed(offset).ok_or(Errno::Inval)?;
        Ok(self.position)
    }

    pub(super) fn fd_tell(&self, _: &GuestMemory<'_>) -> Result<types::Filesize> {
        self.file(Rights::FD_TELL)?;
        Ok(self.position)
    }

    pub(super) fn fd_prestat_get(&self, _: &GuestMemory<'_>) -> Result<types::Prestat> {
        if !self.is_preopened {
            return Err(Errno::Badf.into());
        }
        let pr_name_len = u32::try_from(TMP_PATH.len())?;
        Ok(types::Prestat::Dir(types::PrestatDir { pr_name_len }))
    }

    pub(super) fn fd_prestat_dir_name(
        &self,
        memory: &mut GuestMemory<'_>,
        path: GuestPtr<u8>,
        length: types::Size,
    ) -> Result<()> {
        let needed = u32::try_from(TMP_PATH.len())?;
        if !self.is_preopened {
            return Err(Errno::Notdir.into());
        }
        if length < needed {
            return Err(Errno::Nametoolong.into());
        }
        Ok(memory.copy_from_slice(TMP_PATH.as_bytes(), path.as_array(needed))?)
    }

    /// Writes entries until `length` bytes are full; the last may be cut, which tells the guest that there are more.
    pub(super) fn fd_readdir(
        &self,
        memory: &mut GuestMemory<'_>,
        buffer: GuestPtr<u8>,
        length: types::Size,
        cookie: types::Dircookie,
    ) -> Result<types::Size> {
        let directory = self.directory()?;
        let (mut next, mut filled) = (cookie, 0);
        while filled < length {
            let entry = if next < DOTS {
                let name = if next == 0 { "." } else { ".." };
                dirent(next + 1, directory.id(), Kind::Directory, name)?
            } else {
                let Some(entry) = directory.entry_from(next - DOTS)? else { break };
                next = entry.place.saturating_add(DOTS);
                dirent(next + 1, entry.id, entry.kind, &entry.name)?
            };
            next += 1;
            let count = u32::try_from(entry.len())?.min(length - filled);
            let part = entry.get(..usize::try_from(count)?).unwrap_or_default();
            memory.copy_from_slice(part, buffer.add(filled)?.as_array(count))?;
            filled += count;
        }
        Ok(filled)
    }

    pub(super) fn path_create_directory(
        &self,
        memory: &GuestMemory<'_>,
        path: GuestPtr<str>,
    ) -> Result<()> {
        Ok(self.directory()?.create_directory(&read_path(memory, path)?)?)
    }

    pub(super) fn path_filestat_get(
        &self,
        memory: &GuestMemory<'_>,
        _: types::Lookupflags,
        path: GuestPtr<str>,
    ) -> Result<types::Filestat> {
        Ok(filestat(&self.directory()?.stat_at(&read_path(memory, path)?)?))
    }

    pub(super) fn path_filestat_set_times(
        &self,
        memory: &GuestMemory<'_>,
        _: types::Lookupflags,
        path: GuestPtr<str>,
        accessed: types::Timestamp,
        modified: types::Timestamp,
        which: Fstflags,
    ) -> Result<()> {
        let (accessed, modified) = wanted(accessed, modified, which)?;
        let path = read_path(memory, path)?;
        Ok(self.directory()?.set_times_at(&path, accessed, modified)?)
    }

    /// There are no links, so nothing that could be read.
    pub(super) fn path_readlink(
        &self,
        memory: &GuestMemory<'_>,
        path: GuestPtr<str>,
        _: GuestPtr<u8>,
        _: types::Size,
    ) -> Result<types::Size> {
        self.directory()?.stat_at(&read_path(memory, path)?)?;
        Err(MemoryFsError::Invalid.into())
    }

    pub(super) fn path_remove_directory(
        &self,
        memory: &GuestMemory<'_>,
        path: GuestPtr<str>,
    ) -> Result<()> {
        Ok(self.directory()?.remove_directory(&read_path(memory, path)?)?)
    }

    pub(super) fn path_unlink_file(
        &self,
        memory: &GuestMemory<'_>,
        path: GuestPtr<str>,
    ) -> Result<()> {
        Ok(self.directory()?.unlink(&read_path(memory, path)?)?)
    }

    pub(super) fn sock_accept(&self, _: &GuestMemory<'_>, _: Fdflags) -> Result<types::Fd> {
        Err(Errno::Notsock.into())
    }

    pub(super) fn sock_recv(
        &self,
        _: &GuestMemory<'_>,
        _: types::IovecArray,
        _: types::Riflags,
    ) -> Result<(types::Size, types::Roflags)> {
        Err(Errno::Notsock.into())
    }

    pub(super) fn sock_send(
        &self,
        _: &GuestMemory<'_>,
        _: types::CiovecArray,
        _: types::Siflags,
    ) -> Result<types::Size> {
        Err(Errno::Notsock.into())
    }

    pub(super) fn sock_shutdown(&self, _: &GuestMemory<'_>, _: types::Sdflags) -> Result<()> {
        Err(Errno::Notsock.into())
    }
}

/// A directory entry as preview 1 lays it out.
fn dirent(next: u64, id: u64, kind: Kind, name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(24 + name.len());
    bytes.extend_from_slice(&next.to_le_bytes());
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(name.len())?.to_le_bytes());
    bytes.push(filetype(kind) as u8);
    bytes.resize(usize::try_from(types::Dirent::guest_size())?, 0);
    bytes.extend_from_slice(name.as_bytes());
    Ok(bytes)
}

fn filetype(kind: Kind) -> types::Filetype {
    match kind {
        Kind::File => types::Filetype::RegularFile,
        Kind::Directory => types::Filetype::Directory,
    }
}

fn filestat(stat: &Stat) -> types::Filestat {
    types::Filestat {
        dev: DEVICE,
        ino: stat.id,
        filetype: filetype(stat.kind),
        nlink: stat.links,
        size: stat.size,
        atim: nanoseconds(stat.accessed),
        mtim: nanoseconds(stat.modified),
        ctim: nanoseconds(stat.changed),
    }
}

/// The times of access and modification that a guest wants set.
fn wanted(
    accessed: types::Timestamp,
    modified: types::Timestamp,
    which: Fstflags,
) -> Result<(Option<SystemTime>, Option<SystemTime>)> {
    let one = |set: Fstflags, now: Fstflags, nanoseconds: u64| match (
        which.contains(set),
        which.contains(now),
    ) {
        (true, true) => Err(Errno::Inval),
        (true, false) => {
            let time = UNIX_EPOCH.checked_add(Duration::from_nanos(nanoseconds));
            time.map(Some).ok_or(Errno::Overflow)
        }
        (false, true) => Ok(Some(SystemTime::now())),
        (false, false) => Ok(None),
    };
    let accessed = one(Fstflags::ATIM, Fstflags::ATIM_NOW, accessed)?;
    let modified = one(Fstflags::MTIM, Fstflags::MTIM_NOW, modified)?;
    Ok((accessed, modified))
}
