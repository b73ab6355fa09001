//! Linkers with everything a guest may import, made once per engine; those that few functions need, when the first one does.

use std::sync::OnceLock;

use hearth_host_api::preview1::Preview1;
use hearth_host_api::{Grants, core_imports, tmp, view};
use wasmtime::Linker;
use wasmtime::component::{HasData, Linker as ComponentLinker, ResourceTable};

use crate::state::{ComponentState, CoreState};

/// What files a function has. It decides what it is linked with: functions without never meet what others need for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Files {
    None,
    /// Directories of the host.
    Host,
    /// A `/tmp`, and maybe directories of the host.
    Tmp,
}

impl Files {
    pub(crate) fn of(grants: &Grants) -> Self {
        match (&grants.tmp, grants.directories.is_empty()) {
            (Some(_), _) => Self::Tmp,
            (None, false) => Self::Host,
            (None, true) => Self::None,
        }
    }
}

/// All of them.
pub(crate) struct Linkers {
    pub(super) core: Linker<CoreState<()>>,
    core_wasi: Linker<CoreState<Preview1>>,
    core_files: OnceLock<Linker<CoreState<Preview1>>>,
    component: ComponentLinker<ComponentState>,
    component_tmp: OnceLock<ComponentLinker<ComponentState>>,
    /// For the engine with concurrency, made with it.
    concurrent: OnceLock<ComponentLinker<ComponentState>>,
    concurrent_tmp: OnceLock<ComponentLinker<ComponentState>>,
}

impl std::fmt::Debug for Linkers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linkers").finish_non_exhaustive()
    }
}

impl Linkers {
    pub(crate) fn new(engine: &wasmtime::Engine) -> wasmtime::Result<Self> {
        let mut core = Linker::new(engine);
        core_imports::add_to_linker(&mut core)?;
        let mut core_wasi = Linker::new(engine);
        core_imports::add_to_linker(&mut core_wasi)?;
        Preview1::add_plain(&mut core_wasi, |state: &mut CoreState<Preview1>| &mut state.wasi)?;
        Ok(Self {
            core,
            core_wasi,
            core_files: OnceLock::new(),
            component: plain(engine)?,
            component_tmp: OnceLock::new(),
            concurrent: OnceLock::new(),
            concurrent_tmp: OnceLock::new(),
        })
    }

    /// The linker for core modules that import WASI.
    pub(super) fn core_wasi(
        &self,
        engine: &wasmtime::Engine,
        files: Files,
    ) -> wasmtime::Result<&Linker<CoreState<Preview1>>> {
        if files == Files::None {
            return Ok(&self.core_wasi);
        }
        made(&self.core_files, || {
            let mut linker = Linker::new(engine);
            core_imports::add_to_linker(&mut linker)?;
            type State = CoreState<Preview1>;
            Preview1::add_with_files(&mut linker, |state: &mut State| &mut state.wasi)?;
            Ok(linker)
        })
    }

    /// The linker for components of WASI 0.2.
    pub(super) fn component(
        &self,
        engine: &wasmtime::Engine,
        files: Files,
    ) -> wasmtime::Result<&ComponentLinker<ComponentState>> {
        if files != Files::Tmp {
            return Ok(&self.component);
        }
        made(&self.component_tmp, || {
            let mut linker = plain(engine)?;
            tmp::add_to_component_linker(&mut linker)?;
            Ok(linker)
        })
    }

    /// The linker for components of WASI 0.3, which may import 0.2 as well.
    pub(super) fn concurrent(
        &self,
        engine: &wasmtime::Engine,
        files: Files,
    ) -> wasmtime::Result<&ComponentLinker<ComponentState>> {
        let has_tmp = files == Files::Tmp;
        let cell = if has_tmp { &self.concurrent_tmp } else { &self.concurrent };
        made(cell, || {
            let mut linker = plain(engine)?;
            wasmtime_wasi::p3::add_to_linker(&mut linker)?;
            wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
            if has_tmp {
                tmp::add_to_component_linker(&mut linker)?;
                tmp::add_to_concurrent_linker(&mut linker)?;
            }
            Ok(linker)
        })
    }
}

/// What every component may import.
fn plain(engine: &wasmtime::Engine) -> wasmtime::Result<ComponentLinker<ComponentState>> {
    let mut linker = ComponentLinker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    add_streams(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    view::add_component_imports(&mut linker)?;
    Ok(linker)
}

/// Handles, as `wasi:io` finds them.
struct Handles;

impl HasData for Handles {
    type Data<'a> = &'a mut ResourceTable;
}

/// `wasi:io` again, in place of what went by way of the WASI context: a guest that writes its answer to a stream needs none.
fn add_streams(linker: &mut ComponentLinker<ComponentState>) -> wasmtime::Result<()> {
    use wasmtime_wasi_io::bindings::wasi::io::{error, poll, streams};
    linker.allow_shadowing(true);
    error::add_to_linker::<_, Handles>(linker, ComponentState::table)?;
    poll::add_to_linker::<_, Handles>(linker, ComponentState::table)?;
    streams::add_to_linker::<_, Handles>(linker, ComponentState::table)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// What is in the cell, or what is made for it now. Losing a race drops a linker nobody has used.
fn made<T>(cell: &OnceLock<T>, make: impl FnOnce() -> wasmtime::Result<T>) -> wasmtime::Result<&T> {
    if let Some(linker) = cell.get() {
        return Ok(linker);
    }
    let linker = make()?;
    Ok(cell.get_or_init(|| linker))
}
