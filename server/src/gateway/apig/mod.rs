//! Requests that become events: a route of an API gateway's kind leads to an event function, which is told the request in the
//! documented shape and answers with the documented structure.
//!
//! Two addresses lead here: `/apig/{service}[.{qualifier}]/{function}/{path}`, and routes of custom domains to functions that have
//! such triggers. Of a function's triggers the narrowest that is for path and method takes the request. What is asked of it before the
//! guest sees it is in this file, the event in [`event`], what goes back in [`answer`].

mod answer;
mod event;

use std::sync::Arc;

use bytes::Bytes;
use hearth_engine::{Fault, Invocation, Outcome, TriggerFacts};
use hearth_platform::{
    EnqueueOptions, GatewayAuth, GatewayRoute, InvocationId, Invoked, NoGatewayRoute, Revision,
};
use http::{HeaderName, Method, StatusCode};

use self::event::Said;
use super::answer::Refused;
use super::upgrade::{self, Wanted};
use super::{Destination, address, guest_request, guest_response};
use crate::app::App;
use crate::dialect::auth;
use crate::dialect::function_compute::errors::WireError;
use crate::http::{Body, Exchange, Request, Response, read_body};

pub(crate) use address::is_apig_path;

/// It is for functions that answer HTTP themselves.
const CLIENT_IP: HeaderName = HeaderName::from_static("x-fc-client-ip");
/// What triggers of this kind are called, to functions and to callers.
const KIND: &str = "apig";

/// Answers a request for a path of [`is_apig_path`].
pub(crate) async fn serve_path(app: &App, request: &mut Request, exchange: &Exchange) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let client = super::client_of(app, request, exchange);
    let result = match address::apig_destination(&uri, client) {
        Some(destination) => serve(app, &destination, request, exchange).await,
        None => match auth::admit(app, request) {
            Ok(_) => Err(WireError::no_route(&method, uri.path()).into()),
            Err(error) => Err(error.into()),
        },
    };
    result.unwrap_or_else(|refused| refused.into_response(&method))
}

/// Answers a request for a function that has such triggers.
pub(super) async fn serve(
    app: &App,
    destination: &Destination<'_>,
    request: &mut Request,
    exchange: &Exchange,
) -> Result<Response, Refused> {
    let route = admit(app, destination, request)?;
    super::trigger::within_bounds(&app.settings.gateway, destination, request)?;
    if upgrade::wanted(request) != Wanted::Http {
        let message = "a request that becomes an event cannot take its connection over";
        return Err(WireError::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message).into());
    }
    let depth = guest_request::depth(request.headers())?;
    let revision = app.platform.resolve(destination.target())?;
    // Held until the response is whole.
    let _pass = super::trigger::enter(app, destination, Some(&route.trigger.gate)).await?;
    let (mut parts, body) = std::mem::take(request).into_parts();
    let limit = app.settings.gateway.event_body_size;
    let patience = app.settings.http.body_timeout.0;
    let (body, _held) =
        read_body(body, limit.0, patience, &app.bodies).await.map_err(WireError::from)?;
    guest_request::clean(&mut parts.headers);
    destination.client.say(&mut parts.headers, &exchange.peer.said);
    parts.headers.remove(CLIENT_IP);
    let said = Said { parts: &parts, body: &body, path: &destination.path };
    let event = event::write(&said, &route, &exchange.request_id);
    drop(body);
    if route.trigger.is_async {
        return enqueue(app, destination, event, (&route, exchange), depth).await;
    }
    let invocation = invocation(destination, event, (&route, exchange), depth);
    let invoked = app.platform.invoke_revision(revision.into_arc(), invocation).await;
    app.metrics_of(destination.target(), &invoked);
    let Invoked { outcome, revision } = invoked?;
    Ok(respond(app, &outcome, &revision, &exchange.request_id))
}

