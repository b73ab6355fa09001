//! A `wasi:http` function that streams, in both directions and with trailers. It holds one piece of a body at a time, so memory stays
//! the same for any size, and it writes no faster than the client reads.

mod query;

use query::{Checksum, Target, pattern, quoted};
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse,
    ResponseOutparam, Scheme,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

/// What is read or written at once.
const PIECE: u64 = 64 << 10;

struct Http;

wasip2::http::proxy::export!(Http);

impl wasip2::exports::http::incoming_handler::Guest for Http {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let target = Target::of(&path);
        match target.path {
            "/" => {
                Answer::new(200, TEXT).send(out, |to| write(to, b"hello from rust-http-stream\n"))
            }
            "/sse" => events(&target, out),
            "/echo" => echo(&request, out),
            "/count" => count(&request, &target, out),
            "/slow-head" => {
                pause(target.number("ms", 1000));
                Answer::new(200, TEXT).send(out, |to| write(to, b"at last\n"));
            }
            "/big" => big(&request, &target, out),
            "/headers" => headers(&request, out),
            "/trailers" => {
                let mut answer = Answer::new(200, TEXT);
                answer.trailers =
                    vec![("x-length".into(), b"6".into()), ("x-last".into(), b"yes".into())];
                answer.send(out, |to| write(to, b"hello\n"));
            }
            path => match path.strip_prefix("/status/").map(str::parse) {
                Some(Ok(status)) => status_alone(status, &target, out),
                _ => Answer::new(404, TEXT).send(out, |to| write(to, b"no such path\n")),
            },
        }
    }
}

/// Server-sent events, each flushed before the pause that follows it.
fn events(target: &Target, out: ResponseOutparam) {
    let (count, pause_ms) = (target.number("events", 5), target.number("ms", 100));
    let mut answer = Answer::new(200, "text/event-stream");
    answer.headers.push(("cache-control".into(), b"no-store".into()));
    answer.send(out, |to| {
        for number in 1..=count {
            write(to, format!("id: {number}\ndata: tick {number}\n\n").as_bytes())?;
            if number < count {
                pause(pause_ms);
            }
        }
        Ok(())
    });
}

