//! `wasi:filesystem` 0.2 on `/tmp`, called as a component calls it: beside a directory of the host, in one table of handles.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorType, ErrorCode, Host as _, HostDescriptor,
    HostDirectoryEntryStream, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{FsResult, StreamError};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::{TmpFilesystem, TmpView};
use crate::memory_fs::{Bounds, Disk, Unmetered};

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    disk: Disk,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl TmpView for State {
    fn tmp(&mut self) -> (WasiFilesystemCtxView<'_>, Option<Disk>) {
        let disk = self.disk.clone();
        (self.filesystem(), Some(disk))
    }
}

impl State {
    fn new() -> Self {
        let mut wasi = WasiCtxBuilder::new();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
        wasi.preopened_dir(source, "/src", FsPerms::ReadOnly).unwrap();
        let bounds = Bounds { bytes: 1 << 16, nodes: 8 };
        let disk = Disk::new(bounds, Arc::new(Unmetered));
        Self { wasi: wasi.build(), table: ResourceTable::new(), disk }
    }

    fn fs(&mut self) -> TmpFilesystem<'_> {
        let (wasi, disk) = self.tmp();
        TmpFilesystem::new(wasi, disk)
    }

    /// The directory of the host, and `/tmp`.
    fn directories(&mut self) -> [Resource<Descriptor>; 2] {
        let found = self.fs().get_directories().unwrap();
        let names: Vec<_> = found.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["/src", "/tmp"]);
        found.into_iter().map(|(fd, _)| fd).collect::<Vec<_>>().try_into().unwrap()
    }

    async fn open(
        &mut self,
        at: &Resource<Descriptor>,
        path: &str,
        how: OpenFlags,
    ) -> FsResult<Resource<Descriptor>> {
        self.open_as(at, path, how, DescriptorFlags::READ | DescriptorFlags::WRITE).await
    }

    async fn open_as(
        &mut self,
        at: &Resource<Descriptor>,
        path: &str,
        how: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        self.fs().open_at(again(at), PathFlags::empty(), path.to_owned(), how, flags).await
    }
}

fn again<T: 'static>(held: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(held.rep())
}

#[track_caller]
fn fails<T>(found: FsResult<T>, expected: ErrorCode) {
    let Err(error) = found else { panic!("it went well") };
    assert_eq!(error.downcast().unwrap(), expected);
}

#[tokio::test]
async fn both_file_systems_are_reached_and_kept_apart() {
    let mut state = State::new();
    let [host, tmp] = state.directories();
    let seen = state.open_as(&host, "lib.rs", OpenFlags::empty(), DescriptorFlags::READ).await;
    let made = state.open(&tmp, "made", OpenFlags::CREATE).await;
    for (fd, opened) in [(&host, seen), (&tmp, made)] {
        let opened = opened.unwrap();
        let found = state.fs().get_type(again(&opened)).await.unwrap();
        assert!(matches!(found, DescriptorType::RegularFile), "{found:?}");
        assert!(state.fs().is_same_object(again(&opened), again(&opened)).await.unwrap());
        assert!(!state.fs().is_same_object(again(&opened), again(fd)).await.unwrap());
        HostDescriptor::drop(&mut state.fs(), opened).unwrap();
    }
    assert!(!state.fs().is_same_object(again(&host), again(&tmp)).await.unwrap());
    let moved = state.fs().rename_at(again(&tmp), "made".into(), again(&host), "made".into()).await;
    fails(moved, ErrorCode::CrossDevice);
    let linked = state.fs().symlink_at(again(&tmp), "made".into(), "other".into()).await;
    fails(linked, ErrorCode::Unsupported);
    fails(state.open(&host, "made", OpenFlags::CREATE).await, ErrorCode::NotPermitted);
    fails(state.open(&tmp, "../lib.rs", OpenFlags::empty()).await, ErrorCode::NotPermitted);
}

#[tokio::test]
async fn handles_go_with_what_they_hold() {
    let mut state = State::new();
    let [_, tmp] = state.directories();
    let file = state.open(&tmp, "a", OpenFlags::CREATE).await.unwrap();
    let written = state.fs().write(again(&file), vec![1; 5000], 0).await.unwrap();
    assert_eq!((written, state.disk.bytes_held()), (5000, 8192));
    let stream = state.fs().read_via_stream(again(&file), 4999).unwrap();
    state.fs().unlink_file_at(again(&tmp), "a".to_owned()).await.unwrap();
    HostDescriptor::drop(&mut state.fs(), file).unwrap();
    assert_eq!(state.disk.bytes_held(), 8192, "the stream still reads it");
    let reader = state.table.get_mut(&stream).unwrap();
    assert_eq!(reader.read(10).unwrap(), Bytes::from_static(&[1]));
    assert!(matches!(reader.read(10), Err(StreamError::Closed)));
    state.table.delete(stream).unwrap();
    assert_eq!(state.disk.bytes_held(), 0);
}

#[tokio::test]
async fn a_stream_over_the_bound_fails_with_a_code_and_closes() {
    let mut state = State::new();
    let [_, tmp] = state.directories();
    let file = state.open(&tmp, "a", OpenFlags::CREATE).await.unwrap();
    let stream = state.fs().append_via_stream(again(&file)).unwrap();
    let writer = state.table.get_mut(&stream).unwrap();
    writer.write(Bytes::from(vec![2; 60_000])).unwrap();
    let Err(StreamError::LastOperationFailed(error)) = writer.write(vec![3; 60_000].into()) else {
        panic!("there is no room for it")
    };
    assert!(matches!(writer.check_write(), Err(StreamError::Closed)));
    assert!(matches!(writer.write(Bytes::from_static(b"x")), Err(StreamError::Closed)));
    let error = state.table.push(error).unwrap();
    let code = state.fs().filesystem_error_code(error).unwrap();
    assert!(matches!(code, Some(ErrorCode::InsufficientSpace)), "{code:?}");
    assert_eq!(state.fs().stat(file).await.unwrap().size, 65_536);
}

#[tokio::test]
async fn listings_of_both_go_on_and_end() {
    let mut state = State::new();
    let [host, tmp] = state.directories();
    for name in ["b", "a"] {
        state.open(&tmp, name, OpenFlags::CREATE).await.unwrap();
    }
    for (fd, expected) in [(&tmp, vec!["b", "a"]), (&host, vec!["grant.rs", "lib.rs", "tmp"])] {
        let listing = state.fs().read_directory(again(fd)).await.unwrap();
        let mut names = Vec::new();
        while let Some(entry) = state.fs().read_directory_entry(again(&listing)).await.unwrap() {
            names.push(entry.name);
        }
        assert!(expected.iter().all(|name| names.iter().any(|found| found == name)), "{names:?}");
        HostDirectoryEntryStream::drop(&mut state.fs(), listing).unwrap();
    }
}
