//! A `wasi:http` 0.3 function on the bare bindings of the crate `wasip3`: `rust-http` again, with an async handler. Bodies are streams
//! that are passed on, not copied: an echo gives the request's body and trailers to the response and is done.

use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response};
use wasip3::{wit_bindgen, wit_future, wit_stream};

struct Http;

wasip3::http::service::export!(Http);

impl wasip3::exports::http::handler::Guest for Http {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        Ok(match (request.get_method(), path) {
            (_, "/") => text(200, "hello from rust-http-p3\n"),
            (Method::Post, "/invoke") | (_, "/echo") => echo(request),
            (_, "/invoke") => text(405, "POST an event to /invoke\n"),
            _ => text(404, "not found; there are /, /invoke and /echo\n"),
        })
    }
}

/// A short answer, known in full. It is written after the handler returned, while the host reads it.
fn text(status: u16, body: &'static str) -> Response {
    let (mut body_in, body_out) = wit_stream::new();
    let (trailers_in, trailers_out) = wit_future::new(|| Ok(None));
    let response = answer(status, b"text/plain; charset=utf-8", body_out, trailers_out);
    wit_bindgen::spawn_local(async move {
        // What the client did not take is lost with it; there is no one to tell.
        body_in.write_all(body.as_bytes().to_vec()).await;
        // Dropping it sends the default: no trailers, and the body is complete.
        drop(trailers_in);
    });
    response
}

/// The request's body and trailers, under its own content type.
fn echo(request: Request) -> Response {
    let content_type = request.get_headers().get("content-type").into_iter().next();
    let content_type = content_type.unwrap_or_else(|| b"application/octet-stream".to_vec());
    let (_, served) = wit_future::new(|| Ok(()));
    let (body, trailers) = Request::consume_body(request, served);
    answer(200, &content_type, body, trailers)
}

/// A response with one header.
fn answer(status: u16, content_type: &[u8], body: Body, trailers: Trailers) -> Response {
    let fields = Fields::new();
    fields.append("content-type", content_type).expect("a content type that came in a header");
    // The future says whether the client took it all; this function has no use for that.
    let (response, _sent) = Response::new(fields, Some(body), trailers);
    response.set_status_code(status).expect("a status of three digits");
    response
}

type Body = wit_bindgen::StreamReader<u8>;
type Trailers = wit_bindgen::FutureReader<Result<Option<Fields>, ErrorCode>>;
