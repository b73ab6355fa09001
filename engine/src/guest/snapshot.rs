//! Takes the state of an initialised instance and makes new code of it, by wizer.
//!
//! Wizer reads globals and memories through exports that it adds first ([`instrument`]); what it cannot carry over (tables that change,
//! imported memories, references in globals) it refuses when it sees the code. What it cannot see is refused here: handles of the
//! host that the guest kept, and files in its `/tmp`. All of this reads a whole module or memory: keep it off async workers.

use hearth_host_api::preview1::Preview1;
use wasmtime::component::{Lift, WasmList};
use wasmtime::{Extern, Store, Val};
use wasmtime_wizer::{ComponentInstanceState, InstanceState, SnapshotVal, ValType, Wizer};

use crate::state::{ComponentState, CoreState};

/// Wizer takes the initializer of a core module out of the code, because it has run. That of a component stays, unused.
fn wizer() -> Wizer {
    let mut wizer = Wizer::new();
    wizer.init_func(hearth_host_api::core_abi::INITIALIZE_EXPORT);
    wizer
}

/// The code with what is needed to read its state.
///
/// # Errors
/// What in the code cannot be carried over.
pub(crate) fn instrument(code: &[u8], is_component: bool) -> Result<Vec<u8>, String> {
    let instrumented = if is_component {
        wizer().instrument_component(code).map(|(_, code)| code)
    } else {
        wizer().instrument(code).map(|(_, code)| code)
    };
    instrumented.map_err(|why| format!("{why:#}"))
}

/// An initialised instance of instrumented code.
pub(crate) trait Initialised {
    /// New code, whose instances begin where this one is. `code` is what was instrumented.
    ///
    /// # Errors
    /// What this instance holds that cannot be carried over.
    async fn snapshot(&mut self, code: &[u8]) -> Result<Vec<u8>, String>;
}

/// What a core instance may hold beside its memory.
pub(crate) trait Held {
    /// What it holds that would be gone.
    fn holds(&mut self) -> Option<&'static str>;
}

impl Held for () {
    fn holds(&mut self) -> Option<&'static str> {
        None
    }
}

impl Held for Preview1 {
    fn holds(&mut self) -> Option<&'static str> {
        self.has_open_files().then_some(FILES)
    }
}

const FILES: &str =
    "its initializer left files open, or wrote some to /tmp, which every instance has for itself";
const HANDLES: &str = "what it printed to, opened or connected to is the host's and cannot be carried over: log through wasi:logging \
                       there, and leave printing, files and connections to the handler";

/// A core instance whose state is read.
pub(crate) struct CoreSource<'a, W: 'static> {
    pub(crate) store: &'a mut Store<CoreState<W>>,
    pub(crate) instance: wasmtime::Instance,
}

impl<W: Held + Send + 'static> Initialised for CoreSource<'_, W> {
    async fn snapshot(&mut self, code: &[u8]) -> Result<Vec<u8>, String> {
        if let Some(held) = self.store.data_mut().wasi.holds() {
            return Err(held.to_owned());
        }
        let (context, _) = wizer().instrument(code).map_err(|why| format!("{why:#}"))?;
        let mut state =
            CoreReader { store: &mut *self.store, instance: self.instance, missing: None };
        let taken = wizer().snapshot(&context, &mut state).await;
        finish(taken, state.missing)
    }
}

fn finish(taken: wasmtime::Result<Vec<u8>>, missing: Option<String>) -> Result<Vec<u8>, String> {
    match missing {
        Some(missing) => Err(missing),
        None => taken.map_err(|why| format!("{why:#}")),
    }
}

/// Reads the state of a core instance. Wizer takes no error, so the first is kept for the end.
struct CoreReader<'a, W: 'static> {
    store: &'a mut Store<CoreState<W>>,
    instance: wasmtime::Instance,
    missing: Option<String>,
}

