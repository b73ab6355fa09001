//! The request as the function sees it: the path behind its address, the query as it came, the caller's headers without those of one
//! hop and those that only the platform may set, and a body that passes by, counted.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hearth_engine::{HTTP_DEPTH_MAX, HttpRequest, RequestBodyError, depth_of};
use hearth_platform::{LATEST, Revision};
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{StatusCode, Uri};
use hyper::body::{Body, Frame, SizeHint};

use super::{Destination, hop};
use crate::config::Size;
use crate::dialect::function_compute::errors::WireError;
use crate::dialect::function_compute::qualifier_value;
use crate::http::{Exchange, Request, RequestBody, header_value};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-fc-request-id");
const BASE_PATH: HeaderName = HeaderName::from_static("x-fc-base-path");
const CONTROL_PATH: HeaderName = HeaderName::from_static("x-fc-control-path");
const SERVICE: HeaderName = HeaderName::from_static("x-fc-service-name");
const FUNCTION: HeaderName = HeaderName::from_static("x-fc-function-name");
pub(super) const VERSION: HeaderName = HeaderName::from_static("x-fc-version-id");
const QUALIFIER: HeaderName = HeaderName::from_static("x-fc-qualifier");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
/// Headers that are added to each request, at most.
const SAID: usize = 11;
const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");

/// How deep a call stands among those that functions make of one another; what is too deep is refused. Who lies about it can only be
/// refused for it.
///
/// # Errors
/// It stands deeper than is served.
pub(super) fn depth(headers: &HeaderMap) -> Result<u32, WireError> {
    let depth = depth_of(headers);
    if depth <= HTTP_DEPTH_MAX {
        return Ok(depth);
    }
    let message = format!("functions called one another more than {HTTP_DEPTH_MAX} deep");
    Err(WireError::new(StatusCode::LOOP_DETECTED, "LoopDetected", message))
}

/// Headers that only the platform may set.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with("x-fc-") || name.starts_with("x-hearth-")
}

/// Rewrites the head of a request for the function.
///
/// # Errors
/// When its address cannot be said in the function's terms.
pub(super) fn head(
    request: &mut Request,
    destination: &Destination<'_>,
    revision: &Revision,
    exchange: &Exchange,
) -> Result<(), WireError> {
    *request.uri_mut() = uri(request, destination)?;
    let headers = request.headers_mut();
    clean(headers);
    headers.reserve(SAID);
    match &exchange.trace_parent {
        Some(trace_parent) => drop(headers.insert(TRACE_PARENT, header_value(trace_parent))),
        // Looking at the names there are costs less than asking for two that are not.
        None if headers.keys().any(|name| name.as_str().starts_with("trace")) => {
            headers.remove(TRACE_PARENT);
            headers.remove(TRACE_STATE);
        }
        None => {}
    }
    let qualifier = destination.qualifier.as_deref().unwrap_or(LATEST);
    headers.insert(REQUEST_ID, header_value(&exchange.request_id));
    headers.insert(BASE_PATH, header_value(&destination.base_path));
    headers.insert(CONTROL_PATH, HeaderValue::from_static("/http-invoke"));
    headers.insert(SERVICE, header_value(&destination.service));
    headers.insert(FUNCTION, header_value(&destination.function));
    headers.insert(VERSION, qualifier_value(revision.version()));
    headers.insert(QUALIFIER, qualifier_value(qualifier));
    destination.client.say(headers, &exchange.peer.said);
    Ok(())
}

/// Takes away what no function is to see: headers of one hop, and what was for the platform.
pub(super) fn clean(headers: &mut HeaderMap) {
    hop::strip(headers, |name| is_ours(name) || name == EXPECT.as_str());
    if headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"FC ")) {
        // It was for the platform; whoever holds it could send the request again.
        headers.remove(AUTHORIZATION);
    }
}

