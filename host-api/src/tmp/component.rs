//! `wasi:filesystem` 0.2 with `/tmp` in it.
//!
//! Descriptors are numbers of one resource table. Those of `/tmp` and those of `wasmtime-wasi` are told apart by what the table
//! holds under the number; what is not ours goes on to `wasmtime-wasi` unchanged.

use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
    DirectoryEntryStream, ErrorCode, Filesize, HostDescriptor, HostDirectoryEntryStream,
    MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use super::TMP_PATH;
use super::codes::wanted;
use super::descriptor::{self, MemoryDescriptor};
use super::listing::Listing;
use super::streams::{At, Reader, Writer};
use crate::memory_fs::{Disk, MemoryFsError};

/// The file system of one component instance during one import call.
pub struct TmpFilesystem<'a> {
    wasi: WasiFilesystemCtxView<'a>,
    disk: Option<Disk>,
}

impl std::fmt::Debug for TmpFilesystem<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TmpFilesystem").field("disk", &self.disk).finish_non_exhaustive()
    }
}

type Fd = Resource<Descriptor>;

/// What the table holds under the number of `fd` if that is ours.
fn ours<'t>(table: &'t ResourceTable, fd: &Fd) -> Option<&'t MemoryDescriptor> {
    table.get(&Resource::<MemoryDescriptor>::new_borrow(fd.rep())).ok()
}

impl<'a> TmpFilesystem<'a> {
    pub(super) fn new(wasi: WasiFilesystemCtxView<'a>, disk: Option<Disk>) -> Self {
        Self { wasi, disk }
    }

    pub(super) fn ours(&self, fd: &Fd) -> Option<&MemoryDescriptor> {
        ours(self.wasi.table, fd)
    }

    pub(super) fn hold(&mut self, descriptor: MemoryDescriptor) -> Result<Fd, wasmtime::Error> {
        let held = self.wasi.table.push(descriptor)?;
        Ok(Resource::new_own(held.rep()))
    }

    fn writer(&mut self, fd: &Fd, at: At) -> Option<FsResult<Resource<DynOutputStream>>> {
        let file = match self.ours(fd)?.writable() {
            Ok(file) => file.clone(),
            Err(error) => return Some(Err(error.into())),
        };
        let stream: DynOutputStream = Box::new(Writer::new(file, at));
        Some(self.wasi.table.push(stream).map_err(FsError::from))
    }

    /// Both of two descriptors if they are ours, `None` if neither is.
    fn both(&self, a: &Fd, b: &Fd) -> Option<FsResult<(&MemoryDescriptor, &MemoryDescriptor)>> {
        match (self.ours(a), self.ours(b)) {
            (Some(a), Some(b)) => Some(Ok((a, b))),
            (None, None) => None,
            _ => Some(Err(MemoryFsError::CrossDevice.into())),
        }
    }
}

impl preopens::Host for TmpFilesystem<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Fd, String)>> {
        let mut all = preopens::Host::get_directories(&mut self.wasi)?;
        if let Some(disk) = self.disk.clone() {
            let root = self.hold(MemoryDescriptor::root(disk.root()))?;
            all.push((root, TMP_PATH.to_owned()));
        }
        Ok(all)
    }
}

impl types::Host for TmpFilesystem<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        let held = self.wasi.table.get(&error)?;
        if let Some(error) = held.downcast_ref::<MemoryFsError>() {
            return Ok(Some((*error).into()));
        }
        types::Host::filesystem_error_code(&mut self.wasi, error)
    }
}

