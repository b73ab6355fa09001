//! hearth's own API under `/hearth/v1`: what the command line needs and no official dialect offers. Errors look as in the
//! Function Compute dialect.
//!
//! | request | does |
//! |---|---|
//! | `PUT /functions/{service}/{function}` | deploys: the body is a WebAssembly binary, `X-Hearth-Settings` holds [`wire::DeployRequest`] as JSON; without a body only the settings change; the service is made if need be |
//! | `GET /functions` | lists all functions |
//! | `GET /functions/{service}/{function}` | shows one |
//! | `DELETE /functions/{service}/{function}` | removes one, and its service if that was the last |
//! | `GET /code/{service}/{function}?...` | the package, through a link of [`CodeLinks`] |
//! | `GET /logs?function=s/f&limit=&request_id=&follow=` | log lines as NDJSON; with `follow=true` until the client goes |
//! | `GET /invocations?function=s/f&limit=` | records of invocations that ended, newest first |
//! | `GET /invocations/{request id}` | the record of one |
//! | `GET /keys` | lists access keys, without their secrets |
//! | `POST /keys` | makes one from [`keys::CreateKey`]; its secret is told this once |
//! | `POST /keys/{id}/rotate` | gives it another secret, as [`keys::RotateKey`] says |
//! | `DELETE /keys/{id}` | revokes it |
//! | `GET /dead?function=s/f&after=&limit=` | dead letters in order of id, at most 100, without their events |
//! | `GET /dead/{request id}` | one of them, with its event |
//! | `POST /dead/{request id}` | queues it again; answers the new request id |
//! | `GET /audit?since=&until=&who=&what=&order=&from=&limit=` | the audit trail, at most 100 records, newest first unless `order=oldest` |
//! | `GET /audit/verify?head=NUMBER:HASH` | whether the trail is whole, and holds the head that was noted |
//! | `GET /stats` | figures of engine, platform and the function named by `?function=s/f` |

mod audit;
mod code_link;
mod dead;
mod deploy;
mod http_url;
mod invocations;
pub mod keys;
mod logs;
mod read;
pub mod wire;

use http::Method;

use super::auth::Caller;
use super::function_compute::decode;
use super::function_compute::errors::WireError;
use super::query::Query;
use crate::app::App;
use crate::dialect::acting::Acting;
use crate::http::{Exchange, Request, Response};

pub use code_link::CodeLinks;

/// Where the API lives.
pub const PREFIX: &str = "/hearth/v1";

/// Most elements of a path.
const ELEMENTS_MAX: usize = 4;

/// Answers one request of this API.
pub(super) async fn serve(
    app: &App,
    request: Request,
    exchange: &Exchange,
    caller: &Caller,
) -> Response {
    let method = request.method().clone();
    let app = Acting::new(app, caller, exchange);
    let result = answer(&app, request, caller).await;
    result.unwrap_or_else(|error| error.into_response(&method))
}

async fn answer(
    app: &Acting<'_>,
    request: Request,
    caller: &Caller,
) -> Result<Response, WireError> {
    let uri = request.uri().clone();
    let missing = || WireError::no_route(request.method(), uri.path());
    let rest = uri
        .path()
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_prefix('/'))
        .ok_or_else(missing)?;
    let elements: Option<Vec<_>> = rest.split('/').take(ELEMENTS_MAX).map(decode).collect();
    let elements = elements.ok_or_else(missing)?;
    let elements: Vec<&str> = elements.iter().map(AsRef::as_ref).collect();
    let query = Query::of(&uri);
    let method = request.method().clone();
    match (&method, elements.as_slice()) {
        (&Method::PUT, ["functions", service, function]) => {
            deploy::deploy(app, service, function, request, caller).await
        }
        (&Method::DELETE, ["functions", service, function]) => {
            deploy::remove(app, service, function).await
        }
        (&Method::GET, ["functions"]) => read::list(app),
        (&Method::GET, ["functions", service, function]) => read::show(app, service, function),
        (&Method::GET, ["code", service, function]) => {
            read::code(app, service, function, query).await
        }
        (&Method::GET, ["layers", layer, version]) => {
            read::layer(app, layer, version.parse().map_err(|_| missing())?, query).await
        }
        (&Method::GET, ["logs"]) => logs::logs(app, query).await,
        (&Method::GET, ["invocations"]) => invocations::list(app, query).await,
        (&Method::GET, ["invocations", id]) => invocations::show(app, id, caller).await,
        (&Method::GET, ["keys"]) => Ok(keys::list(app)),
        (&Method::POST, ["keys"]) => keys::create(app, request).await,
        (&Method::POST, ["keys", id, "rotate"]) => keys::rotate(app, id, request).await,
        (&Method::DELETE, ["keys", id]) => keys::revoke(app, id).await,
        (&Method::GET, ["dead"]) => dead::list(app, query).await,
        (&Method::GET, ["dead", id]) => dead::show(app, id, caller).await,
        (&Method::POST, ["dead", id]) => dead::redrive(app, id, caller).await,
        (&Method::GET, ["audit"]) => audit::list(app, query).await,
        (&Method::GET, ["audit", "verify"]) => audit::verify(app, query).await,
        (&Method::GET, ["stats"]) => read::stats(app, query),
        _ => Err(missing()),
    }
}
