//! WASI preview 1: `wasmtime-wasi`'s, with plain functions of our own before it where a guest has no files, and a `/tmp` in it.
//!
//! With files a table of descriptors says what each of the guest's numbers means: one of `wasmtime-wasi`'s numbers or something of ours. So
//! `/tmp` comes directly after the host's directories, where C libraries look, and `fd_renumber` works between both. The types and the trait
//! are those that `wasmtime-wasi` generates for itself; the exact pin of its version is what makes that safe to rely on.

use wasmtime::Memory;
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p1::types::{self, Errno, Error};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{WasiSnapshotPreview1, add_to_linker};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wiggle::{GuestMemory, GuestPtr};

mod descriptors;
mod direct;
mod files;
mod process;

#[cfg(test)]
mod direct_tests;
#[cfg(test)]
mod tests;

use self::descriptors::{Descriptors, Target};
use self::files::MemoryFile;
pub use self::process::{Facts, Process};
use crate::memory_fs::{Disk, MemoryFsError, PATH_BYTES_MAX};

type Result<T> = std::result::Result<T, Error>;

/// Subscriptions in one poll whose descriptors are looked at; more is refused.
const SUBSCRIPTIONS_MAX: u32 = 4096;

/// The preview 1 context of one instance, with its `/tmp` if it has one.
pub struct Preview1 {
    process: Process,
    /// The guest's exported memory, found when it is first needed.
    memory: Option<Memory>,
    /// Made when it is first needed, where there are no files.
    wasi: Option<Box<WasiP1Ctx>>,
    descriptors: Option<Descriptors>,
    disk: Option<Disk>,
    host_directories: usize,
    /// Descriptors that it had from the start.
    began_with: usize,
}

impl std::fmt::Debug for Preview1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Preview1").field("descriptors", &self.descriptors).finish_non_exhaustive()
    }
}

impl Preview1 {
    /// A context without files.
    #[must_use]
    pub fn new(process: Process) -> Self {
        Self {
            process,
            memory: None,
            wasi: None,
            descriptors: None,
            disk: None,
            host_directories: 0,
            began_with: 0,
        }
    }

    /// A context whose guest sees the `host_directories` preopened directories of `wasi`, which is made of the same `process`, and then
    /// `/tmp` on `disk`.
    #[must_use]
    pub fn with_files(
        process: Process,
        wasi: WasiP1Ctx,
        disk: Option<&Disk>,
        host_directories: usize,
    ) -> Self {
        let descriptors = disk.map(|disk| Descriptors::new(disk.root(), host_directories));
        let began_with = descriptors.as_ref().map_or(0, Descriptors::count);
        Self {
            wasi: Some(Box::new(wasi)),
            descriptors,
            disk: disk.cloned(),
            host_directories,
            began_with,
            ..Self::new(process)
        }
    }

    /// The whole context, made now if this is the first who needs it.
    fn wasi(&mut self) -> &mut WasiP1Ctx {
        self.wasi.get_or_insert_with(|| self.process.build())
    }

    /// Whether the guest has open what was not open when it began, or left something in its `/tmp`.
    #[must_use]
    pub fn has_open_files(&mut self) -> bool {
        // The directories of the host are entered when the guest first asks for any descriptor.
        let handles = |wasi: &mut Box<WasiP1Ctx>| wasi.ctx().table.iter_mut().count();
        let wasi = self.wasi.as_mut().map_or(0, handles) > self.host_directories;
        let tmp = self.descriptors.as_ref().is_some_and(|open| open.count() > self.began_with);
        wasi || tmp || self.disk.as_ref().is_some_and(|disk| !disk.is_empty())
    }

