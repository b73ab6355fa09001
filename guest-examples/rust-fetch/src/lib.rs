//! An event function that makes HTTP requests, on the bare bindings of the crate `wasip2`.

use hearth_guest::{Context, Error, event_function};
use serde::{Deserialize, Serialize};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use wasip2::io::streams::StreamError;

#[derive(Deserialize)]
struct Wish {
    url: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: Option<String>,
    /// How many requests to make, one after another; the answer is the last one's.
    #[serde(default)]
    times: Option<u32>,
    /// How many redirects to follow.
    #[serde(default)]
    hops: u32,
}

#[derive(Serialize, Default)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    /// Requests that led to it: one, and one for each redirect.
    hops: u32,
    /// The name of the `wasi:http` error code, if there was no answer.
    error: Option<String>,
}

event_function!(|wish: Wish, _context: &Context| -> Result<Answer, Error> {
    let mut last = Answer::default();
    for _ in 0..wish.times.unwrap_or(1) {
        last = follow(&wish);
    }
    Ok(last)
});

fn follow(wish: &Wish) -> Answer {
    let mut url = wish.url.clone();
    let mut hops = 0;
    loop {
        hops += 1;
        let mut answer = match ask(wish, &url) {
            Ok(answer) => answer,
            Err(error) => return Answer { error: Some(error), hops, ..Answer::default() },
        };
        answer.hops = hops;
        let location = answer.headers.iter().find(|(name, _)| name == "location");
        match location {
            Some((_, to)) if hops <= wish.hops => url.clone_from(to),
            _ => return answer,
        }
    }
}

/// The word before the fields: `ErrorCode::HttpRequestDenied` as `HttpRequestDenied`.
fn name(error: &ErrorCode) -> String {
    let text = format!("{error:?}");
    let text = text.strip_prefix("ErrorCode::").unwrap_or(&text);
    text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

fn ask(wish: &Wish, url: &str) -> Result<Answer, String> {
    let (scheme, rest) = url.split_once("://").ok_or("the URL has no scheme")?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let fields = Fields::new();
    for (name, value) in &wish.headers {
        fields.append(name, value.as_bytes()).map_err(|error| format!("{name}: {error:?}"))?;
    }
    let request = OutgoingRequest::new(fields);
    let method = match wish.method.as_deref().unwrap_or("GET") {
        "GET" => Method::Get,
        "POST" => Method::Post,
        other => Method::Other(other.to_owned()),
    };
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request.set_method(&method).map_err(|()| "no such method")?;
    request.set_scheme(Some(&scheme)).map_err(|()| "no such scheme")?;
    request.set_authority(Some(authority)).map_err(|()| "no such host")?;
    request.set_path_with_query(Some(path)).map_err(|()| "no such path")?;
    let body = wish.body.as_ref().map(|_| request.body().expect("the body is taken once"));
    let response = handle(request, None).map_err(|error| name(&error))?;
    if let (Some(body), Some(text)) = (body, &wish.body) {
        let stream = body.write().expect("the stream is taken once");
        let written = text
            .as_bytes()
            .chunks(4096)
            .try_for_each(|piece| stream.blocking_write_and_flush(piece));
        drop(stream);
        if written.is_ok() {
            OutgoingBody::finish(body, None).map_err(|error| name(&error))?;
        }
    }
    response.subscribe().block();
    let response = response.get().expect("it is ready").expect("it is taken once");
    read(&response.map_err(|error| name(&error))?)
}

fn read(response: &IncomingResponse) -> Result<Answer, String> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let headers = response.headers().entries();
    let headers = headers.into_iter().map(|(name, value)| (name, text(value))).collect();
    let body = response.consume().expect("the body is taken once");
    let stream = body.stream().expect("the stream is taken once");
    let mut read = Vec::new();
    loop {
        match stream.blocking_read(65536) {
            Ok(piece) => read.extend(piece),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                let code = wasip2::http::types::http_error_code(&error);
                return Err(code.as_ref().map_or_else(|| "unknown".to_owned(), name));
            }
        }
    }
    Ok(Answer { status: response.status(), headers, body: text(read), ..Answer::default() })
}
