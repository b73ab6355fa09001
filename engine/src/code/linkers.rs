//! Linkers with everything a guest may import, made once per engine; those that few functions need, when the first one does.

use std::sync::OnceLock;

use hearth_host_api::tmp::{self, Preview1};
use hearth_host_api::{core_imports, view};
use wasmtime::Linker;
use wasmtime::component::Linker as ComponentLinker;

use crate::state::{ComponentState, CoreState};

/// All of them. Those with a `/tmp` have other functions for files; functions without one never meet these.
pub(crate) struct Linkers {
    pub(super) core: Linker<CoreState<()>>,
    core_wasi: Linker<CoreState<Preview1>>,
    core_tmp: OnceLock<Linker<CoreState<Preview1>>>,
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
            core_tmp: OnceLock::new(),
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
        has_tmp: bool,
    ) -> wasmtime::Result<&Linker<CoreState<Preview1>>> {
        if !has_tmp {
            return Ok(&self.core_wasi);
        }
        made(&self.core_tmp, || {
            let mut linker = Linker::new(engine);
            core_imports::add_to_linker(&mut linker)?;
            Preview1::add_with_tmp(&mut linker, |state: &mut CoreState<Preview1>| &mut state.wasi)?;
            Ok(linker)
        })
    }

    /// The linker for components of WASI 0.2.
    pub(super) fn component(
        &self,
        engine: &wasmtime::Engine,
        has_tmp: bool,
    ) -> wasmtime::Result<&ComponentLinker<ComponentState>> {
        if !has_tmp {
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
        has_tmp: bool,
    ) -> wasmtime::Result<&ComponentLinker<ComponentState>> {
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
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    view::add_component_imports(&mut linker)?;
    Ok(linker)
}

/// What is in the cell, or what is made for it now. Losing a race drops a linker nobody has used.
fn made<T>(cell: &OnceLock<T>, make: impl FnOnce() -> wasmtime::Result<T>) -> wasmtime::Result<&T> {
    if let Some(linker) = cell.get() {
        return Ok(linker);
    }
    let linker = make()?;
    Ok(cell.get_or_init(|| linker))
}
