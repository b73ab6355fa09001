//! Health and metrics: `/healthz` (the process answers), `/readyz` (it takes calls), `/metrics`.
//!
//! They look at memory only and never wait, so that they answer whatever the rest is doing.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};

use super::function_compute::errors::WireError;
use crate::app::App;
use crate::http::{Body, Exchange, Handle, Rejection, Request, Response};

/// What `OpenMetrics` text is called.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn text(status: StatusCode, content_type: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::Full(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Answers a request for health or metrics, and no other.
pub(super) fn answer(app: &App, request: &Request) -> Option<Response> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return None;
    }
    let plain =
        |status, words: &str| Some(text(status, "text/plain; charset=utf-8", format!("{words}\n")));
    match request.uri().path() {
        "/healthz" | "/livez" => plain(StatusCode::OK, "ok"),
        "/readyz" if app.is_ready() => plain(StatusCode::OK, "ready"),
        "/readyz" => plain(StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        "/metrics" => Some(match app.metrics.encode() {
            Ok(metrics) => text(StatusCode::OK, METRICS_TYPE, metrics),
            Err(error) => {
                tracing::error!(%error, "metrics failed");
                WireError::from(Rejection::Panicked).into_response(request.method())
            }
        }),
        _ => None,
    }
}

/// What answers on the admin address: health and metrics only.
#[derive(Debug)]
pub struct Admin(pub Arc<App>);

impl Handle for Admin {
    async fn handle(&self, request: &mut Request, _exchange: &Exchange) -> Response {
        answer(&self.0, request).unwrap_or_else(|| {
            WireError::no_route(request.method(), request.uri().path())
                .into_response(request.method())
        })
    }

    fn reject(&self, _path: &str, rejection: Rejection) -> Response {
        super::reject(rejection)
    }
}
