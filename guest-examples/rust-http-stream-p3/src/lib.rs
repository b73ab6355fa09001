//! The function of `rust-http-stream` on `wasi:http` 0.3. Bodies are written by tasks that go on after the handler has returned the
//! head; an echo hands the request's body and trailers to the response and copies nothing.

#[path = "../../rust-http-stream/src/query.rs"]
mod query;

use query::{Checksum, Target, pattern, quoted};
use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};
use wasip3::{wit_bindgen, wit_future, wit_stream};
use wit_bindgen::{FutureReader, StreamReader, StreamResult, StreamWriter};

/// What is read or written at once.
const PIECE: u64 = 64 << 10;

struct Http;

wasip3::http::service::export!(Http);

impl wasip3::exports::http::handler::Guest for Http {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        let target = Target::of(&path);
        Ok(match target.path {
            "/" => text(200, "hello from rust-http-stream-p3\n"),
            "/sse" => events(&target),
            "/echo" => echo(request),
            "/count" => count(request, &target).await,
            "/slow-head" => {
                pause(target.number("ms", 1000)).await;
                text(200, "at last\n")
            }
            "/big" => big(&target),
            "/headers" => headers(&request),
            "/trailers" => {
                let mut answer = Answer::new(200, TEXT);
                answer.trailers =
                    vec![("x-length".into(), b"6".into()), ("x-last".into(), b"yes".into())];
                answer.send(async |to| write(to, b"hello\n".to_vec()).await)
            }
            path => match path.strip_prefix("/status/").map(str::parse) {
                Some(Ok(status)) => status_alone(status, &target),
                _ => text(404, "no such path\n"),
            },
        })
    }
}

/// Server-sent events with pauses between them.
fn events(target: &Target) -> Response {
    let (count, pause_ms) = (target.number("events", 5), target.number("ms", 100));
    let mut answer = Answer::new(200, "text/event-stream");
    answer.headers.push(("cache-control".into(), b"no-store".into()));
    answer.send(async move |to| {
        for number in 1..=count {
            if !write(to, format!("id: {number}\ndata: tick {number}\n\n").into()).await {
                return false;
            }
            if number < count {
                pause(pause_ms).await;
            }
        }
        true
    })
}

/// The request's body and trailers, passed on as they are.
fn echo(request: Request) -> Response {
    let content_type = request.get_headers().get("content-type").into_iter().next();
    let content_type = content_type.unwrap_or_else(|| b"application/octet-stream".to_vec());
    let (_, served) = wit_future::new(|| Ok(()));
    let (body, trailers) = Request::consume_body(request, served);
    head(200, &[("content-type".into(), content_type)], body, trailers)
}

/// How much was uploaded, with a checksum; `ms` is a pause after each piece, `piece` how much is read at once.
async fn count(request: Request, target: &Target<'_>) -> Response {
    let (pause_ms, piece) = (target.number("ms", 0), target.number("piece", PIECE) as usize);
    let (_, served) = wit_future::new(|| Ok(()));
    let (mut body, trailers) = Request::consume_body(request, served);
    let (mut bytes, mut checksum) = (0, Checksum::new());
    let mut buffer = Vec::with_capacity(piece);
    loop {
        let result;
        (result, buffer) = body.read(buffer).await;
        bytes += buffer.len() as u64;
        checksum.add(&buffer);
        buffer.clear();
        match result {
            StreamResult::Complete(_) if pause_ms > 0 => pause(pause_ms).await,
            StreamResult::Complete(_) => {}
            StreamResult::Dropped | StreamResult::Cancelled => break,
        }
    }
    drop(body);
    // What follows the body says whether it was whole.
    let whole = trailers.await.is_ok();
    let told =
        format!("{{\"bytes\":{bytes},\"fnv1a\":\"{:016x}\",\"whole\":{whole}}}\n", checksum.0);
    json(if whole { 200 } else { 400 }, told)
}

