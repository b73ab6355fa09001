//! HTTP functions of WASI 0.3: `wasi:http/handler`, one call at a time in an instance; `several.rs` is for more.
//!
//! Calls run inside wasmtime's event loop for the store. Deadlines stand outside of it, where a stuck guest cannot keep them
//! from being looked at.

use std::future::poll_fn;

use bytes::Bytes;
use hearth_host_api::bindings::websocket;
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::{Service, ServiceIndices, ServicePre};

use super::{ask, failed};
use crate::Fault;
use crate::fault::CallFailure;
use crate::state::ComponentState;
use crate::work::Work;

/// One instance of a component exporting `wasi:http/handler@0.3`.
pub(crate) struct HttpP3 {
    pub(crate) store: Store<ComponentState>,
    pub(super) service: Service,
    pub(crate) websocket: Option<websocket::Guest>,
}

impl HttpP3 {
    pub(crate) async fn start(
        mut store: Store<ComponentState>,
        pre: &ServicePre<ComponentState>,
        websocket: Option<&websocket::GuestIndices>,
    ) -> Result<Self, CallFailure> {
        let Some(websocket) = websocket else {
            let service = pre.instantiate_async(&mut store).await?;
            return Ok(Self { store, service, websocket: None });
        };
        let instance = pre.instance_pre().instantiate_async(&mut store).await?;
        let service = ServiceIndices::new(pre.instance_pre())?.load(&mut store, &instance)?;
        let websocket = Some(websocket.load(&mut store, &instance)?);
        Ok(Self { store, service, websocket })
    }

    /// Serves one event or request. Inlined so that its future, which is large, is made in its box and not copied there.
    #[inline]
    pub(crate) async fn call(&mut self, work: Work, limit: u64) -> Result<Bytes, CallFailure> {
        self.store.set_epoch_deadline(1);
        let (mut request, taker, _loan) = ask(self.store.data(), work, limit)?;
        name_authority(&mut request);
        let (request, sent) = Request::from_http(self.store.data_mut().http().hooks, request);
        let service = &self.service;
        self.store
            .run_concurrent(async |accessor| {
                let serve = async {
                    let response = match service.handle(accessor, request).await? {
                        Ok(response) => response,
                        Err(code) => {
                            return Err(CallFailure::Fault(failed(None, &format!("{code:?}"))));
                        }
                    };
                    let response =
                        accessor.with(|store| response.into_http(store, async { Ok(()) }))?;
                    taker.take(response).await
                };
                // The body of the request moves only while this side is polled too; how it ended is the guest's business.
                let (served, _) = futures_util::future::join(serve, sent).await;
                // What the guest does after its response belongs to this invocation: left alone, it would go on in the next one.
                if matches!(served, Ok(_) | Err(CallFailure::Fault(Fault::Returned { .. }))) {
                    poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
                }
                served
            })
            .await?
    }
}

/// Takes the authority of a request from its `host` header, where its line names none: guests of 0.3 see no such header.
pub(super) fn name_authority<B>(request: &mut hyper::Request<B>) {
    if request.uri().authority().is_some() {
        return;
    }
    let host = request.headers().get(http::header::HOST);
    let Some(authority) = host.and_then(|host| Authority::try_from(host.as_bytes()).ok()) else {
        return;
    };
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.authority = Some(authority);
    parts.scheme.get_or_insert(Scheme::HTTP);
    parts.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}
