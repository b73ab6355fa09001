//! `wasi:filesystem` 0.3 with `/tmp` in it: the same descriptors in the same table as for 0.2, asked in another way.

use wasmtime::AsContextMut as _;
use wasmtime::component::{Access, Accessor, FutureReader, Linker, Resource, StreamReader};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystem, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::{preopens as old_preopens, types as old};
use wasmtime_wasi::p3::bindings::filesystem::preopens;
use wasmtime_wasi::p3::bindings::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode,
    Filesize, HostDescriptorWithStore, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p3::filesystem::{FilesystemError, FilesystemResult};

use super::component::TmpFilesystem;
use super::concurrent_streams::{Consumer, Entries, Producer, ending};
use super::descriptor::MemoryDescriptor;
use super::streams::At;
use super::{Borrows, TmpView, borrow, codes};
use crate::memory_fs::{Kind, MemoryFsError, OpenNode, Stat};

type Fd = Resource<Descriptor>;

/// How the end of a stream is told.
type Ending = FutureReader<Result<(), ErrorCode>>;

/// Links `wasi:filesystem` 0.3 with `/tmp` over what `linker` has under these names already.
///
/// # Errors
/// When the imports cannot be defined.
pub fn add_to_concurrent_linker<T: TmpView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    types::add_to_linker::<T, Borrows<T>>(linker, borrow)?;
    preopens::add_to_linker::<T, Borrows<T>>(linker, borrow)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn wasi_of<T: TmpView>(state: &mut T) -> WasiFilesystemCtxView<'_> {
    state.tmp().0
}

/// The store as `wasmtime-wasi` wants it.
fn wasi<T: TmpView + 'static>(store: &Accessor<T, Borrows<T>>) -> Accessor<T, WasiFilesystem> {
    store.with_getter::<WasiFilesystem>(wasi_of)
}

fn ours<T: TmpView + 'static>(
    store: &Accessor<T, Borrows<T>>,
    fd: &Fd,
) -> Option<MemoryDescriptor> {
    store.with(|mut access| access.get().ours(fd).cloned())
}

/// Both of two descriptors if they are ours, `None` if neither is.
fn both<T: TmpView + 'static>(
    store: &Accessor<T, Borrows<T>>,
    a: &Fd,
    b: &Fd,
) -> Option<Result<(MemoryDescriptor, MemoryDescriptor), MemoryFsError>> {
    match (ours(store, a), ours(store, b)) {
        (Some(a), Some(b)) => Some(Ok((a, b))),
        (None, None) => None,
        _ => Some(Err(MemoryFsError::CrossDevice)),
    }
}

/// What we answer for a descriptor of ours, or what `wasmtime-wasi` answers.
macro_rules! answer {
    ($store:ident, $fd:ident.$name:ident($($argument:expr),*), |$ours:pat_param| $answer:expr) => {
        match ours($store, &$fd) {
            Some($ours) => $answer,
            None => {
                let wasi = wasi($store);
                <WasiFilesystem as HostDescriptorWithStore<T>>::$name(&wasi, $fd, $($argument),*).await
            }
        }
    };
}

impl types::Host for TmpFilesystem<'_> {
    fn convert_error_code(&mut self, error: FilesystemError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }
}

impl types::HostDescriptor for TmpFilesystem<'_> {
    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        old::HostDescriptor::drop(self, fd)
    }
}

impl preopens::Host for TmpFilesystem<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Fd, String)>> {
        old_preopens::Host::get_directories(self)
    }
}

