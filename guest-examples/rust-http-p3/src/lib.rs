//! A `wasi:http` 0.3 function on the bare bindings of the crate `wasip3`: `rust-http` again, with an async handler. Bodies are streams
//! that are passed on, not copied: an echo gives the request's body and trailers to the response and is done. While one request waits,
//! the same instance may serve others, and `/wait` tells how many it has.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};
use wasip3::{wit_bindgen, wit_future, wit_stream};

struct Http;

wasip3::http::service::export!(Http);

impl wasip3::exports::http::handler::Guest for Http {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        Ok(match (request.get_method(), path) {
            (_, "/") => text(200, "hello from rust-http-p3\n"),
            (Method::Post, "/invoke") | (_, "/echo") => echo(request),
            (_, "/invoke") => text(405, "POST an event to /invoke\n"),
            (_, "/wait") => wait(&request, query).await,
            (_, "/fetch") => fetch(&request, query).await?,
            _ => text(404, "not found; there are /, /invoke, /echo, /wait and /fetch\n"),
        })
    }
}

/// Requests that this instance has at the moment.
static IN_FLIGHT: AtomicU32 = AtomicU32::new(0);

/// The most that it had at once.
static MOST: AtomicU32 = AtomicU32::new(0);

/// A request while it is served, however it ends.
struct InFlight;

impl InFlight {
    fn begin() -> Self {
        let now = IN_FLIGHT.fetch_add(1, Relaxed) + 1;
        MOST.fetch_max(now, Relaxed);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        IN_FLIGHT.fetch_sub(1, Relaxed);
    }
}

/// Waits `ms` milliseconds while others are served; tells the request's id and how many the instance had. `then=panic` ends badly.
async fn wait(request: &Request, query: &str) -> Response {
    let _here = InFlight::begin();
    let id = id(request, query);
    eprintln!("{id} begins, {} in flight", IN_FLIGHT.load(Relaxed));
    let milliseconds: u64 = value(query, "ms").and_then(|ms| ms.parse().ok()).unwrap_or(100);
    wait_for(milliseconds.saturating_mul(1_000_000)).await;
    eprintln!("{id} ends, {} in flight", IN_FLIGHT.load(Relaxed));
    if value(query, "then") == Some("panic") {
        panic!("{id} ends badly");
    }
    let (now, most) = (IN_FLIGHT.load(Relaxed), MOST.load(Relaxed));
    text(200, format!("{{\"id\":\"{id}\",\"in_flight\":{now},\"most\":{most}}}\n"))
}

/// Asks `url` and passes its answer on; a failure of the host's client is one of this request.
async fn fetch(request: &Request, query: &str) -> Result<Response, ErrorCode> {
    let _here = InFlight::begin();
    let id = id(request, query);
    let url = value(query, "url").unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    eprintln!("{id} asks {authority}");
    let (_, whole) = wit_future::new(|| Ok(None));
    let (asked, _sent) = Request::new(Fields::new(), None, whole, None);
    let is_plain = scheme == "http";
    let wrong = |()| ErrorCode::HttpRequestUriInvalid;
    asked.set_scheme(Some(&if is_plain { Scheme::Http } else { Scheme::Https })).map_err(wrong)?;
    asked.set_authority(Some(authority)).map_err(wrong)?;
    asked.set_path_with_query(Some(if path.is_empty() { "/" } else { path })).map_err(wrong)?;
    let answered = client::send(asked).await?;
    eprintln!("{id} got {}", answered.get_status_code());
    let status = answered.get_status_code();
    let (_, taken) = wit_future::new(|| Ok(()));
    let (body, trailers) = Response::consume_body(answered, taken);
    Ok(answer(status, b"application/octet-stream", body, trailers))
}

/// The id of a request: what its query says, else what its header says.
fn id(request: &Request, query: &str) -> String {
    let header = request.get_headers().get("x-fc-request-id").into_iter().next();
    let header = header.and_then(|id| String::from_utf8(id).ok());
    value(query, "id").map(str::to_owned).or(header).unwrap_or_else(|| "somebody".to_owned())
}

/// The value of this name in a query; it is taken as it stands, up to the next `&`.
fn value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// A short answer, known in full. It is written after the handler returned, while the host reads it.
fn text(status: u16, body: impl Into<Vec<u8>>) -> Response {
    let body = body.into();
    let (mut body_in, body_out) = wit_stream::new();
    let (trailers_in, trailers_out) = wit_future::new(|| Ok(None));
    let response = answer(status, b"text/plain; charset=utf-8", body_out, trailers_out);
    wit_bindgen::spawn_local(async move {
        // What the client did not take is lost with it; there is no one to tell.
        body_in.write_all(body).await;
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