/// So many bytes of a pattern; with `log=1` each piece that was written is a line of the log, `ms` is a pause after it.
fn big(target: &Target) -> Response {
    let (bytes, pause_ms) = (target.number("bytes", 1 << 20), target.number("ms", 0));
    let is_logged = target.number("log", 0) == 1;
    Answer::new(200, "application/octet-stream").send(async move |to| {
        let mut written = 0;
        while written < bytes {
            let piece = pattern(written, PIECE.min(bytes - written) as usize);
            written += piece.len() as u64;
            if !write(to, piece).await {
                return false;
            }
            if is_logged {
                eprintln!("written {written}");
            }
            if pause_ms > 0 {
                pause(pause_ms).await;
            }
        }
        true
    })
}

/// What the request looks like from here, as JSON.
fn headers(request: &Request) -> Response {
    let method = match request.get_method() {
        Method::Other(other) => other,
        method => format!("{method:?}").trim_start_matches("Method::").to_uppercase(),
    };
    let scheme = match request.get_scheme() {
        Some(Scheme::Http) => "http".to_owned(),
        Some(Scheme::Https) => "https".to_owned(),
        Some(Scheme::Other(other)) => other,
        None => String::new(),
    };
    let fields = request.get_headers().copy_all();
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| {
            format!("[{},{}]", quoted(name), quoted(&String::from_utf8_lossy(value)))
        })
        .collect();
    let told = format!(
        "{{\"method\":{},\"path\":{},\"scheme\":{},\"authority\":{},\"headers\":[{}]}}\n",
        quoted(&method),
        quoted(&request.get_path_with_query().unwrap_or_default()),
        quoted(&scheme),
        quoted(&request.get_authority().unwrap_or_default()),
        fields.join(",")
    );
    json(200, told)
}

/// A status with `bytes` of body, none by default; one that cannot be set is said with a 400.
fn status_alone(status: u16, target: &Target) -> Response {
    let bytes = target.number("bytes", 0) as usize;
    let (_, none) = wit_future::new(|| Ok(None));
    let (trial, _) = Response::new(Fields::new(), None, none);
    if trial.set_status_code(status).is_err() {
        return text(400, "no such status\n");
    }
    Answer::new(status, TEXT).send(async move |to| write(to, pattern(0, bytes)).await)
}

fn text(status: u16, body: &'static str) -> Response {
    Answer::new(status, TEXT).send(async |to| write(to, body.into()).await)
}

fn json(status: u16, body: String) -> Response {
    Answer::new(status, "application/json").send(async |to| write(to, body.into()).await)
}

const TEXT: &str = "text/plain; charset=utf-8";

type Header = (String, Vec<u8>);

/// An answer before its body.
struct Answer {
    status: u16,
    headers: Vec<Header>,
    trailers: Vec<Header>,
}

impl Answer {
    fn new(status: u16, content_type: &str) -> Self {
        let headers = vec![("content-type".into(), content_type.into())];
        Self { status, headers, trailers: Vec::new() }
    }

    /// The head; `fill` writes the body behind it, after the handler has returned, and says whether the client took it.
    fn send(self, fill: impl AsyncFnOnce(&mut StreamWriter<u8>) -> bool + 'static) -> Response {
        let (mut to, body) = wit_stream::new();
        let (behind, trailers) = wit_future::new(|| Ok(None));
        let response = head(self.status, &self.headers, body, trailers);
        wit_bindgen::spawn_local(async move {
            let is_taken = fill(&mut to).await;
            drop(to);
            if is_taken && !self.trailers.is_empty() {
                let fields = Fields::from_list(&self.trailers).expect("trailers that are valid");
                let _ = behind.write(Ok(Some(fields))).await;
            }
        });
        response
    }
}

fn head(
    status: u16,
    headers: &[Header],
    body: StreamReader<u8>,
    trailers: FutureReader<Result<Option<Fields>, ErrorCode>>,
) -> Response {
    let fields = Fields::from_list(headers).expect("headers that are valid");
    // The future says whether the client took it all; this function has no use for that.
    let (response, _sent) = Response::new(fields, Some(body), trailers);
    response.set_status_code(status).expect("a status that is valid");
    response
}

/// Hands bytes over, waiting while the client is behind; whether they were all taken.
async fn write(to: &mut StreamWriter<u8>, bytes: Vec<u8>) -> bool {
    to.write_all(bytes).await.is_empty()
}

async fn pause(milliseconds: u64) {
    wait_for(milliseconds.saturating_mul(1_000_000)).await;
}
