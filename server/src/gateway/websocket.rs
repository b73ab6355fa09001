//! WebSockets of functions: a request that wants one becomes a connection if the function takes it, before the client is answered; from
//! then on [`bridge`] stands between the two. Over HTTP/1.1 it has the client's connection for itself, over HTTP/2 one stream of it.

mod bridge;
mod end;
mod handshake;
mod invocations;
mod pieces;
mod times;

use std::sync::Arc;

use bytes::Bytes;
use hearth_engine::{WebSocketAcceptance, WebSocketOpening, WebSocketRejection};
use hearth_platform::{HttpTrigger, WebSocketConnection, WebSocketWish};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::upgrade::OnUpgrade;

use self::bridge::Bridge;
use self::handshake::Handshake;
use self::invocations::Invocations;
use super::answer::Refused;
use super::guest_request::is_ours;
use super::{Destination, guest_request, guest_response, hop, serve};
use crate::app::App;
use crate::dialect::function_compute::errors::WireError;
use crate::http::{Body, Exchange, Occupied, Request, Response};

/// The close code of a connection that broke off; it is never on the wire.
const BROKEN_OFF: u16 = 1006;

/// What the handshake itself says; the function is told what matters of it.
const HANDSHAKE: &str = "sec-websocket-";

/// Answers a request for a WebSocket that was let through.
pub(super) async fn serve(
    app: &App,
    destination: &Destination<'_>,
    trigger: &Arc<HttpTrigger>,
    request: &mut Request,
    exchange: &Exchange,
) -> Result<Response, Refused> {
    let handshake = match Handshake::of(request) {
        Ok(handshake) => handshake,
        Err(wrong) => return wrong.into_response(),
    };
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return Err(not_served("this connection cannot become a WebSocket"));
    };
    let occupied = request.extensions_mut().remove::<Occupied>();
    let depth = guest_request::depth(request.headers())?;
    let revision = app.platform.resolve(destination.target())?;
    guest_request::head(request, destination, &revision, exchange)?;
    let opening = opening(destination, request.headers(), &handshake);
    let invocations = Invocations::new(destination, exchange, depth, app, &revision);
    let (invocation, counted) =
        (invocations.of(exchange.request_id.clone()), serve::counting(app, &revision));
    let settings = &trigger.websocket;
    let wish =
        app.platform.open_websocket(revision.clone(), settings, opening, invocation, counted).await;
    match wish? {
        WebSocketWish::Accepted(connection, acceptance) => {
            let response = match accepted(&handshake, acceptance) {
                Ok(response) => response,
                Err(why) => {
                    close(connection, &invocations, why).await;
                    return Ok(guest_response::broken(why));
                }
            };
            let bridge = Bridge {
                connection,
                way: app.platform.way(destination.target(), trigger, destination.domain),
                invocations,
                settings: trigger.websocket,
                ping: app.settings.gateway.websocket_ping.0,
                write: app.settings.http.write_timeout.0,
                shutdown: app.shutdown.clone(),
                _occupied: occupied,
            };
            // On this core's own thread, like all that is spawned here.
            tokio::spawn(bridge.serve(upgrade));
            Ok(response)
        }
        WebSocketWish::Rejected(rejection) => Ok(rejected(&rejection)),
        WebSocketWish::Failed(outcome) => {
            Ok(guest_response::ended(&outcome, &revision, &exchange.request_id))
        }
        WebSocketWish::NotTaken => Err(not_served("the function takes no WebSockets")),
    }
}

/// Tells a function that a connection which it took did not come about.
async fn close(connection: WebSocketConnection, invocations: &Invocations, why: &str) {
    let closed = connection.close(BROKEN_OFF, why.to_owned(), invocations.next());
    invocations.count(Box::pin(closed).await.as_ref());
}

fn not_served(message: &str) -> Refused {
    WireError::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message).into()
}

fn opening(
    destination: &Destination<'_>,
    headers: &HeaderMap,
    handshake: &Handshake,
) -> WebSocketOpening {
    let (path, query) = destination.path.split_once('?').unwrap_or((&destination.path, ""));
    let lines = headers.iter().filter(|(name, _)| !name.as_str().starts_with(HANDSHAKE));
    let client = headers.get("x-fc-client-ip").and_then(|value| value.to_str().ok());
    WebSocketOpening {
        path: path.to_owned(),
        query: query.to_owned(),
        headers: lines
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect(),
        subprotocols: handshake.subprotocols.clone(),
        client_address: client.unwrap_or_default().to_owned(),
    }
}

/// The response that makes a connection.
///
/// # Errors
/// What of the function's answer cannot be said.
fn accepted(
    handshake: &Handshake,
    acceptance: WebSocketAcceptance,
) -> Result<Response, &'static str> {
    let mut own = HeaderMap::new();
    for (name, value) in acceptance.headers {
        let name: HeaderName = name.parse().map_err(|_| "it has a header with an invalid name")?;
        let value = HeaderValue::from_bytes(&value);
        own.append(name, value.map_err(|_| "it has a header with an invalid value")?);
    }
    let is_taken_away = |name: &str| {
        is_ours(name)
            || name.starts_with(HANDSHAKE)
            || name == CONTENT_LENGTH.as_str()
            || name == CONTENT_TYPE.as_str()
    };
    hop::strip(&mut own, is_taken_away);
    if let Some(chosen) = &acceptance.subprotocol
        && !handshake.subprotocols.contains(chosen)
    {
        return Err("it has a subprotocol that the client did not offer");
    }
    let mut response = handshake.response(acceptance.subprotocol.as_deref());
    response.headers_mut().extend(own);
    Ok(response)
}

fn rejected(rejection: &WebSocketRejection) -> Response {
    let status = StatusCode::from_u16(rejection.status).ok();
    let status = status.filter(|status| status.is_client_error() || status.is_server_error());
    let mut response = Response::new(Body::from(Bytes::from(rejection.message.clone())));
    *response.status_mut() = status.unwrap_or(StatusCode::FORBIDDEN);
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}