/// The address of the request: as the caller used it, with the function's path.
fn uri(request: &Request, destination: &Destination<'_>) -> Result<Uri, WireError> {
    let bad = |what: &str| WireError::invalid(format!("the {what} of the request cannot be read"));
    let path: &str = &destination.path;
    let path = PathAndQuery::try_from(path).map_err(|_| bad("path"))?;
    let host = request.headers().get(HOST);
    if !destination.client.is_encrypted && host.is_some_and(is_plain) {
        // What an address without scheme and authority is taken for anyway, which saves saying it.
        return Ok(path.into());
    }
    let host = match (request.uri().authority(), host) {
        (Some(authority), _) => Some(authority.clone()),
        (None, Some(host)) => Some(Authority::try_from(host.as_bytes()).map_err(|_| bad("host"))?),
        (None, None) => None,
    };
    let mut uri = http::uri::Parts::default();
    let scheme = if destination.client.is_encrypted { Scheme::HTTPS } else { Scheme::HTTP };
    uri.scheme = Some(scheme);
    uri.authority = Some(host.unwrap_or_else(|| Authority::from_static("localhost")));
    uri.path_and_query = Some(path);
    Uri::from_parts(uri).map_err(|_| bad("address"))
}

/// Whether a host is certainly one: a name or an address of version 4, with or without a port. About others the parser knows more.
fn is_plain(host: &HeaderValue) -> bool {
    let host = host.as_bytes();
    let name = host.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(byte));
    let (name, port) = host.split_at(name.count());
    !name.is_empty()
        && match port {
            [] => true,
            [b':', port @ ..] => {
                (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit)
            }
            _ => false,
        }
}

/// A request that may be larger than allowed, seen from outside of its body.
#[derive(Debug, Clone, Default)]
pub(super) struct Overflow(Arc<AtomicBool>);

impl Overflow {
    /// Whether more came than is allowed.
    pub(super) fn happened(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The error for a body of more than is allowed.
pub(super) fn too_large(limit: Size) -> WireError {
    WireError::invalid(format!("the body is over the limit of {limit}"))
}

/// Checks the length that a body is said to have.
///
/// # Errors
/// It is over the limit; 0 is none.
pub(super) fn check_length(headers: &HeaderMap, limit: Size) -> Result<(), WireError> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length: Option<u64> = length.and_then(|text| text.parse().ok());
    match length {
        Some(length) if limit.0 > 0 && length > limit.0 => Err(too_large(limit)),
        _ => Ok(()),
    }
}

/// Takes a request with its new head for the function. It is made where it stays: each move would copy some hundred bytes.
pub(super) fn take(request: &mut Request, limit: Size) -> (Box<HttpRequest>, Overflow) {
    let overflow = Overflow::default();
    let body = std::mem::take(request.body_mut());
    let body = if body.is_end_stream() {
        let empty = http_body_util::Empty::new();
        let empty = http_body_util::BodyExt::map_err(empty, |never| match never {});
        hearth_engine::RequestBody::new(empty)
    } else {
        let left = if limit.0 == 0 { u64::MAX } else { limit.0 };
        let overflow = overflow.clone();
        hearth_engine::RequestBody::new(Counted { body, left, limit_bytes: limit.0, overflow })
    };
    let mut taken = Box::new(HttpRequest::new(body));
    *taken.method_mut() = std::mem::take(request.method_mut());
    *taken.uri_mut() = std::mem::take(request.uri_mut());
    *taken.version_mut() = request.version();
    *taken.headers_mut() = std::mem::take(request.headers_mut());
    (taken, overflow)
}

/// A body that is cut off where it becomes larger than allowed.
#[derive(Debug)]
struct Counted {
    body: RequestBody,
    left: u64,
    limit_bytes: u64,
    overflow: Overflow,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let counted = self.get_mut();
        let polled = Pin::new(&mut counted.body).poll_frame(context);
        Poll::Ready(Some(match std::task::ready!(polled) {
            None => return Poll::Ready(None),
            Some(Err(error)) => Err(RequestBodyError::Broken { why: error.to_string() }),
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                match counted.left.checked_sub(bytes) {
                    Some(left) => {
                        counted.left = left;
                        Ok(frame)
                    }
                    None => {
                        counted.overflow.0.store(true, Ordering::Relaxed);
                        Err(RequestBodyError::TooLarge { limit_bytes: counted.limit_bytes })
                    }
                }
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
