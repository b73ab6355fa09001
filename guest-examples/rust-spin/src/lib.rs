//! What somebody brings who comes from Spin: the SDK of Spin 2 and 3 with its router, nothing of hearth's. It becomes a component that
//! exports `wasi:http/incoming-handler@0.2.0`.

use spin_sdk::http::{IntoResponse, Params, Request, Response, Router};
use spin_sdk::http_component;

#[http_component]
fn answer(request: Request) -> impl IntoResponse {
    // Spin takes both for the log, as hearth does.
    println!("{} {}", request.method(), request.path());
    let mut router = Router::new();
    router.any("/", |_: Request, _: Params| text(200, "hello from rust-spin\n"));
    router.any("/echo", echo);
    router.post("/invoke", echo);
    router.get("/greet/:name", greet);
    router.any("/*", |_: Request, _: Params| {
        text(404, "not found; there are /, /invoke, /echo and /greet/NAME\n")
    });
    router.handle(request)
}

/// The request's body, under its own content type.
fn echo(request: Request, _: Params) -> Response {
    let content_type = request.header("content-type").and_then(|value| value.as_str());
    let content_type = content_type.unwrap_or("application/octet-stream").to_owned();
    let mut response = Response::new(200, request.into_body());
    response.set_header("content-type", content_type);
    response
}

fn greet(_: Request, params: Params) -> Response {
    text(200, &format!("hello {}\n", params.get("name").unwrap_or("nobody")))
}

fn text(status: u16, body: &str) -> Response {
    let mut response = Response::new(status, body);
    response.set_header("content-type", "text/plain; charset=utf-8");
    response
}
