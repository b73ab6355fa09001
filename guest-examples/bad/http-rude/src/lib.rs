//! An HTTP function on `wasi:http` 0.2 that breaks a rule for each path; the README of this folder says which and what must come of it.
//! `/` answers `well` and tells that the instance is as it should be.

use std::cell::RefCell;

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingRequest,
    OutgoingResponse, ResponseOutparam, Scheme,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

/// What is written at once, the most that `blocking-write-and-flush` takes.
const PIECE: usize = 4096;

struct Http;

wasip2::http::proxy::export!(Http);

impl wasip2::exports::http::incoming_handler::Guest for Http {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        match path.split('?').next().unwrap_or_default() {
            "/" => whole(out, b"well"),
            "/none" => drop(out),
            "/kept-outparam" => std::mem::forget(out),
            "/twice" => {
                // A handle that was given away is the host's; whoever uses it again is not of Rust.
                let handle = out.handle();
                whole(out, b"once");
                whole(unsafe { ResponseOutparam::from_handle(handle) }, b"twice");
            }
            "/error" => {
                ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some("by intent".into()))))
            }
            "/trap-before" => core::arch::wasm32::unreachable(),
            "/trap" => {
                let (_body, _stream) = begun(out, &[], b"begun");
                core::arch::wasm32::unreachable();
            }
            "/forever" => {
                let (_body, stream) = begun(out, &[], b"");
                while stream.blocking_write_and_flush(&[b'x'; PIECE]).is_ok() {}
            }
            "/stall" => {
                let (_body, _stream) = begun(out, &[], b"begun");
                subscribe_duration(u64::MAX).block();
            }
            "/spin" => {
                let (_body, _stream) = begun(out, &[], b"begun");
                spin();
            }
            "/unfinished" => {
                let (body, stream) = begun(out, &[], b"begun");
                drop(stream);
                drop(body);
            }
            "/kept-body" => std::mem::forget(begun(out, &[], b"begun")),
            "/long" => length(out, b"5", b"more than five"),
            "/short" => length(out, b"100", b"less"),
            "/headers" => headers(out),
            "/huge-header" => huge(out, 1, 1 << 20),
            "/many-headers" => huge(out, 50_000, 10),
            "/bad-trailers" => bad_trailers(out),
            "/trap-after" => {
                whole(out, b"whole");
                core::arch::wasm32::unreachable();
            }
            "/spin-after" => {
                whole(out, b"whole");
                spin();
            }
            "/hoard" => hoard(&request, out),
            "/hoarded" => hoarded(out),
            "/loop" => call_itself(&request, &path, out),
            _ => whole(out, b"no such path"),
        }
    }
}

fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

/// A response whose head is sent, with the first bytes of its body.
fn begun(
    out: ResponseOutparam,
    headers: &[(&str, &[u8])],
    bytes: &[u8],
) -> (OutgoingBody, OutputStream) {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value).expect("a valid header");
    }
    let response = OutgoingResponse::new(fields);
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is taken once");
    if !bytes.is_empty() {
        let _ = stream.blocking_write_and_flush(bytes);
    }
    (body, stream)
}

