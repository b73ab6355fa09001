//! Calls HTTP functions with an event: the guest gets `POST /invoke` with the event as body, and its response body is the
//! answer.
//!
//! This is the contract of Function Compute's custom runtimes (`/invoke`, the `x-fc-*` request headers, `x-fc-status: 404` for a
//! function error); any status of 400 or more is a function error too. Serving a caller's own HTTP request is for the gateway.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response};

use crate::fault::{CallFailure, bounded};
use crate::state::{ComponentState, HasLedger};
use crate::{Fault, Invocation};

mod p2;
mod p3;

pub(crate) use p2::HttpP2;
pub(crate) use p3::HttpP3;

/// Where events go.
const INVOKE_PATH: &str = "http://localhost/invoke";

/// The first status that says the function failed.
const FIRST_FAILING_STATUS: u16 = 400;

fn request(state: &ComponentState, event: Bytes) -> Result<Request<BodyOf>, CallFailure> {
    let ledger = state.ledger();
    let identity = &ledger.shared.identity;
    let mut request = Request::post(INVOKE_PATH)
        .header("host", "localhost")
        .header("content-type", "application/octet-stream")
        .header("content-length", event.len())
        .header("x-fc-control-path", "/invoke")
        .header("x-fc-service-name", &identity.service)
        .header("x-fc-function-name", &identity.function)
        .header("x-fc-version-id", &identity.version);
    if let Some(Invocation { request_id, qualifier, trace_parent, .. }) = &ledger.invocation {
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

/// The answer that a response is; at most `limit_bytes` of body are read.
async fn answer<B>(response: Response<B>, limit_bytes: u64) -> Result<Bytes, CallFailure>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
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
