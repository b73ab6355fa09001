//! What the platform says of an invocation in the headers of its response: where it ran, what it used, the tail of its log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hearth_engine::Outcome;
use hearth_platform::{LATEST, Revision};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::etag::Megabytes;
use super::wire;
use crate::http::header_value;

const DURATION: HeaderName = HeaderName::from_static("x-fc-invocation-duration");
pub(crate) const VERSION: HeaderName = HeaderName::from_static("x-fc-invocation-service-version");
const MEMORY: HeaderName = HeaderName::from_static("x-fc-max-memory-usage");
const INSTANCE: HeaderName = HeaderName::from_static("x-fc-instance-id");
const LOG_RESULT: HeaderName = HeaderName::from_static("x-fc-log-result");
/// How the instance started; our own, for people who measure.
const START: HeaderName = HeaderName::from_static("x-hearth-start");

/// Adds what is known of an invocation that has ended.
pub(crate) fn insert(
    headers: &mut HeaderMap,
    outcome: &Outcome,
    revision: &Revision,
    request_id: &str,
) {
    let report = &outcome.report;
    let duration = u64::try_from(report.phases.run.as_millis()).unwrap_or(u64::MAX);
    // It grows once, and far enough for the next request of the connection, which hyper reads into the same memory, with what its function is told.
    headers.reserve(16);
    headers.insert(DURATION, HeaderValue::from(duration));
    headers.insert(VERSION, qualifier_value(revision.version()));
    headers.insert(MEMORY, header_value(Megabytes::of(report.memory_peak_bytes).as_str()));
    headers.insert(INSTANCE, instance(report.instance));
    headers.insert(START, HeaderValue::from_static(report.start.as_str()));
    if let Some(tail) = &outcome.tail_log {
        let text = tail_text(tail, outcome, revision, request_id);
        headers.insert(LOG_RESULT, header_value(&STANDARD.encode(text)));
    }
}

/// A version or another qualifier as the value of a header; most are `LATEST`.
pub(crate) fn qualifier_value(qualifier: &str) -> HeaderValue {
    match qualifier {
        LATEST => HeaderValue::from_static(LATEST),
        other => header_value(other),
    }
}

fn instance(id: u64) -> HeaderValue {
    HeaderValue::from_bytes(&wire::instance_text(id))
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The tail log in the frames that clients look for: the initializer's, if it ran for this call, and the call's, if it came to that.
fn tail_text(tail: &[u8], outcome: &Outcome, revision: &Revision, request_id: &str) -> String {
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
        Megabytes::of(report.memory_peak_bytes).as_str()
    )
}
