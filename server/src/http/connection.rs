//! One connection: keep-alive HTTP/1.1 until the client goes, a bound is hit or the server shuts down.
//!
//! A client that goes while a handler works drops the handler's future, and with it the guest it waits for. A handler may take the
//! connection over, as WebSockets do: it finds a [`hyper::upgrade::OnUpgrade`] in the request's extensions. From then on the bounds
//! are its own; the connection keeps its slot, and a shutdown waits for it and cuts it off after the drain time like any other.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;

use super::guarded_stream::{ConnectionClock, GuardedStream, Overdue, Place};
use super::response_body::SentBody;
use super::shutdown::ShutdownSignal;
use super::{Handle, RequestBody, stack};
use crate::config::HttpSection;

/// The bounds of each connection.
#[derive(Debug, Clone)]
pub struct ConnectionBounds {
    pub(super) header_bytes: usize,
    pub(super) headers: usize,
    header: Duration,
    idle: Duration,
    write: Duration,
}

/// hyper answers what is over its own bounds without a body; ours are checked first and answered in the dialect's words, so
/// hyper's stand at a multiple and only stop what is far off.
const SLACK: usize = 2;

impl ConnectionBounds {
    /// The bounds that the settings say.
    pub fn new(settings: &HttpSection) -> Self {
        Self {
            header_bytes: usize::try_from(settings.header_size.0).unwrap_or(usize::MAX / SLACK),
            headers: settings.headers as usize,
            header: settings.header_timeout.0,
            idle: settings.idle_timeout.0,
            write: settings.write_timeout.0,
        }
    }

    /// How often to look for what is overdue: a quarter of the shortest bound, and no more than every 50 ms.
    fn tick(&self) -> Duration {
        let shortest = self.header.min(self.idle).min(self.write);
        (shortest / 4).clamp(Duration::from_millis(50), Duration::from_secs(5))
    }
}

/// Serves one connection to its end.
pub(super) async fn serve<H: Handle>(
    (stream, place): (TcpStream, Place),
    handler: Arc<H>,
    bounds: Arc<ConnectionBounds>,
    mut shutdown: ShutdownSignal,
) {
    // Answers are written at once as a whole; waiting for more to send only adds latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay could not be set");
    }
    let clock = ConnectionClock::new();
    let io = TokioIo::new(GuardedStream::new(stream, clock.clone(), place));
    let service = service_fn({
        let clock = clock.clone();
        let bounds = bounds.clone();
        move |request: http::Request<Incoming>| {
            let (header, incoming) = request.into_parts();
            let body = RequestBody::new(incoming, &header.headers);
            let request = http::Request::from_parts(header, body);
            let (handler, clock, bounds) = (handler.clone(), clock.clone(), bounds.clone());
            async move {
                let busy = clock.busy();
                let response = stack::answer(handler, request, &bounds).await;
                let response = response.map(|body| SentBody::new(body, busy));
                Ok::<_, std::convert::Infallible>(response)
            }
        }
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_headers(bounds.headers * SLACK)
        .max_buf_size((bounds.header_bytes * SLACK).max(16 << 10))
        .serve_connection(io, service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let mut ticks = tokio::time::interval(bounds.tick());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut closing = false;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = shutdown.wait(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = ticks.tick() => match clock.overdue(bounds.header, bounds.idle, bounds.write) {
                Overdue::No => {}
                Overdue::Idle if !closing => {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                }
                Overdue::Idle => return,
                Overdue::Stalled => {
                    tracing::debug!("connection cut off: the client is too slow");
                    return;
                }
            },
        }
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
