//! Dead letters: invocations that gave up, to be looked at and queued again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hearth_platform::{DeadLetter, Role};

use super::super::auth::Caller;
use super::super::function_compute::errors::WireError;
use super::super::function_compute::{json as answer, time};
use super::super::query::Query;
use super::wire::{DeadLetterView, DeadLettersReply, RedriveReply};
use crate::app::App;
use crate::dialect::acting::Acting;
use crate::http::Response;

/// Dead letters in one answer unless asked for fewer, and at most.
const LETTERS_MAX: usize = 100;

/// A page of them.
pub(super) async fn list(app: &App, query: Query<'_>) -> Result<Response, WireError> {
    let limit: usize = query.parse("limit").map_err(WireError::invalid)?.unwrap_or(LETTERS_MAX);
    if !(1..=LETTERS_MAX).contains(&limit) {
        return Err(WireError::invalid(format!("limit must be 1 to {LETTERS_MAX}")));
    }
    let function = query.get("function").map(String::from);
    let after = query.get("after").map(String::from).unwrap_or_default();
    let found = app.platform.dead_letters(function.as_deref(), &after, limit).await?;
    let next = found.last().filter(|_| found.len() == limit).map(|last| last.id.clone());
    let dead_letters = found.iter().map(|letter| view(letter, false)).collect();
    Ok(answer(&serde_json::json!(DeadLettersReply { dead_letters, next })))
}

/// One of them.
pub(super) async fn show(app: &App, id: &str, caller: &Caller) -> Result<Response, WireError> {
    let found = app.platform.dead_letter(id).await?;
    caller.must_with(Role::Deploy, &found.function)?;
    Ok(answer(&serde_json::json!(view(&found, true))))
}

/// Queues one again.
pub(super) async fn redrive(
    app: &Acting<'_>,
    id: &str,
    caller: &Caller,
) -> Result<Response, WireError> {
    let found = app.platform.dead_letter(id).await?;
    caller.must_with(Role::Deploy, &found.function)?;
    let request_id = app.platform.redrive(id).await?.to_string();
    Ok(answer(&serde_json::json!(RedriveReply { request_id })))
}

fn view(letter: &DeadLetter, with_event: bool) -> DeadLetterView {
    DeadLetterView {
        request_id: letter.id.clone(),
        function: letter.function.clone(),
        reason: letter.reason.clone(),
        attempts: letter.attempts,
        accepted: time(letter.accepted_ms),
        parked: time(letter.parked_ms),
        event_bytes: letter.payload.len() as u64,
        event: with_event.then(|| STANDARD.encode(&letter.payload)),
    }
}
