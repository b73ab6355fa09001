//! Store data of components: WASI, HTTP, and the host API's own imports.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use hearth_host_api::caller::FunctionCaller;
use hearth_host_api::config::Settings;
use hearth_host_api::grant::{Access, Grants};
use hearth_host_api::key_value::KeyValue;
use hearth_host_api::log_stream::LogWriter;
use hearth_host_api::logging::GuestLog;
use hearth_host_api::logging::Level;
use hearth_host_api::memory_fs::Disk;
use hearth_host_api::outgoing_http::EgressHooks;
use hearth_host_api::tmp::TmpView;
use hearth_host_api::view::{HostView, InvocationFacts};
use hearth_host_api::websocket::Connections;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::filesystem::{WasiFilesystemCtxView, WasiFilesystemView};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::{HasLedger, Ledger, Shared};
use crate::tail_log::InstanceLog;

/// Handles a guest may hold at once; wasmtime's own default is a million.
const HANDLES_MAX: usize = 4096;

/// Bytes of HTTP header fields that a guest may hold.
const FIELD_BYTES_MAX: usize = 64 << 10;

/// Data of one component instance.
pub(crate) struct ComponentState {
    pub(crate) ledger: Ledger,
    /// None until the guest calls for it, which many that serve HTTP never do: making and dropping it is a twentieth of what a fresh one costs.
    wasi: Option<Box<WasiCtx>>,
    table: ResourceTable,
    http: WasiHttpCtx,
    hooks: EgressHooks,
    tmp: Option<Disk>,
}

impl std::fmt::Debug for ComponentState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComponentState").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

impl ComponentState {
    /// That of a new instance, which is to be made by `deadline`. Its WASI context is made when it is called for.
    ///
    /// # Errors
    /// When a granted directory cannot be opened; the message names it.
    pub(crate) fn new(
        shared: Arc<Shared>,
        log: InstanceLog,
        deadline: Instant,
    ) -> Result<Self, String> {
        let has_directories = !shared.grants.directories.is_empty();
        let wasi = if has_directories { Some(wasi_for(&shared, &log)?) } else { None };
        Ok(Self::with_wasi(shared, log, wasi, deadline))
    }

    /// The same, with a WASI context.
    pub(crate) fn with_wasi(
        shared: Arc<Shared>,
        log: InstanceLog,
        wasi: Option<WasiCtxBuilder>,
        deadline: Instant,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELD_BYTES_MAX);
        Self {
            tmp: shared.new_tmp(),
            hooks: EgressHooks::new(shared.egress.clone(), deadline),
            ledger: Ledger::new(shared, log, deadline),
            wasi: wasi.map(|mut wasi| Box::new(wasi.build())),
            table,
            http,
        }
    }
}

/// What an instance holds that another could not take over.
impl ComponentState {
    /// The handles of the host that the guest has, which are there without a WASI context as well.
    pub(crate) fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    /// What handles of the host the guest has, one word for each kind.
    pub(crate) fn handles(&mut self) -> BTreeSet<&'static str> {
        self.table.iter_mut().map(|held| handle_kind(held)).collect()
    }

    /// Whether there is anything in its `/tmp`.
    pub(crate) fn has_written_tmp(&self) -> bool {
        self.tmp.as_ref().is_some_and(|tmp| !tmp.is_empty())
    }
}

/// What a person calls it.
fn handle_kind(held: &dyn Any) -> &'static str {
    if held.is::<DynOutputStream>() {
        "an output stream"
    } else if held.is::<DynInputStream>() {
        "an input stream"
    } else if held.is::<Descriptor>() {
        "a file or directory"
    } else {
        "another"
    }
}

/// The WASI context that a function was granted: its environment, its directories, no sockets; output goes to its log.
///
/// # Errors
/// When a granted directory cannot be opened; the message names it.
pub(crate) fn wasi_for(shared: &Shared, log: &InstanceLog) -> Result<WasiCtxBuilder, String> {
    let mut wasi = wasi_without_directories(shared, log);
    open_directories(shared, &mut wasi)?;
    Ok(wasi)
}

fn wasi_without_directories(shared: &Shared, log: &InstanceLog) -> WasiCtxBuilder {
    let writer: Arc<dyn LogWriter> = Arc::new(log.clone());
    shared.facts.context(&writer)
}

/// Gives a context the function's directories.
pub(super) fn open_directories(shared: &Shared, wasi: &mut WasiCtxBuilder) -> Result<(), String> {
    for directory in &shared.grants.directories {
        let permissions = match directory.access {
            Access::ReadOnly => FsPerms::ReadOnly,
            Access::ReadWrite => FsPerms::ReadWrite,
        };
        wasi.preopened_dir(&directory.host_path, &directory.guest_path, permissions).map_err(
            |why| {
                format!(
                    "granted directory {} cannot be opened: {why}",
                    directory.host_path.display()
                )
            },
        )?;
    }
    Ok(())
}

impl HasLedger for ComponentState {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }
}

impl WasiView for ComponentState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        // Not the log of the request that happens to run, where there are several.
        let (shared, log) = (&self.ledger.shared, &self.ledger.home_log);
        let ctx = self
            .wasi
            .get_or_insert_with(|| Box::new(wasi_without_directories(shared, log).build()));
        WasiCtxView { ctx, table: &mut self.table }
    }
}

impl TmpView for ComponentState {
    fn tmp(&mut self) -> (WasiFilesystemCtxView<'_>, Option<Disk>) {
        let tmp = self.tmp.clone();
        (self.filesystem(), tmp)
    }
}

impl WasiHttpView for ComponentState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let deadline = self.ledger.deadline();
        self.hooks.set_deadline(deadline);
        self.hooks.set_depth(self.ledger.invocation.as_ref().map_or(0, |call| call.depth));
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

impl GuestLog for ComponentState {
    fn log(&mut self, level: Level, context: &str, message: &str) {
        self.ledger.log.entry(level, context, message);
    }
}

impl HostView for ComponentState {
    fn log(&mut self) -> &mut dyn GuestLog {
        self
    }

    fn settings(&self) -> &Settings {
        &self.ledger.shared.settings
    }

    fn grants(&self) -> &Grants {
        &self.ledger.shared.grants
    }

    fn key_value(&self) -> Option<(&dyn KeyValue, &str)> {
        let shared = &self.ledger.shared;
        Some((&*shared.key_value, &shared.identity.service))
    }

    fn caller(&self) -> Option<&Arc<dyn FunctionCaller>> {
        self.ledger.shared.caller.as_ref()
    }

    fn websockets(&self) -> &Connections {
        &self.ledger.shared.websockets
    }

    fn invocation(&self) -> InvocationFacts<'_> {
        let invocation = self.ledger.invocation.as_ref();
        InvocationFacts {
            request_id: invocation.map_or("", |invocation| &invocation.request_id),
            service: &self.ledger.shared.identity.service,
            trace_parent: invocation.and_then(|invocation| invocation.trace_parent.as_deref()),
            deadline: self.ledger.deadline(),
            depth: invocation.map_or(0, |invocation| invocation.depth),
        }
    }
}
