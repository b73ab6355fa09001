//! The code of a function in memory: mapped, linked against the host and with its exports found, shared by every revision of
//! the same content.

use hearth_host_api::bindings::{EventExports, find_websocket, websocket};
use hearth_host_api::preview1::Preview1;
use wasmtime::component::{Component, InstancePre as ComponentPre};
use wasmtime::{InstancePre, Linker, Module};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::artifact::{ArtifactKey, Loaded};
use crate::guest::core::CoreExports;
use crate::state::{ComponentState, CoreState};
use crate::{GuestKind, LoadError, Tier};

mod linkers;

pub(crate) use self::linkers::{Files, Linkers};

/// The preview 1 module of WASI.
const WASI_P1: &str = "wasi_snapshot_preview1";

/// Bytes in a page of linear memory; other sizes are a proposal that is off.
const WASM_PAGE_BYTES: u64 = 65_536;

/// Imports named in an error.
const IMPORTS_NAMED: usize = 20;

/// What code is of: the binary and all that its artifact depends on, and the files it is linked with.
pub(crate) type Content = (ArtifactKey, Files);

/// Linked code, by how it is called.
pub(crate) enum Linked {
    /// Kind 4 whose imports cannot block: may run without a fiber.
    Core(InstancePre<CoreState<()>>, CoreExports),
    /// Kind 4 that imports WASI.
    CoreWasi(InstancePre<CoreState<Preview1>>, CoreExports),
    /// A core command.
    Command(InstancePre<CoreState<Preview1>>),
    /// A component command.
    ComponentCommand(CommandPre<ComponentState>),
    /// An event component.
    Event(ComponentPre<ComponentState>, EventExports),
    /// An HTTP component of WASI 0.2.
    HttpP2(ProxyPre<ComponentState>),
    /// An HTTP component of WASI 0.3.
    HttpP3(ServicePre<ComponentState>),
}

/// What code is linked against.
struct Host<'a> {
    engine: &'a wasmtime::Engine,
    linkers: &'a Linkers,
    /// What files the function was granted.
    files: Files,
}

/// The code of a function, ready to be instantiated.
pub(crate) struct Code {
    pub(crate) kind: GuestKind,
    pub(crate) engine: wasmtime::Engine,
    pub(crate) linked: Linked,
    /// Where its WebSocket handler is, if it has one beside the other.
    pub(crate) websocket: Option<websocket::GuestIndices>,
    /// Whether its initializer has run: instances begin after it.
    pub(crate) is_initialised: bool,
    /// Where the full code will be, if this is of the fast tier and that is to follow.
    pub(crate) awaits: Option<Content>,
    /// Bytes that its largest memory starts with.
    pub(crate) memory_minimum: u64,
    pub(crate) memories: u32,
    pub(crate) tables: u32,
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Code").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Code {
    /// Links what was loaded.
    ///
    /// # Errors
    /// Imports that no host function offers are named; exports with the wrong type are [`LoadError::Invalid`].
    pub(crate) fn link(
        function: &str,
        kind: GuestKind,
        engine: &wasmtime::Engine,
        linkers: &Linkers,
        loaded: &Loaded,
        files: Files,
    ) -> Result<Self, LoadError> {
        let host = Host { engine, linkers, files };
        let invalid = |why: String| LoadError::Invalid { function: function.to_owned(), why };
        let (linked, websocket, required) = match loaded {
            Loaded::Module(module) => {
                let linked = link_module(function, kind, &host, module)?;
                (linked, None, Some(module.resources_required()))
            }
            Loaded::Component(component) => {
                let (linked, websocket) = link_component(function, kind, &host, component)?;
                (linked, websocket, component.resources_required())
            }
        };
        let required = required.ok_or_else(|| {
            invalid("it imports modules or components, which need a place to come from".to_owned())
        })?;
        let pages = required.max_initial_memory_size.unwrap_or(0);
        let memory_minimum = pages.saturating_mul(WASM_PAGE_BYTES);
        Ok(Self {
            kind,
            engine: engine.clone(),
            linked,
            websocket,
            is_initialised: false,
            awaits: None,
            memory_minimum,
            memories: required.num_memories,
            tables: required.num_tables,
        })
    }

    /// How much the compiler did for it.
    pub(crate) fn tier(&self) -> Tier {
        if self.awaits.is_some() { Tier::Fast } else { Tier::Full }
    }

    /// Whether instances run something of the guest's before their first event.
    pub(crate) fn has_initializer(&self) -> bool {
        match &self.linked {
            Linked::Core(_, exports) | Linked::CoreWasi(_, exports) => exports.has_initializer(),
            Linked::Event(_, exports) => exports.has_initializer(),
            Linked::Command(_)
            | Linked::ComponentCommand(_)
            | Linked::HttpP2(_)
            | Linked::HttpP3(_) => false,
        }
    }

