//! Calls of gRPC that no function answered: a client of gRPC looks for a status in trailers and makes little of one of HTTP. So what the
//! gateway itself says to it is a response of trailers alone, with the status that gRPC's mapping of HTTP's has for it.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use super::answer::ERROR_TYPE;
use crate::http::{Body, Request, Response};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// What the content type of a call begins with.
const KIND: &[u8] = b"application/grpc";
/// The longest message; more of a header some clients refuse.
const MESSAGE_CHARS_MAX: usize = 1024;
/// What a message says in percents; all that is not ASCII it does too.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

const UNKNOWN: u8 = 2;
const DEADLINE_EXCEEDED: u8 = 4;
const PERMISSION_DENIED: u8 = 7;
const RESOURCE_EXHAUSTED: u8 = 8;
const UNIMPLEMENTED: u8 = 12;
const INTERNAL: u8 = 13;
const UNAVAILABLE: u8 = 14;
const UNAUTHENTICATED: u8 = 16;

/// The codes of callers who are not known, whatever their status is.
const NOT_KNOWN: [&str; 5] = [
    "InvalidAccessKeyID",
    "InvalidSecurityToken",
    "MissingRequiredHeader",
    "RequestTimeTooSkewed",
    "SignatureNotMatch",
];

/// The code of bodies over their limit.
const TOO_LARGE: &str = "EntityTooLarge";

/// A response that is there because the function's time was over.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimedOut;

/// A request that is a call.
#[derive(Debug)]
pub(super) struct Call {
    content_type: HeaderValue,
}

impl Call {
    /// The call that a request is, if it is one.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let content_type = request.headers().get(CONTENT_TYPE)?;
        let beginning = content_type.as_bytes().get(..KIND.len())?;
        let is_call = beginning.eq_ignore_ascii_case(KIND);
        is_call.then(|| Self { content_type: content_type.clone() })
    }

    /// The response as the caller understands it: what is a function's stays as it is.
    pub(super) fn told(self, response: Response) -> Response {
        if !response.headers().contains_key(ERROR_TYPE) {
            return response;
        }
        let said = match response.body() {
            Body::Full(bytes) => Said::read(bytes),
            Body::Pieces(_) | Body::Stream(_) => Said::default(),
        };
        let status = match response.extensions().get::<TimedOut>() {
            Some(TimedOut) => DEADLINE_EXCEEDED,
            None => status(response.status(), &said.code),
        };
        let mut told = Response::new(Body::Full(Bytes::new()));
        let headers = told.headers_mut();
        headers.extend(kept(response.headers()));
        headers.insert(CONTENT_TYPE, self.content_type);
        headers.insert(STATUS, u16::from(status).into());
        let message: String = said.message.chars().take(MESSAGE_CHARS_MAX).collect();
        let message = utf8_percent_encode(&message, ESCAPED).to_string();
        if let Ok(message) = HeaderValue::try_from(message) {
            headers.insert(MESSAGE, message);
        }
        told
    }
}

/// What the platform says of itself and of the function.
fn kept(headers: &HeaderMap) -> impl Iterator<Item = (HeaderName, HeaderValue)> + '_ {
    let is_kept = |name: &HeaderName| {
        *name == RETRY_AFTER
            || name.as_str().starts_with("x-fc-")
            || name.as_str().starts_with("x-hearth-")
    };
    headers
        .iter()
        .filter(move |(name, _)| is_kept(name))
        .map(|(name, value)| (name.clone(), value.clone()))
}

/// The words of an error, of the platform's or of a function's fault.
#[derive(Debug, Default)]
struct Said {
    code: String,
    message: String,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |names: [&str; 2]| {
            let found = names.iter().find_map(|name| body.get(name)?.as_str());
            found.unwrap_or_default().to_owned()
        };
        Self {
            code: text(["ErrorCode", "errorType"]),
            message: text(["ErrorMessage", "errorMessage"]),
        }
    }
}

/// The status of gRPC for one of HTTP: its own mapping, and two that it has no line for.
fn status(status: StatusCode, code: &str) -> u8 {
    if NOT_KNOWN.contains(&code) {
        return UNAUTHENTICATED;
    }
    if code == TOO_LARGE {
        return RESOURCE_EXHAUSTED;
    }
    match status {
        StatusCode::BAD_REQUEST => INTERNAL,
        StatusCode::UNAUTHORIZED => UNAUTHENTICATED,
        StatusCode::FORBIDDEN => PERMISSION_DENIED,
        StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED => UNIMPLEMENTED,
        StatusCode::TOO_MANY_REQUESTS => RESOURCE_EXHAUSTED,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT => DEADLINE_EXCEEDED,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: StatusCode, is_ours: bool, body: &'static str) -> Response {
        let mut response = Response::new(Body::Full(Bytes::from_static(body.as_bytes())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        if is_ours {
            headers.insert(ERROR_TYPE, HeaderValue::from_static("FCCommonError"));
        }
        response
    }

    fn call() -> Call {
        Call { content_type: HeaderValue::from_static("application/grpc+proto") }
    }

    #[test]
    fn what_is_the_gateways_own_is_told_in_trailers() {
        let body = r#"{"ErrorCode": "ResourceExhausted", "ErrorMessage": "100% is – too\nmuch"}"#;
        let told = call().told(response(StatusCode::TOO_MANY_REQUESTS, true, body));
        assert_eq!(told.status(), 200);
        assert!(matches!(told.body(), Body::Full(bytes) if bytes.is_empty()));
        for (name, value) in [
            ("content-type", "application/grpc+proto"),
            ("grpc-status", "8"),
            ("grpc-message", "100%25 is %E2%80%93 too%0Amuch"),
            ("retry-after", "7"),
        ] {
            assert_eq!(told.headers()[name], value, "{name}");
        }
    }

    #[test]
    fn what_is_the_functions_stays() {
        let told = call().told(response(StatusCode::NOT_FOUND, false, "none"));
        assert_eq!((told.status().as_u16(), told.headers().get(STATUS)), (404, None));
    }

    #[test]
    fn each_status_has_one_of_grpc() {
        for (http, code, grpc) in [
            (400, "InvalidArgument", INTERNAL),
            (400, "MissingRequiredHeader", UNAUTHENTICATED),
            (403, "SignatureNotMatch", UNAUTHENTICATED),
            (400, "EntityTooLarge", RESOURCE_EXHAUSTED),
            (403, "AccessDenied", PERMISSION_DENIED),
            (404, "FunctionNotFound", UNIMPLEMENTED),
            (429, "ResourceExhausted", RESOURCE_EXHAUSTED),
            (502, "", UNAVAILABLE),
            (503, "ServiceUnavailable", UNAVAILABLE),
            (504, "FunctionError", DEADLINE_EXCEEDED),
            (508, "LoopDetected", UNKNOWN),
        ] {
            assert_eq!(status(StatusCode::from_u16(http).unwrap(), code), grpc, "{http} {code}");
        }
    }
}
