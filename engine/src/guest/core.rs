//! Calls kind 4 guests: core modules with `memory`, `alloc` and `handle`, as docs/core-abi.md has it to the byte.
//!
//! The same steps run with or without a fiber. Without one a call costs a tenth, but cannot yield: the caller allows it only
//! where no import can block, and for a slice of time.

use bytes::Bytes;
use hearth_host_api::core_abi::{
    ALLOC_EXPORT, AbiViolation, FREE_EXPORT, HANDLE_EXPORT, INITIALIZE_EXPORT, MEMORY_EXPORT,
    REACTOR_EXPORT, RangeOf, checked_event, unpack,
};
use wasmtime::{Extern, Instance, InstancePre, Memory, Module, ModuleExport, Store, TypedFunc};
use wasmtime::{WasmParams, WasmResults};

use crate::Fault;
use crate::fault::{CallFailure, bounded};
use crate::guest::snapshot::CoreSource;
use crate::state::{CoreState, HasLedger};

/// Lines kept of the stack that a guest reports.
const STACK_LINES_MAX: usize = 32;

/// How a call enters the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// On the caller's stack: cheap, but the thread does nothing else meanwhile.
    Direct,
    /// On a stack of its own, from which it can yield.
    Fiber,
}

/// Where a module's exports are; found once, when it is loaded.
pub(crate) struct CoreExports {
    memory: ModuleExport,
    alloc: ModuleExport,
    handle: ModuleExport,
    free: Option<ModuleExport>,
    initialize: Option<ModuleExport>,
    reactor: Option<ModuleExport>,
}

impl CoreExports {
    /// Finds the exports and checks their types.
    ///
    /// # Errors
    /// Which export is missing or has which other type.
    pub(crate) fn find(module: &Module) -> Result<Self, String> {
        check_memory(module)?;
        check(module, ALLOC_EXPORT, "(i32) -> i32", &["i32"], &["i32"])?;
        check(module, HANDLE_EXPORT, "(i32, i32) -> i64", &["i32", "i32"], &["i64"])?;
        let index = |name: &str| module.get_export_index(name);
        let needed = |name: &str| index(name).ok_or_else(|| format!("export `{name}` is missing"));
        Ok(Self {
            memory: needed(MEMORY_EXPORT)?,
            alloc: needed(ALLOC_EXPORT)?,
            handle: needed(HANDLE_EXPORT)?,
            free: optional(module, FREE_EXPORT, "(i32, i32) -> ()", &["i32", "i32"], &[])?,
            initialize: optional(module, INITIALIZE_EXPORT, "() -> i32", &[], &["i32"])?,
            reactor: optional(module, REACTOR_EXPORT, "() -> ()", &[], &[])?,
        })
    }
}

impl CoreExports {
    pub(crate) fn has_initializer(&self) -> bool {
        self.initialize.is_some() || self.reactor.is_some()
    }
}

fn optional(
    module: &Module,
    name: &str,
    wanted: &str,
    parameters: &[&str],
    results: &[&str],
) -> Result<Option<ModuleExport>, String> {
    let Some(index) = module.get_export_index(name) else { return Ok(None) };
    check(module, name, wanted, parameters, results)?;
    Ok(Some(index))
}

fn check_memory(module: &Module) -> Result<(), String> {
    let memory = module.get_export(MEMORY_EXPORT).and_then(|export| export.memory().cloned());
    match memory {
        None => Err(format!("export `{MEMORY_EXPORT}` is not a memory")),
        Some(memory) if memory.is_64() => {
            Err(format!("export `{MEMORY_EXPORT}` has 64-bit indices; pointers here are 32-bit"))
        }
        Some(memory) if memory.is_shared() => Err(format!("export `{MEMORY_EXPORT}` is shared")),
        Some(_) => Ok(()),
    }
}