    /// Whether a call may run without a fiber: no import can block.
    pub(crate) fn can_run_direct(&self) -> bool {
        matches!(self.linked, Linked::Core(..))
    }
}

fn link_module(
    function: &str,
    kind: GuestKind,
    host: &Host<'_>,
    module: &Module,
) -> Result<Linked, LoadError> {
    let invalid = |why: String| LoadError::Invalid { function: function.to_owned(), why };
    let core_wasi = || {
        let linker = host.linkers.core_wasi(host.engine, host.files);
        linker.map_err(|why| invalid(format!("{why:#}")))
    };
    let uses_wasi = module.imports().any(|import| import.module() == WASI_P1);
    match kind {
        GuestKind::Core if uses_wasi => {
            let pre = pre_of(function, core_wasi()?, module)?;
            Ok(Linked::CoreWasi(pre, CoreExports::find(module).map_err(invalid)?))
        }
        GuestKind::Core => {
            let pre = pre_of(function, &host.linkers.core, module)?;
            Ok(Linked::Core(pre, CoreExports::find(module).map_err(invalid)?))
        }
        GuestKind::Command
        | GuestKind::HttpP2
        | GuestKind::HttpP3
        | GuestKind::Event
        | GuestKind::CommandComponent => {
            Ok(Linked::Command(pre_of(function, core_wasi()?, module)?))
        }
    }
}

fn pre_of<T: 'static>(
    function: &str,
    linker: &Linker<T>,
    module: &Module,
) -> Result<InstancePre<T>, LoadError> {
    linker.instantiate_pre(module).map_err(|why| {
        let unknown = unknown_imports(module);
        if unknown.is_empty() {
            LoadError::Invalid { function: function.to_owned(), why: format!("{why:#}") }
        } else {
            LoadError::UnknownImports { function: function.to_owned(), imports: unknown }
        }
    })
}

/// Imports of `module` that no linker of ours has by name.
fn unknown_imports(module: &Module) -> Vec<String> {
    module
        .imports()
        .filter(|import| !is_offered(import.module(), import.name()))
        .map(|import| format!("{}::{}", import.module(), import.name()))
        .take(IMPORTS_NAMED)
        .collect()
}

/// Whether core modules may import this name. wasmtime's linker can only be asked with a store at hand.
fn is_offered(module: &str, name: &str) -> bool {
    use hearth_host_api::core_abi as abi;
    let hearth = [
        abi::LOG_IMPORT,
        abi::FAIL_IMPORT,
        abi::CONTEXT_IMPORT,
        abi::NOW_MS_IMPORT,
        abi::RANDOM_IMPORT,
    ];
    let env = [abi::ABORT_IMPORT, abi::TRACE_IMPORT, abi::SEED_IMPORT];
    match module {
        abi::HEARTH_MODULE => hearth.contains(&name),
        abi::ENV_MODULE => env.contains(&name),
        WASI_P1 => true,
        _ => false,
    }
}

fn link_component(
    function: &str,
    kind: GuestKind,
    host: &Host<'_>,
    component: &Component,
) -> Result<(Linked, Option<websocket::GuestIndices>), LoadError> {
    let invalid = |why: wasmtime::Error| LoadError::Invalid {
        function: function.to_owned(),
        why: format!("{why:#}"),
    };
    let linker = match kind {
        GuestKind::HttpP3 => host.linkers.concurrent(host.engine, host.files),
        _ => host.linkers.component(host.engine, host.files),
    }
    .map_err(invalid)?;
    let pre = linker
        .instantiate_pre(component)
        .map_err(|why| unknown_component_imports(function, &why))?;
    let websocket = find_websocket(&pre).map_err(invalid)?;
    let linked = match kind {
        GuestKind::HttpP2 => Linked::HttpP2(ProxyPre::new(pre).map_err(invalid)?),
        GuestKind::CommandComponent => {
            Linked::ComponentCommand(CommandPre::new(pre).map_err(invalid)?)
        }
        GuestKind::HttpP3 => Linked::HttpP3(ServicePre::new(pre).map_err(invalid)?),
        GuestKind::Event | GuestKind::Command | GuestKind::Core => {
            let exports = EventExports::find(&pre).map_err(invalid)?.ok_or_else(|| {
                LoadError::NoAcceptedKind {
                    function: function.to_owned(),
                    found: "a component whose exports this build does not call".to_owned(),
                }
            })?;
            Linked::Event(pre, exports)
        }
    };
    Ok((linked, websocket))
}

/// wasmtime names the first import it misses, between backquotes.
fn unknown_component_imports(function: &str, why: &wasmtime::Error) -> LoadError {
    let text = format!("{why:#}");
    let named = text.split('`').nth(1).filter(|_| text.contains("component imports"));
    match named {
        Some(import) => LoadError::UnknownImports {
            function: function.to_owned(),
            imports: vec![import.to_owned()],
        },
        None => LoadError::Invalid { function: function.to_owned(), why: text },
    }
}
