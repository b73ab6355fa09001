//! Preview 1 on `/tmp`, called as a guest calls it: numbers, layouts, and pointers that lead nowhere.

use std::sync::Arc;

use wasmtime_wasi::p1::types::{self, Errno, Error, Fdflags, Lookupflags, Oflags, Rights};
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1;
use wiggle::{GuestMemory, GuestPtr};

use super::Preview1;
use super::direct_tests::nobody;
use crate::memory_fs::{Bounds, Disk, Unmetered};

/// Where buffers are in the guest's memory; paths are at 0.
const BUFFER: u32 = 1024;
const LIST: u32 = 512;

struct Guest {
    context: Preview1,
    memory: Vec<u8>,
}

impl Guest {
    fn new(host_directories: usize) -> Self {
        let disk = Disk::new(Bounds { bytes: 1 << 16, nodes: 64 }, Arc::new(Unmetered));
        let process = nobody();
        let wasi = process.context().build_p1();
        let mut context = Preview1::with_files(process, wasi, Some(&disk), host_directories);
        context.set_hostcall_fuel(1 << 20);
        Self { context, memory: vec![0; 1 << 16] }
    }

    fn put(&mut self, at: u32, bytes: &[u8]) {
        let at = at as usize;
        self.memory[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn path(&mut self, path: &str) -> GuestPtr<str> {
        self.put(0, path.as_bytes());
        GuestPtr::new((0, u32::try_from(path.len()).unwrap()))
    }

    async fn open(&mut self, fd: u32, path: &str, how: Oflags) -> Result<u32, Error> {
        let path = self.path(path);
        let rights = Rights::FD_READ | Rights::FD_WRITE;
        let (lookup, flags) = (Lookupflags::empty(), Fdflags::empty());
        let mut memory = GuestMemory::Unshared(&mut self.memory);
        let opened = self
            .context
            .path_open(&mut memory, fd.into(), lookup, path, how, rights, rights, flags)
            .await?;
        Ok(opened.into())
    }

    /// A list of one buffer, as `fd_read` and `fd_write` take it.
    fn list<T>(&mut self, pointer: u32, length: u32) -> GuestPtr<[T]> {
        self.put(LIST, &[pointer.to_le_bytes(), length.to_le_bytes()].concat());
        GuestPtr::new((LIST, 1))
    }

    async fn write(&mut self, fd: u32, bytes: &[u8]) -> Result<u32, Error> {
        self.put(BUFFER, bytes);
        let list = self.list(BUFFER, u32::try_from(bytes.len()).unwrap());
        self.context.fd_write(&mut GuestMemory::Unshared(&mut self.memory), fd.into(), list).await
    }

    async fn read_at(&mut self, fd: u32, offset: u64) -> Result<Vec<u8>, Error> {
        let list = self.list(BUFFER, 100);
        let mut memory = GuestMemory::Unshared(&mut self.memory);
        let count = self.context.fd_pread(&mut memory, fd.into(), list, offset).await?;
        Ok(self.memory[BUFFER as usize..][..count as usize].to_vec())
    }

    fn prestat(&mut self, fd: u32) -> Result<types::Prestat, Error> {
        self.context.fd_prestat_get(&mut GuestMemory::Unshared(&mut self.memory), fd.into())
    }

    async fn renumber(&mut self, from: u32, to: u32) -> Result<(), Error> {
        let mut memory = GuestMemory::Unshared(&mut self.memory);
        self.context.fd_renumber(&mut memory, from.into(), to.into()).await
    }

    async fn close(&mut self, fd: u32) -> Result<(), Error> {
        self.context.fd_close(&mut GuestMemory::Unshared(&mut self.memory), fd.into()).await
    }
}

#[track_caller]
fn fails<T: std::fmt::Debug>(found: Result<T, Error>, expected: Errno) {
    assert_eq!(found.unwrap_err().downcast().unwrap(), expected);
}

#[tokio::test]
async fn tmp_comes_directly_after_the_hosts_directories() {
    for host_directories in [0, 2] {
        let mut guest = Guest::new(host_directories);
        let fd = 3 + u32::try_from(host_directories).unwrap();
        assert!(matches!(guest.prestat(fd), Ok(types::Prestat::Dir(dir)) if dir.pr_name_len == 4));
        fails(guest.prestat(fd + 1), Errno::Badf);
        let mut memory = GuestMemory::Unshared(&mut guest.memory);
        let name = GuestPtr::new(BUFFER);
        let short = guest.context.fd_prestat_dir_name(&mut memory, fd.into(), name, 3);
        fails(short, Errno::Nametoolong);
        guest.context.fd_prestat_dir_name(&mut memory, fd.into(), name, 4).unwrap();
        assert_eq!(&guest.memory[BUFFER as usize..][..4], b"/tmp");
        assert_eq!(guest.open(fd, "a", Oflags::CREAT).await.unwrap(), fd + 1);
        fails(guest.prestat(fd + 1), Errno::Badf);
    }
}

#[tokio::test]
async fn numbers_are_used_again_lowest_first_and_can_be_moved() {
    let mut guest = Guest::new(0);
    for expected in [4, 5, 6] {
        assert_eq!(guest.open(3, "a", Oflags::CREAT).await.unwrap(), expected);
    }
    guest.close(4).await.unwrap();
    fails(guest.close(4).await, Errno::Badf);
    assert_eq!(guest.open(3, "a", Oflags::empty()).await.unwrap(), 4);
    guest.write(4, b"moved").await.unwrap();
    // A file of ours takes the place of standard output, which is not ours.
    guest.renumber(4, 1).await.unwrap();
    guest.write(1, b"-on").await.unwrap();
    assert_eq!(guest.read_at(5, 0).await.unwrap(), b"moved-on");
    fails(guest.write(4, b"x").await, Errno::Badf);
    fails(guest.renumber(4, 5).await, Errno::Badf);
    fails(guest.renumber(5, 40).await, Errno::Badf);
    guest.renumber(2, 5).await.unwrap();
    fails(guest.write(2, b"x").await, Errno::Badf);
}

#[tokio::test]
async fn pointers_that_lead_nowhere_change_nothing() {
    let mut guest = Guest::new(0);
    let fd = guest.open(3, "a", Oflags::CREAT).await.unwrap();
    guest.write(fd, b"kept").await.unwrap();
    let end = u32::try_from(guest.memory.len()).unwrap();
    for (pointer, length) in [(end - 2, 4), (u32::MAX, 1), (end, u32::MAX)] {
        let list = guest.list(pointer, length);
        let mut memory = GuestMemory::Unshared(&mut guest.memory);
        let written = guest.context.fd_write(&mut memory, fd.into(), list).await;
        let read = guest.context.fd_pread(&mut memory, fd.into(), GuestPtr::new((LIST, 1)), 0);
        assert!(written.is_err() && read.await.is_err(), "{pointer} {length}");
    }
    assert_eq!(guest.read_at(fd, 0).await.unwrap(), b"kept");
    let mut memory = GuestMemory::Unshared(&mut guest.memory);
    let path = GuestPtr::<str>::new((end - 1, 2));
    assert!(guest.context.path_unlink_file(&mut memory, 3.into(), path).await.is_err());
    let path = GuestPtr::<str>::new((0, u32::MAX));
    let found = guest.context.path_create_directory(&mut memory, 3.into(), path).await;
    fails(found, Errno::Nametoolong);
    let list = guest.context.fd_readdir(&mut memory, 3.into(), GuestPtr::new(end - 8), 100, 0);
    assert!(list.await.is_err());
}

#[tokio::test]
async fn entries_come_in_the_layout_of_preview_1_and_go_on_by_cookie() {
    let mut guest = Guest::new(0);
    for name in ["one", "two"] {
        guest.open(3, name, Oflags::CREAT).await.unwrap();
    }
    let (mut cookie, mut names) = (0, Vec::new());
    loop {
        let mut memory = GuestMemory::Unshared(&mut guest.memory);
        // Room for one entry and a part of the next.
        let buffer = GuestPtr::new(BUFFER);
        let listed = guest.context.fd_readdir(&mut memory, 3.into(), buffer, 40, cookie);
        let count = listed.await.unwrap() as usize;
        let filled = &guest.memory[BUFFER as usize..][..count];
        if count < 24 {
            break;
        }
        cookie = u64::from_le_bytes(filled[..8].try_into().unwrap());
        let length = u32::from_le_bytes(filled[16..20].try_into().unwrap()) as usize;
        names.push(String::from_utf8(filled[24..24 + length].to_vec()).unwrap());
    }
    assert_eq!(names, [".", "..", "one", "two"]);
}

#[tokio::test]
async fn what_was_not_opened_for_it_is_refused() {
    let mut guest = Guest::new(0);
    let fd = guest.open(3, "a", Oflags::CREAT).await.unwrap();
    let path = guest.path("a");
    let (lookup, flags) = (Lookupflags::empty(), Fdflags::empty());
    let (none, read) = (Rights::empty(), Rights::FD_READ);
    let mut memory = GuestMemory::Unshared(&mut guest.memory);
    let read_only = guest
        .context
        .path_open(&mut memory, 3.into(), lookup, path, Oflags::empty(), read, none, flags)
        .await
        .unwrap();
    fails(guest.write(read_only.into(), b"x").await, Errno::Badf);
    fails(guest.write(3, b"x").await, Errno::Isdir);
    fails(guest.open(fd, "b", Oflags::CREAT).await, Errno::Notdir);
    fails(guest.open(3, "../a", Oflags::CREAT).await, Errno::Perm);
    fails(guest.open(1, "a", Oflags::empty()).await, Errno::Badf);
    fails(guest.open(99, "a", Oflags::empty()).await, Errno::Badf);
}
