//! `POST .../invocations`: the request's headers to an invocation, its outcome to the documented response.
//!
//! This is the way every call takes. It allocates the event, the answer's headers and little else, and nothing on it leaves
//! the thread.

use std::sync::Arc;

use bytes::Bytes;
use hearth_engine::{Invocation, LogType, Outcome, depth_of};
use hearth_platform::{EnqueueOptions, InvocationId, Invoked, Revision, Target};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::errors::WireError;
use super::function_error;
use super::report_headers;
use super::route::ServiceRef;
use crate::app::App;
use crate::http::{Body, Exchange, Request, Response, header_value, read_body};

const INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-fc-invocation-type");
const LOG_TYPE: HeaderName = HeaderName::from_static("x-fc-log-type");
const STATEFUL_ID: HeaderName = HeaderName::from_static("x-fc-stateful-async-invocation-id");
const STATEFUL_ENABLE: HeaderName =
    HeaderName::from_static("x-fc-stateful-async-invocation-enable");
const CODE_CHECKSUM: HeaderName = HeaderName::from_static("x-fc-code-checksum");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-fc-error-type");
const EXPOSE: HeaderName = HeaderName::from_static("access-control-expose-headers");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Date,x-fc-request-id,x-fc-error-type,x-fc-code-checksum,x-fc-invocation-duration,x-fc-max-memory-usage,\
     x-fc-log-result,x-fc-invocation-code-version,x-fc-instance-id",
);

/// Headers of an answer.
const HEADERS: usize = 16;

/// Whether the caller waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sync,
    Async,
}

/// What the two headers say.
pub(crate) fn kind(headers: &HeaderMap) -> Result<(Kind, LogType), WireError> {
    // Most requests have neither, and to look through the names there are costs less than to ask for two.
    if !headers.keys().any(|name| name.as_str().starts_with("x-fc-")) {
        return Ok((Kind::Sync, LogType::None));
    }
    let text = |name: &HeaderName| {
        headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
    };
    let kind = match text(&INVOCATION_TYPE).as_deref() {
        None | Some("" | "Sync") => Kind::Sync,
        Some("Async") => Kind::Async,
        Some(other) => return Err(bad_value("InvocationType", "Sync | Async", other)),
    };
    let log = match (kind, text(&LOG_TYPE).as_deref()) {
        (_, None | Some("" | "None")) => LogType::None,
        (Kind::Sync, Some("Tail")) => LogType::Tail,
        (Kind::Sync, Some(other)) => return Err(bad_value("LogType", "Tail | None", other)),
        (Kind::Async, Some(other)) => return Err(bad_value("LogType", "None", other)),
    };
    Ok((kind, log))
}

fn bad_value(what: &str, allowed: &str, actual: &str) -> WireError {
    let actual: String = actual.chars().take(64).collect();
    WireError::invalid(format!(
        "{what} is set to an invalid value (allowed: {allowed}, actual: '{}')",
        actual.escape_debug()
    ))
}

/// Invokes a function.
pub(super) async fn invoke(
    app: &App,
    service: &ServiceRef<'_>,
    function: &str,
    request: Request,
    exchange: &Exchange,
) -> Result<Response, WireError> {
    let (parts, body) = request.into_parts();
    let (kind, log) = kind(&parts.headers)?;
    let target =
        Target { service: &service.name, qualifier: service.qualifier.as_deref(), function };
    // Before the body is read: what does not exist needs no event.
    let revision = app.platform.resolve(target)?;
    let http = &app.settings.http;
    let (payload, _held) =
        read_body(body, http.event_size.0, http.body_timeout.0, &app.bodies).await?;
    if kind == Kind::Async {
        let options = queue_options(&parts.headers, exchange)?;
        return Box::pin(enqueue(app, target, payload, options)).await;
    }
    let mut invocation = Invocation::with_id(exchange.request_id.clone(), payload);
    invocation.log = log;
    invocation.trace_parent = exchange.trace_parent.clone();
    invocation.depth = depth_of(&parts.headers);
    if let Some(qualifier) = &service.qualifier {
        invocation.qualifier = Some(Arc::from(qualifier.as_ref()));
    }
    let invoked = app.platform.invoke_revision(revision.into_arc(), invocation).await;
    app.metrics_of(target, &invoked);
    let Invoked { outcome, revision } = invoked?;
    Ok(answer(outcome, &revision, &exchange.request_id))
}

