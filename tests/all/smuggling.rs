//! Requests that two may read differently: each is refused, the connection is closed, and what follows is never taken for a request.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use hearth_tests::{Server, Start, eventually};
use serde_json::json;

const POST: &str = "POST /2016-08-15/services/s/functions/wat-echo/invocations HTTP/1.1\r\n";
const SMUGGLED: &str = "GET /2016-08-15/services HTTP/1.1\r\nhost: x\r\n\r\n";

/// What comes back, and whether the connection was closed after it.
fn sent(server: &Server, bytes: &[u8]) -> (String, bool) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // A server that has closed already has said why.
    let _ = stream.write_all(bytes);
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    let closed = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break true,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(why) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&why.kind()) => {
                break false;
            }
            Err(_) => break true,
        }
    };
    (String::from_utf8_lossy(&answer).into_owned(), closed)
}

fn is_refused(server: &Server, request: &str) {
    let (answer, closed) = sent(server, format!("{request}{SMUGGLED}").as_bytes());
    let shown: String = request.chars().take(300).collect();
    assert!(closed, "{shown:?} leaves the connection open: {answer}");
    assert!(answer.starts_with("HTTP/1.1 4"), "{shown:?} is answered {answer:?}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{shown:?} smuggled a request: {answer}");
}

fn server() -> Server {
    let server = Server::start();
    server.deploy("wat-echo");
    server
}

fn alive(server: &Server) {
    assert_eq!(server.invoke("wat-echo", "alive").text(), "alive");
}

#[test]
fn lengths_that_are_none_or_two() {
    let server = server();
    for length in [
        "+5",
        "-5",
        "5 5",
        "5, 5",
        "5,6",
        "0x5",
        "5;",
        "",
        "five",
        "99999999999999999999999",
        "5\r\ncontent-length: 6",
        "5\r\ncontent-length: 5",
        "5\r\nx: y\r\nCONTENT-LENGTH: 5",
        "\u{b}5",
    ] {
        is_refused(&server, &format!("{POST}host: x\r\ncontent-length: {length}\r\n\r\nhello"));
    }
    alive(&server);
}

#[test]
fn codings_that_are_none_or_two() {
    let server = server();
    for coding in [
        "chunked, chunked",
        "chunked\r\ntransfer-encoding: chunked",
        "gzip, chunked",
        "gzip\r\ntransfer-encoding: chunked",
        "chunked, gzip",
        "chunked\r\ntransfer-encoding: identity",
        "identity",
        "gzip",
        "xchunked",
        "chunked;q=1",
        "\"chunked\"",
        "\u{b}chunked",
    ] {
        let head = format!("{POST}host: x\r\ntransfer-encoding: {coding}\r\n\r\n");
        is_refused(&server, &format!("{head}5\r\nhello\r\n0\r\n\r\n"));
    }
    let old = POST.replace("HTTP/1.1", "HTTP/1.0");
    is_refused(&server, &format!("{old}host: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"));
    alive(&server);
}

#[test]
fn a_length_beside_a_coding() {
    let server = server();
    let (length, coding) = ("content-length: 5\r\n", "transfer-encoding: chunked\r\n");
    for headers in [
        format!("{length}{coding}"),
        format!("{coding}{length}"),
        "Content-LENGTH:0\r\nx: y\r\nTransfer-ENCODING:chunked\r\n".to_owned(),
    ] {
        is_refused(&server, &format!("{POST}host: x\r\n{headers}\r\n0\r\n\r\n"));
    }
    alive(&server);
}

