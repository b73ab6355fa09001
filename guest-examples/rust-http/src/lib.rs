//! A `wasi:http` function on the bare bindings of the crate `wasip2`. It buffers nothing: a body is spliced from the request to the
//! response as it comes, so memory stays the same for any size.

use wasip2::http::types::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::{OutputStream, StreamError};

struct Http;

wasip2::http::proxy::export!(Http);

impl wasip2::exports::http::incoming_handler::Guest for Http {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        match (request.method(), path) {
            (_, "/") => text(out, 200, "hello from rust-http\n"),
            (Method::Post, "/invoke") | (_, "/echo") => echo(&request, out),
            (_, "/invoke") => text(out, 405, "POST an event to /invoke\n"),
            _ => text(out, 404, "not found; there are /, /invoke and /echo\n"),
        }
    }
}

/// A short answer, known in full.
fn text(out: ResponseOutparam, status: u16, body: &str) {
    respond(out, status, "text/plain; charset=utf-8", |stream| {
        stream.blocking_write_and_flush(body.as_bytes())
    });
}

/// The request's body, under its own content type.
fn echo(request: &IncomingRequest, out: ResponseOutparam) {
    let content_type = request.headers().get("content-type").into_iter().next();
    let content_type = content_type.and_then(|value| String::from_utf8(value).ok());
    let content_type = content_type.as_deref().unwrap_or("application/octet-stream");
    respond(out, 200, content_type, |to| {
        let body = request.consume().map_err(|()| StreamError::Closed)?;
        let from = body.stream().map_err(|()| StreamError::Closed)?;
        loop {
            match to.blocking_splice(&from, 65536) {
                Ok(_) => {}
                // The request's end shows as a closed stream.
                Err(StreamError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    });
}

/// Sends the head, lets `write` fill the body, and ends it. A client that left is no fault of the function's, so a failed write ends
/// the body without its proper end, which the client, if there is one, sees as a broken answer.
fn respond(
    out: ResponseOutparam,
    status: u16,
    content_type: &str,
    write: impl FnOnce(&OutputStream) -> Result<(), StreamError>,
) {
    let fields = Fields::new();
    fields
        .append("content-type", content_type.as_bytes())
        .expect("a content type that came in a header is fit for one");
    let response = OutgoingResponse::new(fields);
    response.set_status_code(status).expect("a status of three digits");
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));

    let stream = body.write().expect("the stream is taken once");
    let written = write(&stream);
    drop(stream);
    if written.is_ok() {
        let _ = OutgoingBody::finish(body, None);
    }
}
