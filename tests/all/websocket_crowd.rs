//! Ten thousand WebSockets on which nothing happens: what each of them costs, and that whoever does something is served as ever.

use std::net::TcpStream;

use hearth_tests::{Start, WebSocketClient, eventually};
use serde_json::json;

use crate::websocket::{ECHO, serving};

const CROWD: usize = 10_000;

/// Resident memory of the server for each idle connection, at most; buffers of the kernel are not in it.
const BYTES_EACH_MAX: u64 = 20 << 10;

/// Lets this process, and the servers it starts, have as many files open as the machine allows.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    assert!(
        limit.maximum.is_none_or(|most| most > 11_000),
        "11,000 files must be allowed to be open"
    );
}

#[test]
fn ten_thousand_idle_connections_cost_less_than_20_kib_each() {
    raise_file_limit();
    let start = Start::default().with("--http-connections", "12000");
    let server =
        serving(start, "rust-websocket-echo", &json!({"connections": CROWD, "idleSeconds": 3600}));
    // What is made once is not counted: code, instances, the first of everything.
    let first: Vec<_> =
        (0..100).map(|_| WebSocketClient::idle(server.address(), ECHO).unwrap()).collect();
    let before = server.resident_bytes();
    let crowd: Vec<TcpStream> = (first.len()..CROWD)
        .map(|_| WebSocketClient::idle(server.address(), ECHO).unwrap())
        .collect();
    let open = || server.invoke("rust-websocket-echo", "null").text();
    assert_eq!(open(), CROWD.to_string());
    let refused = WebSocketClient::idle(server.address(), ECHO).unwrap_err();
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    let grown = server.resident_bytes().saturating_sub(before);
    let each = grown / crowd.len() as u64;
    println!("{each} bytes for each of {} idle connections", crowd.len());
    assert!(each < BYTES_EACH_MAX, "{each} bytes for each connection");
    assert_eq!(server.metric("hearth_running_invocations"), 0.0);
    drop(first);
    eventually("room", || server.websocket(ECHO, &[]).is_ok());
    assert_eq!(server.websocket(ECHO, &[]).unwrap().ask("alive"), "alive");
    drop(crowd);
    eventually("the end of all", || open() == "0");
}
