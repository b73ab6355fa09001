//! From vetted addresses to a stream: connect to one of them, and shake hands where the scheme asks for TLS.
//!
//! It is given addresses and never a way to find more.

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use wasmtime_wasi_http::Error;

use super::tls::Trust;
use super::{Destination, HttpScheme};

/// A connection, encrypted or not.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A stream to the first of `addresses` that accepts, and which it was. Connecting and shaking hands may take `limit` each.
pub(super) async fn connect(
    destination: &Destination,
    addresses: &[SocketAddr],
    limit: Duration,
    trust: &Trust,
) -> Result<(Box<dyn Wire>, SocketAddr), Error> {
    let (stream, address) = reach(addresses, limit).await?;
    let wire: Box<dyn Wire> = match destination.scheme {
        HttpScheme::Http => Box::new(stream),
        HttpScheme::Https => within(limit, trust.secure(stream, &destination.host)).await??,
    };
    Ok((wire, address))
}

/// The time is shared out, so one dead address does not use up what others need.
async fn reach(
    addresses: &[SocketAddr],
    total: Duration,
) -> Result<(TcpStream, SocketAddr), Error> {
    let end = Instant::now() + total;
    let mut last = Error::ConnectionTimeout;
    for (tried, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len().saturating_sub(tried)).unwrap_or(1).max(1);
        let share = end.saturating_duration_since(Instant::now()) / left;
        last = match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A request is written in few pieces; holding the last one back for more gains nothing. It may fail harmlessly.
                let _ = stream.set_nodelay(true);
                return Ok((stream, *address));
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

pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Error> {
    tokio::time::timeout(limit, work).await.map_err(|_| Error::ConnectionTimeout)
}
