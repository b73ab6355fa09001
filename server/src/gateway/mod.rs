//! HTTP functions: requests of callers, answered by the function itself. What is asked of a request before any guest sees it is here
//! and in [`trigger`]; what the guest sees, and what goes back, in [`guest_request`] and [`guest_response`].
//!
//! Two addresses lead here: the proxy path of a function with an HTTP trigger, and custom domains, which are told by their host.
//! Requests that become events of functions that know no HTTP are in [`apig`].

mod address;
mod answer;
pub(crate) mod apig;
mod client;
mod grpc;
mod guest_request;
mod guest_response;
mod hop;
mod queued;
mod serve;
mod trigger;
mod upgrade;
mod websocket;

use std::borrow::Cow;
use std::sync::Arc;

use hearth_platform::{Domain, DomainProtocol, Gate, NoRoute, Target};
use http::StatusCode;

use self::client::Client;
use crate::app::App;
use crate::dialect::auth::{self, Address};
use crate::dialect::function_compute::errors::WireError;
use crate::http::{Exchange, Request, Response};

pub(crate) use address::is_proxy_path;
pub(crate) use client::TrustedProxies;
pub(crate) use queued::QueuedRequests;

/// What a request is for, wherever it came.
#[derive(Debug)]
struct Destination<'a> {
    service: Cow<'a, str>,
    /// None for the newest.
    qualifier: Option<Cow<'a, str>>,
    function: Cow<'a, str>,
    /// Path and query as the function sees them.
    path: Cow<'a, str>,
    /// Where the function begins in the path that the caller used.
    base_path: Cow<'a, str>,
    address: Address,
    /// The limits of the route that led here, beside those of the trigger.
    gate: Option<&'a Gate>,
    /// The custom domain that led here.
    domain: Option<&'a Arc<Domain>>,
    client: Client,
}

impl Destination<'_> {
    fn target(&self) -> Target<'_> {
        Target {
            service: &self.service,
            qualifier: self.qualifier.as_deref(),
            function: &self.function,
        }
    }
}

/// The custom domain that a request is for, if its host is one. Everything under that host is the domain's.
pub(crate) fn domain_of(app: &App, request: &Request) -> Option<Arc<Domain>> {
    // Where there are none, nothing of the request is looked at.
    if !app.platform.has_domains() {
        return None;
    }
    let host = address::host(request)?;
    app.platform.domain_of(host).filter(|_| !app.settings.gateway.is_own_host(host))
}

/// Answers a request for a custom domain.
pub(crate) async fn serve_domain(
    app: &App,
    domain: &Arc<Domain>,
    request: &mut Request,
    exchange: &Exchange,
) -> Response {
    upgrade::settle(request);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let call = grpc::Call::of(request);
    let client = client_of(app, request, exchange);
    let result = match domain_destination(domain, request, &uri, client) {
        Ok(destination) if app.platform.has_gateway_trigger(destination.target()) => {
            apig::serve(app, &destination, request, exchange).await
        }
        Ok(destination) => trigger::serve(app, &destination, request, exchange).await,
        Err(error) => Err(error.into()),
    };
    let response = result.unwrap_or_else(|refused| refused.into_response(&method));
    told(call, response)
}

fn domain_destination<'a>(
    domain: &'a Arc<Domain>,
    request: &Request,
    uri: &'a http::Uri,
    client: Client,
) -> Result<Destination<'a>, WireError> {
    let forbidden =
        |message: String| WireError::new(StatusCode::FORBIDDEN, "AccessDenied", message);
    let name = &domain.name;
    match domain.settings.protocol {
        DomainProtocol::Https if !client.is_encrypted => {
            return Err(forbidden(format!("domain '{name}' takes HTTPS only")));
        }
        DomainProtocol::Http if client.is_encrypted => {
            return Err(forbidden(format!("domain '{name}' takes plain HTTP only")));
        }
        DomainProtocol::Http | DomainProtocol::Https | DomainProtocol::Both => {}
    }
    let (method, path) = (request.method().as_str(), uri.path());
    let routed = domain.route(method, path, uri.query()).map_err(|why| match why {
        NoRoute::Path => WireError::new(
            StatusCode::NOT_FOUND,
            "DomainRouteNotFound",
            format!("no route of domain '{name}' is for path '{}'", shown(path)),
        ),
        NoRoute::Method => {
            forbidden(format!("the route of domain '{name}' for this path does not take {method}"))
        }
        NoRoute::TooLong => WireError::invalid("the rewritten path is too long"),
    })?;
    let asked = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    Ok(Destination {
        service: routed.route.service.as_str().into(),
        qualifier: routed.route.qualifier.as_deref().map(Cow::from),
        function: routed.route.function.as_str().into(),
        path: routed.rewritten.map_or(Cow::Borrowed(asked), Cow::Owned),
        base_path: "/".into(),
        address: Address::Domain,
        gate: routed.gate,
        domain: Some(domain),
        client,
    })
}

/// Answers a request for a proxy path. The request is lent, here and in all that this calls, and taken where it is used up: a future that is
/// given one holds room for it twice, and each of them would be moved. Inlined so that its future is made in its box and not copied there.
#[inline]
pub(crate) async fn serve_proxy(app: &App, request: &mut Request, exchange: &Exchange) -> Response {
    upgrade::settle(request);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let call = grpc::Call::of(request);
    let client = client_of(app, request, exchange);
    let result = match address::proxy_destination(&uri, client) {
        Some(destination) => trigger::serve(app, &destination, request, exchange).await,
        None => match auth::admit(app, request) {
            Ok(_) => Err(WireError::no_route(&method, uri.path()).into()),
            Err(error) => Err(error.into()),
        },
    };
    let response = result.unwrap_or_else(|refused| refused.into_response(&method));
    told(call, response)
}

/// A response in the form that its caller looks for.
fn told(call: Option<grpc::Call>, response: Response) -> Response {
    match call {
        Some(call) => call.told(response),
        None => response,
    }
}

/// Who asks.
fn client_of(app: &App, request: &Request, exchange: &Exchange) -> Client {
    let peer = (exchange.peer.address.ip(), exchange.peer.tls);
    Client::of(peer, request.headers(), &app.trusted_proxies)
}

/// A piece of a path, short enough for a message.
fn shown(path: &str) -> &str {
    path.get(..path.floor_char_boundary(256)).unwrap_or_default()
}
