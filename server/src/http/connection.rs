//! One connection: HTTP/1.1 or HTTP/2, as its first bytes say, until the client goes, a bound is hit or the server shuts down.
//!
//! A client that goes while a handler works drops the handler's future, and with it the guest it waits for. A handler may take the
//! connection over, as a `WebSocket` does: it finds a [`hyper::upgrade::OnUpgrade`] in the request's extensions. From then on the bounds
//! are its own; the connection keeps its slot, and a shutdown waits for it and cuts it off after the drain time like any other.
//! Over HTTP/2 it takes over one stream, and finds an [`Occupied`] beside, which keeps the connection from being idle.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;

use super::guarded_stream::{ConnectionClock, GuardedStream, Occupied, Overdue, Place};
use super::protocol::{Protocol, StreamTasks, protocol};
use super::response_body::SentBody;
use super::shutdown::ShutdownSignal;
use super::stack::{self, Peer};
use super::tls::Tls;
use super::transport::Transport;
use super::{Handle, RequestBody};
use crate::config::HttpSection;

/// The bounds of each connection.
#[derive(Debug, Clone)]
pub struct ConnectionBounds {
    pub(super) header_bytes: usize,
    pub(super) headers: usize,
    pub(super) h2: bool,
    pub(super) h2_streams: u32,
    header: Duration,
    idle: Duration,
    pub(super) write: Duration,
}

impl ConnectionBounds {
    /// The bounds that the settings say.
    pub fn new(settings: &HttpSection) -> Self {
        Self {
            header_bytes: usize::try_from(settings.header_size.0).unwrap_or(usize::MAX / 4),
            headers: settings.headers as usize,
            h2: settings.h2,
            h2_streams: settings.h2_streams,
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

/// What all connections of a thread share.
#[derive(Debug)]
pub(super) struct Service<H> {
    handler: Arc<H>,
    bounds: ConnectionBounds,
    tasks: StreamTasks,
    protocol: Protocol,
}

impl<H: Handle> Service<H> {
    pub(super) fn new(handler: Arc<H>, bounds: ConnectionBounds) -> Arc<Self> {
        let tasks = StreamTasks::new(&bounds);
        let protocol = protocol(&bounds, tasks.clone());
        Arc::new(Self { handler, bounds, tasks, protocol })
    }

    /// Answers one request of a connection.
    fn call(
        self: Arc<Self>,
        (clock, place): (&Arc<ConnectionClock>, &Arc<Place>),
        peer: &Arc<Peer>,
        request: http::Request<Incoming>,
    ) -> impl Future<Output = Result<http::Response<SentBody>, Infallible>> + Send + use<H> {
        let (header, incoming) = request.into_parts();
        let taking = (header.version == http::Version::HTTP_2).then(|| self.tasks.begin());
        let body = RequestBody::new(incoming, &header.headers);
        let mut request = http::Request::from_parts(header, body);
        if request.extensions().get::<hyper::ext::Protocol>().is_some() {
            request.extensions_mut().insert(Occupied::new(clock, place));
        }
        let (busy, peer) = (clock.busy(), peer.clone());
        async move {
            let response = stack::answer(&self.handler, &mut request, peer, &self.bounds).await;
            if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
                busy.clock().hand_over();
            }
            Ok(response.map(|body| SentBody::new(body, taking, busy)))
        }
    }
}

/// Shakes hands where TLS is spoken, within a bound; none if the client does not.
async fn open(
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    limit: Duration,
) -> Option<(Transport, Option<Arc<str>>)> {
    let Some(tls) = tls else { return Some((Transport::Plain(stream), None)) };
    match tokio::time::timeout(limit, tls.accept(stream)).await {
        Ok(Ok((stream, name))) => Some((Transport::Tls(Box::new(stream)), name)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "no handshake");
            None
        }
        Err(_) => {
            tracing::debug!("connection cut off: the client is too slow to shake hands");
            None
        }
    }
}

/// Serves one connection to its end.
pub(super) async fn serve<H: Handle>(
    (stream, tls): (TcpStream, Option<Arc<Tls>>),
    place: Place,
    service: Arc<Service<H>>,
    mut shutdown: ShutdownSignal,
) {
    // Answers are written at once as a whole; waiting for more to send only adds latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay could not be set");
    }
    // Without an address the client has gone already.
    let Ok(address) = stream.peer_addr() else { return };
    let bounds = &service.bounds;
    let is_tls = tls.is_some();
    let shaken = tokio::select! {
        biased;
        shaken = open(stream, tls, bounds.header) => shaken,
        () = shutdown.wait() => return,
    };
    let Some((transport, server_name)) = shaken else { return };
    let said = stack::header_value(&address.ip().to_canonical().to_string());
    let peer = Arc::new(Peer { address, said, tls: is_tls, server_name });
    let (clock, place) = (ConnectionClock::new(), Arc::new(place));
    let io = GuardedStream::new(transport, clock.clone(), place.clone(), bounds.h2);
    let answers = service_fn({
        let (clock, service) = (clock.clone(), service.clone());
        move |request| service.clone().call((&clock, &place), &peer, request)
    });
    let connection = service.protocol.serve_connection_with_upgrades(TokioIo::new(io), answers);
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
