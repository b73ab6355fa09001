//! The SDK of Spin for WASI 0.3: an async handler. It becomes a component that exports `wasi:http/handler@0.3.0`.

use bytes::Bytes;
use spin_sdk::http::body::IncomingBodyExt;
use spin_sdk::http::{FullBody, HeaderValue, IntoResponse, Method, Request, Response, Result};
use spin_sdk::http_service;

#[http_service]
async fn answer(request: Request) -> Result<impl IntoResponse> {
    // Spin takes it for the log, as hearth does.
    println!("{} {}", request.method(), request.uri().path());
    match (request.method(), request.uri().path()) {
        (_, "/") => Ok(text(200, "hello from rust-spin-p3\n")),
        (_, "/echo") | (&Method::POST, "/invoke") => echo(request).await,
        _ => Ok(text(404, "not found; there are /, /invoke and /echo\n")),
    }
}

/// The request's body, under its own content type.
async fn echo(request: Request) -> Result<Response<FullBody<Bytes>>> {
    let content_type = request.headers().get("content-type").cloned();
    let mut response = Response::new(FullBody::new(request.into_body().bytes().await?));
    let octets = || HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert("content-type", content_type.unwrap_or_else(octets));
    Ok(response)
}

fn text(status: u16, body: &'static str) -> Response<FullBody<Bytes>> {
    let mut response = Response::new(FullBody::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status.try_into().expect("a status of three digits");
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert("content-type", text);
    response
}
