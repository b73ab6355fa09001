//! `/tmp` of one instance, shown to guests as `wasi:filesystem` 0.2 and 0.3: in memory, beside the host directories that were granted. Preview 1 has
//! its own file, [`preview1`](crate::preview1).
//!
//! What a guest does to a descriptor of `/tmp` is answered by [`memory_fs`](crate::memory_fs), everything else by `wasmtime-wasi`.
//! All are linked only for functions that were granted a `/tmp`; the others keep `wasmtime-wasi`'s own functions.

pub(crate) mod codes;
mod component;
mod concurrent;
mod concurrent_streams;
pub(crate) mod descriptor;
mod listing;
mod streams;

#[cfg(test)]
mod component_tests;

use std::marker::PhantomData;

use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};

pub use self::component::TmpFilesystem;
pub use self::concurrent::add_to_concurrent_linker;
use crate::memory_fs::Disk;

/// Where a guest sees it.
pub const TMP_PATH: &str = "/tmp";

/// Bytes that one read copies at most; a guest that wants more reads again.
pub(crate) const READ_BYTES_MAX: usize = 64 << 10;

/// What the file system's imports need of a component's store data.
pub trait TmpView: Send {
    /// WASI's own file system, and the instance's `/tmp` if it has one.
    fn tmp(&mut self) -> (WasiFilesystemCtxView<'_>, Option<Disk>);
}

/// Tells wasmtime's bindings that an import call borrows the store's data as a [`TmpFilesystem`].
#[derive(Debug)]
struct Borrows<T>(PhantomData<T>);

impl<T: 'static> HasData for Borrows<T> {
    type Data<'a> = TmpFilesystem<'a>;
}

fn borrow<T: TmpView>(state: &mut T) -> TmpFilesystem<'_> {
    let (wasi, disk) = state.tmp();
    TmpFilesystem::new(wasi, disk)
}

/// Links `wasi:filesystem` 0.2 with `/tmp` over what `linker` has under these names already.
///
/// # Errors
/// When the imports cannot be defined.
pub fn add_to_component_linker<T: TmpView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    types::add_to_linker::<T, Borrows<T>>(linker, borrow)?;
    preopens::add_to_linker::<T, Borrows<T>>(linker, borrow)?;
    linker.allow_shadowing(false);
    Ok(())
}