/// Until the guard followed bodies, it lost its way behind the first of them, and behind requests that came while one was answered.
#[test]
fn what_comes_behind_other_requests_is_looked_at_too() {
    let server = server();
    let length = format!("{POST}host: x\r\ncontent-length: 5\r\n\r\na\nb\n\n");
    let chunks = format!(
        "{POST}host: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\n\n\n\r\n3\r\na\nb\r\n0\r\n\r\n"
    );
    let bad = [
        format!("{POST}host: x\r\na: b\ncontent-length: 0\r\n\r\n"),
        format!(
            "{POST}host: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        format!("{POST}host: x\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello"),
    ];
    for before in [&length, &chunks, &format!("{chunks}{length}{chunks}")] {
        let count = before.matches("POST ").count();
        for bad in &bad {
            let (answer, closed) = sent(&server, format!("{before}{bad}{SMUGGLED}").as_bytes());
            assert!(closed, "{before:?}{bad:?}: {answer}");
            assert_eq!(
                answer.matches("HTTP/1.1 200").count(),
                count,
                "{before:?}{bad:?}: {answer}"
            );
            assert_eq!(answer.matches("HTTP/1.1 ").count(), count + 1, "{bad:?}: {answer}");
            assert!(answer.contains("HTTP/1.1 400"), "{bad:?}: {answer}");
        }
    }
    // Nobody's bytes are changed.
    let close = length.replace("host: x", "host: x\r\nconnection: close");
    let (answer, _) = sent(&server, format!("{chunks}{close}").as_bytes());
    assert!(answer.contains("\r\n\r\n\n\na\nb") && answer.ends_with("a\nb\n\n"), "{answer:?}");
    alive(&server);
}

#[test]
fn a_head_that_comes_while_another_request_is_answered_is_looked_at_too() {
    let server = server();
    server.deploy_with("bad/sleeper", json!({"timeout": 2}));
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let slow = POST.replace("wat-echo", "sleeper") + "host: x\r\ncontent-length: 1\r\n\r\nx";
    stream.write_all(slow.as_bytes()).unwrap();
    eventually("it runs", || server.metric("hearth_running_invocations") == 1.0);
    let bad = format!("{POST}host: x\r\na: b\ncontent-length: 0\r\n\r\n{SMUGGLED}");
    stream.write_all(bad.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 2, "{answer}");
    assert!(answer.contains("HTTP/1.1 400"), "{answer}");
    alive(&server);
}

#[test]
fn chunks_that_are_none() {
    let server = server();
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(20 << 10));
    for chunks in [
        "g\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nx: a\0b\r\n\r\n",
        "5\r\nhello\r\n0\r\nno colon\r\n\r\n",
        "5\r\nhello\r\n0\r\nx: a\ny: b\r\n\r\n",
        &long,
    ] {
        let head = format!("{POST}host: x\r\ntransfer-encoding: chunked\r\n\r\n");
        is_refused(&server, &format!("{head}{chunks}"));
    }
    alive(&server);
}

#[test]
fn lines_that_others_end_elsewhere() {
    let server = server();
    for head in [
        "host: x\r\na: b\r\n c: d\r\ncontent-length: 0\r\n\r\n",
        " a: b\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        "host: x\r\na: b\ncontent-length: 0\r\n\r\n",
        "host: x\r\ncontent-length: 0\n\r\n",
        "host: x\r\ncontent-length: 0\r\n\n",
        "host: x\r\na: b\rcontent-length: 0\r\n\r\n",
        "host: x\r\na: b\0\r\ncontent-length: 0\r\n\r\n",
        "host: x\r\na : b\r\ncontent-length: 0\r\n\r\n",
        "host: x\r\na\t: b\r\ncontent-length: 0\r\n\r\n",
        "host: x\r\n: b\r\ncontent-length: 0\r\n\r\n",
        "host: x\r\nno colon\r\ncontent-length: 0\r\n\r\n",
        "host: x\r\na\u{e4}: b\r\ncontent-length: 0\r\n\r\n",
    ] {
        is_refused(&server, &format!("{POST}{head}"));
    }
    let rest = "host: x\r\ncontent-length: 0\r\n\r\n";
    is_refused(&server, &format!("{}\n{rest}", POST.trim_end()));
    is_refused(&server, &format!("\n{POST}{rest}"));
    is_refused(&server, &POST.replace(" HTTP", "  HTTP"));
    is_refused(&server, &format!("{}{rest}", POST.replace("HTTP/1.1", "HTTP/1.1 x")));
    let first = format!("GET /2016-08-15/services HTTP/1.1\r\nhost: x\r\n\r\n{POST}a: b\n{rest}");
    let (answer, closed) = sent(&server, format!("{first}{SMUGGLED}").as_bytes());
    assert!(closed && answer.matches("HTTP/1.1 ").count() == 2, "{answer}");
    assert!(answer.contains("HTTP/1.1 400"), "the second head is looked at too: {answer}");
    alive(&server);
}

