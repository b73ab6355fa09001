//! What a trigger lets through: who may call, with which methods, within which bounds, how often and how many at once.

use std::sync::Arc;

use hearth_platform::{Gate, HttpAuth, HttpTrigger, Pass};
use http::{Method, StatusCode};

use super::answer::Refused;
use super::upgrade::{self, Wanted};
use super::{Destination, guest_request, serve, websocket};
use crate::app::App;
use crate::config::GatewaySection;
use crate::dialect::auth::{self, Address};
use crate::dialect::function_compute::errors::WireError;
use crate::http::{Exchange, Request, Response};

/// Answers a request for a function.
pub(super) async fn serve(
    app: &App,
    destination: &Destination<'_>,
    request: &mut Request,
    exchange: &Exchange,
) -> Result<Response, Refused> {
    let wanted = upgrade::wanted(request);
    let trigger = admit(app, destination, request, wanted)?;
    within_bounds(&app.settings.gateway, destination, request)?;
    match (wanted, &trigger) {
        (Wanted::Http, _) => {}
        (Wanted::WebSocket, Some(trigger)) => {
            // A place is for the handshake alone: open connections have a bound of their own.
            let _pass = enter(app, destination, Some(&trigger.gate)).await?;
            let served = websocket::serve(app, destination, trigger, request, exchange);
            return Box::pin(served).await;
        }
        (Wanted::Tunnel, _) => return Err(unserved("tunnels are not served here").into()),
        (Wanted::Unknown | Wanted::WebSocket, _) => {
            let message = "the protocol that the request asks for is not served here";
            let status = StatusCode::UPGRADE_REQUIRED;
            return Err(WireError::new(status, "UpgradeRequired", message).into());
        }
    }
    guest_request::check_length(request.headers(), app.settings.gateway.body_size)?;
    let pass = enter(app, destination, trigger.as_ref().map(|trigger| &trigger.gate)).await?;
    serve::serve(app, destination, request, exchange, pass).await
}

fn unserved(message: &str) -> WireError {
    WireError::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
}

/// Finds the trigger, and whether it is for this caller and this request. Who is not known learns nothing of what there is, but where
/// everybody may call. What is returned is the trigger, if more is to be asked of it.
fn admit(
    app: &App,
    destination: &Destination<'_>,
    request: &Request,
    wanted: Wanted,
) -> Result<Option<Arc<HttpTrigger>>, WireError> {
    let target = destination.target();
    let known = || auth::admit_call(app, request, destination.address, target.service);
    let looked = app.platform.with_http_trigger(target, |trigger| {
        if trigger.auth != HttpAuth::Anonymous {
            known()?;
        }
        check(trigger, destination, request.method())?;
        let is_kept = trigger.gate.is_limited() || !matches!(wanted, Wanted::Http);
        Ok(is_kept.then(|| trigger.clone()))
    });
    looked.unwrap_or_else(|error| {
        known()?;
        Err(match app.platform.resolve(target) {
            // What is missing in the first place says more.
            Err(missing) => WireError::from(missing),
            Ok(_) => error.into(),
        })
    })
}

/// Whether a trigger is for a request of whoever may call.
fn check(
    trigger: &HttpTrigger,
    destination: &Destination<'_>,
    method: &Method,
) -> Result<(), WireError> {
    let denied = |message: String| WireError::new(StatusCode::FORBIDDEN, "AccessDenied", message);
    if trigger.auth == HttpAuth::Token {
        return Err(denied("the trigger's authType is not served here".to_owned()));
    }
    if trigger.is_url_closed && destination.address == Address::Server {
        let message = "access denied due to function internet URL is disabled";
        return Err(denied(message.to_owned()));
    }
    if !trigger.takes(method.as_str()) && *method != Method::CONNECT {
        let method: String = method.as_str().chars().take(32).collect();
        return Err(denied(format!("the HTTP trigger does not take {method}")));
    }
    Ok(())
}

/// Whether the request's line and header keep to what the gateway takes.
pub(super) fn within_bounds(
    bounds: &GatewaySection,
    destination: &Destination<'_>,
    request: &Request,
) -> Result<(), WireError> {
    let size = destination.path.len() as u64;
    if size > bounds.path_size.0 {
        let limit = bounds.path_size;
        return Err(WireError::invalid(format!(
            "path and query have {size} bytes; the limit is {limit}"
        )));
    }
    let lines = request.headers().iter();
    let size: usize = lines.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if size as u64 > bounds.header_size.0 {
        let limit = bounds.header_size;
        return Err(WireError::invalid(format!(
            "the header has {size} bytes; the limit is {limit}"
        )));
    }
    Ok(())
}

/// Waits for a place, as far as the route and the trigger have limits.
pub(super) async fn enter(
    app: &App,
    destination: &Destination<'_>,
    gate: Option<&Gate>,
) -> Result<Pass, Refused> {
    let entered = match (destination.gate, gate) {
        (None, None) => return Ok(Pass::default()),
        // Boxed, so that who comes by a route without limits does not carry it.
        (Some(route), Some(gate)) => Box::pin(gate.enter_after(route)).await,
        (Some(gate), None) | (None, Some(gate)) => gate.enter().await,
    };
    entered.map_err(|refusal| {
        app.metrics.refused(refusal.as_str());
        refusal.into()
    })
}
