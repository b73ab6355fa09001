//! One request and its response: on a connection that an earlier one left, or on a new one to a vetted address.
//!
//! It is given addresses and never a way to find more. Every wait is bounded by [`Timeouts`], the response's size by the grant.
//! A request is sent a second time only when the connection was an old one that turned out to be closed, and only if nothing of it
//! was written, or it has no body and a method that means the same when done twice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use tokio::sync::OwnedSemaphorePermit;
use tracing::debug;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::body::{RequestBody, ResponseBody};
use super::connect::{connect, within};
use super::counts::Counters;
use super::pool::{Lease, Shelf};
use super::tls::Trust;
use super::{Destination, MAX_WAIT, READ_BUFFER_BYTES};

/// How long each part of one request may take: what the guest asked for, at most [`MAX_WAIT`], never past the deadline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    options: RequestOptions,
    deadline: Instant,
}

impl Timeouts {
    pub(super) fn new(options: RequestOptions, deadline: Instant) -> Self {
        Self { options, deadline }
    }

    /// For resolving, connecting and shaking hands, each.
    pub(super) fn connect(&self) -> Duration {
        self.bounded(self.options.connect_timeout)
    }

    /// From the request's first byte to the response's.
    pub(super) fn first_byte(&self) -> Duration {
        self.bounded(self.options.first_byte_timeout)
    }

    /// Between two pieces of the response.
    pub(super) fn between_bytes(&self) -> Duration {
        self.bounded(self.options.between_bytes_timeout)
    }

    fn bounded(&self, wished: Option<Duration>) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        wished.unwrap_or(MAX_WAIT).min(MAX_WAIT).min(left)
    }
}

/// What a function's requests share on their way.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) shelf: Arc<Shelf>,
    pub(super) trust: Trust,
    pub(super) counters: Arc<Counters>,
    /// The most bytes of one response's body.
    pub(super) limit: u64,
}

/// Sends `request` to one of `addresses`: over a connection that rests at one, else to the first that answers. The response's body
/// holds the connection and `slot`.
pub(super) async fn send(
    way: &Way,
    request: Request<WasiBody>,
    destination: &Destination,
    addresses: &[SocketAddr],
    timeouts: Timeouts,
    slot: OwnedSemaphorePermit,
) -> Result<Response<WasiBody>, Error> {
    let mut request = counted(rewrite(request, destination)?, &way.counters);
    if let Some(lease) = way.shelf.take(destination, addresses) {
        way.counters.reused.one();
        let spare = replayable(&request);
        match exchange(lease, request, timeouts).await {
            Ok(answer) => return receive(way, answer, timeouts, slot),
            Err(Broken { unsent: Some(again), .. }) => request = again,
            Err(Broken { error, closed, .. }) => match spare {
                Some(again) if closed => request = again,
                _ => return Err(error),
            },
        }
        debug!(%destination, "a connection at rest was closed under a request; it is sent again");
    }
    let lease = open(way, destination, addresses, timeouts).await?;
    let answer = exchange(lease, request, timeouts).await.map_err(|broken| broken.error)?;
    receive(way, answer, timeouts, slot)
}

/// A new connection, ready for its first request.
async fn open(
    way: &Way,
    destination: &Destination,
    addresses: &[SocketAddr],
    timeouts: Timeouts,
) -> Result<Lease, Error> {
    let limit = timeouts.connect();
    let (wire, address) = connect(destination, addresses, limit, &way.trust).await?;
    let handshake = http1::Builder::new()
        .max_buf_size(READ_BUFFER_BYTES)
        .handshake::<_, WasiBody>(TokioIo::new(wire));
    let shaken = within(timeouts.connect(), handshake).await?;
    let (sender, connection) = shaken.map_err(|error| from_hyper(&error))?;
    Ok(way.shelf.adopt(destination, address, sender, connection))
}

/// An exchange that did not come to a response's head.
struct Broken {
    error: Error,
    /// The request, where nothing of it was written.
    unsent: Option<Request<WasiBody>>,
    /// Whether the peer closed the connection instead of answering.
    closed: bool,
}

async fn exchange(
    mut lease: Lease,
    request: Request<WasiBody>,
    timeouts: Timeouts,
) -> Result<(Lease, Response<hyper::body::Incoming>), Broken> {
    let sending = lease.sender.try_send_request(request);
    match tokio::time::timeout(timeouts.first_byte(), sending).await {
        Ok(Ok(response)) => Ok((lease, response)),
        Ok(Err(mut failed)) => {
            let unsent = failed.take_message();
            let error = failed.into_error();
            let closed = error.is_incomplete_message()
                || error.is_canceled()
                || error.is_closed()
                || is_reset(&error);
            Err(Broken { error: from_hyper(&error), unsent, closed })
        }
        Err(_) => Err(Broken { error: Error::ConnectionReadTimeout, unsent: None, closed: false }),
    }
}

/// Whether the peer's machine knows the connection no more, or the peer hung up while the request was written.
fn is_reset(error: &hyper::Error) -> bool {
    use std::io::ErrorKind as Kind;
    let cause = std::error::Error::source(error);
    let cause =
        cause.and_then(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    matches!(cause, Some(Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted))
}

fn receive(
    way: &Way,
    (lease, response): (Lease, Response<hyper::body::Incoming>),
    timeouts: Timeouts,
    slot: OwnedSemaphorePermit,
) -> Result<Response<WasiBody>, Error> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::HttpUpgradeFailed);
    }
    let (head, body) = response.into_parts();
    let counters = way.counters.clone();
    let body = ResponseBody::new(body, way.limit, timeouts, slot, lease, counters)?;
    Ok(Response::from_parts(head, body.boxed_unsync()))
}

/// A copy to send again, where sending twice is no more than sending once.
fn replayable(request: &Request<WasiBody>) -> Option<Request<WasiBody>> {
    if !request.method().is_idempotent() || !request.body().is_end_stream() {
        return None;
    }
    let empty = Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync();
    let mut copy = Request::new(empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// The same request with its body counted, where it has one.
fn counted(request: Request<WasiBody>, counters: &Arc<Counters>) -> Request<WasiBody> {
    if request.body().is_end_stream() {
        return request;
    }
    request.map(|body| RequestBody::new(body, counters.clone()).boxed_unsync())
}

/// Puts the request into the form that goes over a connection: only path and query in the line, and a `host` that is the
/// destination which was checked, whatever the guest wrote.
fn rewrite(
    mut request: Request<WasiBody>,
    destination: &Destination,
) -> Result<Request<WasiBody>, Error> {
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    // An empty path, or a query alone, is the root's. Anything else that does not begin at the root would address another host.
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let uri: Uri = path.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
    let host = HeaderValue::from_str(&destination.host_header())
        .map_err(|_| Error::HttpRequestUriInvalid)?;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    request.headers_mut().insert(header::HOST, host);
    Ok(request)
}

/// What went wrong on the wire, as a guest is told. Mapped here rather than by wasmtime's default, which logs each one as a
/// warning.
pub(super) fn from_hyper(error: &hyper::Error) -> Error {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    if let Some(Error::HttpRequestBodySize(size)) = cause {
        // The guest's own request body was not as long as it said.
        Error::HttpRequestBodySize(*size)
    } else if error.is_timeout() {
        Error::HttpResponseTimeout
    } else if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(None)
    } else if error.is_incomplete_message() {
        Error::HttpResponseIncomplete
    } else if error.is_canceled() || error.is_closed() || error.is_body_write_aborted() {
        Error::ConnectionTerminated
    } else {
        debug!(%error, "an exchange broke the protocol");
        Error::HttpProtocolError
    }
}