impl<T: TmpView + 'static> HostDescriptorWithStore<T> for Borrows<T> {
    fn read_via_stream(
        mut store: Access<'_, T, Self>,
        fd: Fd,
        offset: Filesize,
    ) -> wasmtime::Result<(StreamReader<u8>, Ending)> {
        let Some(ours) = store.get().ours(&fd).cloned() else {
            let wasi = Access::<T, WasiFilesystem>::new(store.as_context_mut(), wasi_of);
            return WasiFilesystem::read_via_stream(wasi, fd, offset);
        };
        let (tell, told) = ending();
        let stream = match ours.readable() {
            Ok(file) => StreamReader::new(&mut store, Producer::new(file.clone(), offset, tell))?,
            Err(error) => {
                tell.failed(error);
                StreamReader::new(&mut store, std::iter::empty())?
            }
        };
        Ok((stream, FutureReader::new(&mut store, told)?))
    }

    fn write_via_stream(
        mut store: Access<'_, T, Self>,
        fd: Fd,
        data: StreamReader<u8>,
        offset: Filesize,
    ) -> wasmtime::Result<Ending> {
        match store.get().ours(&fd).cloned() {
            Some(ours) => consume(store, &ours, data, At::Offset(offset)),
            None => {
                let wasi = Access::<T, WasiFilesystem>::new(store.as_context_mut(), wasi_of);
                WasiFilesystem::write_via_stream(wasi, fd, data, offset)
            }
        }
    }

    fn append_via_stream(
        mut store: Access<'_, T, Self>,
        fd: Fd,
        data: StreamReader<u8>,
    ) -> wasmtime::Result<Ending> {
        match store.get().ours(&fd).cloned() {
            Some(ours) => consume(store, &ours, data, At::End),
            None => {
                let wasi = Access::<T, WasiFilesystem>::new(store.as_context_mut(), wasi_of);
                WasiFilesystem::append_via_stream(wasi, fd, data)
            }
        }
    }

    fn read_directory(
        mut store: Access<'_, T, Self>,
        fd: Fd,
    ) -> wasmtime::Result<(StreamReader<DirectoryEntry>, Ending)> {
        let Some(ours) = store.get().ours(&fd).cloned() else {
            let wasi = Access::<T, WasiFilesystem>::new(store.as_context_mut(), wasi_of);
            return WasiFilesystem::read_directory(wasi, fd);
        };
        let (tell, told) = ending();
        let stream = match ours.directory() {
            Ok(directory) => StreamReader::new(&mut store, Entries::new(directory.clone(), tell))?,
            Err(error) => {
                tell.failed(error);
                StreamReader::new(&mut store, std::iter::empty())?
            }
        };
        Ok((stream, FutureReader::new(&mut store, told)?))
    }

    async fn advise(
        store: &Accessor<T, Self>,
        fd: Fd,
        offset: Filesize,
        length: Filesize,
        advice: Advice,
    ) -> FilesystemResult<()> {
        answer!(store, fd.advise(offset, length, advice), |_| Ok(()))
    }

    async fn sync_data(store: &Accessor<T, Self>, fd: Fd) -> FilesystemResult<()> {
        answer!(store, fd.sync_data(), |_| Ok(()))
    }

    async fn sync(store: &Accessor<T, Self>, fd: Fd) -> FilesystemResult<()> {
        answer!(store, fd.sync(), |_| Ok(()))
    }

    async fn get_flags(store: &Accessor<T, Self>, fd: Fd) -> FilesystemResult<DescriptorFlags> {
        answer!(store, fd.get_flags(), |ours| Ok(new_flags(ours.flags)))
    }

    async fn get_type(store: &Accessor<T, Self>, fd: Fd) -> FilesystemResult<DescriptorType> {
        answer!(store, fd.get_type(), |ours| Ok(kind(ours.node.kind())))
    }

    async fn set_size(store: &Accessor<T, Self>, fd: Fd, size: Filesize) -> FilesystemResult<()> {
        answer!(store, fd.set_size(size), |ours| Ok(ours.writable()?.set_size(size)?))
    }

    async fn set_times(
        store: &Accessor<T, Self>,
        fd: Fd,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FilesystemResult<()> {
        answer!(store, fd.set_times(accessed, modified), |ours| {
            let (accessed, modified) = (codes::wanted_new(accessed)?, codes::wanted_new(modified)?);
            Ok(ours.node.set_times(accessed, modified)?)
        })
    }

    async fn create_directory_at(
        store: &Accessor<T, Self>,
        fd: Fd,
        path: String,
    ) -> FilesystemResult<()> {
        answer!(store, fd.create_directory_at(path), |ours| {
            Ok(ours.directory()?.create_directory(&path)?)
        })
    }

    async fn stat(store: &Accessor<T, Self>, fd: Fd) -> FilesystemResult<DescriptorStat> {
        answer!(store, fd.stat(), |ours| Ok(stat(&ours.node.stat()?)))
    }

    async fn stat_at(
        store: &Accessor<T, Self>,
        fd: Fd,
        how: PathFlags,
        path: String,
    ) -> FilesystemResult<DescriptorStat> {
        answer!(store, fd.stat_at(how, path), |ours| {
            Ok(stat(&ours.directory()?.stat_at(&path)?))
        })
    }

    async fn set_times_at(
        store: &Accessor<T, Self>,
        fd: Fd,
        how: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FilesystemResult<()> {
        answer!(store, fd.set_times_at(how, path, accessed, modified), |ours| {
            let (accessed, modified) = (codes::wanted_new(accessed)?, codes::wanted_new(modified)?);
            Ok(ours.directory()?.set_times_at(&path, accessed, modified)?)
        })
    }

    async fn link_at(
        store: &Accessor<T, Self>,
        fd: Fd,
        how: PathFlags,
        path: String,
        there: Fd,
        new_path: String,
    ) -> FilesystemResult<()> {
        match both(store, &fd, &there) {
            Some(both) => {
                Err(both.map_or_else(|error| error, |_| MemoryFsError::Unsupported).into())
            }
            None => WasiFilesystem::link_at(&wasi(store), fd, how, path, there, new_path).await,
        }
    }

    async fn open_at(
        store: &Accessor<T, Self>,
        fd: Fd,
        path_flags: PathFlags,
        path: String,
        how: OpenFlags,
        flags: DescriptorFlags,
    ) -> FilesystemResult<Fd> {
        answer!(store, fd.open_at(path_flags, path, how, flags), |ours| {
            let opened = ours.open(&path, old_open_flags(how), old_flags(flags))?;
            store.with(|mut access| access.get().hold(opened)).map_err(FilesystemError::trap)
        })
    }

    async fn readlink_at(
        store: &Accessor<T, Self>,
        fd: Fd,
        path: String,
    ) -> FilesystemResult<String> {
        answer!(store, fd.readlink_at(path), |ours| {
            ours.directory()?.stat_at(&path)?;
            Err(MemoryFsError::Invalid.into())
        })
    }

    async fn remove_directory_at(
        store: &Accessor<T, Self>,
        fd: Fd,
        path: String,
    ) -> FilesystemResult<()> {
        answer!(store, fd.remove_directory_at(path), |ours| {
            Ok(ours.directory()?.remove_directory(&path)?)
        })
    }

    async fn rename_at(
        store: &Accessor<T, Self>,
        fd: Fd,
        path: String,
        there: Fd,
        new_path: String,
    ) -> FilesystemResult<()> {
        match both(store, &fd, &there) {
            Some(both) => {
                let (from, to) = both?;
                Ok(from.directory()?.rename(&path, to.directory()?, &new_path)?)
            }
            None => WasiFilesystem::rename_at(&wasi(store), fd, path, there, new_path).await,
        }
    }

    async fn symlink_at(
        store: &Accessor<T, Self>,
        fd: Fd,
        path: String,
        new_path: String,
    ) -> FilesystemResult<()> {
        answer!(store, fd.symlink_at(path, new_path), |_| Err(MemoryFsError::Unsupported.into()))
    }

    async fn unlink_file_at(
        store: &Accessor<T, Self>,
        fd: Fd,
        path: String,
    ) -> FilesystemResult<()> {
        answer!(store, fd.unlink_file_at(path), |ours| Ok(ours.directory()?.unlink(&path)?))
    }

    async fn is_same_object(
        store: &Accessor<T, Self>,
        fd: Fd,
        other: Fd,
    ) -> wasmtime::Result<bool> {
        match both(store, &fd, &other) {
            Some(both) => Ok(both.is_ok_and(|(a, b)| a.node.is_same(&b.node))),
            None => WasiFilesystem::is_same_object(&wasi(store), fd, other).await,
        }
    }

    async fn metadata_hash(
        store: &Accessor<T, Self>,
        fd: Fd,
    ) -> FilesystemResult<MetadataHashValue> {
        answer!(store, fd.metadata_hash(), |ours| Ok(hash(&ours.node)?))
    }

    async fn metadata_hash_at(
        store: &Accessor<T, Self>,
        fd: Fd,
        how: PathFlags,
        path: String,
    ) -> FilesystemResult<MetadataHashValue> {
        answer!(store, fd.metadata_hash_at(how, path), |ours| {
            let found = super::descriptor::hash(&ours.directory()?.stat_at(&path)?);
            Ok(MetadataHashValue { lower: found.lower, upper: found.upper })
        })
    }
}

/// Lets a file take in a stream.
fn consume<T: TmpView + 'static>(
    mut store: Access<'_, T, Borrows<T>>,
    ours: &MemoryDescriptor,
    mut data: StreamReader<u8>,
    at: At,
) -> wasmtime::Result<Ending> {
    let (tell, told) = ending();
    match ours.writable() {
        Ok(file) => data.pipe(&mut store, Consumer::new(file.clone(), at, tell))?,
        Err(error) => {
            data.close(&mut store)?;
            tell.failed(error);
        }
    }
    FutureReader::new(&mut store, told)
}

