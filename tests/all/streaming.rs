//! Bodies pass through the server as they are written and read: nothing is collected on the way, and nobody can hold up an instance.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hearth_tests::{Server, Start, eventually};
use serde_json::{Value, json};

use crate::http_trigger::trigger;

const FUNCTION: &str = "rust-http-stream";

/// A server with the function under an address that everybody may call.
fn serving(start: Start, timeout_s: u32) -> Server {
    let server = start.start();
    server.deploy_with(FUNCTION, json!({"timeout": timeout_s}));
    let config = json!({"authType": "anonymous", "methods": ["GET", "POST"]});
    let made = trigger(&server, FUNCTION, &config);
    assert_eq!(made.status, 200, "{}", made.text());
    server
}

/// Sends the head of a request on a connection of its own.
fn ask(server: &Server, method: &str, path: &str, headers: &str) -> TcpStream {
    let mut socket = TcpStream::connect(server.address()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let path = format!("/2016-08-15/proxy/s/{FUNCTION}{path}");
    write!(socket, "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n").unwrap();
    socket
}

/// Reads until `text` has come, and returns all that came.
fn until(socket: &mut TcpStream, text: &str) -> String {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains(text) {
        let count = socket.read(&mut piece).unwrap();
        assert!(count > 0, "it ended after: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&piece[..count]);
    }
    String::from_utf8(seen).unwrap()
}

/// How the function's newest invocation ended, once it has.
fn newest(server: &Server) -> Option<Value> {
    server.records_of(&format!("s/{FUNCTION}")).into_iter().next()
}

#[test]
fn events_arrive_as_they_happen() {
    let server = serving(Start::default(), 30);
    let mut socket = ask(&server, "GET", "/sse?events=3&ms=500", "connection: close\r\n");
    let first = until(&mut socket, "data:");
    assert!(first.contains("content-type: text/event-stream"), "{first}");
    assert!(newest(&server).is_none(), "it has not ended as yet");
    let mut rest = String::new();
    socket.read_to_string(&mut rest).unwrap();
    assert_eq!((first + &rest).matches("data:").count(), 3);
    eventually("the record", || newest(&server).is_some_and(|one| one["status"] == "succeeded"));
}

#[test]
fn a_client_that_goes_away_ends_its_guest() {
    let server = serving(Start::default(), 60);
    let mut socket = ask(&server, "GET", "/sse?events=100000&ms=50", "");
    until(&mut socket, "data:");
    drop(socket);
    eventually("the guest ends", || {
        newest(&server).is_some_and(|one| one["status"] == "cancelled")
    });
}

#[test]
fn a_client_that_sends_on_no_more_ends_its_guest() {
    let server = serving(Start::default(), 60);
    let mut socket = ask(&server, "POST", "/echo", "content-length: 1000\r\n");
    socket.write_all(b"beginning").unwrap();
    until(&mut socket, "beginning");
    drop(socket);
    eventually("the guest ends", || newest(&server).is_some());
    assert_ne!(newest(&server).unwrap()["status"], "succeeded");
}

#[test]
fn a_reader_that_is_slow_holds_an_instance_no_longer_than_its_deadline() {
    let server = serving(Start::default(), 1);
    // As much as waits for a reader: the guest is done, whoever reads.
    let short = ask(&server, "GET", "/big?bytes=200000", "");
    eventually("the guest ends", || {
        newest(&server).is_some_and(|one| one["status"] == "succeeded")
    });
    let long = ask(&server, "GET", "/big?bytes=100000000", "");
    eventually("the guest is ended", || {
        newest(&server).is_some_and(|one| one["error"]["kind"] == "timeout")
    });
    drop((short, long));
}

#[test]
fn what_breaks_off_is_seen_to_break_off() {
    let server = serving(Start::default(), 1);
    let mut socket = ask(&server, "GET", "/sse?events=100&ms=300", "connection: close\r\n");
    let mut seen = Vec::new();
    // A reset is as good as an end here.
    let _ = socket.read_to_end(&mut seen);
    let seen = String::from_utf8(seen).unwrap();
    assert!(seen.contains("data:"), "{seen}");
    assert!(!seen.ends_with("0\r\n\r\n"), "a response that was cut off must not look whole");
}

/// The most memory that a process had resident since the mark was reset, in KiB.
fn peak(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_gigabyte_passes_through_ten_megabytes() {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 1024;
    let server = serving(Start::default().with("--gateway-body-size", "0"), 300);
    let send = |pieces: usize| {
        let length = format!("content-length: {}\r\nconnection: close\r\n", pieces * PIECE);
        let mut socket = ask(&server, "POST", "/count", &length);
        let piece = vec![b'x'; PIECE];
        for _ in 0..pieces {
            socket.write_all(&piece).unwrap();
        }
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(&format!("{}", pieces * PIECE)), "{answer}");
    };
    send(4);
    std::fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").unwrap();
    let before = peak(&server);
    send(PIECES);
    let grown = peak(&server).saturating_sub(before);
    assert!(grown < 10 << 10, "{grown} KiB more were resident");
}
