//! The response as the caller sees it: the function's status, headers and body, without headers of one hop and those that only the
//! platform may set, and with the platform's own. A response that HTTP does not allow is the function's fault.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use hearth_engine::{AnswerBody, Fault, Outcome};
use hearth_platform::{Pass, Revision};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE};
use http::{StatusCode, response};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use serde_json::json;

use super::answer::ERROR_TYPE;
use super::grpc::TimedOut;
use super::guest_request::is_ours;
use super::hop;
use crate::dialect::function_compute::{fault_body, qualifier_value, report_headers};
use crate::http::{Body, BodyBroke, Response};

/// Most bytes of headers that a function may answer with.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// The response of a function that answers. `outcome` is there if it has ended already; `pass` is held until the body ends.
pub(super) fn answering(
    response: http::Response<AnswerBody>,
    outcome: Option<&Outcome>,
    (revision, request_id): (&Revision, &str),
    pass: Pass,
) -> Response {
    let (mut parts, mut body) = response.into_parts();
    if let Err(why) = check(&parts) {
        tracing::debug!(
            function = %revision.label(),
            request_id,
            why,
            "a response is not passed on"
        );
        return broken(why);
    }
    // `te` asks, and a response asks nothing.
    hop::strip(&mut parts.headers, |name| is_ours(name) || name == TE.as_str());
    if parts.status == StatusCode::NO_CONTENT {
        parts.headers.remove(CONTENT_LENGTH);
    }
    say(&mut parts.headers, outcome, revision, request_id);
    // Most responses are there as a whole, in one piece.
    let whole = match (outcome, body.size_hint().exact()) {
        (Some(_), Some(0)) => Some(Bytes::new()),
        (Some(_), Some(size)) => match body.frame().now_or_never() {
            Some(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if data.len() as u64 == size => Some(data),
                Ok(data) => {
                    return Response::from_parts(parts, streaming(Some(data), body, pass));
                }
                Err(_) => None,
            },
            _ => None,
        },
        _ => None,
    };
    let body = match whole {
        Some(bytes) => Body::Full(bytes),
        None => streaming(None, body, pass),
    };
    Response::from_parts(parts, body)
}

/// What the platform says of an invocation, as far as it is known when the response begins.
pub(super) fn say(
    headers: &mut HeaderMap,
    outcome: Option<&Outcome>,
    revision: &Revision,
    request_id: &str,
) {
    match outcome {
        Some(outcome) => report_headers::insert(headers, outcome, revision, request_id),
        None => {
            drop(headers.insert(report_headers::VERSION, qualifier_value(revision.version())));
        }
    }
}

/// Whether HTTP allows such a response.
fn check(parts: &response::Parts) -> Result<(), &'static str> {
    if parts.status.is_informational() {
        return Err("its status is none of a final response");
    }
    let headers = &parts.headers;
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let is_number = |value: &HeaderValue| {
        let text = value.as_bytes();
        !text.is_empty() && text.len() < 19 && text.iter().all(u8::is_ascii_digit)
    };
    match (lengths.next(), lengths.next()) {
        (None, _) => {}
        (Some(length), None) if is_number(length) => {}
        _ => return Err("its content-length is not one number"),
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > HEADER_BYTES_MAX {
        return Err("its headers are over the limit of 64KiB");
    }
    Ok(())
}

/// The documented error of a function that did not answer.
pub(super) fn ended(outcome: &Outcome, revision: &Revision, request_id: &str) -> Response {
    let body = match &outcome.result {
        Err(fault) => fault_body(fault, &outcome.report),
        Ok(_) => message("ended without a response"),
    };
    let mut response = bad_gateway(body);
    if matches!(outcome.result, Err(Fault::Timeout { .. })) {
        response.extensions_mut().insert(TimedOut);
    }
    say(response.headers_mut(), Some(outcome), revision, request_id);
    response
}

/// The same for a response that cannot be passed on.
pub(super) fn broken(why: &str) -> Response {
    bad_gateway(message(&format!("answered with a response that cannot be passed on: {why}")))
}

