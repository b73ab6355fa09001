//! What became of invocations: records of those that ended, newest first, sync ones for a short while, async ones as long as
//! the journal keeps them.

use hearth_platform::{InvocationFilter, Role};
use http::StatusCode;

use super::super::auth::Caller;
use super::super::function_compute::errors::WireError;
use super::super::function_compute::json as answer;
use super::super::query::Query;
use crate::app::App;
use crate::http::Response;

/// Records in one answer unless asked for fewer, and at most.
const RECORDS_MAX: usize = 1000;

/// Records by `function`, newest first.
pub(super) async fn list(app: &App, query: Query<'_>) -> Result<Response, WireError> {
    let limit = match query.get("limit") {
        None => RECORDS_MAX,
        Some(limit) => limit
            .parse()
            .ok()
            .filter(|limit| (1..=RECORDS_MAX).contains(limit))
            .ok_or_else(|| WireError::invalid(format!("limit must be 1 to {RECORDS_MAX}")))?,
    };
    let function = query.get("function").map(|name| name.to_string());
    let filter = InvocationFilter { function, limit, ..InvocationFilter::default() };
    let records = app.platform.invocations(&filter).await?;
    Ok(answer(&serde_json::json!({ "invocations": records })))
}

/// The record of one invocation.
pub(super) async fn show(
    app: &App,
    request_id: &str,
    caller: &Caller,
) -> Result<Response, WireError> {
    let filter = InvocationFilter {
        request_id: Some(request_id.to_owned()),
        limit: 1,
        ..InvocationFilter::default()
    };
    match app.platform.invocations(&filter).await?.first() {
        Some(record) => {
            caller.must_with(Role::Deploy, &record.function)?;
            Ok(answer(&serde_json::json!(record)))
        }
        None => Err(WireError::new(
            StatusCode::NOT_FOUND,
            "StatefulAsyncInvocationNotFound",
            format!("invocation '{request_id}' has not ended, or its record is no longer kept"),
        )),
    }
}
