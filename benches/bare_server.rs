//! How the baselines serve: a single-threaded runtime for each core with a listener of its own, as the server has.

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that the system completes ahead of `accept`, as many as the server asks for.
const BACKLOG: i32 = 1024;

/// Prints the address, a free port of loopback, and serves on it until the process is ended.
///
/// # Panics
/// When there is no port, no thread or no runtime to have.
#[expect(clippy::print_stdout, reason = "who started it reads there where it is")]
pub fn serve_on_every_core<F: AsyncFn(TcpListener) + Send + Sync>(serve: F) {
    let first = listener(0);
    let address = first.local_addr().expect("a bound socket has an address");
    println!("{address}");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let on_this_thread = |listener| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            serve(TcpListener::from_std(listener).expect("a listening socket")).await;
        });
    };
    std::thread::scope(|scope| {
        for _ in 1..cores {
            let listener = listener(address.port());
            scope.spawn(move || on_this_thread(listener));
        }
        on_this_thread(first);
    });
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