    /// Links preview 1 for guests without files.
    ///
    /// # Errors
    /// When one of the functions is already defined.
    pub fn add_plain<T: Send + 'static>(
        linker: &mut wasmtime::Linker<T>,
        context: impl Fn(&mut T) -> &mut Self + Copy + Send + Sync + 'static,
    ) -> wasmtime::Result<()> {
        p1::add_to_linker_async(linker, move |state| context(state).wasi())?;
        direct::add_to_linker(linker, context)
    }

    /// Links preview 1 for guests with a `/tmp`, or with directories of the host.
    ///
    /// # Errors
    /// When one of the functions is already defined.
    pub fn add_with_files<T: Send + 'static>(
        linker: &mut wasmtime::Linker<T>,
        context: impl Fn(&mut T) -> &mut Self + Copy + Send + Sync + 'static,
    ) -> wasmtime::Result<()> {
        add_to_linker(linker, context)
    }

    fn find(&mut self, fd: types::Fd) -> Result<Found<'_>> {
        match &mut self.descriptors {
            None => Ok(Found::Wasi(fd)),
            Some(descriptors) => match descriptors.get(fd.into())? {
                Target::Wasi(inner) => Ok(Found::Wasi((*inner).into())),
                Target::Memory(file) => Ok(Found::Memory(file)),
            },
        }
    }

    /// Two descriptors of directories: both ours, or both of `wasmtime-wasi`.
    fn find_both(&self, a: types::Fd, b: types::Fd) -> Result<Both<'_>> {
        let Some(descriptors) = &self.descriptors else { return Ok(Both::Wasi(a, b)) };
        match (descriptors.look(a.into())?, descriptors.look(b.into())?) {
            (Target::Wasi(a), Target::Wasi(b)) => Ok(Both::Wasi((*a).into(), (*b).into())),
            (Target::Memory(a), Target::Memory(b)) => Ok(Both::Memory(a, b)),
            _ => Err(MemoryFsError::CrossDevice.into()),
        }
    }

    /// Gives a number of the guest's to a descriptor that `wasmtime-wasi` opened.
    fn number(&mut self, inner: types::Fd) -> Result<types::Fd> {
        match &mut self.descriptors {
            None => Ok(inner),
            Some(descriptors) => Ok(descriptors.insert(Target::Wasi(inner.into()))?.into()),
        }
    }

    /// Whether every descriptor of a poll has the number that `wasmtime-wasi` knows it by.
    fn check_poll(
        &mut self,
        memory: &GuestMemory<'_>,
        subscriptions: GuestPtr<types::Subscription>,
        count: u32,
    ) -> Result<()> {
        if count > SUBSCRIPTIONS_MAX {
            return Err(Errno::Inval.into());
        }
        for subscription in subscriptions.as_array(count).iter() {
            let fd = match memory.read(subscription?)?.u {
                types::SubscriptionU::Clock(_) => continue,
                types::SubscriptionU::FdRead(wanted) | types::SubscriptionU::FdWrite(wanted) => {
                    wanted.file_descriptor
                }
            };
            // Files are always ready; who polls them has no need to.
            if !matches!(self.find(fd)?, Found::Wasi(inner) if inner == fd) {
                return Err(Errno::Notsup.into());
            }
        }
        Ok(())
    }
}

/// What a number of the guest's means.
enum Found<'a> {
    Wasi(types::Fd),
    Memory(&'a mut MemoryFile),
}

enum Both<'a> {
    Wasi(types::Fd, types::Fd),
    Memory(&'a MemoryFile, &'a MemoryFile),
}

fn read_path(memory: &GuestMemory<'_>, path: GuestPtr<str>) -> Result<String> {
    if usize::try_from(path.len()).is_ok_and(|length| length > PATH_BYTES_MAX) {
        return Err(MemoryFsError::NameTooLong.into());
    }
    Ok(memory.as_cow_str(path)?.into_owned())
}

/// Functions that have nothing to do with files.
macro_rules! pass_on {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&mut self, memory: &mut GuestMemory<'_>, $($argument: $type),*) -> $answer {
            self.wasi().$name(memory, $($argument),*)
        })*
    };
}

