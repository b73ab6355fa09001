//! What every request passes through, in this order: request id, bounds of the header, its framing and host, trace context, the handler (whose
//! panic is an answer too), the id on the response, the access log.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri, Version};

use super::{
    Body, ConnectionBounds, Handle, Rejection, Request, Response, TraceParent, authority, framing,
};

/// On every response.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-fc-request-id");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// Longest part of a path in the access log.
const LOGGED_PATH_BYTES: usize = 256;

/// What belongs to one request and its response.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Unique to the request; the invocation it makes has the same.
    pub request_id: Arc<str>,
    /// The trace the caller is in, with a span of our own.
    pub trace_parent: Option<Arc<str>>,
    /// When the request's header was complete.
    pub arrived: Instant,
    /// Who is at the other end of the connection.
    pub peer: Arc<Peer>,
}

/// The other end of a connection, which may be a proxy.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The same without the port, as headers say it; each request needs it.
    pub said: HeaderValue,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The name it asked for then, in lower case.
    pub server_name: Option<Arc<str>>,
}

/// A header's value from text of ours; characters that no header may hold become spaces.
pub fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| {
        let clean: String =
            text.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).collect();
        HeaderValue::from_str(&clean).unwrap_or_else(|_| HeaderValue::from_static(""))
    })
}

/// Answers one request.
pub(super) async fn answer<H: Handle>(
    handler: &Arc<H>,
    request: &mut Request,
    peer: Arc<Peer>,
    bounds: &ConnectionBounds,
) -> Response {
    let arrived = Instant::now();
    let mut id = [0u8; uuid::fmt::Hyphenated::LENGTH];
    let id: &str = hearth_platform::ordered_id().hyphenated().encode_lower(&mut id);
    let parent = request.headers().get(TRACE_PARENT).and_then(|value| value.to_str().ok());
    let trace_parent = parent.and_then(TraceParent::parse).map(|parent| parent.child().to_text());
    let asked = Asked { method: request.method().clone(), uri: request.uri().clone() };

    let (version, is_head) = (request.version(), request.method() == Method::HEAD);
    let accepted = if over_bounds(request, bounds) {
        Err(Rejection::HeaderTooLarge)
    } else {
        framing::check(request)
            .and_then(|()| authority::settle(request, peer.server_name.as_deref()))
    };
    let mut response = match accepted {
        Err(rejection) => {
            let mut response = handler.reject(request.uri().path(), rejection);
            if version < Version::HTTP_2 && rejection != Rejection::HeaderTooLarge {
                // What comes after it on this connection may be meant otherwise too.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
        Ok(()) => {
            let exchange = Exchange {
                request_id: id.into(),
                trace_parent: trace_parent.clone(),
                arrived,
                peer,
            };
            let handling = AssertUnwindSafe(handler.handle(request, &exchange));
            match handling.catch_unwind().await {
                Ok(response) => response,
                Err(panic) => {
                    let why = panic_text(&*panic);
                    tracing::error!(request_id = id, why, "a handler panicked");
                    handler.reject(asked.uri.path(), Rejection::Panicked)
                }
            }
        }
    };

    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, header_value(id));
    if let Some(trace_parent) = &trace_parent {
        headers.insert(TRACE_PARENT, header_value(trace_parent));
    }
    handler.answered(response.status());
    asked.log(&response, id, trace_parent.as_deref(), arrived);
    if version == Version::HTTP_2 {
        leave_out_body(&mut response, is_head);
    }
    response
}

/// Takes the body from an answer that must not have one. Over HTTP/1.1 hyper does so.
fn leave_out_body(response: &mut Response, is_head: bool) {
    let bodiless = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if is_head || bodiless {
        let body = std::mem::replace(response.body_mut(), Body::empty());
        if let Some(length) = hyper::body::Body::size_hint(&body).exact()
            && is_head
        {
            response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| length.into());
        }
    }
}

fn over_bounds(request: &Request, bounds: &ConnectionBounds) -> bool {
    let headers = request.headers();
    if headers.len() > bounds.headers {
        return true;
    }
    let lines: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    lines + request.uri().path().len() + request.uri().query().map_or(0, str::len)
        > bounds.header_bytes
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// What an access line says of the request.
struct Asked {
    method: Method,
    uri: Uri,
}

impl Asked {
    /// Writes the line. Whether errors only or all are logged is the filter's business: see `telemetry::logging`.
    fn log(&self, response: &Response, id: &str, trace_parent: Option<&str>, arrived: Instant) {
        let is_error = response.status().is_server_error();
        let is_told = match is_error {
            true => tracing::enabled!(target: "hearth::access", tracing::Level::WARN),
            false => tracing::enabled!(target: "hearth::access", tracing::Level::INFO),
        };
        if !is_told {
            return;
        }
        let (method, path) = (&self.method, self.uri.path());
        let path = path.get(..path.floor_char_boundary(LOGGED_PATH_BYTES)).unwrap_or_default();
        let status = response.status().as_u16();
        let micros = u64::try_from(arrived.elapsed().as_micros()).unwrap_or(u64::MAX);
        let bytes = hyper::body::Body::size_hint(response.body()).exact();
        if is_error {
            tracing::warn!(target: "hearth::access", %method, path, status, micros, bytes, request_id = id, trace_parent);
        } else {
            tracing::info!(target: "hearth::access", %method, path, status, micros, bytes, request_id = id, trace_parent);
        }
    }
}
