//! The baselines of components: wasmtime 48 by hand, with WASI and a log that goes nowhere.

use std::fmt;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use hearth_host_api::bindings::{Context, EventExports, EventGuest};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes};
use hyper::header::{HeaderName, HeaderValue};
use tokio::sync::oneshot;
use wasmtime::component::{Component, ComponentType, InstancePre, Lift, Linker, ResourceTable};
use wasmtime::{Engine, Store, StoreContextMut};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::in_process::bare::{self, Files};

/// What WASI needs.
pub(crate) struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    hooks: NoRequests,
}

/// Guests here send no requests of their own.
struct NoRequests;

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for NoRequests {
    fn send_request(
        &mut self,
        _request: hyper::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _processed: Io,
    ) -> Box<dyn Future<Output = Result<(hyper::Response<WasiBody>, Io), Error>> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}

impl Host {
    fn new() -> Self {
        Self {
            wasi: WasiCtxBuilder::new().build(),
            table: ResourceTable::new(),
            http: WasiHttpCtx::new(),
            hooks: NoRequests,
        }
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

fn linker(engine: &Engine) -> Linker<Host> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("a new linker");
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).expect("a new linker");
    let mut logging = linker.instance("wasi:logging/logging@0.1.0-draft").expect("a new linker");
    let log = |_: StoreContextMut<'_, Host>, line: (Level, String, String)| {
        std::hint::black_box(line);
        Ok(())
    };
    logging.func_wrap("log", log).expect("a new linker");
    linker
}

/// How grave a line of log is.
#[derive(ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "guests make them")]
enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
    #[component(name = "critical")]
    Critical,
}

/// An event component, compiled and linked.
pub(crate) struct Event {
    engine: Engine,
    pre: InstancePre<Host>,
    exports: EventExports,
}

impl Event {
    pub(crate) fn new(code: &[u8]) -> Self {
        let engine = bare::engine();
        let component = Component::new(&engine, code).expect("valid");
        let mut linker = linker(&engine);
        Self::link(&engine, &mut linker, &component)
    }

    fn link(engine: &Engine, linker: &mut Linker<Host>, component: &Component) -> Self {
        let pre = linker.instantiate_pre(component).expect("no other imports");
        let exports = EventExports::find(&pre).expect("of its type").expect("an event component");
        Self { engine: engine.clone(), pre, exports }
    }

    pub(crate) async fn start(&mut self) -> KeptEvent {
        let mut store = bare::store(&self.engine, Host::new());
        let instance = self.pre.instantiate_async(&mut store).await.expect("it starts");
        let guest = self.exports.load(&mut store, &instance).expect("of its type");
        KeptEvent { store, guest }
    }
}

/// An instance of it.
pub(crate) struct KeptEvent {
    store: Store<Host>,
    guest: EventGuest,
}

impl KeptEvent {
    pub(crate) async fn call(&mut self, event: &'static str) {
        let context = Context {
            request_id: "a-request",
            service: "",
            function: "event",
            qualifier: "LATEST",
            version: "LATEST",
            memory_limit_bytes: 128 << 20,
            deadline_ms: 1,
            trigger_name: None,
            trigger_type: None,
            trace_parent: None,
            attempt: 1,
        };
        let handler = &self.guest.handler;
        let answer = handler.call_handle(&mut self.store, event.as_bytes(), context).await;
        std::hint::black_box(answer.expect("no trap").expect("an answer"));
    }
}

/// An event component from a file of native code to the first answer.
pub(crate) struct ColdEvent {
    engine: Engine,
    linker: Linker<Host>,
    files: Files,
}

impl ColdEvent {
    pub(crate) fn new(code: &[u8], count: u32) -> Self {
        let engine = bare::engine();
        let files = Files::new(code, count, |code| engine.precompile_component(code));
        Self { linker: linker(&engine), engine, files }
    }

    /// Returns the time to the answer, without that of letting the component go.
    pub(crate) async fn call(&mut self, event: &'static str) -> Duration {
        let begun = Instant::now();
        let component = self.files.next_component(&self.engine);
        let mut linked = Event::link(&self.engine, &mut self.linker, &component);
        linked.start().await.call(event).await;
        begun.elapsed()
    }
}

/// An HTTP component, compiled and linked.
#[derive(Clone)]
pub struct Http {
    engine: Engine,
    pre: ProxyPre<Host>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Http {
    /// Of its code.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn new(code: &[u8]) -> Self {
        let engine = bare::engine();
        let component = Component::new(&engine, code).expect("valid");
        let pre = linker(&engine).instantiate_pre(&component).expect("no other imports");
        Self { pre: ProxyPre::new(pre).expect("an HTTP component"), engine }
    }

    /// An instance of it.
    pub async fn start(&self) -> KeptHttp {
        let mut store = bare::store(&self.engine, Host::new());
        let proxy = self.pre.instantiate_async(&mut store).await.expect("it starts");
        KeptHttp { store, proxy }
    }
}

/// The head of the request by which the engine gives an event to an HTTP component, so that the guest does the same on both sides. The
/// engine's has two values more that are new for each.
static URI: LazyLock<hyper::Uri> =
    LazyLock::new(|| hyper::Uri::from_static("http://localhost/invoke"));

static HEADERS: LazyLock<hyper::HeaderMap> = LazyLock::new(|| {
    [
        ("host", "localhost"),
        ("content-type", "application/octet-stream"),
        ("content-length", "5"),
        ("x-fc-control-path", "/invoke"),
        ("x-fc-service-name", "default"),
        ("x-fc-function-name", "rust-http"),
        ("x-fc-version-id", "LATEST"),
        ("x-fc-request-id", "d9428888-122b-11e1-b85c-61cd3cbb3210"),
        ("x-fc-qualifier", "LATEST"),
    ]
    .into_iter()
    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
    .collect()
});

/// An instance of it.
pub struct KeptHttp {
    store: Store<Host>,
    proxy: Proxy,
}

impl fmt::Debug for KeptHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptHttp").finish_non_exhaustive()
    }
}

impl KeptHttp {
    pub(crate) async fn call(&mut self, event: &'static str) {
        let mut request = hyper::Request::new(Full::new(Bytes::from_static(event.as_bytes())));
        *request.method_mut() = hyper::Method::POST;
        request.uri_mut().clone_from(&URI);
        request.headers_mut().clone_from(&HEADERS);
        std::hint::black_box(self.answer(request).await);
    }

    /// What it answers, when all of that is there.
    pub async fn answer<B>(&mut self, request: hyper::Request<B>) -> hyper::Response<Bytes>
    where
        B: Body<Data = Bytes, Error: Into<Error>> + Send + 'static,
    {
        let request = request.map(|body| WasiBody::new(body.map_err(Into::into)));
        let (sender, receiver) = oneshot::channel();
        let mut view = self.store.data_mut().http();
        let request = view.new_incoming_request(Scheme::Http, request).expect("room in the table");
        let response = view.new_response_outparam(sender).expect("room in the table");
        let handler = self.proxy.wasi_http_incoming_handler();
        let collect = async {
            let response = receiver.await.expect("a response").expect("no error");
            let (head, body) = response.into_parts();
            let body = body.collect().await.expect("a whole body").to_bytes();
            hyper::Response::from_parts(head, body)
        };
        let (called, answer) =
            tokio::join!(handler.call_handle(&mut self.store, request, response), collect);
        called.expect("no trap");
        answer
    }
}
