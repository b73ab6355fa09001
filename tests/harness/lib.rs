//! What end-to-end tests are written with: a real server process on a free port with a data directory of its own, the command
//! line, and the wire. The HTTP API is touched here only; tests read as stories.
//!
//! Every server ends with its [`Server`], every wait has a bound.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench tells that it failed by panicking"
)]

mod binary;
mod connection;
mod crowd;
mod dialect;
mod disk;
mod frames;
mod grpc;
mod http2;
mod key;
mod reply;
mod routes;
mod running;
mod server;
mod sink;
mod tls;
mod websocket;
mod wire;

pub use binary::{binary, guest, guest_path, guest_path_if_built, readme};
pub use connection::Connection;
pub use dialect::answering;
pub use disk::Disk;
pub use frames::Frames;
pub use grpc::{Greeter, Message};
pub use http2::{Http2, WebSocketOfStream};
pub use key::{Key, guarded, make_key_in};
pub use reply::Reply;
pub use routes::Route;
pub use running::Running;
pub use server::{Server, Start};
pub use sink::{Posted, Sink};
pub use tls::{Certificate, TlsClient};
pub use websocket::WebSocketClient;
pub use wire::{raw, raw_many};

use std::time::{Duration, Instant};

/// The longest anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something holds.
///
/// # Panics
/// When it does not within [`PATIENCE`].
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what} did not happen in time");
        std::thread::sleep(Duration::from_millis(10));
    }
}
