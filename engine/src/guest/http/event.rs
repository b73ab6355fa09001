//! The request by which an HTTP function gets an event.
//!
//! Most of its head is the same for all events of a function, and writing it anew took a fifth of what is added to a bare call.

use std::sync::{LazyLock, OnceLock};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, InvalidHeaderValue};
use http::{HeaderMap, HeaderValue, Method, Uri};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use wasmtime_wasi_http::WasiBody;

use crate::fault::CallFailure;
use crate::invocation::LATEST;
use crate::{Fault, Identity, Invocation};

/// Where events go.
static URI: LazyLock<Uri> = LazyLock::new(|| Uri::from_static("http://localhost/invoke"));

const CONTROL_PATH: HeaderName = HeaderName::from_static("x-fc-control-path");
const SERVICE_NAME: HeaderName = HeaderName::from_static("x-fc-service-name");
const FUNCTION_NAME: HeaderName = HeaderName::from_static("x-fc-function-name");
const VERSION_ID: HeaderName = HeaderName::from_static("x-fc-version-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-fc-request-id");
const QUALIFIER: HeaderName = HeaderName::from_static("x-fc-qualifier");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// Headers of an event's request: those of the function and up to four of the invocation.
const HEADERS_MAX: usize = 10;

/// What all events of a function have in the head of their requests, made for the first of them.
#[derive(Debug, Default)]
pub(crate) struct EventHead(OnceLock<HeaderMap>);

impl EventHead {
    /// The headers of one event: a copy, in which what only one invocation has stands empty.
    fn copy(&self, identity: &Identity) -> Result<HeaderMap, InvalidHeaderValue> {
        if let Some(headers) = self.0.get() {
            return Ok(headers.clone());
        }
        let headers = headers_of(identity)?;
        Ok(self.0.get_or_init(|| headers).clone())
    }

    /// The request for an event.
    pub(super) fn request(
        &self,
        identity: &Identity,
        invocation: Option<&Invocation>,
        event: Bytes,
    ) -> Result<Request<WasiBody>, CallFailure> {
        let length = event.len();
        let body = Full::new(event).map_err(|never| match never {});
        let mut request = Request::new(WasiBody::new(body));
        *request.method_mut() = Method::POST;
        request.uri_mut().clone_from(&URI);
        *request.headers_mut() = self
            .copy(identity)
            .and_then(|headers| of_invocation(headers, invocation, length))
            .map_err(|why| {
                // A name or id with bytes that no header may hold: the platform refuses such names, an embedder may not.
                let why = format!("no request for the guest: {why}");
                CallFailure::Fault(Fault::HostResource { why })
            })?;
        Ok(request)
    }
}

fn headers_of(identity: &Identity) -> Result<HeaderMap, InvalidHeaderValue> {
    let mut headers = HeaderMap::with_capacity(HEADERS_MAX);
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static(""));
    headers.insert(CONTROL_PATH, HeaderValue::from_static("/invoke"));
    headers.insert(SERVICE_NAME, shared(&identity.service)?);
    headers.insert(FUNCTION_NAME, shared(&identity.function)?);
    headers.insert(VERSION_ID, shared(&identity.version)?);
    headers.insert(REQUEST_ID, HeaderValue::from_static(""));
    headers.insert(QUALIFIER, HeaderValue::from_static(""));
    Ok(headers)
}

/// A value whose copies share its text.
fn shared(text: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::copy_from_slice(text.as_bytes()))
}

fn of_invocation(
    mut headers: HeaderMap,
    invocation: Option<&Invocation>,
    length: usize,
) -> Result<HeaderMap, InvalidHeaderValue> {
    headers.insert(CONTENT_LENGTH, length.into());
    let Some(invocation) = invocation else {
        headers.remove(REQUEST_ID);
        headers.remove(QUALIFIER);
        return Ok(headers);
    };
    headers.insert(REQUEST_ID, HeaderValue::from_str(&invocation.request_id)?);
    let qualifier = match &invocation.qualifier {
        Some(qualifier) => HeaderValue::from_str(qualifier)?,
        None => HeaderValue::from_static(LATEST),
    };
    headers.insert(QUALIFIER, qualifier);
    if let Some(trace_parent) = &invocation.trace_parent {
        headers.insert(TRACE_PARENT, HeaderValue::from_str(trace_parent)?);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(function: &str) -> Identity {
        Identity { service: "shop".into(), function: function.into(), version: "3".into() }
    }

    fn told(head: &EventHead, invocation: Option<&Invocation>, event: &'static str) -> String {
        let request = head.request(&identity("pay"), invocation, event.into()).unwrap();
        let mut lines: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        format!("{} {}\n{}", request.method(), request.uri(), lines.join("\n"))
    }

    #[test]
    fn each_event_has_a_head_of_its_own() {
        let head = EventHead::default();
        let mut first = Invocation::new("").request_id("r-1");
        first.trace_parent = Some("00-abc".into());
        let of_function = "x-fc-function-name: pay";
        assert_eq!(
            told(&head, Some(&first), "four"),
            format!(
                "POST http://localhost/invoke\ncontent-length: 4\ncontent-type: application/octet-stream\nhost: localhost\n\
                 traceparent: 00-abc\nx-fc-control-path: /invoke\n{of_function}\nx-fc-qualifier: LATEST\nx-fc-request-id: r-1\n\
                 x-fc-service-name: shop\nx-fc-version-id: 3"
            )
        );
        let mut second = Invocation::new("").request_id("r-2");
        second.qualifier = Some("green".into());
        let second = told(&head, Some(&second), "");
        assert!(second.contains("x-fc-request-id: r-2\n"), "{second}");
        assert!(second.contains("x-fc-qualifier: green\n"), "{second}");
        assert!(second.contains("content-length: 0\n"), "{second}");
        assert!(!second.contains("traceparent"), "{second}");
        let nobody = told(&head, None, "");
        assert!(!nobody.contains("x-fc-request-id") && !nobody.contains("x-fc-qualifier"));
    }

    #[test]
    fn a_name_that_no_header_may_hold_is_a_fault_each_time() {
        let head = EventHead::default();
        for _ in 0..2 {
            let refused = head.request(&identity("a\nb"), None, Bytes::new());
            assert!(matches!(refused, Err(CallFailure::Fault(Fault::HostResource { .. }))));
        }
        let bad = Invocation::new("").request_id("a\nb");
        let refused = head.request(&identity("pay"), Some(&bad), Bytes::new());
        assert!(matches!(refused, Err(CallFailure::Fault(Fault::HostResource { .. }))));
    }
}
