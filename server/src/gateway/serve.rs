//! The call itself: a request that was let through becomes an invocation, and what comes of it a response.

use std::sync::Arc;

use bytes::Bytes;
use hearth_engine::{Invocation, LogType, Outcome, Served};
use hearth_platform::{Pass, PlatformError, Revision};

use super::answer::Refused;
use super::{Destination, guest_request, guest_response};
use crate::app::App;
use crate::dialect::function_compute::errors::WireError;
use crate::dialect::function_compute::{InvocationKind, invocation_kind};
use crate::http::{Exchange, Request, Response};

/// Serves a request that was let through. Its place is free again when the response has ended.
pub(super) async fn serve(
    app: &App,
    destination: &Destination<'_>,
    request: Request,
    exchange: Exchange,
    pass: Pass,
) -> Result<Response, Refused> {
    let (kind, log) = invocation_kind(request.headers())?;
    if kind == InvocationKind::Async {
        let message = "HTTP requests are not queued here; leave X-Fc-Invocation-Type out";
        return Err(WireError::invalid(message).into());
    }
    let (parts, body) = request.into_parts();
    let depth = guest_request::depth(&parts.headers);
    guest_request::check_depth(app, depth)?;
    let revision = app.platform.resolve(destination.target())?;
    let parts = guest_request::head(parts, destination, &revision, &exchange, None)?;
    let limit = app.settings.gateway.body_size;
    let (request, overflow) = guest_request::with_body(parts, body, limit);
    let invocation = invocation(destination, &exchange, log, depth);
    let counted = counting(app, &revision);
    let served = app.platform.serve_revision(revision.clone(), request, invocation, counted).await;
    if overflow.happened() {
        return Err(guest_request::too_large(limit).into());
    }
    let of = (&*revision, &*exchange.request_id);
    Ok(match served? {
        Served::Answering { response, outcome } => {
            guest_response::answering(response, outcome.as_deref(), of, pass)
        }
        Served::Ended(outcome) => guest_response::ended(&outcome, of.0, of.1),
    })
}

fn invocation(
    destination: &Destination<'_>,
    exchange: &Exchange,
    log: LogType,
    depth: u32,
) -> Invocation {
    let mut invocation = Invocation::new(Bytes::new()).request_id(exchange.request_id.clone());
    invocation.log = log;
    invocation.depth = depth;
    invocation.trace_parent = exchange.trace_parent.clone();
    if let Some(qualifier) = &destination.qualifier {
        invocation.qualifier = Arc::from(qualifier.as_ref());
    }
    invocation
}

/// Counts an invocation however it ends.
fn counting(
    app: &App,
    revision: &Arc<Revision>,
) -> impl FnOnce(Result<&Outcome, &PlatformError>) + Send + 'static {
    let (metrics, revision) = (app.metrics.clone(), revision.clone());
    move |result| match result {
        Ok(outcome) => {
            metrics.ran(revision.label(), outcome.result.as_ref().err(), &outcome.report)
        }
        Err(error) => metrics.not_run(&revision.label(), error),
    }
}