/// The request's body as it comes, and its trailers behind it.
fn echo(request: &IncomingRequest, out: ResponseOutparam) {
    let content_type = request.headers().get("content-type").into_iter().next();
    let content_type = content_type.and_then(|value| String::from_utf8(value).ok());
    let answer = Answer::new(200, content_type.as_deref().unwrap_or("application/octet-stream"));
    let answer = answer.saying(request);
    let Ok(body) = request.consume() else { return };
    let (to_body, to) = answer.begin(out);
    let copied = body.stream().map_err(|()| StreamError::Closed).and_then(|from| {
        loop {
            match to.blocking_splice(&from, PIECE) {
                Ok(_) => {}
                // The request's end shows as a closed stream, and so does a client that left.
                Err(StreamError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    });
    drop(to);
    if copied.is_ok() {
        let _ = OutgoingBody::finish(to_body, trailers_of(body));
    }
}

/// Trailers that came behind a body which was read to its end.
fn trailers_of(body: IncomingBody) -> Option<Fields> {
    let trailers = IncomingBody::finish(body);
    trailers.subscribe().block();
    let came = trailers.get()?.ok()?.ok()??;
    // What came in is immutable; what goes out is made anew.
    Fields::from_list(&came.entries()).ok()
}

/// How much was uploaded, with a checksum; `ms` is a pause after each piece, `piece` how much is read at once.
fn count(request: &IncomingRequest, target: &Target, out: ResponseOutparam) {
    let (pause_ms, piece) = (target.number("ms", 0), target.number("piece", PIECE));
    let Ok(body) = request.consume() else { return };
    let (mut bytes, mut checksum) = (0, Checksum::new());
    let whole = match body.stream() {
        Ok(stream) => read(&stream, piece, |read| {
            bytes += read.len() as u64;
            checksum.add(read);
            if pause_ms > 0 {
                pause(pause_ms);
            }
        }),
        Err(()) => false,
    };
    let status = if whole { 200 } else { 400 };
    let told =
        format!("{{\"bytes\":{bytes},\"fnv1a\":\"{:016x}\",\"whole\":{whole}}}\n", checksum.0);
    Answer::new(status, "application/json").send(out, |to| write(to, told.as_bytes()));
}

/// Reads to the end; whether it came.
fn read(stream: &InputStream, piece: u64, mut take: impl FnMut(&[u8])) -> bool {
    loop {
        match stream.blocking_read(piece) {
            Ok(bytes) => take(&bytes),
            Err(StreamError::Closed) => return true,
            Err(StreamError::LastOperationFailed(_)) => return false,
        }
    }
}

/// So many bytes of a pattern; with `log=1` each piece that was written is a line of the log, `ms` is a pause after it.
fn big(request: &IncomingRequest, target: &Target, out: ResponseOutparam) {
    let (bytes, pause_ms) = (target.number("bytes", 1 << 20), target.number("ms", 0));
    let is_logged = target.number("log", 0) == 1;
    let answer = Answer::new(200, "application/octet-stream").saying(request);
    answer.send(out, |to| {
        let mut written = 0;
        while written < bytes {
            let piece = pattern(written, PIECE.min(bytes - written) as usize);
            write(to, &piece)?;
            written += piece.len() as u64;
            if is_logged {
                eprintln!("written {written}");
            }
            if pause_ms > 0 {
                pause(pause_ms);
            }
        }
        Ok(())
    });
}

/// What the request looks like from here, as JSON.
fn headers(request: &IncomingRequest, out: ResponseOutparam) {
    let method = match request.method() {
        Method::Get => "GET".to_owned(),
        Method::Post => "POST".to_owned(),
        Method::Put => "PUT".to_owned(),
        Method::Delete => "DELETE".to_owned(),
        Method::Head => "HEAD".to_owned(),
        Method::Patch => "PATCH".to_owned(),
        Method::Options => "OPTIONS".to_owned(),
        Method::Trace => "TRACE".to_owned(),
        Method::Connect => "CONNECT".to_owned(),
        Method::Other(other) => other,
    };
    let scheme = match request.scheme() {
        Some(Scheme::Http) => "http".to_owned(),
        Some(Scheme::Https) => "https".to_owned(),
        Some(Scheme::Other(other)) => other,
        None => String::new(),
    };
    let fields: Vec<_> = request
        .headers()
        .entries()
        .into_iter()
        .map(|(name, value)| {
            format!("[{},{}]", quoted(&name), quoted(&String::from_utf8_lossy(&value)))
        })
        .collect();
    let told = format!(
        "{{\"method\":{},\"path\":{},\"scheme\":{},\"authority\":{},\"headers\":[{}]}}\n",
        quoted(&method),
        quoted(&request.path_with_query().unwrap_or_default()),
        quoted(&scheme),
        quoted(&request.authority().unwrap_or_default()),
        fields.join(",")
    );
    Answer::new(200, "application/json").send(out, |to| write(to, told.as_bytes()));
}

/// A status with `bytes` of body, none by default; one that cannot be set is said with a 400.
fn status_alone(status: u16, target: &Target, out: ResponseOutparam) {
    let bytes = target.number("bytes", 0) as usize;
    let is_valid = OutgoingResponse::new(Fields::new()).set_status_code(status).is_ok();
    let told = if is_valid { pattern(0, bytes) } else { b"no such status\n".to_vec() };
    Answer::new(if is_valid { status } else { 400 }, TEXT).send(out, |to| write(to, &told));
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

    /// Adds the headers that the request asks for: those that begin with `x-answer-`, without that.
    fn saying(mut self, request: &IncomingRequest) -> Self {
        for (name, value) in request.headers().entries() {
            if let Some(name) = name.strip_prefix("x-answer-") {
                self.headers.retain(|(other, _)| other != name);
                self.headers.push((name.to_owned(), value));
            }
        }
        self
    }

    /// Sends the head.
    fn begin(&self, out: ResponseOutparam) -> (OutgoingBody, OutputStream) {
        let fields = Fields::from_list(&self.headers).expect("headers that are valid");
        let response = OutgoingResponse::new(fields);
        response.set_status_code(self.status).expect("a status that is valid");
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        (body, stream)
    }

    /// Sends the head, lets `write` fill the body, and ends it with the trailers. A client that left is no fault of the function's.
    fn send(
        self,
        out: ResponseOutparam,
        write: impl FnOnce(&OutputStream) -> Result<(), StreamError>,
    ) {
        let (body, stream) = self.begin(out);
        let written = write(&stream);
        drop(stream);
        if written.is_ok() {
            let trailers = Fields::from_list(&self.trailers).expect("trailers that are valid");
            let has_some = !self.trailers.is_empty();
            let _ = OutgoingBody::finish(body, has_some.then_some(trailers));
        }
    }
}

/// Hands bytes over, waiting while the client is behind, and sees them off.
fn write(to: &OutputStream, mut bytes: &[u8]) -> Result<(), StreamError> {
    while !bytes.is_empty() {
        match to.check_write()? {
            0 => to.subscribe().block(),
            room => {
                let (now, later) = bytes.split_at(bytes.len().min(room as usize));
                to.write(now)?;
                bytes = later;
            }
        }
    }
    to.blocking_flush()
}

fn pause(milliseconds: u64) {
    subscribe_duration(milliseconds.saturating_mul(1_000_000)).block();
}
