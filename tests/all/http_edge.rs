//! Requests that no well-behaved client sends.

use std::time::Duration;

use hearth_tests::{Server, Start, raw, raw_many};

const INVOKE: &str =
    "POST /2016-08-15/services/s/functions/wat-echo/invocations HTTP/1.1\r\nhost: x\r\n";

fn alive(server: &Server) {
    assert_eq!(server.invoke("wat-echo", "alive").text(), "alive");
}

#[test]
fn smuggled_requests_are_refused() {
    let server = Server::start();
    server.deploy("wat-echo");
    for header in [
        "content-length: 1\r\ncontent-length: 2\r\n\r\nx",
        "content-length: +1\r\n\r\nx",
        "content-length: -1\r\n\r\nx",
        "content-length: 1, 2\r\n\r\nx",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "x: a\0b\r\ncontent-length: 0\r\n\r\n",
        "x : a\r\ncontent-length: 0\r\n\r\n",
    ] {
        let answer = raw(server.address(), format!("{INVOKE}{header}").as_bytes());
        assert!(!answer.starts_with("HTTP/1.1 200"), "{header:?}: {answer}");
    }
    let both = "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n";
    let answer = raw(server.address(), format!("{INVOKE}{both}").as_bytes());
    assert!(
        answer.matches("HTTP/1.1 200").count() <= 1,
        "the second request was smuggled: {answer}"
    );
    alive(&server);
}

#[test]
fn headers_are_bounded() {
    let server = Server::start();
    server.deploy("wat-echo");
    let many: String = (0..5000).map(|number| format!("x-{number}: y\r\n")).collect();
    let large = format!("x: {}\r\n", "y".repeat(200 << 10));
    for headers in [many, large] {
        let answer =
            raw(server.address(), format!("{INVOKE}{headers}content-length: 0\r\n\r\n").as_bytes());
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{}",
            &answer[..answer.len().min(200)]
        );
    }
    alive(&server);
}

#[test]
fn bodies_are_bounded_with_and_without_a_length() {
    let server = Start::default().with("--http-event-size", "1MiB").start();
    server.deploy("wat-echo");
    server.invoke("wat-echo", &"x".repeat((1 << 20) + 1)).is_error(400, "EntityTooLarge");
    let chunk = format!("{:x}\r\n{}\r\n", 256 << 10, "x".repeat(256 << 10));
    let chunks = chunk.repeat(6);
    let request = format!("{INVOKE}transfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    let answer = raw(server.address(), request.as_bytes());
    assert!(answer.contains("EntityTooLarge"), "{}", &answer[..answer.len().min(300)]);
    assert_eq!(server.invoke("wat-echo", &"x".repeat(1 << 20)).status, 200);
}

#[test]
fn a_slow_header_does_not_hold_a_connection() {
    let server = Start::default().with("--http-header-timeout", "300ms").start();
    server.deploy("wat-echo");
    let started = std::time::Instant::now();
    let answer = raw_many(
        server.address(),
        &[b"POST / HTTP/1.1\r\nhost: x\r\n", b"x: "],
        Duration::from_secs(30),
    );
    assert!(started.elapsed() < Duration::from_secs(20), "the connection was held: {answer}");
    alive(&server);
}

#[test]
fn a_body_that_never_comes_is_given_up() {
    let server = Start::default().with("--http-body-timeout", "300ms").start();
    server.deploy("wat-echo");
    let request = format!("{INVOKE}content-length: 100\r\n\r\nx");
    let answer = raw_many(server.address(), &[request.as_bytes()], Duration::from_secs(30));
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    alive(&server);
}

#[test]
fn more_connections_than_files_leave_some_for_everything_else() {
    let server = Start::default().with_files(256).start();
    server.deploy("wat-echo");
    let idle: Vec<_> =
        (0..300).map(|_| std::net::TcpStream::connect(server.address()).unwrap()).collect();
    assert_eq!(server.admin("/healthz").status, 200);
    assert!(server.log().contains("too few files"), "it is said at the start");
    drop(idle);
    alive(&server);
}

#[test]
fn garbage_is_answered_or_closed() {
    let server = Server::start();
    server.deploy("wat-echo");
    for garbage in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = raw(server.address(), garbage);
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    alive(&server);
}