impl<W: Send + 'static> InstanceState for CoreReader<'_, W> {
    async fn global_get(&mut self, name: &str, _: ValType) -> SnapshotVal {
        let global = self.instance.get_export(&mut *self.store, name).and_then(Extern::into_global);
        match global.map(|global| global.get(&mut *self.store)) {
            Some(Val::I32(value)) => SnapshotVal::I32(value),
            Some(Val::I64(value)) => SnapshotVal::I64(value),
            Some(Val::F32(bits)) => SnapshotVal::F32(bits),
            Some(Val::F64(bits)) => SnapshotVal::F64(bits),
            Some(Val::V128(value)) => SnapshotVal::V128(value.as_u128()),
            _ => {
                self.missing.get_or_insert_with(|| format!("global `{name}` cannot be read"));
                SnapshotVal::I32(0)
            }
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        match self.instance.get_memory(&mut *self.store, name) {
            Some(memory) => contents(memory.data(&*self.store)),
            None => {
                self.missing.get_or_insert_with(|| format!("memory `{name}` cannot be read"));
                contents(&[]);
            }
        }
    }
}

/// A component instance whose state is read.
pub(crate) struct ComponentSource<'a> {
    pub(crate) store: &'a mut Store<ComponentState>,
    pub(crate) instance: wasmtime::component::Instance,
}

impl Initialised for ComponentSource<'_> {
    async fn snapshot(&mut self, code: &[u8]) -> Result<Vec<u8>, String> {
        let handles = self.store.data_mut().handles();
        if !handles.is_empty() {
            let kinds = Vec::from_iter(handles).join(", ");
            return Err(format!("its initializer kept handles of the host ({kinds}); {HANDLES}"));
        }
        if self.store.data().has_written_tmp() {
            return Err(FILES.to_owned());
        }
        let (context, _) = wizer().instrument_component(code).map_err(|why| format!("{why:#}"))?;
        let (store, instance) = (&mut *self.store, self.instance);
        // What bounds a guest's calls would stop whole memories, which are bounded already.
        store.set_hostcall_fuel(usize::MAX);
        let mut state = ComponentReader { store, instance, missing: None };
        let taken = wizer().snapshot_component(&context, &mut state).await;
        finish(taken, state.missing)
    }
}

/// Reads the state of a component's core instances through functions that wizer added.
struct ComponentReader<'a> {
    store: &'a mut Store<ComponentState>,
    instance: wasmtime::component::Instance,
    missing: Option<String>,
}

impl ComponentReader<'_> {
    async fn call<R: Lift + Send + Sync + 'static>(
        &mut self,
        instance: &str,
        function: &str,
    ) -> Option<R> {
        let called = self.try_call(instance, function).await;
        called
            .map_err(|why| {
                let missing = format!("its state cannot be read (`{function}`): {why:#}");
                self.missing.get_or_insert(missing);
            })
            .ok()
    }

    async fn try_call<R: Lift + Send + Sync + 'static>(
        &mut self,
        instance: &str,
        function: &str,
    ) -> wasmtime::Result<R> {
        let missing = || wasmtime::format_err!("no such export");
        let found = self.instance.get_export_index(&mut *self.store, None, instance);
        let instance = found.ok_or_else(missing)?;
        let found = self.instance.get_export_index(&mut *self.store, Some(&instance), function);
        let function = found.ok_or_else(missing)?;
        let function = self.instance.get_typed_func::<(), (R,)>(&mut *self.store, function)?;
        Ok(function.call_async(&mut *self.store, ()).await?.0)
    }
}

impl ComponentInstanceState for ComponentReader<'_> {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        match self.call::<WasmList<u8>>(instance, func).await {
            Some(list) => contents(list.as_le_slice(&*self.store)),
            None => contents(&[]),
        }
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.call(instance, func).await.unwrap_or_default()
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.call(instance, func).await.unwrap_or_default()
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.call::<f32>(instance, func).await.unwrap_or_default().to_bits()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.call::<f64>(instance, func).await.unwrap_or_default().to_bits()
    }
}
