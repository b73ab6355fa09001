//! The audit trail over the API: who changed what, and whether the trail is whole. For administrators.

use std::time::SystemTime;

use hearth_platform::{AuditFilter, AuditHead, AuditRecord, to_ms};

use super::super::function_compute::errors::WireError;
use super::super::function_compute::{json as answer, time_ms};
use super::super::query::Query;
use super::wire::{AuditRecordView, AuditReply};
use crate::app::App;
use crate::http::Response;

/// Records in one answer unless asked for fewer, and at most.
const RECORDS_MAX: usize = 100;

/// A page of records.
pub(super) async fn list(app: &App, query: Query<'_>) -> Result<Response, WireError> {
    let limit: usize = query.parse("limit").map_err(WireError::invalid)?.unwrap_or(RECORDS_MAX);
    if !(1..=RECORDS_MAX).contains(&limit) {
        return Err(WireError::invalid(format!("limit must be 1 to {RECORDS_MAX}")));
    }
    let newest_first = match query.get("order").as_deref() {
        None | Some("" | "newest") => true,
        Some("oldest") => false,
        Some(_) => return Err(WireError::invalid("order must be newest or oldest")),
    };
    let text = |key| query.get(key).map(String::from).filter(|text| !text.is_empty());
    let filter = AuditFilter {
        since_ms: moment(query, "since")?,
        until_ms: moment(query, "until")?,
        who: text("who"),
        what: text("what"),
        newest_first,
        from: query.parse("from").map_err(WireError::invalid)?,
        limit,
    };
    let page = app.platform.audit(&filter).await?;
    let records = page.records.into_iter().map(view).collect();
    Ok(answer(&serde_json::json!(AuditReply { records, next: page.next })))
}

/// Whether the trail is what was written.
pub(super) async fn verify(app: &App, query: Query<'_>) -> Result<Response, WireError> {
    let noted: Option<AuditHead> = query
        .get("head")
        .filter(|text| !text.is_empty())
        .map(|text| text.parse())
        .transpose()
        .map_err(|why: String| WireError::invalid(why.escape_debug().to_string()))?;
    let report = app.platform.verify_audit(noted.as_ref()).await?;
    Ok(answer(&serde_json::json!(report)))
}

fn moment(query: Query<'_>, key: &str) -> Result<Option<u64>, WireError> {
    let Some(text) = query.get(key).filter(|text| !text.is_empty()) else { return Ok(None) };
    let parsed: Result<SystemTime, _> = humantime::parse_rfc3339_weak(&text);
    let wrong = |_| WireError::invalid(format!("{key} is not a time such as 2030-01-31T12:00:00Z"));
    parsed.map(|time| Some(to_ms(time))).map_err(wrong)
}

fn view(record: AuditRecord) -> AuditRecordView {
    AuditRecordView {
        number: record.number,
        time: time_ms(record.time_ms),
        deed: record.deed,
        hash: record.hash,
    }
}
