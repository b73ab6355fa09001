//! Calls HTTP functions with an event: the guest gets `POST /invoke` with the event as body, and its response body is the
//! answer.
//!
//! This is the contract of Function Compute's custom runtimes (`/invoke`, the `x-fc-*` request headers, `x-fc-status: 404` for a
//! function error); any status of 400 or more is a function error too. Serving a caller's own HTTP request is for the gateway.

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response};
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::fault::{CallFailure, bounded};
use crate::state::{ComponentState, HasCommon};
use crate::{Fault, Invocation};

/// Where events go.
const INVOKE_PATH: &str = "http://localhost/invoke";

/// The first status that says the function failed.
const FIRST_FAILING_STATUS: u16 = 400;

/// One instance of a component exporting `wasi:http/incoming-handler@0.2`.
pub(crate) struct HttpP2 {
    pub(crate) store: Store<ComponentState>,
    proxy: Proxy,
}

impl HttpP2 {
    pub(crate) async fn start(
        mut store: Store<ComponentState>,
        pre: &ProxyPre<ComponentState>,
    ) -> Result<Self, CallFailure> {
        let proxy = pre.instantiate_async(&mut store).await?;
        Ok(Self { store, proxy })
    }

    /// Serves one event.
    pub(crate) async fn call(&mut self, event: Bytes, limit: u64) -> Result<Bytes, CallFailure> {
        self.store.set_epoch_deadline(1);
        let request = request(self.store.data(), event)?;
        let (sender, receiver) = oneshot::channel();
        let mut view = self.store.data_mut().http();
        let request = view.new_incoming_request(Scheme::Http, request)?;
        let response = view.new_response_outparam(sender)?;
        let handler = self.proxy.wasi_http_incoming_handler();
        let call = std::pin::pin!(handler.call_handle(&mut self.store, request, response));
        // The guest may write a body larger than the channel between: both sides have to run.
        let collect = std::pin::pin!(collect(receiver, limit));
        match select(call, collect).await {
            Either::Left((called, collect)) => {
                called?;
                collect.await
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

fn request(state: &ComponentState, event: Bytes) -> Result<Request<BodyOf>, CallFailure> {
    let common = state.common();
    let identity = &common.shared.identity;
    let mut request = Request::post(INVOKE_PATH)
        .header("host", "localhost")
        .header("content-type", "application/octet-stream")
        .header("content-length", event.len())
        .header("x-fc-control-path", "/invoke")
        .header("x-fc-service-name", &identity.service)
        .header("x-fc-function-name", &identity.function)
        .header("x-fc-version-id", &identity.version);
    if let Some(Invocation { request_id, qualifier, trace_parent, .. }) = &common.invocation {
        request =
            request.header("x-fc-request-id", &**request_id).header("x-fc-qualifier", &**qualifier);
        if let Some(trace_parent) = trace_parent {
            request = request.header("traceparent", &**trace_parent);
        }
    }
    let body = Full::new(event).map_err(|never| match never {});
    request.body(BodyOf::new(body)).map_err(|why| {
        // A name or id with bytes that no header may hold: the platform refuses such names, an embedder may not.
        CallFailure::Fault(Fault::HostResource { why: format!("no request for the guest: {why}") })
    })
}

type BodyOf = http_body_util::combinators::UnsyncBoxBody<Bytes, wasmtime_wasi_http::Error>;

type GuestResponse = Result<Response<HyperOutgoingBody>, ErrorCode>;

/// Waits for the response and takes its body, at most `limit_bytes` of it.
async fn collect(
    receiver: oneshot::Receiver<GuestResponse>,
    limit_bytes: u64,
) -> Result<Bytes, CallFailure> {
    let response = match receiver.await {
        Ok(Ok(response)) => response,
        Ok(Err(code)) => return Err(CallFailure::Fault(failed(None, &format!("{code:?}")))),
        Err(_) => {
            let why = "the guest returned without setting a response".to_owned();
            return Err(CallFailure::Fault(Fault::BadAbi { why }));
        }
    };
    let (head, body) = response.into_parts();
    let limit = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
    let body = match Limited::new(body, limit).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            let size_bytes = limit_bytes.saturating_add(1);
            return Err(CallFailure::Fault(Fault::AnswerTooLarge { limit_bytes, size_bytes }));
        }
        Err(error) => {
            return Err(CallFailure::Fault(failed(None, &format!("its body broke off: {error}"))));
        }
    };
    let says_failed = head.headers.get("x-fc-status").is_some_and(|status| status != "200");
    if says_failed || head.status.as_u16() >= FIRST_FAILING_STATUS {
        let kind = Some(format!("Http{}", head.status.as_u16()));
        return Err(CallFailure::Fault(failed(kind, &String::from_utf8_lossy(&body))));
    }
    Ok(body)
}

fn failed(kind: Option<String>, message: &str) -> Fault {
    Fault::Returned { kind, message: bounded(message), stack: Vec::new() }
}