pub(super) fn kind(kind: Kind) -> DescriptorType {
    match kind {
        Kind::File => DescriptorType::RegularFile,
        Kind::Directory => DescriptorType::Directory,
    }
}

fn stat(stat: &Stat) -> DescriptorStat {
    DescriptorStat {
        type_: kind(stat.kind),
        link_count: stat.links,
        size: stat.size,
        data_access_timestamp: Some(codes::instant(stat.accessed)),
        data_modification_timestamp: Some(codes::instant(stat.modified)),
        status_change_timestamp: Some(codes::instant(stat.changed)),
    }
}

fn hash(node: &OpenNode) -> Result<MetadataHashValue, MemoryFsError> {
    let found = super::descriptor::hash(&node.stat()?);
    Ok(MetadataHashValue { lower: found.lower, upper: found.upper })
}

fn new_flags(flags: old::DescriptorFlags) -> DescriptorFlags {
    let each = [
        (old::DescriptorFlags::READ, DescriptorFlags::READ),
        (old::DescriptorFlags::WRITE, DescriptorFlags::WRITE),
        (old::DescriptorFlags::MUTATE_DIRECTORY, DescriptorFlags::MUTATE_DIRECTORY),
    ];
    let set = each.into_iter().filter(|(old, _)| flags.contains(*old));
    set.fold(DescriptorFlags::empty(), |all, (_, new)| all | new)
}

fn old_flags(flags: DescriptorFlags) -> old::DescriptorFlags {
    let each = [
        (DescriptorFlags::READ, old::DescriptorFlags::READ),
        (DescriptorFlags::WRITE, old::DescriptorFlags::WRITE),
    ];
    let set = each.into_iter().filter(|(new, _)| flags.contains(*new));
    set.fold(old::DescriptorFlags::empty(), |all, (_, old)| all | old)
}

fn old_open_flags(flags: OpenFlags) -> old::OpenFlags {
    let each = [
        (OpenFlags::CREATE, old::OpenFlags::CREATE),
        (OpenFlags::DIRECTORY, old::OpenFlags::DIRECTORY),
        (OpenFlags::EXCLUSIVE, old::OpenFlags::EXCLUSIVE),
        (OpenFlags::TRUNCATE, old::OpenFlags::TRUNCATE),
    ];
    let set = each.into_iter().filter(|(new, _)| flags.contains(*new));
    set.fold(old::OpenFlags::empty(), |all, (_, old)| all | old)
}