impl HostDescriptor for TmpFilesystem<'_> {
    async fn advise(
        &mut self,
        fd: Fd,
        offset: Filesize,
        length: Filesize,
        advice: Advice,
    ) -> FsResult<()> {
        match self.ours(&fd) {
            Some(_) => Ok(()),
            None => self.wasi.advise(fd, offset, length, advice).await,
        }
    }

    async fn sync_data(&mut self, fd: Fd) -> FsResult<()> {
        match self.ours(&fd) {
            Some(_) => Ok(()),
            None => self.wasi.sync_data(fd).await,
        }
    }

    async fn get_flags(&mut self, fd: Fd) -> FsResult<DescriptorFlags> {
        match self.ours(&fd) {
            Some(ours) => Ok(ours.flags),
            None => self.wasi.get_flags(fd).await,
        }
    }

    async fn get_type(&mut self, fd: Fd) -> FsResult<DescriptorType> {
        match self.ours(&fd) {
            Some(ours) => Ok(descriptor::kind(ours.node.kind())),
            None => self.wasi.get_type(fd).await,
        }
    }

    async fn set_size(&mut self, fd: Fd, size: Filesize) -> FsResult<()> {
        match self.ours(&fd) {
            Some(ours) => Ok(ours.writable()?.set_size(size)?),
            None => self.wasi.set_size(fd, size).await,
        }
    }

    async fn set_times(
        &mut self,
        fd: Fd,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        match self.ours(&fd) {
            Some(ours) => Ok(ours.node.set_times(wanted(accessed)?, wanted(modified)?)?),
            None => self.wasi.set_times(fd, accessed, modified).await,
        }
    }

    async fn read(&mut self, fd: Fd, length: Filesize, at: Filesize) -> FsResult<(Vec<u8>, bool)> {
        match self.ours(&fd) {
            Some(ours) => {
                let bytes = ours.read(length, at)?;
                let is_end = bytes.is_empty();
                Ok((bytes, is_end))
            }
            None => self.wasi.read(fd, length, at).await,
        }
    }

    async fn write(&mut self, fd: Fd, bytes: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        match self.ours(&fd) {
            Some(ours) => Ok(ours.writable()?.write(offset, &bytes)? as u64),
            None => self.wasi.write(fd, bytes, offset).await,
        }
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<DirectoryEntryStream>> {
        let Some(ours) = self.ours(&fd) else { return self.wasi.read_directory(fd).await };
        let listing = Listing::new(ours.directory()?.clone());
        let held = self.wasi.table.push(listing)?;
        Ok(Resource::new_own(held.rep()))
    }

    async fn sync(&mut self, fd: Fd) -> FsResult<()> {
        match self.ours(&fd) {
            Some(_) => Ok(()),
            None => self.wasi.sync(fd).await,
        }
    }

    async fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        match self.ours(&fd) {
            Some(ours) => Ok(ours.directory()?.create_directory(&path)?),
            None => self.wasi.create_directory_at(fd, path).await,
        }
    }

    async fn stat(&mut self, fd: Fd) -> FsResult<DescriptorStat> {
        match self.ours(&fd) {
            Some(ours) => Ok(descriptor::stat(&ours.node.stat()?)),
            None => self.wasi.stat(fd).await,
        }
    }

    async fn stat_at(&mut self, fd: Fd, how: PathFlags, path: String) -> FsResult<DescriptorStat> {
        match self.ours(&fd) {
            Some(ours) => Ok(descriptor::stat(&ours.directory()?.stat_at(&path)?)),
            None => self.wasi.stat_at(fd, how, path).await,
        }
    }

    async fn set_times_at(
        &mut self,
        fd: Fd,
        how: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        match self.ours(&fd) {
            Some(ours) => {
                let (accessed, modified) = (wanted(accessed)?, wanted(modified)?);
                Ok(ours.directory()?.set_times_at(&path, accessed, modified)?)
            }
            None => self.wasi.set_times_at(fd, how, path, accessed, modified).await,
        }
    }

    async fn link_at(
        &mut self,
        fd: Fd,
        how: PathFlags,
        path: String,
        there: Fd,
        new_path: String,
    ) -> FsResult<()> {
        match self.both(&fd, &there) {
            Some(both) => both.and(Err(MemoryFsError::Unsupported.into())),
            None => self.wasi.link_at(fd, how, path, there, new_path).await,
        }
    }

    async fn open_at(
        &mut self,
        fd: Fd,
        path_flags: PathFlags,
        path: String,
        how: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Fd> {
        let Some(ours) = self.ours(&fd) else {
            return self.wasi.open_at(fd, path_flags, path, how, flags).await;
        };
        let opened = ours.open(&path, how, flags)?;
        self.hold(opened).map_err(FsError::trap)
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        if self.ours(&fd).is_none() {
            return HostDescriptor::drop(&mut self.wasi, fd);
        }
        self.wasi.table.delete(Resource::<MemoryDescriptor>::new_own(fd.rep()))?;
        Ok(())
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        match self.ours(&fd) {
            Some(ours) => {
                ours.directory()?.stat_at(&path)?;
                Err(MemoryFsError::Invalid.into())
            }
            None => self.wasi.readlink_at(fd, path).await,
        }
    }

    async fn remove_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        match self.ours(&fd) {
            Some(ours) => Ok(ours.directory()?.remove_directory(&path)?),
            None => self.wasi.remove_directory_at(fd, path).await,
        }
    }

    async fn rename_at(
        &mut self,
        fd: Fd,
        path: String,
        there: Fd,
        new_path: String,
    ) -> FsResult<()> {
        match self.both(&fd, &there) {
            Some(both) => {
                let (from, to) = both?;
                Ok(from.directory()?.rename(&path, to.directory()?, &new_path)?)
            }
            None => self.wasi.rename_at(fd, path, there, new_path).await,
        }
    }

    async fn symlink_at(&mut self, fd: Fd, path: String, new_path: String) -> FsResult<()> {
        match self.ours(&fd) {
            Some(_) => Err(MemoryFsError::Unsupported.into()),
            None => self.wasi.symlink_at(fd, path, new_path).await,
        }
    }

    async fn unlink_file_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        match self.ours(&fd) {
            Some(ours) => Ok(ours.directory()?.unlink(&path)?),
            None => self.wasi.unlink_file_at(fd, path).await,
        }
    }

    fn read_via_stream(&mut self, fd: Fd, at: Filesize) -> FsResult<Resource<DynInputStream>> {
        let Some(ours) = self.ours(&fd) else { return self.wasi.read_via_stream(fd, at) };
        let stream: DynInputStream = Box::new(Reader::new(ours.readable()?.clone(), at));
        Ok(self.wasi.table.push(stream)?)
    }

    fn write_via_stream(&mut self, fd: Fd, at: Filesize) -> FsResult<Resource<DynOutputStream>> {
        match self.writer(&fd, At::Offset(at)) {
            Some(stream) => stream,
            None => self.wasi.write_via_stream(fd, at),
        }
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        match self.writer(&fd, At::End) {
            Some(stream) => stream,
            None => self.wasi.append_via_stream(fd),
        }
    }

    async fn is_same_object(&mut self, a: Fd, b: Fd) -> wasmtime::Result<bool> {
        match self.both(&a, &b) {
            Some(both) => Ok(both.is_ok_and(|(a, b)| a.node.is_same(&b.node))),
            None => self.wasi.is_same_object(a, b).await,
        }
    }

    async fn metadata_hash(&mut self, fd: Fd) -> FsResult<MetadataHashValue> {
        match self.ours(&fd) {
            Some(ours) => Ok(descriptor::hash(&ours.node.stat()?)),
            None => self.wasi.metadata_hash(fd).await,
        }
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Fd,
        how: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        match self.ours(&fd) {
            Some(ours) => Ok(descriptor::hash(&ours.directory()?.stat_at(&path)?)),
            None => self.wasi.metadata_hash_at(fd, how, path).await,
        }
    }
}

impl HostDirectoryEntryStream for TmpFilesystem<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let ours = Resource::<Listing>::new_borrow(stream.rep());
        match self.wasi.table.get_mut(&ours) {
            Ok(listing) => Ok(listing.next()?),
            Err(_) => self.wasi.read_directory_entry(stream).await,
        }
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        let rep = stream.rep();
        if self.wasi.table.get(&Resource::<Listing>::new_borrow(rep)).is_err() {
            return HostDirectoryEntryStream::drop(&mut self.wasi, stream);
        }
        self.wasi.table.delete(Resource::<Listing>::new_own(rep))?;
        Ok(())
    }
}
