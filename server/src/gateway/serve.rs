//! The call itself: a request that was let through becomes an invocation, and what comes of it a response.

use std::sync::Arc;

use bytes::Bytes;
use hearth_engine::{Invocation, LogType, Outcome, Served};
use hearth_platform::{EnqueueOptions, Pass, PlatformError, Revision};

use super::answer::Refused;
use super::{Destination, guest_request, guest_response, queued};
use crate::app::App;
use crate::dialect::function_compute::errors::WireError;
use crate::dialect::function_compute::{InvocationKind, enqueue, invocation_kind, queue_options};
use crate::http::{Accepted, Exchange, Request, Response, compress, read_body};
use crate::telemetry::Metrics;

/// Serves a request that was let through. Its place is free again when the response has ended.
pub(super) async fn serve(
    app: &App,
    destination: &Destination<'_>,
    request: &mut Request,
    exchange: &Exchange,
    pass: Pass,
) -> Result<Response, Refused> {
    let (kind, log) = invocation_kind(request.headers())?;
    let compressed = app.settings.http.compression;
    let accepted = compressed.then(|| Accepted::of(request.headers()));
    let depth = guest_request::depth(request.headers())?;
    let revision = app.platform.resolve(destination.target())?;
    let queued = match kind {
        InvocationKind::Async => Some(queue_options(request.headers(), exchange)?),
        InvocationKind::Sync => None,
    };
    guest_request::head(request, destination, &revision, exchange)?;
    if let Some(options) = queued {
        return Box::pin(keep(app, destination, request, options)).await;
    }
    let limit = app.settings.gateway.body_size;
    let (request, overflow) = guest_request::take(request, limit);
    let invocation = invocation(destination, exchange, log, depth);
    let later = || counting(app, &revision);
    let served = app.platform.serve_revision(&revision, request, invocation, later).await;
    match &served {
        Ok(Served::Answering { outcome: Some(outcome), .. } | Served::Ended(outcome)) => {
            count(&app.metrics, &revision, Ok(outcome));
        }
        Ok(Served::Answering { outcome: None, .. }) => {}
        Err(error) => count(&app.metrics, &revision, Err(error)),
    }
    if overflow.happened() {
        return Err(guest_request::too_large(limit).into());
    }
    let of = (&**revision, &*exchange.request_id);
    Ok(match served? {
        Served::Answering { response, outcome } => {
            let response = guest_response::answering(response, outcome.as_deref(), of, pass);
            match accepted {
                Some(accepted) => compress(accepted, response),
                None => response,
            }
        }
        Served::Ended(outcome) => guest_response::ended(&outcome, of.0, of.1),
    })
}

/// Keeps a request for later; it is on disk when this returns.
async fn keep(
    app: &App,
    destination: &Destination<'_>,
    request: &mut Request,
    options: EnqueueOptions,
) -> Result<Response, Refused> {
    let (parts, body) = std::mem::take(request).into_parts();
    let limit = app.settings.queue.event_size.0;
    let time = app.settings.http.body_timeout.0;
    let read = read_body(body, limit, time, &app.bodies).await;
    let (body, _held) = read.map_err(WireError::from)?;
    let payload = queued::kept(&parts, &body)
        .ok_or_else(|| WireError::invalid("the request has no form in which it can be kept"))?;
    let options = EnqueueOptions { is_request: true, ..options };
    Ok(enqueue(app, destination.target(), payload, options).await?)
}

fn invocation(
    destination: &Destination<'_>,
    exchange: &Exchange,
    log: LogType,
    depth: u32,
) -> Invocation {
    let mut invocation = Invocation::with_id(exchange.request_id.clone(), Bytes::new());
    invocation.log = log;
    invocation.depth = depth;
    invocation.trace_parent = exchange.trace_parent.clone();
    if let Some(qualifier) = &destination.qualifier {
        invocation.qualifier = Some(Arc::from(qualifier.as_ref()));
    }
    invocation
}

/// Counts an invocation however it ends.
pub(super) fn counting(
    app: &App,
    revision: &Arc<Revision>,
) -> impl FnOnce(Result<&Outcome, &PlatformError>) + Send + 'static {
    let (metrics, revision) = (app.metrics.clone(), revision.clone());
    move |result| count(&metrics, &revision, result)
}

fn count(metrics: &Metrics, revision: &Revision, result: Result<&Outcome, &PlatformError>) {
    match result {
        Ok(outcome) => metrics.ran(revision, outcome),
        Err(error) => metrics.not_run(&revision.label(), error),
    }
}