/// Finds the route, and whether it is for this caller. Who is not known learns nothing of what there is, but where everybody may
/// call.
fn admit(
    app: &App,
    destination: &Destination<'_>,
    request: &Request,
) -> Result<GatewayRoute, WireError> {
    let (target, method) = (destination.target(), request.method());
    let path = destination.path.split('?').next().unwrap_or_default();
    let found = app.platform.gateway_route(target, method.as_str(), path);
    if !found.as_ref().is_ok_and(|route| route.trigger.auth == GatewayAuth::None) {
        auth::admit_call(app, request, destination.address, target.service)?;
    }
    let route = found.map_err(|error| no_route(app, destination, method, error))?;
    if route.trigger.is_https_only && !destination.client.is_encrypted {
        let message = "the API gateway trigger takes HTTPS only";
        return Err(WireError::new(StatusCode::FORBIDDEN, "AccessDenied", message));
    }
    Ok(route)
}

fn no_route(
    app: &App,
    destination: &Destination<'_>,
    method: &Method,
    error: NoGatewayRoute,
) -> WireError {
    match error {
        NoGatewayRoute::NoTrigger(error) => match app.platform.resolve(destination.target()) {
            // What is missing in the first place says more.
            Err(missing) => missing.into(),
            Ok(_) => error.into(),
        },
        error @ NoGatewayRoute::Path => {
            WireError::new(StatusCode::NOT_FOUND, "ApiNotFound", error.to_string())
        }
        NoGatewayRoute::Method => {
            let method: String = method.as_str().chars().take(32).collect();
            let message = format!("the API gateway triggers for this path do not take {method}");
            WireError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
        }
    }
}

fn invocation(
    destination: &Destination<'_>,
    event: Bytes,
    (route, exchange): (&GatewayRoute, &Exchange),
    depth: u32,
) -> Invocation {
    let mut invocation = Invocation::with_id(exchange.request_id.clone(), event);
    invocation.depth = depth;
    invocation.trace_parent = exchange.trace_parent.clone();
    invocation.trigger = Some(TriggerFacts { name: route.name.clone(), kind: KIND.to_owned() });
    invocation.deadline = route.trigger.timeout.map(|limit| exchange.arrived + limit);
    if let Some(qualifier) = &destination.qualifier {
        invocation.qualifier = Some(Arc::from(qualifier.as_ref()));
    }
    invocation
}

/// Has the function run later; the caller is told that it will.
async fn enqueue(
    app: &App,
    destination: &Destination<'_>,
    event: Bytes,
    (route, exchange): (&GatewayRoute, &Exchange),
    depth: u32,
) -> Result<Response, Refused> {
    let options = EnqueueOptions {
        id: Some(InvocationId::parse(&exchange.request_id)?),
        trace_parent: exchange.trace_parent.as_deref().map(str::to_owned),
        trigger: Some((route.name.clone(), KIND.to_owned())),
        depth,
        ..EnqueueOptions::default()
    };
    app.platform.enqueue(destination.target(), event, options).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// The response to a caller that waited. Why there is none of the function's is in its log and not in the response.
fn respond(app: &App, outcome: &Outcome, revision: &Revision, request_id: &str) -> Response {
    let mut response = match &outcome.result {
        Ok(bytes) => match answer::read(bytes) {
            Ok(answer) => answer.into_response(),
            Err(why) => {
                let note = format!("the answer is no HTTP response: {why}");
                app.platform.engine().note(revision.label(), request_id, &note);
                failed(StatusCode::BAD_GATEWAY, "the function's answer is no HTTP response")
            }
        },
        Err(Fault::Timeout { .. }) => {
            failed(StatusCode::GATEWAY_TIMEOUT, "the function did not answer in time")
        }
        Err(_) => failed(StatusCode::BAD_GATEWAY, "the function ended in an error"),
    };
    guest_response::say(response.headers_mut(), Some(outcome), revision, request_id);
    response
}

fn failed(status: StatusCode, what: &str) -> Response {
    let message = format!("{what}; its log says more");
    // As if for a POST: the status that is meant, whatever the method was.
    let error = WireError::new(status, "FunctionError", message);
    let mut response = error.into_response(&Method::POST);
    guest_response::mark_unhandled(response.headers_mut());
    response
}