/// How a request asks to be queued.
pub(crate) fn queue_options(
    headers: &HeaderMap,
    exchange: &Exchange,
) -> Result<EnqueueOptions, WireError> {
    let (stateful, stateful_id) = stateful(headers)?;
    Ok(EnqueueOptions {
        trace_parent: exchange.trace_parent.as_deref().map(str::to_owned),
        id: Some(InvocationId::parse(&exchange.request_id)?),
        stateful,
        stateful_id,
        depth: depth_of(headers),
        ..EnqueueOptions::default()
    })
}

/// Queues an invocation; on disk when this returns.
pub(crate) async fn enqueue(
    app: &App,
    target: Target<'_>,
    payload: Bytes,
    options: EnqueueOptions,
) -> Result<Response, WireError> {
    let accepted = app.platform.enqueue(target, payload, options).await?;
    let mut response = Response::new(Body::empty());
    if let Some(id) = accepted.stateful_id {
        response.headers_mut().insert(STATEFUL_ID, header_value(id.as_str()));
    }
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// Whether an async invocation is to be stateful, and under which id.
fn stateful(headers: &HeaderMap) -> Result<(Option<bool>, Option<InvocationId>), WireError> {
    let text = |name: &HeaderName| {
        let value = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        value.filter(|text| !text.is_empty())
    };
    let enabled = match text(&STATEFUL_ENABLE).as_deref() {
        None => None,
        Some("true" | "True") => Some(true),
        Some("false" | "False") => Some(false),
        Some(other) => {
            return Err(bad_value("StatefulAsyncInvocationEnable", "true | false", other));
        }
    };
    let id = text(&STATEFUL_ID).map(|text| InvocationId::chosen(&text)).transpose()?;
    Ok((enabled, id))
}

/// The documented response.
fn answer(outcome: Outcome, revision: &Revision, request_id: &str) -> Response {
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(CODE_CHECKSUM, HeaderValue::from(revision.function().code.checksum));
    report_headers::insert(&mut headers, &outcome, revision, request_id);
    headers.insert(EXPOSE, EXPOSED);
    let (content_type, body) = match outcome.result {
        Ok(bytes) => ("application/octet-stream", bytes),
        Err(fault) => {
            let kind = if fault.is_handled() {
                "HandledInvocationError"
            } else {
                "UnhandledInvocationError"
            };
            headers.insert(ERROR_TYPE, HeaderValue::from_static(kind));
            ("application/json", function_error::body(&fault, &outcome.report))
        }
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let mut response = Response::new(Body::Full(body));
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(invocation: Option<&[u8]>, log: Option<&[u8]>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [(INVOCATION_TYPE, invocation), (LOG_TYPE, log)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_bytes(value).unwrap());
            }
        }
        headers
    }

    #[test]
    fn header_values_and_their_exact_refusals() {
        let check = |invocation: &str, log: &str| {
            kind(&headers(Some(invocation.as_bytes()), Some(log.as_bytes())))
                .map_err(|error| error.message)
        };
        assert_eq!(kind(&headers(None, None)), Ok((Kind::Sync, LogType::None)));
        assert_eq!(check("Sync", "Tail"), Ok((Kind::Sync, LogType::Tail)));
        assert_eq!(check("Async", "None"), Ok((Kind::Async, LogType::None)));
        assert_eq!(
            check("Sync", "X").unwrap_err(),
            "LogType is set to an invalid value (allowed: Tail | None, actual: 'X')"
        );
        assert_eq!(
            check("Async", "Tail").unwrap_err(),
            "LogType is set to an invalid value (allowed: None, actual: 'Tail')"
        );
        assert_eq!(
            check("Later", "None").unwrap_err(),
            "InvocationType is set to an invalid value (allowed: Sync | Async, actual: 'Later')"
        );
    }

    proptest! {
        #[test]
        fn no_header_panics(invocation in prop::collection::vec(0x20u8..0xff, 0..90), log in prop::collection::vec(0x80u8..0xff, 0..90)) {
            let invocation: Vec<u8> = invocation.into_iter().filter(|byte| *byte != 0x7f).collect();
            let _ = kind(&headers(Some(&invocation), Some(&log)));
        }
    }
}