/// It may be the beginning of what was asked for, so it is not spoilt; but whoever asks must wait for the answer.
#[test]
fn what_is_sent_before_another_protocol_is_granted_is_no_request() {
    let server = server();
    let wish = "GET /2016-08-15/services HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    for behind in ["\u{1}\n", "GET / HTTP/1.1\nhost: x\r\n\r\n"] {
        let (answer, closed) = sent(&server, format!("{wish}{behind}{SMUGGLED}").as_bytes());
        assert!(closed, "{behind:?}: {answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{behind:?}: {answer}");
    }
    // What is a request is one, if the wish was not granted.
    let close = SMUGGLED.replace("host: x", "host: x\r\nconnection: close");
    let (answer, _) = sent(&server, format!("{wish}{close}").as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    alive(&server);
}

#[test]
fn hosts_that_are_none_or_two() {
    let server = server();
    for head in [
        POST.to_owned(),
        format!("{POST}host: x\r\nhost: x\r\n"),
        format!("{POST}host: x\r\nHost: y\r\n"),
        format!("{POST}host: x, y\r\n"),
        format!("{POST}host: x/y\r\n"),
        format!("{POST}host: u@x\r\n"),
        format!("{POST}host: x y\r\n"),
        format!("{}host: y\r\n", POST.replace("POST /", "POST http://x/")),
        format!("{}host: x\r\n", POST.replace("POST /", "POST http://u@x/")),
        "CONNECT x:80 HTTP/1.1\r\nhost: x:80\r\n".to_owned(),
    ] {
        is_refused(&server, &format!("{head}content-length: 0\r\n\r\n"));
    }
    let absolute = POST.replace("POST /", "POST http://x/");
    let (answer, _) = sent(
        &server,
        format!("{absolute}host: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
    alive(&server);
}

#[test]
fn versions_that_are_none_and_one_that_is_old() {
    let server = server();
    for version in ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.01", "HTTPS/1.1", ""] {
        let line = POST.replace("HTTP/1.1", version);
        let request = format!("{line}host: x\r\ncontent-length: 0\r\n\r\n{SMUGGLED}");
        let (answer, closed) = sent(&server, request.as_bytes());
        assert!(closed, "{version:?}: {answer}");
        assert!(!answer.contains(" 200 "), "{version:?} is answered {answer:?}");
    }
    let old = POST.replace("HTTP/1.1", "HTTP/1.0");
    let (answer, closed) =
        sent(&server, format!("{old}content-length: 2\r\n\r\nok{SMUGGLED}").as_bytes());
    assert!(closed && answer.ends_with("ok"), "without a word it is closed: {answer}");
    let kept = format!("{old}connection: keep-alive\r\ncontent-length: 2\r\n\r\nok");
    let both = format!("{kept}{}", kept.replace("keep-alive", "close, keep-alive"));
    let (answer, closed) = sent(&server, both.as_bytes());
    assert!(closed && answer.matches("\r\n\r\nok").count() == 2, "{answer}");
    alive(&server);
}

#[test]
fn a_client_that_sends_half_and_says_so_holds_nothing() {
    let server = Start::default().start();
    server.deploy_with("bad/sleeper", json!({"timeout": 600}));
    server.deploy("wat-echo");
    let whole = POST.replace("wat-echo", "sleeper") + "host: x\r\ncontent-length: 1\r\n\r\nx";
    for request in ["POST / HT", &whole[..whole.len() - 1], &whole] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it is closed");
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    eventually("no slot is held", || server.metric("hearth_running_invocations") == 0.0);
    alive(&server);
}
