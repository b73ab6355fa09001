//! Stateful async invocations: looked up, listed and stopped by an id of the caller's choice.

use hearth_platform::{
    LATEST, StatefulFilter, StatefulInvocation, StatefulStatus as Status, Target,
};
use serde_json::{Value, json as object};

use super::catalog_route::{Asked, Verb};
use super::errors::WireError;
use super::{json, wire};
use crate::http::Response;

/// Invocations of a page when the request does not say.
const LIMIT: usize = 50;

pub(super) async fn serve(
    verb: Verb,
    target: Target<'_>,
    id: &str,
    asked: Asked<'_>,
) -> Result<Response, WireError> {
    let platform = &asked.app.platform;
    match verb {
        Verb::List => list(target, asked).await,
        Verb::Update => {
            platform.stop_stateful(target, id).await?;
            Ok(json(&object!({})))
        }
        Verb::Get | Verb::Create | Verb::Delete => {
            let found = platform.stateful_invocation(target, id).await?;
            Ok(json(&shown(&found, true)))
        }
    }
}

async fn list(target: Target<'_>, asked: Asked<'_>) -> Result<Response, WireError> {
    let query = asked.query;
    let text = |key| query.get(key).map(String::from).filter(|text| !text.is_empty());
    let with_payload = flag(text("includePayload").as_deref())?;
    let filter = StatefulFilter {
        status: text("status").map(|text| status(&text)).transpose()?,
        prefix: text("invocationIdPrefix").unwrap_or_default(),
        since_ms: query.parse("startedTimeBegin").map_err(WireError::invalid)?,
        until_ms: query.parse("startedTimeEnd").map_err(WireError::invalid)?,
        newest_first: match text("sortOrderByTime").as_deref() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(other) => return Err(invalid("sortOrderByTime", other, "asc | desc")),
        },
        start: text("nextToken"),
        limit: query.parse("limit").map_err(WireError::invalid)?.unwrap_or(LIMIT),
    };
    let page = asked.app.platform.stateful_invocations(target, &filter).await?;
    let found: Vec<_> = page.items.iter().map(|found| shown(found, with_payload)).collect();
    let mut answer = object!({ "invocations": found });
    if let (Some(next), Some(answer)) = (page.next, answer.as_object_mut()) {
        answer.insert("nextToken".to_owned(), next.into());
    }
    Ok(json(&answer))
}

/// The functions that have any.
pub(super) async fn functions(asked: Asked<'_>) -> Result<Response, WireError> {
    let limit = asked.query.parse("limit").map_err(WireError::invalid)?.unwrap_or(LIMIT);
    let after = asked.query.get("nextToken").map(String::from).unwrap_or_default();
    let found = asked.app.platform.stateful_functions(&after, limit).await?;
    let next = found.last().filter(|_| found.len() == limit);
    let next = next.map(|(service, function)| format!("{service}/{function}"));
    let shown = |(service, function): &(String, String)| object!({"serviceName": service, "functionName": function, "qualifier": LATEST});
    let data: Vec<Value> = found.iter().map(shown).collect();
    let mut answer = object!({ "data": data });
    if let (Some(next), Some(answer)) = (next, answer.as_object_mut()) {
        answer.insert("nextToken".to_owned(), next.into());
    }
    Ok(json(&answer))
}

fn invalid(what: &str, actual: &str, allowed: &str) -> WireError {
    let actual: String = actual.chars().take(64).collect();
    let actual = actual.escape_debug();
    WireError::invalid(format!(
        "{what} is set to an invalid value (allowed: {allowed}, actual: '{actual}')"
    ))
}

fn flag(text: Option<&str>) -> Result<bool, WireError> {
    match text {
        None | Some("false" | "False") => Ok(false),
        Some("true" | "True") => Ok(true),
        Some(other) => Err(invalid("includePayload", other, "true | false")),
    }
}

/// The state of a name that a request filters by. States that are documented and never last here are told as those they pass into.
fn status(text: &str) -> Result<Status, WireError> {
    Ok(match text {
        "Enqueued" => Status::Enqueued,
        "Dequeued" | "Running" | "Stopping" => Status::Running,
        "Retrying" => Status::Retrying,
        "Succeeded" => Status::Succeeded,
        "Failed" | "Invalid" => Status::Failed,
        "Stopped" => Status::Stopped,
        "Expired" => Status::Expired,
        other => {
            let allowed = "Enqueued | Running | Retrying | Succeeded | Failed | Stopped | Expired";
            return Err(invalid("status", other, allowed));
        }
    })
}

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Enqueued => "Enqueued",
        Status::Running => "Running",
        Status::Retrying => "Retrying",
        Status::Succeeded => "Succeeded",
        Status::Failed => "Failed",
        Status::Stopped => "Stopped",
        Status::Expired => "Expired",
    }
}

fn shown(found: &StatefulInvocation, with_payload: bool) -> Value {
    let ended_ms = found.ended_ms.unwrap_or_default();
    let retried =
        if found.status.is_final() { found.attempts.saturating_sub(1) } else { found.attempts };
    let event = |id: u32, status: Status, at_ms: u64, detail: &str| object!({"eventId": id, "status": status_name(status), "timestamp": at_ms, "eventDetail": detail});
    let mut events = vec![event(1, Status::Enqueued, found.accepted_ms, "")];
    if let Some(at_ms) = found.ended_ms {
        let detail = found.error.as_deref().unwrap_or_default();
        events.push(event(2, found.status, at_ms, detail));
    }
    let mut shown = object!({
        "functionName": found.function,
        "serviceName": found.service,
        "qualifier": found.qualifier,
        "invocationId": found.id,
        "requestId": found.request_id,
        "status": status_name(found.status),
        "startedTime": found.accepted_ms,
        "endTime": ended_ms,
        "durationMs": ended_ms.saturating_sub(found.accepted_ms),
        "alreadyRetriedTimes": retried,
        // Told means that the event which tells it is as durable as this record.
        "destinationStatus": if found.event.is_some() { "Succeeded" } else { "" },
        "invocationErrorMessage": found.error.as_deref().unwrap_or_default(),
        "instanceId": "",
        "events": events,
    });
    if with_payload {
        let payloads = [("invocationPayload", &found.payload), ("returnPayload", &found.answer)];
        let payloads = payloads.map(|(name, text)| (name.to_owned(), Value::from(text.as_str())));
        wire::extend(&mut shown, &payloads.into_iter().collect());
    }
    shown
}
