//! The ceiling for a served function: a bare axum hello, one single-threaded runtime per core with a listener of its own, as the
//! server has. Prints its address and serves until it is ended; `benches/http.sh` and `benches/all.sh` run it.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a baseline that cannot start can only say so"
)]

use axum::Router;
use axum::routing::get;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the system completes ahead of `accept`, as many as the server asks for.
const BACKLOG: i32 = 1024;

fn main() {
    let first = listener(0);
    let address = first.local_addr().expect("a bound socket has an address");
    println!("{address}");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let others: Vec<_> = (1..cores)
        .map(|_| {
            let listener = listener(address.port());
            std::thread::spawn(move || serve(listener))
        })
        .collect();
    serve(first);
    for other in others {
        other.join().expect("a thread that serves does not panic");
    }
}

fn listener(port: u16) -> std::net::TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
    #[cfg(target_os = "linux")]
    socket.set_reuse_port(true).expect("sockets may share a port");
    socket.set_nonblocking(true).expect("a socket need not block");
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    socket.bind(&address.into()).expect("a free port");
    socket.listen(BACKLOG).expect("it listens");
    socket.into()
}

fn serve(listener: std::net::TcpListener) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listening socket");
        let router = Router::new().route("/", get(hello).post(hello));
        axum::serve(listener, router).await.expect("it serves");
    });
}

async fn hello() -> &'static str {
    "hello"
}