fn check(
    module: &Module,
    name: &str,
    wanted: &str,
    parameters: &[&str],
    results: &[&str],
) -> Result<(), String> {
    let Some(export) = module.get_export(name) else {
        return Err(format!("export `{name}` is missing"));
    };
    let Some(function) = export.func() else {
        return Err(format!("export `{name}` is not a function; wanted {wanted}"));
    };
    let found_parameters: Vec<String> = function.params().map(|ty| ty.to_string()).collect();
    let found_results: Vec<String> = function.results().map(|ty| ty.to_string()).collect();
    if found_parameters == parameters && found_results == results {
        return Ok(());
    }
    let found = format!("({}) -> ({})", found_parameters.join(", "), found_results.join(", "));
    Err(format!("export `{name}` has type {found}; wanted {wanted}"))
}

/// One instance of a kind 4 guest.
pub(crate) struct CoreGuest<W: Send + 'static> {
    pub(crate) store: Store<CoreState<W>>,
    instance: Instance,
    memory: Memory,
    alloc: TypedFunc<u32, i32>,
    handle: TypedFunc<(u32, u32), i64>,
    free: Option<TypedFunc<(u32, u32), ()>>,
}

impl<W: Send + 'static> CoreGuest<W> {
    /// Makes an instance ready for its first event.
    pub(crate) async fn start(
        mut store: Store<CoreState<W>>,
        pre: &InstancePre<CoreState<W>>,
        exports: &CoreExports,
    ) -> Result<Self, CallFailure> {
        store.data_mut().begin();
        store.data_mut().may_fail = false;
        let instance = pre.instantiate_async(&mut store).await?;
        let memory = memory_of(&mut store, &instance, &exports.memory)?;
        store.data_mut().memory = Some(memory);
        store.data_mut().may_fail = true;
        if let Some(reactor) = &exports.reactor {
            let reactor: TypedFunc<(), ()> = typed(&mut store, &instance, reactor)?;
            reactor.call_async(&mut store, ()).await?;
        }
        if let Some(initialize) = &exports.initialize {
            let initialize: TypedFunc<(), i32> = typed(&mut store, &instance, initialize)?;
            let code = initialize.call_async(&mut store, ()).await?;
            if code != 0 && store.data().failed.is_none() {
                return Err(AbiViolation::InitializeFailed { code }.into());
            }
        }
        if let Some(text) = store.data_mut().failed.take() {
            return Err(CallFailure::Fault(error_document(&text)));
        }
        Ok(Self {
            alloc: typed(&mut store, &instance, &exports.alloc)?,
            handle: typed(&mut store, &instance, &exports.handle)?,
            free: match &exports.free {
                Some(free) => Some(typed(&mut store, &instance, free)?),
                None => None,
            },
            instance,
            memory,
            store,
        })
    }

    /// Its state, to be read.
    pub(crate) fn source(&mut self) -> CoreSource<'_, W> {
        CoreSource { store: &mut self.store, instance: self.instance }
    }

    /// Serves one event; the store is armed already.
    pub(crate) async fn call(
        &mut self,
        entry: Entry,
        event: &[u8],
        answer_bytes: u64,
    ) -> Result<Bytes, CallFailure> {
        self.store.data_mut().begin();
        self.store.set_epoch_deadline(1);
        let length = u32::try_from(event.len()).unwrap_or(u32::MAX);
        let pointer = self.place(entry, event, length).await?;
        let packed = enter(&self.handle, &mut self.store, (pointer, length), entry).await?;
        let answer = match self.store.data_mut().failed.take() {
            Some(text) => Err(CallFailure::Fault(error_document(&text))),
            None => self.answer(packed, answer_bytes),
        };
        if length > 0
            && is_in_order(&answer)
            && let Some(free) = &self.free
        {
            self.store.data_mut().may_fail = false;
            enter(free, &mut self.store, (pointer, length), entry).await?;
        }
        answer
    }

    /// Puts the event where the guest wants it.
    async fn place(&mut self, entry: Entry, event: &[u8], length: u32) -> Result<u32, CallFailure> {
        if length == 0 {
            return Ok(0);
        }
        let pointer = enter(&self.alloc, &mut self.store, length, entry).await?;
        let memory = self.memory.data_mut(&mut self.store);
        let range = checked_event(pointer, length, memory.len())?;
        if let Some(to) = memory.get_mut(range) {
            to.copy_from_slice(event);
        }
        Ok(pointer.cast_unsigned())
    }

    fn answer(&self, packed: i64, limit_bytes: u64) -> Result<Bytes, CallFailure> {
        let span = unpack(packed);
        if span.length == 0 {
            return Ok(Bytes::new());
        }
        let memory = self.memory.data(&self.store);
        let range = span.checked(RangeOf::Answer, memory.len())?;
        let size_bytes = u64::from(span.length);
        if size_bytes > limit_bytes {
            return Err(CallFailure::Fault(Fault::AnswerTooLarge { limit_bytes, size_bytes }));
        }
        Ok(Bytes::copy_from_slice(memory.get(range).unwrap_or_default()))
    }
}

