//! HTTP functions of WASI 0.2: `wasi:http/incoming-handler`.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use hearth_host_api::bindings::websocket;
use tokio::sync::oneshot;
use tokio::task::coop::unconstrained;
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyIndices, ProxyPre};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::{Taker, ask, failed};
use crate::Fault;
use crate::fault::CallFailure;
use crate::state::ComponentState;
use crate::work::Work;

/// One instance of a component exporting `wasi:http/incoming-handler@0.2`.
pub(crate) struct HttpP2 {
    pub(crate) store: Store<ComponentState>,
    proxy: Proxy,
    pub(crate) websocket: Option<websocket::Guest>,
}

impl HttpP2 {
    pub(crate) async fn start(
        mut store: Store<ComponentState>,
        pre: &ProxyPre<ComponentState>,
        websocket: Option<&websocket::GuestIndices>,
    ) -> Result<Self, CallFailure> {
        let Some(websocket) = websocket else {
            let proxy = pre.instantiate_async(&mut store).await?;
            return Ok(Self { store, proxy, websocket: None });
        };
        let instance = pre.instance_pre().instantiate_async(&mut store).await?;
        let proxy = ProxyIndices::new(pre.instance_pre())?.load(&mut store, &instance)?;
        let websocket = Some(websocket.load(&mut store, &instance)?);
        Ok(Self { store, proxy, websocket })
    }

    /// Serves one event or request. Inlined so that its future, which is large, is made in its box and not copied there.
    #[inline]
    pub(crate) async fn call(&mut self, work: Work, limit: u64) -> Result<Bytes, CallFailure> {
        self.store.set_epoch_deadline(1);
        let (request, taker, _loan) = ask(self.store.data(), work, limit)?;
        let scheme = match request.uri().scheme_str() {
            Some("https") => Scheme::Https,
            _ => Scheme::Http,
        };
        let (sender, receiver) = oneshot::channel();
        let mut view = self.store.data_mut().http();
        let request = view.new_incoming_request(scheme, request)?;
        let response = view.new_response_outparam(sender)?;
        let handler = self.proxy.wasi_http_incoming_handler();
        let call = std::pin::pin!(handler.call_handle(&mut self.store, request, response));
        // The guest may write a body larger than the channel between: both sides have to run.
        let is_set = AtomicBool::new(false);
        let collect = std::pin::pin!(collect(receiver, taker, &is_set));
        match select(call, collect).await {
            Either::Left((called, mut collect)) => {
                called?;
                if let Some(answer) = collect.as_mut().now_or_never() {
                    return answer;
                }
                // It may have kept the right to set one, but will not be called again.
                if is_set.load(Ordering::Relaxed) { collect.await } else { Err(unset()) }
            }
            Either::Right((Ok(answer), call)) => {
                call.await?;
                Ok(answer)
            }
            Either::Right((Err(failure @ CallFailure::Fault(Fault::Returned { .. })), call)) => {
                call.await?;
                Err(failure)
            }
            // Without a response the guest has usually trapped, and its trap says more.
            Either::Right((Err(failure), call)) => {
                if matches!(failure, CallFailure::Fault(Fault::BadAbi { .. })) {
                    call.await?;
                }
                Err(failure)
            }
        }
    }
}

type GuestResponse = Result<hyper::Response<HyperOutgoingBody>, ErrorCode>;

/// Waits for the response and takes it.
async fn collect(
    receiver: oneshot::Receiver<GuestResponse>,
    taker: Taker,
    is_set: &AtomicBool,
) -> Result<Bytes, CallFailure> {
    // Past tokio's budget: a task that used it up is told that what is there is not, which here would mean that the guest set nothing.
    let response = unconstrained(receiver).await;
    is_set.store(response.is_ok(), Ordering::Relaxed);
    match response {
        Ok(Ok(response)) => taker.take(response).await,
        Ok(Err(code)) => Err(CallFailure::Fault(failed(None, &format!("{code:?}")))),
        Err(_) => Err(unset()),
    }
}

fn unset() -> CallFailure {
    let why = "the guest returned without setting a response".to_owned();
    CallFailure::Fault(Fault::BadAbi { why })
}
