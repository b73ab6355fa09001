//! Ten thousand WebSockets on which nothing happens: what each of them costs, and that whoever does something is served as ever.

use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hearth_tests::{Start, WebSocketClient, eventually};
use serde_json::json;

use crate::websocket::{ECHO, serving};

const CROWD: usize = 10_000;

/// Resident memory of the server for each idle connection, at most; buffers of the kernel are not in it.
const BYTES_EACH_MAX: u64 = 20 << 10;

/// The files of this process, for one crowd at a time.
pub(crate) struct Files {
    /// How many may be open.
    pub(crate) limit: u64,
    _turn: MutexGuard<'static, ()>,
}

/// Lets this process, and the servers it starts, have as many files open as the machine allows, when it is this crowd's turn.
pub(crate) fn files() -> Files {
    use rustix::process::{Resource, getrlimit, setrlimit};
    static TURNS: Mutex<()> = Mutex::new(());
    let turn = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    Files { limit: limit.maximum.unwrap_or(u64::MAX), _turn: turn }
}

#[test]
fn ten_thousand_idle_connections_cost_less_than_20_kib_each() {
    let files = files();
    assert!(files.limit > 11_000, "11,000 files must be allowed to be open");
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
    // 6,795 when this was written.
    assert!(each < BYTES_EACH_MAX, "{each} bytes for each connection");
    assert_eq!(server.metric("hearth_running_invocations"), 0.0);
    drop(first);
    eventually("room", || server.websocket(ECHO, &[]).is_ok());
    assert_eq!(server.websocket(ECHO, &[]).unwrap().ask("alive"), "alive");
    drop(crowd);
    eventually("the end of all", || open() == "0");
}

/// The codec keeps a buffer of the largest frame that came and of the largest that went: 8 MiB for each of these, until frames were cut up.
#[test]
fn a_large_message_is_let_go_when_it_is_over() {
    const LARGE: usize = 4 << 20;
    const COUNT: usize = 48;
    let settings = json!({"connections": 100, "messageBytes": LARGE, "idleSeconds": 3600});
    let server = serving(Start::default(), "rust-websocket-echo", &settings);
    let message = "x".repeat(LARGE);
    let connected = || {
        let mut client = server.websocket(ECHO, &[]).unwrap();
        assert!(client.ask(&message) == message, "it comes back as it went");
        client
    };
    // What one of them needs on each core is there from then on, and is used again.
    let _first: Vec<_> = (0..8).map(|_| connected()).collect();
    let before = server.resident_bytes();
    let mut clients: Vec<_> = (0..COUNT).map(|_| connected()).collect();
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < (COUNT * LARGE / 4) as u64, "{grown} bytes are held for {COUNT} connections");
    for client in &mut clients {
        assert_eq!(client.ask("still"), "still");
    }
}
