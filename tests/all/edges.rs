//! Clients at the edge of what HTTP allows, and slow ones: each is served or told why, none holds what others need.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hearth_tests::{PATIENCE, Server, Start, eventually, guest_path, raw, raw_many};

const INVOKE: &str =
    "POST /2016-08-15/services/s/functions/wat-echo/invocations HTTP/1.1\r\nhost: x\r\n";

fn echoing(start: Start) -> Server {
    let server = start.start();
    server.deploy("wat-echo");
    server
}

#[test]
fn a_header_over_its_bound_is_answered_431() {
    let server = echoing(Start::default());
    let large = format!("x: {}\r\n", "y".repeat(40 << 10));
    let many: String = (0..120).map(|number| format!("x-{number}: y\r\n")).collect();
    for headers in [large, many] {
        let answer = raw(
            server.address(),
            format!("{INVOKE}connection: close\r\n{headers}content-length: 0\r\n\r\n").as_bytes(),
        );
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        assert!(answer.contains("\"ErrorCode\"") && answer.contains("x-fc-request-id"), "{answer}");
    }
    let far_off = format!("{INVOKE}x: {}\r\n\r\n", "y".repeat(1 << 20));
    let answer = raw(server.address(), far_off.as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_eq!(server.invoke("wat-echo", "alive").text(), "alive");
}

#[test]
fn what_could_be_read_in_two_ways_is_refused_and_the_connection_closed() {
    let server = echoing(Start::default());
    let second = "GET /hearth/v1/functions HTTP/1.1\r\nhost: x\r\n\r\n";
    for (what, rest) in [
        ("two lengths", "content-length: 1\r\ncontent-length: 2\r\n\r\nx"),
        ("a signed length", "content-length: +1\r\n\r\nx"),
        ("a list of lengths", "content-length: 1, 2\r\n\r\nx"),
        ("a length that overflows", "content-length: 18446744073709551617\r\n\r\nx"),
        ("a folded line", "x: a\r\n b\r\ncontent-length: 0\r\n\r\n"),
        ("a space before the colon", "content-length : 1\r\n\r\nx"),
        ("a NUL", "x: a\0b\r\ncontent-length: 0\r\n\r\n"),
        ("chunked not last", "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        ("an unknown coding", "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
        (
            "a chunk size that overflows",
            "transfer-encoding: chunked\r\n\r\n10000000000000000\r\nx\r\n",
        ),
        ("a chunk size with a sign", "transfer-encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n"),
    ] {
        let answer = raw(server.address(), format!("{INVOKE}{rest}{second}").as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{what}: {answer}");
        assert!(!answer.contains("\"functions\":"), "{what}: the second request was served");
    }
}

#[test]
fn a_length_beside_chunks_smuggles_nothing() {
    let server = echoing(Start::default());
    let second = "GET /hearth/v1/functions HTTP/1.1\r\nhost: x\r\n\r\n";
    for both in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    ] {
        let answer = raw(server.address(), format!("{INVOKE}{both}{second}").as_bytes());
        assert!(!answer.contains("\"functions\":"), "the second request was served: {answer}");
    }
}

#[test]
fn requests_in_a_row_are_answered_in_their_order() {
    let server = echoing(Start::default());
    let requests: String = (0..20)
        .map(|number| format!("{INVOKE}content-length: 8\r\n\r\necho-{number:03}"))
        .collect();
    let answers = raw(server.address(), requests.as_bytes());
    let order: Vec<usize> =
        (0..20).filter_map(|number| answers.find(&format!("echo-{number:03}"))).collect();
    assert_eq!(order.len(), 20, "{answers}");
    assert!(order.is_sorted());
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on_or_not() {
    let server = echoing(Start::default().with("--http-event-size", "1KiB"));
    let ask = |length: usize| {
        format!(
            "{INVOKE}connection: close\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let told = raw_many(server.address(), &[ask(2).as_bytes(), b"hi"], Duration::from_secs(5));
    assert!(told.contains("HTTP/1.1 200") && told.ends_with("hi"), "{told}");
    let refused = raw_many(server.address(), &[ask(2000).as_bytes()], Duration::from_secs(5));
    assert!(refused.contains("EntityTooLarge"), "it is refused before it is sent: {refused}");
    assert!(!refused.contains("100 Continue"), "it is not asked for either: {refused}");
}

#[test]
fn an_id_or_an_error_that_a_client_claims_is_not_believed() {
    let server = echoing(Start::default());
    let forged = "00000000-0000-0000-0000-000000000000";
    let claimed = [
        ("x-fc-request-id", forged),
        ("x-fc-error-type", "UnhandledInvocationError"),
        ("x-fc-account-id", "1\u{7f}".trim_end_matches('\u{7f}')),
        ("x-forwarded-for", "127.0.0.1"),
    ];
    let reply = server.invoke_with("wat-echo", "x", &claimed);
    assert_eq!((reply.status, reply.text().as_str()), (200, "x"));
    assert_ne!(reply.header("x-fc-request-id"), Some(forged));
    assert_eq!(reply.header("x-fc-error-type"), None);
}

#[test]
fn a_trace_that_is_junk_is_no_trace() {
    let server = echoing(Start::default());
    for junk in
        ["00-junk", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", &"0".repeat(600)]
    {
        let reply = server.invoke_with("wat-echo", "x", &[("traceparent", junk)]);
        assert_eq!((reply.status, reply.header("traceparent")), (200, None), "{junk}");
    }
}

/// Asks on and on and reads nothing, until the server, whose answers go nowhere, ends the connection. A write that waits
/// says nothing by itself: a busy machine makes it wait as well.
fn ask_until_cut_off(address: SocketAddr, request: &[u8]) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let since = Instant::now();
    let mut written = 0;
    while since.elapsed() < PATIENCE {
        match stream.write(&request[written..]) {
            Ok(more) => written = (written + more) % request.len(),
            Err(why) if why.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
    panic!("the connection is still held");
}

#[test]
fn a_client_that_takes_nothing_of_its_answers_is_cut_off() {
    let server = echoing(Start::default().with("--http-write-timeout", "500ms"));
    let event = "x".repeat(5 << 20);
    let request = format!("{INVOKE}content-length: {}\r\n\r\n{event}", event.len());
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| ask_until_cut_off(server.address(), request.as_bytes()));
        }
    });
    eventually("the bodies are let go", || server.metric("hearth_body_bytes") == 0.0);
    assert_eq!(server.metric("hearth_running_invocations"), 0.0, "no slot waits for a reader");
    assert_eq!(server.invoke("wat-echo", "alive").text(), "alive");
}

#[test]
fn a_client_that_sends_too_much_reads_why() {
    let server = echoing(Start::default().with("--http-event-size", "64KiB"));
    let event = "x".repeat(8 << 20);
    for attempt in 0..30 {
        // A usual client writes all of its request before it reads: a connection that is reset meanwhile tells it nothing.
        let reply = server.try_invoke("wat-echo", &event);
        let reply = reply.unwrap_or_else(|| panic!("attempt {attempt} got no answer"));
        reply.is_error(400, "EntityTooLarge");
    }
}

#[test]
fn a_client_that_sends_much_to_nobody_reads_why() {
    let server = echoing(Start::default());
    let body = "x".repeat(8 << 20);
    for attempt in 0..20 {
        let reply = server.try_invoke("nobody", &body);
        let reply = reply.unwrap_or_else(|| panic!("attempt {attempt} got no answer"));
        reply.is_error(404, "FunctionNotFound");
    }
    // The connection is of use afterwards: what was not wanted was read.
    let length = body.len();
    let first =
        format!("POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}");
    let second = format!("{INVOKE}connection: close\r\ncontent-length: 2\r\n\r\nhi");
    let told = raw_many(server.address(), &[first.as_bytes(), second.as_bytes()], PATIENCE);
    assert!(told.starts_with("HTTP/1.1 400") && told.contains("PathNotSupported"), "{told}");
    assert!(told.ends_with("hi"), "{told}");
}

#[test]
fn hundreds_of_idle_connections_keep_nobody_out() {
    let server = echoing(Start::default());
    let idle: Vec<_> = (0..500).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    let half: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.write_all(INVOKE.as_bytes()).unwrap();
            stream
        })
        .collect();
    for number in 0..20 {
        assert_eq!(server.invoke("wat-echo", &number.to_string()).text(), number.to_string());
    }
    assert_eq!(server.admin("/readyz").status, 200);
    drop((idle, half));
}

#[test]
fn more_connections_than_allowed_wait_their_turn() {
    let server = echoing(
        Start::default().with("--http-connections", "4").with("--http-idle-timeout", "300ms"),
    );
    let idle: Vec<_> = (0..20).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    // The idle ones are closed after their time, and then it is this one's turn.
    assert_eq!(server.invoke("wat-echo", "at last").text(), "at last");
    assert_eq!(server.admin("/healthz").status, 200);
    drop(idle);
}

#[test]
fn connections_end_up_evenly_on_the_cores() {
    let server = Start::default().with("--http-threads", "4").start();
    // By a program of its own, which leaves no connection behind.
    let path = guest_path("wat-echo").display().to_string();
    assert!(server.cli(&["deploy", &path, "--name", "s/wat-echo"]).status.success());
    let each = || -> Vec<u32> {
        let metrics = server.admin("/metrics").text();
        let lines = metrics.lines().filter(|line| line.starts_with("hearth_connections{"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect()
    };
    eventually("nobody is connected", || each().iter().sum::<u32>() == 0);
    let mut held = Vec::new();
    for count in 1..=40 {
        held.push(TcpStream::connect(server.address()).unwrap());
        eventually("it is counted", || each().iter().sum::<u32>() == count);
    }
    let counts = each();
    assert_eq!(counts.len(), 4);
    let difference = counts.iter().max().unwrap() - counts.iter().min().unwrap();
    assert!(difference <= 2, "{counts:?}");
    for stream in &mut held {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("{INVOKE}connection: close\r\ncontent-length: 2\r\n\r\nhi");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hi"), "{answer}");
    }
    drop(held);
    eventually("none is left", || each().iter().sum::<u32>() == 0);
}