/// Whether the guest ended in good order, so that it may be called again.
fn is_in_order(answer: &Result<Bytes, CallFailure>) -> bool {
    match answer {
        Ok(_) => true,
        Err(CallFailure::Fault(fault)) => {
            matches!(fault, Fault::Returned { .. } | Fault::AnswerTooLarge { .. })
        }
        Err(CallFailure::Ended(_) | CallFailure::Interrupted(_)) => false,
    }
}

async fn enter<P, R, T>(
    function: &TypedFunc<P, R>,
    store: &mut Store<T>,
    parameters: P,
    entry: Entry,
) -> wasmtime::Result<R>
where
    P: WasmParams + Sync,
    R: WasmResults + Sync,
    T: HasLedger + Send,
{
    match entry {
        Entry::Direct => function.call(store, parameters),
        Entry::Fiber => function.call_async(store, parameters).await,
    }
}

fn memory_of<T>(
    store: &mut Store<T>,
    instance: &Instance,
    export: &ModuleExport,
) -> Result<Memory, CallFailure> {
    instance
        .get_module_export(store, export)
        .and_then(Extern::into_memory)
        .ok_or_else(|| bad_export(MEMORY_EXPORT))
}

fn typed<T, P: WasmParams, R: WasmResults>(
    store: &mut Store<T>,
    instance: &Instance,
    export: &ModuleExport,
) -> Result<TypedFunc<P, R>, CallFailure> {
    let function = instance
        .get_module_export(&mut *store, export)
        .and_then(Extern::into_func)
        .ok_or_else(|| bad_export("function"))?;
    Ok(function.typed(&*store)?)
}

/// The types were checked when the module was loaded, so this is the host's mistake; it still costs one invocation only.
fn bad_export(what: &str) -> CallFailure {
    CallFailure::Ended(wasmtime::Error::msg(format!("export `{what}` has gone")))
}

/// Reads what `hearth.fail` was given: a JSON error document, or plain text.
fn error_document(text: &[u8]) -> Fault {
    let document: Option<serde_json::Value> = serde_json::from_slice(text).ok();
    let member = |name: &str| document.as_ref().and_then(|document| document.get(name));
    let text_of = |name: &str| member(name).and_then(serde_json::Value::as_str);
    let Some(message) = text_of("errorMessage") else {
        return Fault::Returned {
            kind: Some("FunctionError".to_owned()),
            message: String::from_utf8_lossy(text).into_owned(),
            stack: Vec::new(),
        };
    };
    let stack = member("stackTrace").and_then(serde_json::Value::as_array);
    let lines = stack.into_iter().flatten().filter_map(serde_json::Value::as_str);
    Fault::Returned {
        kind: Some(bounded(text_of("errorType").unwrap_or("FunctionError"))),
        message: message.to_owned(),
        stack: lines.take(STACK_LINES_MAX).map(bounded).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_document_is_read_and_plain_text_is_kept() {
        let document =
            br#"{"errorMessage":"no","errorType":"OutOfStock","stackTrace":["a",1,"b"]}"#;
        assert_eq!(
            error_document(document),
            Fault::Returned {
                kind: Some("OutOfStock".to_owned()),
                message: "no".to_owned(),
                stack: vec!["a".to_owned(), "b".to_owned()],
            }
        );
        for text in ["plain", "{\"other\":1}", "[1", "\u{fffd}"] {
            let Fault::Returned { kind, message, .. } = error_document(text.as_bytes()) else {
                panic!("not returned")
            };
            assert_eq!((kind.as_deref(), message.as_str()), (Some("FunctionError"), text));
        }
    }
}
