//! HTTP/1.1 and HTTP/2 as the rest of the server sees it: listeners per core, connections that cannot be held open for nothing, and
//! the stack every request passes through.
//!
//! Knows no dialect and no function. What a request means is decided by the [`Handle`] that a listener is given.

mod authority;
mod body;
mod compression;
mod connection;
mod core_thread;
mod cores;
mod frame_guard;
mod framing;
mod guarded_stream;
mod in_turns;
mod listener;
mod port_file;
mod protocol;
mod request_body;
mod response_body;
mod shutdown;
mod stack;
#[cfg(test)]
mod test_site;
mod tls;
mod trace_context;
mod transport;

pub(crate) use body::let_go_aside;
pub use body::{BodyBudget, BodyError, Reservation, read_body};
pub use compression::{Accepted, compress};
pub use connection::ConnectionBounds;
pub use core_thread::{CoreThread, Listeners, Serving};
pub use cores::{Cores, Seat};
pub use guarded_stream::Occupied;
pub use listener::{Bound, bind, bind_near};
pub use port_file::PortFile;
pub use request_body::RequestBody;
pub use response_body::{Body, BodyBroke};
pub use shutdown::{Shutdown, ShutdownSignal, Signals};
pub use stack::{Exchange, Peer, header_value};
pub use tls::{Certificates, Identity, IdentityError, MinVersion, Tls};
pub use trace_context::TraceParent;

/// A request as it comes from the wire.
pub type Request = http::Request<RequestBody>;

/// A response as it goes to the wire.
pub type Response = http::Response<Body>;

/// What answers the requests of a listener.
pub trait Handle: Send + Sync + 'static {
    /// Answers one request. It has one `Host` header (over HTTP/1.0 perhaps none) and its target is a path. It is lent, and taken where it is
    /// used up: a future that is given one has room for it twice. Dropping the future must stop the work: the client has gone.
    fn handle(
        &self,
        request: &mut Request,
        exchange: &Exchange,
    ) -> impl Future<Output = Response> + Send;

    /// The answer to a request that never got to a handler, in the words of the dialect it was meant for.
    fn reject(&self, path: &str, rejection: Rejection) -> Response;

    /// Is told of every answer; the default does nothing.
    fn answered(&self, _status: http::StatusCode) {}
}

/// Why a request never got to a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// Too many header lines, or too many bytes of them.
    HeaderTooLarge,
    /// It can be understood in more than one way, or in none.
    Malformed {
        /// What is wrong with it.
        why: &'static str,
    },
    /// It came over TLS for another host than the connection is for.
    Misdirected,
    /// The handler panicked.
    Panicked,
}
