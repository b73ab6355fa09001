//! The Function Compute 2.0 dialect, under `/2016-08-15`: services, functions, code and invocations.
//!
//! Read `route` for what there is and [`errors`] for how anything can end. Everything here is translation.

mod aliases;
mod arn;
mod async_config;
mod bindings;
mod catalog_route;
mod code;
mod destination_event;
mod domains;
pub mod errors;
mod etag;
mod function_error;
mod functions;
mod invoke;
mod json_names;
mod kept_fields;
mod large;
mod layers;
pub(crate) mod report_headers;
mod route;
mod scaling;
mod services;
pub mod signature;
mod stateful;
mod tags;
mod targets;
mod triggers;
mod versions;
pub(crate) mod wire;

use http::header::{CONTENT_TYPE, ETAG, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use self::catalog_route::Asked;
use self::errors::WireError;
use self::route::{Operation, ServiceRef};
use super::auth::Caller;
use super::query::Query;
use crate::app::App;
use crate::dialect::acting::Acting;
use crate::http::{Body, Exchange, Request, Response, read_body};

pub use destination_event::DestinationEvents;
pub(crate) use function_error::body as fault_body;
pub(crate) use invoke::{Kind as InvocationKind, enqueue, kind as invocation_kind, queue_options};
pub(crate) use report_headers::qualifier_value;
pub use route::PREFIX;
pub(crate) use route::decode;
pub(crate) use wire::{time, time_ms};

/// Answers one request of this dialect.
pub(super) async fn serve(
    app: &App,
    request: Request,
    exchange: &Exchange,
    caller: &Caller,
) -> Response {
    let method = request.method().clone();
    // A reference count: the path is borrowed by the operation while the request goes to the handler.
    let uri = request.uri().clone();
    let Some(operation) = route::route(&method, uri.path()) else {
        return WireError::no_route(&method, uri.path()).into_response(&method);
    };
    let result = match operation {
        Operation::Invoke(service, function) => {
            invoke::invoke(app, &service, &function, request, exchange).await
        }
        // Boxed, so that a call of a function does not carry the size of what it is not.
        other => {
            let known = etag::known(&method, request.headers());
            let acting = Acting::new(app, caller, exchange);
            let result = Box::pin(manage(&acting, other, request, caller)).await;
            result.map(|response| etag::unless_known(response, known.as_deref()))
        }
    };
    result.unwrap_or_else(|error| error.into_response(&method))
}

/// Everything but invocations.
async fn manage(
    app: &Acting<'_>,
    operation: Operation<'_>,
    request: Request,
    caller: &Caller,
) -> Result<Response, WireError> {
    let (parts, body) = request.into_parts();
    let http = &app.settings.http;
    let query = Query::of(&parts.uri);
    let expect = etag::expected(&parts.headers, query);
    let read = read_body(body, http.upload_size.0, http.body_timeout.0, &app.bodies);
    let (body, _held) = read.await?;
    match operation {
        Operation::CreateService => services::create(app, &body, caller).await,
        Operation::ListServices => services::list(app, query),
        Operation::GetService(service) => services::get(app, &service),
        Operation::UpdateService(service) => {
            services::update(app, writable(&service)?, &body, expect).await
        }
        Operation::DeleteService(service) => {
            services::delete(app, writable(&service)?, expect).await
        }
        Operation::CreateFunction(service) => {
            functions::create(app, writable(&service)?, &body, &parts.headers).await
        }
        Operation::ListFunctions(service) => functions::list(app, &service, query),
        Operation::GetFunction(service, name) => functions::get(app, &service, &name),
        Operation::UpdateFunction(service, name) => {
            functions::update(app, writable(&service)?, &name, &body, &parts.headers, expect).await
        }
        Operation::DeleteFunction(service, name) => {
            functions::delete(app, writable(&service)?, &name, expect).await
        }
        Operation::GetCode(service, name) => functions::code(app, &service, &name, &parts.headers),
        Operation::Catalog(operation) => {
            let headers = &parts.headers;
            let asked = Asked { app, query, body: &body, expect, headers, caller };
            catalog_route::serve(operation, asked).await
        }
        // Handled before; its own path reads its own body.
        Operation::Invoke(..) => Err(WireError::no_route(&parts.method, parts.uri.path())),
    }
}

/// The service of a request that changes something: versions never change.
fn writable<'a>(service: &'a ServiceRef<'_>) -> Result<&'a str, WireError> {
    match service.qualifier.as_deref() {
        None | Some(hearth_platform::LATEST) => Ok(&service.name),
        Some(_) => {
            Err(WireError::invalid("a version or an alias cannot be changed through this path"))
        }
    }
}

/// A JSON answer.
pub(super) fn json(value: &Value) -> Response {
    let mut response = Response::new(Body::Full(value.to_string().into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A JSON answer with the tag of what it shows.
fn tagged(value: &Value, revision: u64) -> Response {
    let mut response = json(value);
    response.headers_mut().insert(ETAG, etag::of(revision));
    response
}

/// The answer to a deletion.
pub(super) fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// What part of a list is asked for.
fn list_request(query: Query<'_>) -> Result<hearth_platform::ListRequest, WireError> {
    let text = |key| query.get(key).map(String::from).unwrap_or_default();
    let token = text("nextToken");
    Ok(hearth_platform::ListRequest {
        prefix: text("prefix"),
        start: if token.is_empty() { text("startKey") } else { token },
        limit: list_limit(query)?,
    })
}

/// How many items are asked for.
fn list_limit(query: Query<'_>) -> Result<usize, WireError> {
    /// Items of a page when the request does not say.
    const LIMIT: usize = 20;
    Ok(query.parse("limit").map_err(WireError::invalid)?.unwrap_or(LIMIT))
}

/// The checksum that the caller computed of its upload.
fn checksum(headers: &HeaderMap) -> Result<Option<u64>, WireError> {
    let Some(value) = headers.get("x-fc-code-checksum") else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    parsed
        .map(Some)
        .ok_or_else(|| WireError::invalid("X-Fc-Code-Checksum is not a decimal number of 64 bits"))
}
