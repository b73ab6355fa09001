//! `POST .../invocations`: the request's headers to an invocation, its outcome to the documented response.
//!
//! This is the way every call takes. It allocates the event, the answer's headers and little else, and nothing on it leaves
//! the thread.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hearth_engine::{Invocation, LogType, Outcome, depth_of};
use hearth_platform::{EnqueueOptions, InvocationId, Invoked, Revision, Target};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::errors::WireError;
use super::etag::megabytes;
use super::function_error;
use super::route::ServiceRef;
use super::wire;
use crate::app::App;
use crate::http::{Body, Exchange, Request, Response, header_value, read_body};

const INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-fc-invocation-type");
const LOG_TYPE: HeaderName = HeaderName::from_static("x-fc-log-type");
const STATEFUL_ID: HeaderName = HeaderName::from_static("x-fc-stateful-async-invocation-id");
const STATEFUL_ENABLE: HeaderName =
    HeaderName::from_static("x-fc-stateful-async-invocation-enable");
const CODE_CHECKSUM: HeaderName = HeaderName::from_static("x-fc-code-checksum");
const DURATION: HeaderName = HeaderName::from_static("x-fc-invocation-duration");
const VERSION: HeaderName = HeaderName::from_static("x-fc-invocation-service-version");
const MEMORY: HeaderName = HeaderName::from_static("x-fc-max-memory-usage");
const INSTANCE: HeaderName = HeaderName::from_static("x-fc-instance-id");
const LOG_RESULT: HeaderName = HeaderName::from_static("x-fc-log-result");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-fc-error-type");
/// How the instance started; our own, for people who measure.
const START: HeaderName = HeaderName::from_static("x-hearth-start");
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
    exchange: Exchange,
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
        let options = queue_options(&parts.headers, &exchange)?;
        return enqueue(app, target, payload, options).await;
    }
    let mut invocation = Invocation::new(payload).request_id(exchange.request_id.clone());
    invocation.log = log;
    invocation.trace_parent = exchange.trace_parent;
    invocation.depth = depth_of(&parts.headers);
    if let Some(qualifier) = &service.qualifier {
        invocation.qualifier = Arc::from(qualifier.as_ref());
    }
    let invoked = app.platform.invoke_revision(revision, invocation).await;
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
    let report = &outcome.report;
    let mut headers = HeaderMap::with_capacity(HEADERS);
    let duration = report.phases.run.as_millis();
    headers.insert(CODE_CHECKSUM, HeaderValue::from(revision.function().code.checksum));
    headers.insert(DURATION, HeaderValue::from(u64::try_from(duration).unwrap_or(u64::MAX)));
    headers.insert(VERSION, header_value(revision.version()));
    headers.insert(MEMORY, header_value(&megabytes(report.memory_peak_bytes)));
    headers.insert(INSTANCE, header_value(&wire::instance_id(report.instance)));
    headers.insert(START, HeaderValue::from_static(report.start.as_str()));
    headers.insert(EXPOSE, EXPOSED);
    if let Some(tail) = &outcome.tail_log {
        let text = tail_text(tail, &outcome, revision, request_id);
        headers.insert(LOG_RESULT, header_value(&STANDARD.encode(text)));
    }
    let (content_type, body) = match outcome.result {
        Ok(bytes) => ("application/octet-stream", bytes),
        Err(fault) => {
            let kind = if fault.is_handled() {
                "HandledInvocationError"
            } else {
                "UnhandledInvocationError"
            };
            headers.insert(ERROR_TYPE, HeaderValue::from_static(kind));
            ("application/json", function_error::body(&fault, report))
        }
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let mut response = Response::new(Body::Full(body));
    *response.headers_mut() = headers;
    response
}

/// The tail log in the frames that clients look for: the initializer's, if it ran for this call, and the call's, if it came to that.
pub(crate) fn tail_text(
    tail: &[u8],
    outcome: &Outcome,
    revision: &Revision,
    request_id: &str,
) -> String {
    let (report, settings) = (&outcome.report, &revision.function().settings);
    // The tail is the end of all that was logged; what is missing is missing from the initializer's part first.
    let missing = report.log_bytes.saturating_sub(tail.len() as u64);
    let made = report.initialize_log_bytes.filter(|_| settings.initializer.is_some());
    let initialized = made.map_or(0, |bytes| bytes.saturating_sub(missing));
    let at = usize::try_from(initialized).unwrap_or(usize::MAX).min(tail.len());
    let (initializing, invoking) = tail.split_at(at);
    let frame = |what: &str, log: &[u8]| {
        let log = String::from_utf8_lossy(log);
        let newline = if log.is_empty() || log.ends_with('\n') { "" } else { "\n" };
        format!(
            "FC {what} Start RequestId: {request_id}\n{log}{newline}FC {what} End RequestId: {request_id}\n"
        )
    };
    let initialize = made.map(|_| frame("Initialize", initializing)).unwrap_or_default();
    // Instances count from 1: without one there was no call.
    let is_called = made.is_none() || report.instance > 0;
    let invoke = if is_called { frame("Invoke", invoking) } else { String::new() };
    format!(
        "{initialize}{invoke}\nDuration: {:.2} ms, Billed Duration: {} ms, Memory Size: {} MB, Max Memory Used: {} MB",
        report.phases.run.as_secs_f64() * 1000.0,
        report.billed.as_millis(),
        settings.memory_mb,
        megabytes(report.memory_peak_bytes)
    )
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
