//! One request on one connection of its own: connect to a vetted address, send, hand the response back as it arrives.
//!
//! It is given addresses and never a way to find more. Every wait is bounded by [`Timeouts`], the response's size by the grant.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tracing::debug;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::body::ResponseBody;
use super::{Destination, HttpScheme, MAX_WAIT, READ_BUFFER_BYTES};

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

/// A connection, encrypted or not.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Sends `request` to the first of `addresses` that answers. The future beside the response drives the connection and must
/// be polled until it ends or the response is no longer wanted.
pub(super) async fn send(
    request: Request<WasiBody>,
    destination: &Destination,
    addresses: &[SocketAddr],
    timeouts: Timeouts,
    limit: u64,
    slot: OwnedSemaphorePermit,
) -> Result<(Response<WasiBody>, impl Future<Output = Result<(), Error>> + Send + use<>), Error> {
    let request = rewrite(request, destination)?;
    let wire = connect(addresses, timeouts.connect()).await?;
    let wire = secure(wire, destination, timeouts.connect()).await?;
    let handshake = http1::Builder::new()
        .max_buf_size(READ_BUFFER_BYTES)
        .handshake::<_, WasiBody>(TokioIo::new(wire));
    let (mut sender, mut connection) =
        within(timeouts.connect(), handshake).await?.map_err(|error| from_hyper(&error))?;
    let mut open = true;
    let response = {
        let mut sending = pin!(sender.send_request(request));
        let exchange = async {
            tokio::select! {
                biased;
                response = &mut sending => response,
                ended = &mut connection => {
                    open = false;
                    match ended {
                        Ok(()) => sending.await,
                        Err(error) => Err(error),
                    }
                }
            }
        };
        tokio::time::timeout(timeouts.first_byte(), exchange)
            .await
            .map_err(|_| Error::ConnectionReadTimeout)?
            .map_err(|error| from_hyper(&error))?
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::HttpUpgradeFailed);
    }
    let slot = Arc::new(slot);
    let held = slot.clone();
    let (head, body) = response.into_parts();
    let body = ResponseBody::new(body, limit, timeouts, slot)?;
    let io = async move {
        let _held = held;
        if open && let Err(error) = connection.await {
            // The guest learns of it from the body; reported here as well, it would be a line in the host's log for every peer
            // that hangs up.
            debug!(%error, "a connection ended in an error");
        }
        Ok(())
    };
    Ok((Response::from_parts(head, body.boxed_unsync()), io))
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

/// Connects to the first address that accepts. The time is shared out, so one dead address does not use up what others need.
async fn connect(addresses: &[SocketAddr], total: Duration) -> Result<TcpStream, Error> {
    let end = Instant::now() + total;
    let mut last = Error::ConnectionTimeout;
    for (tried, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len().saturating_sub(tried)).unwrap_or(1).max(1);
        let share = end.saturating_duration_since(Instant::now()) / left;
        last = match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A request is written in few pieces; holding the last one back for more gains nothing. It may fail harmlessly.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                Error::ConnectionRefused
            }
            Ok(Err(_)) => Error::DestinationUnavailable,
            Err(_) => Error::ConnectionTimeout,
        };
    }
    Err(last)
}

async fn secure(
    wire: TcpStream,
    destination: &Destination,
    limit: Duration,
) -> Result<Box<dyn Wire>, Error> {
    match destination.scheme {
        HttpScheme::Http => Ok(Box::new(wire)),
        #[cfg(feature = "tls")]
        HttpScheme::Https => within(limit, super::tls::secure(wire, &destination.host)).await?,
        #[cfg(not(feature = "tls"))]
        HttpScheme::Https => {
            let _ = limit;
            Err(super::Denial::NoTls.into())
        }
    }
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

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Error> {
    tokio::time::timeout(limit, work).await.map_err(|_| Error::ConnectionTimeout)
}
