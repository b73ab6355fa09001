//! Wire APIs over the platform. A dialect translates requests and answers and holds no rule of the domain.
//!
//! Which dialect a request is for is told by the beginning of its path, after it was seen that it is for no custom domain.

mod acting;
pub(crate) mod auth;
pub mod function_compute;
pub mod health;
pub mod hearth;
mod query;

use ::http::Method;

use self::function_compute::errors::WireError;
use crate::app::App;
use crate::config::AdminListen;
use crate::gateway;
use crate::http::{Exchange, Rejection, Request, Response};

/// Answers one request.
pub(crate) async fn serve(app: &App, request: &mut Request, exchange: &Exchange) -> Response {
    if let Some(domain) = gateway::domain_of(app, request) {
        return Box::pin(gateway::serve_domain(app, &domain, request, exchange)).await;
    }
    let path = request.uri().path();
    if gateway::is_proxy_path(path) {
        // Boxed, as all of these: what is awaited here is moved several times before it is first polled.
        return Box::pin(gateway::serve_proxy(app, request, exchange)).await;
    }
    if gateway::apig::is_apig_path(path) {
        return Box::pin(gateway::apig::serve_path(app, request, exchange)).await;
    }
    if path.starts_with(function_compute::PREFIX) {
        return match auth::admit(app, request) {
            Ok(caller) => {
                let request = std::mem::take(request);
                Box::pin(function_compute::serve(app, request, exchange, &caller)).await
            }
            Err(error) => error.into_response(request.method()),
        };
    }
    if path.starts_with(hearth::PREFIX) {
        return match auth::admit(app, request) {
            Ok(caller) => {
                let request = std::mem::take(request);
                Box::pin(hearth::serve(app, request, exchange, &caller)).await
            }
            Err(error) => error.into_response(request.method()),
        };
    }
    let shown = app.settings.admin_listen == AdminListen::Off;
    match health::answer(app, request).filter(|_| shown) {
        Some(response) => response,
        None => WireError::no_route(request.method(), path).into_response(request.method()),
    }
}

/// The answer to a request that got to no handler.
pub(crate) fn reject(rejection: Rejection) -> Response {
    // As if for a POST: the status that is meant, whatever the method was.
    WireError::from(rejection).into_response(&Method::POST)
}