fn message(what: &str) -> Bytes {
    let body = json!({ "errorMessage": format!("Function {what}"), "errorType": "bad_response" });
    serde_json::to_vec(&body).unwrap_or_default().into()
}

fn bad_gateway(body: Bytes) -> Response {
    let mut response = Response::new(Body::Full(body));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    mark_unhandled(headers);
    response
}

/// Says that it was the function that did not answer.
pub(super) fn mark_unhandled(headers: &mut HeaderMap) {
    headers.insert(ERROR_TYPE, HeaderValue::from_static("UnhandledInvocationError"));
}

fn streaming(first: Option<Bytes>, body: AnswerBody, pass: Pass) -> Body {
    Body::streaming(Streaming { first, body, _pass: pass })
}

/// A body as the function writes it, with its place among those in flight.
#[derive(Debug)]
struct Streaming {
    /// Read already.
    first: Option<Bytes>,
    body: AnswerBody,
    _pass: Pass,
}

impl HttpBody for Streaming {
    type Data = Bytes;
    type Error = BodyBroke;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyBroke>>> {
        let streaming = self.get_mut();
        if let Some(first) = streaming.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let polled = Pin::new(&mut streaming.body).poll_frame(context);
        polled.map_ok(fit).map_err(|error| BodyBroke { why: error.to_string() })
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, Bytes::len);
        size(first as u64, &self.body.size_hint())
    }
}

/// What is known of the size of some bytes and what follows them.
fn size(first: u64, rest: &SizeHint) -> SizeHint {
    if let Some(rest) = rest.exact() {
        return SizeHint::with_exact(rest.saturating_add(first));
    }
    let mut hint = SizeHint::new();
    hint.set_lower(rest.lower().saturating_add(first));
    hint
}

/// Headers that say how a message is framed or read, which is over when its trailers come.
const NO_TRAILERS: [HeaderName; 7] = [
    CONTENT_LENGTH,
    CONTENT_TYPE,
    TE,
    http::header::CONTENT_ENCODING,
    http::header::CONTENT_RANGE,
    http::header::HOST,
    http::header::TRAILER,
];

/// A frame as it may be passed on: trailers without those that belong into a head or only the platform may set.
fn fit(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            hop::strip(&mut trailers, is_ours);
            for name in NO_TRAILERS {
                trailers.remove(name);
            }
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_that_belong_into_a_head_do_not_pass() {
        let names = ["content-length", "transfer-encoding", "x-fc-request-id", "host", "x-kept"];
        let trailers: HeaderMap =
            names.iter().map(|name| (name.parse().unwrap(), HeaderValue::from(3))).collect();
        let fit = fit(Frame::trailers(trailers)).into_trailers().unwrap();
        let left: Vec<_> = fit.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-kept"]);
    }

    #[test]
    fn the_first_bytes_count_with_the_rest_whether_it_is_whole_or_not() {
        assert_eq!(size(3, &SizeHint::with_exact(4)).exact(), Some(7));
        assert_eq!(size(0, &SizeHint::with_exact(4)).exact(), Some(4));
        let mut some = SizeHint::new();
        some.set_lower(4);
        let (lower, exact) = (size(3, &some).lower(), size(3, &some).exact());
        assert_eq!((lower, exact), (7, None));
    }

    fn checked(status: u16, headers: &[(&'static str, &str)]) -> Result<(), &'static str> {
        let mut response = http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        check(&response.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn what_http_does_not_allow_is_the_functions_fault() {
        assert!(checked(200, &[("content-length", "12"), ("set-cookie", "a=b")]).is_ok());
        assert!(checked(599, &[]).is_ok());
        for headers in [
            &[("content-length", "+1")][..],
            &[("content-length", "")],
            &[("content-length", "1, 1")],
            &[("content-length", "1"), ("content-length", "1")],
            &[("content-length", "99999999999999999999")],
        ] {
            assert!(checked(200, headers).is_err(), "{headers:?}");
        }
        for status in [100, 101, 103, 199] {
            assert!(checked(status, &[]).is_err(), "{status}");
        }
        assert!(checked(200, &[("x-long", &"x".repeat(HEADER_BYTES_MAX))]).is_err());
    }
}
