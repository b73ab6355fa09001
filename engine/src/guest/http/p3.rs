//! HTTP functions of WASI 0.3: `wasi:http/handler`, one event at a time in an instance.
//!
//! Calls run inside wasmtime's event loop for the store. Deadlines stand outside of it, where a stuck guest cannot keep them
//! from being looked at.

use bytes::Bytes;
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::{Service, ServicePre};

use super::{answer, failed, request};
use crate::fault::CallFailure;
use crate::state::ComponentState;

/// One instance of a component exporting `wasi:http/handler@0.3`.
pub(crate) struct HttpP3 {
    pub(crate) store: Store<ComponentState>,
    service: Service,
}

impl HttpP3 {
    pub(crate) async fn start(
        mut store: Store<ComponentState>,
        pre: &ServicePre<ComponentState>,
    ) -> Result<Self, CallFailure> {
        let service = pre.instantiate_async(&mut store).await?;
        Ok(Self { store, service })
    }

    /// Serves one event.
    pub(crate) async fn call(&mut self, event: Bytes, limit: u64) -> Result<Bytes, CallFailure> {
        self.store.set_epoch_deadline(1);
        let request = request(self.store.data(), event)?;
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
                    answer(response, limit).await
                };
                // The body of the request moves only while this side is polled too; how it ended is the guest's business.
                let (served, _) = futures_util::future::join(serve, sent).await;
                served
            })
            .await?
    }
}