/// Functions on one descriptor: `wasmtime-wasi`'s answer, or what `MemoryFile` has under the same name.
macro_rules! on_descriptor {
    ($(async fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(async fn $name(
            &mut self,
            memory: &mut GuestMemory<'_>,
            fd: types::Fd,
            $($argument: $type),*
        ) -> Result<$answer> {
            match self.find(fd)? {
                Found::Wasi(fd) => self.wasi().$name(memory, fd, $($argument),*).await,
                Found::Memory(file) => file.$name(memory, $($argument),*),
            }
        })*
    };
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(fn $name(
            &mut self,
            memory: &mut GuestMemory<'_>,
            fd: types::Fd,
            $($argument: $type),*
        ) -> Result<$answer> {
            match self.find(fd)? {
                Found::Wasi(fd) => self.wasi().$name(memory, fd, $($argument),*),
                Found::Memory(file) => file.$name(memory, $($argument),*),
            }
        })*
    };
}

impl WasiSnapshotPreview1 for Preview1 {
    fn set_hostcall_fuel(&mut self, fuel: usize) {
        self.wasi().set_hostcall_fuel(fuel);
    }

    pass_on! {
        fn args_get(argv: GuestPtr<GuestPtr<u8>>, buffer: GuestPtr<u8>) -> Result<()>;
        fn args_sizes_get() -> Result<(types::Size, types::Size)>;
        fn environ_get(environ: GuestPtr<GuestPtr<u8>>, buffer: GuestPtr<u8>) -> Result<()>;
        fn environ_sizes_get() -> Result<(types::Size, types::Size)>;
        fn clock_res_get(id: types::Clockid) -> Result<types::Timestamp>;
        fn clock_time_get(id: types::Clockid, precision: types::Timestamp) -> Result<types::Timestamp>;
        fn proc_exit(status: types::Exitcode) -> wasmtime::Error;
        fn proc_raise(signal: types::Signal) -> Result<()>;
        fn sched_yield() -> Result<()>;
        fn random_get(buffer: GuestPtr<u8>, length: types::Size) -> Result<()>;
    }

    on_descriptor! {
        async fn fd_advise(offset: types::Filesize, length: types::Filesize, advice: types::Advice) -> ();
        async fn fd_datasync() -> ();
        async fn fd_sync() -> ();
        async fn fd_fdstat_get() -> types::Fdstat;
        async fn fd_filestat_get() -> types::Filestat;
        async fn fd_filestat_set_size(size: types::Filesize) -> ();
        async fn fd_filestat_set_times(
            accessed: types::Timestamp, modified: types::Timestamp, which: types::Fstflags
        ) -> ();
        async fn fd_read(buffers: types::IovecArray) -> types::Size;
        async fn fd_pread(buffers: types::IovecArray, offset: types::Filesize) -> types::Size;
        async fn fd_write(buffers: types::CiovecArray) -> types::Size;
        async fn fd_pwrite(buffers: types::CiovecArray, offset: types::Filesize) -> types::Size;
        async fn fd_seek(offset: types::Filedelta, whence: types::Whence) -> types::Filesize;
        async fn fd_readdir(
            buffer: GuestPtr<u8>, length: types::Size, cookie: types::Dircookie
        ) -> types::Size;
        async fn path_create_directory(path: GuestPtr<str>) -> ();
        async fn path_filestat_get(flags: types::Lookupflags, path: GuestPtr<str>) -> types::Filestat;
        async fn path_filestat_set_times(
            flags: types::Lookupflags,
            path: GuestPtr<str>,
            accessed: types::Timestamp,
            modified: types::Timestamp,
            which: types::Fstflags
        ) -> ();
        async fn path_readlink(
            path: GuestPtr<str>, buffer: GuestPtr<u8>, length: types::Size
        ) -> types::Size;
        async fn path_remove_directory(path: GuestPtr<str>) -> ();
        async fn path_unlink_file(path: GuestPtr<str>) -> ();
    }

    on_descriptor! {
        fn fd_allocate(offset: types::Filesize, length: types::Filesize) -> ();
        fn fd_fdstat_set_flags(flags: types::Fdflags) -> ();
        fn fd_fdstat_set_rights(base: types::Rights, inheriting: types::Rights) -> ();
        fn fd_prestat_get() -> types::Prestat;
        fn fd_prestat_dir_name(path: GuestPtr<u8>, length: types::Size) -> ();
        fn fd_tell() -> types::Filesize;
        fn sock_accept(flags: types::Fdflags) -> types::Fd;
        fn sock_recv(
            data: types::IovecArray, flags: types::Riflags
        ) -> (types::Size, types::Roflags);
        fn sock_send(data: types::CiovecArray, flags: types::Siflags) -> types::Size;
        fn sock_shutdown(how: types::Sdflags) -> ();
    }

