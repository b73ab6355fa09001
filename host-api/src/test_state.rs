//! A store's data for this crate's own tests: every view over plain fields.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::caller::FunctionCaller;
use crate::config::Settings;
use crate::grant::Grants;
use crate::key_value::{KeyValue, MemoryKeyValue};
use crate::logging::{GuestLog, Level};
use crate::outgoing_http::{Egress, EgressHooks, OutgoingHttp, SystemResolver};
use crate::view::{HostView, InvocationFacts};
use crate::websocket::Connections;

pub(crate) struct TestState {
    pub(crate) table: ResourceTable,
    pub(crate) wasi: WasiCtx,
    pub(crate) http: WasiHttpCtx,
    pub(crate) egress: EgressHooks,
    pub(crate) grants: Grants,
    pub(crate) settings: Settings,
    pub(crate) keys: Arc<MemoryKeyValue>,
    pub(crate) service: String,
    pub(crate) caller: Option<Arc<dyn FunctionCaller>>,
    pub(crate) depth: u32,
    pub(crate) deadline: Instant,
    pub(crate) logged: Lines,
    pub(crate) websockets: Arc<Connections>,
}

#[derive(Default)]
pub(crate) struct Lines(pub(crate) Vec<(Level, String, String)>);

impl GuestLog for Lines {
    fn log(&mut self, level: Level, context: &str, message: &str) {
        self.0.push((level, context.to_owned(), message.to_owned()));
    }
}

impl Default for TestState {
    fn default() -> Self {
        let deadline = Instant::now() + Duration::from_secs(5);
        let egress = Egress::new(OutgoingHttp::default(), Arc::new(SystemResolver));
        Self {
            http: WasiHttpCtx::new(),
            egress: EgressHooks::new(egress, deadline),
            table: ResourceTable::new(),
            wasi: WasiCtx::default(),
            grants: Grants::default(),
            settings: Settings::default(),
            keys: Arc::default(),
            service: "shop".to_owned(),
            caller: None,
            depth: 0,
            deadline,
            logged: Lines::default(),
            websockets: Arc::default(),
        }
    }
}

impl WasiView for TestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for TestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.egress, table: &mut self.table, ctx: &mut self.http }
    }
}

impl HostView for TestState {
    fn log(&mut self) -> &mut dyn GuestLog {
        &mut self.logged
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn grants(&self) -> &Grants {
        &self.grants
    }

    fn key_value(&self) -> Option<(&dyn KeyValue, &str)> {
        Some((&*self.keys, &self.service))
    }

    fn caller(&self) -> Option<&Arc<dyn FunctionCaller>> {
        self.caller.as_ref()
    }

    fn websockets(&self) -> &Connections {
        &self.websockets
    }

    fn invocation(&self) -> InvocationFacts<'_> {
        InvocationFacts {
            service: "shop",
            request_id: "request-1",
            trace_parent: Some("00-trace"),
            deadline: self.deadline,
            depth: self.depth,
        }
    }
}