fn whole(out: ResponseOutparam, bytes: &[u8]) {
    let (body, stream) = begun(out, &[], bytes);
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Says one length and writes another. What the host says to that is not looked at.
fn length(out: ResponseOutparam, said: &[u8], bytes: &[u8]) {
    let (body, stream) = begun(out, &[("content-length", said)], bytes);
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Headers that no response may have. The body names those the host took.
fn headers(out: ResponseOutparam) {
    const BAD: &[(&str, &[u8])] = &[
        ("x-split", b"a\r\nx-injected: yes"),
        ("x-feed", b"a\nb"),
        ("x-null", b"a\0b"),
        ("x bad name", b"a"),
        ("x-bad\r\nname", b"a"),
        ("", b"a"),
        ("connection", b"close, x-secret"),
        ("keep-alive", b"timeout=1000"),
        ("proxy-connection", b"keep-alive"),
        ("transfer-encoding", b"chunked"),
        ("te", b"trailers"),
        ("trailer", b"x-a"),
        ("upgrade", b"h2c"),
        ("http2-settings", b"AAMAAABkAARAAAAAAAIAAAAA"),
        ("host", b"elsewhere.test"),
        ("content-length", b"17, 18"),
        ("content-length", b"-1"),
    ];
    let fields = Fields::new();
    let taken = BAD.iter().filter(|(name, value)| fields.append(name, value).is_ok());
    let taken: Vec<_> = taken.map(|(name, _)| *name).collect();
    let response = OutgoingResponse::new(fields);
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is taken once");
    let _ = stream.blocking_write_and_flush(taken.join(",").as_bytes());
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// So many headers of so many bytes, or as many of them as the host takes.
fn huge(out: ResponseOutparam, count: usize, bytes: usize) {
    let (fields, value) = (Fields::new(), vec![b'v'; bytes]);
    let taken = (0..count)
        .take_while(|number| fields.append(&format!("x-{number}"), &value).is_ok())
        .count();
    let response = OutgoingResponse::new(fields);
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is taken once");
    let _ = stream.blocking_write_and_flush(taken.to_string().as_bytes());
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Trailers that would frame the message anew.
fn bad_trailers(out: ResponseOutparam) {
    let fields = Fields::new();
    for (name, value) in
        [("content-length", "3"), ("transfer-encoding", "chunked"), ("x-fine", "yes")]
    {
        let _ = fields.append(name, value.as_bytes());
    }
    let (body, stream) = begun(out, &[], b"whole");
    drop(stream);
    let _ = OutgoingBody::finish(body, Some(fields));
}

thread_local! {
    static HOARD: RefCell<Option<(InputStream, IncomingBody)>> = const { RefCell::new(None) };
}

/// Keeps the body of a request for later.
fn hoard(request: &IncomingRequest, out: ResponseOutparam) {
    let body = request.consume().expect("the body is taken once");
    let stream = body.stream().expect("the stream is taken once");
    HOARD.set(Some((stream, body)));
    whole(out, b"kept");
}

/// Reads on in the body of an earlier request.
fn hoarded(out: ResponseOutparam) {
    let read =
        HOARD.with_borrow(|hoard| hoard.as_ref().map(|(stream, _)| stream.blocking_read(100)));
    match read {
        None => whole(out, b"nothing kept"),
        Some(Ok(bytes)) => whole(out, &[b"read ".to_vec(), bytes].concat()),
        Some(Err(StreamError::Closed)) => whole(out, b"closed"),
        Some(Err(StreamError::LastOperationFailed(_))) => whole(out, b"taken back"),
    }
}

/// Asks the address it was asked at, and answers with the answer; `?to=HOST:PORT` asks there.
fn call_itself(request: &IncomingRequest, path: &str, out: ResponseOutparam) {
    let value = |name: &str| {
        let value = request.headers().get(name).into_iter().next();
        value.and_then(|value| String::from_utf8(value).ok())
    };
    let to = path.split_once("to=").map(|(_, to)| to.to_owned());
    let authority = to.or_else(|| request.authority()).or_else(|| value("host"));
    let authority = authority.unwrap_or_default();
    // The path as the caller had it: a gateway takes its own part away, and says so.
    let base = value("x-fc-base-path").unwrap_or_default();
    let path = &format!("{}{path}", base.trim_end_matches('/'));
    let asked = OutgoingRequest::new(Fields::new());
    let _ = asked.set_scheme(Some(&Scheme::Http));
    let _ = asked.set_authority(Some(&authority));
    let _ = asked.set_path_with_query(Some(path));
    let pending = match outgoing_handler::handle(asked, None) {
        Ok(pending) => pending,
        Err(error) => return whole(out, format!("not sent: {error:?}").as_bytes()),
    };
    pending.subscribe().block();
    match pending.get() {
        Some(Ok(Ok(answer))) => {
            let status = answer.status();
            let response = OutgoingResponse::new(Fields::new());
            let _ = response.set_status_code(status);
            let body = response.body().expect("the body is taken once");
            ResponseOutparam::set(out, Ok(response));
            let stream = body.write().expect("the stream is taken once");
            if let Ok(came) = answer.consume() {
                if let Ok(from) = came.stream() {
                    while stream.blocking_splice(&from, PIECE as u64).is_ok() {}
                }
            }
            drop(stream);
            let _ = OutgoingBody::finish(body, None);
        }
        Some(Ok(Err(error))) => whole(out, format!("failed: {error:?}").as_bytes()),
        _ => whole(out, b"no answer"),
    }
}
