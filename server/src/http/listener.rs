//! Listening sockets: one for each core on the same address where the system spreads connections over them.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the system completes ahead of `accept`, for each socket.
const BACKLOG: i32 = 1024;

/// How many sockets could be bound where, all to the same address.
#[derive(Debug)]
pub struct Bound {
    /// The address, with its real port.
    pub address: SocketAddr,
    /// As many as were asked for, or one where the system cannot spread connections.
    pub listeners: Vec<TcpListener>,
}

/// Binds `count` sockets to one address.
///
/// # Errors
/// When the address is taken, even by another process that would share it, or cannot be used.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Bound> {
    if address.port() != 0 {
        // Sockets that share an address also share it with a second server of the same user, which would then silently take
        // half of the connections. One that does not share finds out.
        drop(open(address, false)?);
    }
    let count = if SHARED { count.max(1) } else { 1 };
    let first = open(address, count > 1)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    while listeners.len() < count {
        listeners.push(open(address, true)?);
    }
    Ok(Bound { address, listeners })
}

/// Binds one socket to the port after that of `main`, or to a free one if that is taken.
///
/// # Errors
/// When no port can be had.
pub fn bind_near(main: SocketAddr) -> io::Result<Bound> {
    let at = |port| SocketAddr::new(main.ip(), port);
    match main.port().checked_add(1).map(|port| bind(at(port), 1)) {
        Some(Ok(bound)) => Ok(bound),
        _ => bind(at(0), 1),
    }
}

/// Whether several sockets can listen on one address and get its connections evenly. BSDs and macOS have the option but give
/// all connections to the last socket.
const SHARED: bool = cfg!(any(target_os = "linux", target_os = "android"));

fn open(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for connections of the process before it to time out.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    #[cfg(target_os = "linux")]
    if shared {
        socket.set_reuse_port(true)?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = shared;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_found_out() {
        let bound = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 2).unwrap();
        assert_eq!(bound.listeners.len(), if SHARED { 2 } else { 1 });
        assert_eq!(bind(bound.address, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let near = bind_near(bound.address).unwrap();
        assert_ne!(near.address.port(), bound.address.port());
    }
}