    async fn fd_close(&mut self, memory: &mut GuestMemory<'_>, fd: types::Fd) -> Result<()> {
        let inner = match &mut self.descriptors {
            None => fd,
            Some(descriptors) => match descriptors.remove(fd.into())? {
                Target::Wasi(inner) => inner.into(),
                Target::Memory(_) => return Ok(()),
            },
        };
        self.wasi().fd_close(memory, inner).await
    }

    async fn fd_renumber(
        &mut self,
        memory: &mut GuestMemory<'_>,
        from: types::Fd,
        to: types::Fd,
    ) -> Result<()> {
        let Some(descriptors) = &mut self.descriptors else {
            return self.wasi().fd_renumber(memory, from, to).await;
        };
        match descriptors.renumber(from.into(), to.into())? {
            Some(Target::Wasi(replaced)) => self.wasi().fd_close(memory, replaced.into()).await,
            Some(Target::Memory(_)) | None => Ok(()),
        }
    }

    async fn path_open(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: types::Fd,
        lookup: types::Lookupflags,
        path: GuestPtr<str>,
        how: types::Oflags,
        base: types::Rights,
        inheriting: types::Rights,
        flags: types::Fdflags,
    ) -> Result<types::Fd> {
        let opened = match self.find(fd)? {
            Found::Memory(directory) => directory.path_open(memory, path, how, base, flags)?,
            Found::Wasi(fd) => {
                let wasi = self.wasi();
                let opened =
                    wasi.path_open(memory, fd, lookup, path, how, base, inheriting, flags).await?;
                return self.number(opened);
            }
        };
        let descriptors = self.descriptors.as_mut().ok_or(Errno::Badf)?;
        Ok(descriptors.insert(Target::Memory(opened))?.into())
    }

    async fn path_rename(
        &mut self,
        memory: &mut GuestMemory<'_>,
        from_fd: types::Fd,
        from: GuestPtr<str>,
        to_fd: types::Fd,
        to: GuestPtr<str>,
    ) -> Result<()> {
        match self.find_both(from_fd, to_fd)? {
            Both::Wasi(from_fd, to_fd) => {
                self.wasi().path_rename(memory, from_fd, from, to_fd, to).await
            }
            Both::Memory(from_directory, to_directory) => {
                let (from, to) = (read_path(memory, from)?, read_path(memory, to)?);
                from_directory.rename(&from, to_directory, &to)
            }
        }
    }

    async fn path_link(
        &mut self,
        memory: &mut GuestMemory<'_>,
        from_fd: types::Fd,
        flags: types::Lookupflags,
        from: GuestPtr<str>,
        to_fd: types::Fd,
        to: GuestPtr<str>,
    ) -> Result<()> {
        match self.find_both(from_fd, to_fd)? {
            Both::Wasi(from_fd, to_fd) => {
                self.wasi().path_link(memory, from_fd, flags, from, to_fd, to).await
            }
            Both::Memory(..) => Err(MemoryFsError::Unsupported.into()),
        }
    }

    async fn path_symlink(
        &mut self,
        memory: &mut GuestMemory<'_>,
        target: GuestPtr<str>,
        fd: types::Fd,
        path: GuestPtr<str>,
    ) -> Result<()> {
        match self.find(fd)? {
            Found::Wasi(fd) => self.wasi().path_symlink(memory, target, fd, path).await,
            Found::Memory(_) => Err(MemoryFsError::Unsupported.into()),
        }
    }

    async fn poll_oneoff(
        &mut self,
        memory: &mut GuestMemory<'_>,
        subscriptions: GuestPtr<types::Subscription>,
        events: GuestPtr<types::Event>,
        count: types::Size,
    ) -> Result<types::Size> {
        if self.descriptors.is_some() {
            self.check_poll(memory, subscriptions, count)?;
        }
        self.wasi().poll_oneoff(memory, subscriptions, events, count).await
    }
}
