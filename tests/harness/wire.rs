//! Bytes on a socket, for what no well-behaved client sends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Sends bytes and reads until the server closes or is silent for a while.
///
/// # Panics
/// When there is no connection.
#[must_use]
pub fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    raw_many(address, &[bytes], Duration::from_secs(2))
}

/// Sends pieces with pauses between them, then reads until the server closes or is silent for `patience`.
///
/// # Panics
/// When there is no connection.
#[must_use]
pub fn raw_many(address: SocketAddr, pieces: &[&[u8]], patience: Duration) -> String {
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(patience)).expect("a socket has a timeout");
    for piece in pieces {
        // A server that has closed already has said why.
        if stream.write_all(piece).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 {
            break;
        }
        answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
    String::from_utf8_lossy(&answer).into_owned()
}
