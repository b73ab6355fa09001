//! HTTP functions that break the rules, behind a real server: what their callers see on the wire. How each ends as an invocation is in
//! `tests/engine/rude.rs`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hearth_tests::{Server, eventually, guest_path};
use serde_json::json;

use crate::http_trigger::trigger;

const P2: &str = "http-rude";
const P3: &str = "http-rude-p3";

/// A server with both, whose requests may take a second.
fn serving() -> Server {
    let server = Server::start();
    for name in [P2, P3] {
        server.deploy_with(&format!("bad/{name}"), json!({"timeout": 1}));
        let config = json!({"authType": "anonymous", "methods": ["GET"]});
        let made = trigger(&server, name, &config);
        assert_eq!(made.status, 200, "{}", made.text());
    }
    server
}

/// Sends a request and reads until the connection ends: head and body as they came.
fn see(server: &Server, name: &str, path: &str) -> (String, Vec<u8>) {
    let mut socket = TcpStream::connect(server.address()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let request = format!(
        "GET /2016-08-15/proxy/s/{name}{path} HTTP/1.1\r\nhost: a.example\r\nte: trailers\r\nconnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A connection that is reset is one that broke off.
    let _ = socket.read_to_end(&mut answer);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("{name} {path}: no head in {answer:?}"));
    let body = answer.split_off(end + 4);
    (String::from_utf8(answer).unwrap(), body)
}

/// Whether a body is all that its head says it is.
fn is_whole(head: &str, body: &[u8]) -> bool {
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    match length {
        Some(length) => body.len() == length.trim().parse::<usize>().unwrap(),
        None => body.ends_with(b"0\r\n\r\n"),
    }
}

/// The function goes on after what was asked of it.
fn is_well(server: &Server, name: &str, after: &str) {
    let (head, body) = see(server, name, "/");
    let text = String::from_utf8_lossy(&body);
    assert!(is_whole(&head, &body) && text.contains("well"), "{name} after {after}: {head} {text}");
}

#[test]
fn who_gives_no_response_is_a_bad_gateway() {
    let server = serving();
    for (name, path, says) in [
        (P2, "/none", "without setting a response"),
        (P2, "/kept-outparam", "without setting a response"),
        (P2, "/error", "by intent"),
        (P2, "/trap-before", "unreachable"),
        (P2, "/huge-header", "limit"),
        (P2, "/many-headers", "limit"),
        (P3, "/none", "unreachable"),
        (P3, "/stall-before", "1 seconds"),
        (P3, "/error", "by intent"),
        (P3, "/trap-before", "unreachable"),
    ] {
        let (head, body) = see(&server, name, path);
        let body = String::from_utf8(body).unwrap();
        assert!(head.starts_with("HTTP/1.1 502 "), "{name} {path}: {head}");
        assert!(
            head.contains("x-fc-error-type: UnhandledInvocationError"),
            "{name} {path}: {head}"
        );
        assert!(body.contains(says), "{name} {path}: {body}");
        is_well(&server, name, path);
    }
}

#[test]
fn of_two_responses_the_first_is_seen_or_none() {
    let server = serving();
    for _ in 0..10 {
        let (head, body) = see(&server, P2, "/twice");
        let text = String::from_utf8_lossy(&body);
        // The first one is on its way, whole or not, if the guest had to let others go first before it set the second.
        match head.starts_with("HTTP/1.1 200 ") {
            true => assert!(!text.contains("twice"), "{head} {text}"),
            false => {
                assert!(
                    head.starts_with("HTTP/1.1 502 ") && text.contains("handle"),
                    "{head} {text}"
                );
            }
        }
        is_well(&server, P2, "/twice");
    }
}

#[test]
fn a_response_that_goes_wrong_is_never_seen_whole() {
    let server = serving();
    for name in [P2, P3] {
        for path in ["/trap", "/stall", "/spin", "/unfinished", "/kept-body", "/long", "/short"] {
            let (head, body) = see(&server, name, path);
            if !head.starts_with("HTTP/1.1 502 ") {
                assert!(head.starts_with("HTTP/1.1 200 "), "{name} {path}: {head}");
                let text = String::from_utf8_lossy(&body);
                assert!(!is_whole(&head, &body), "{name} {path}: {head} {text}");
            }
            is_well(&server, name, path);
        }
    }
    eventually("all ends", || server.metric("hearth_running_invocations") == 0.0);
}

#[test]
fn what_goes_wrong_behind_a_whole_response_is_no_affair_of_the_callers() {
    let server = serving();
    for (name, path) in [(P2, "/spin-after"), (P3, "/spin-after"), (P3, "/trap-after")] {
        let (head, body) = see(&server, name, path);
        assert!(head.starts_with("HTTP/1.1 200 "), "{name} {path}: {head}");
        assert!(String::from_utf8_lossy(&body).contains("whole"), "{name} {path}");
        assert!(is_whole(&head, &body), "{name} {path}: {head}");
    }
    eventually("all ends", || server.metric("hearth_running_invocations") == 0.0);
    for name in [P2, P3] {
        let records = server.records_of(&format!("s/{name}"));
        assert!(records.iter().all(|record| record["status"] == "failed"), "{records:?}");
    }
}

#[test]
fn headers_and_trailers_that_frame_or_split_do_not_pass() {
    let server = serving();
    let (head, _) = see(&server, P2, "/headers");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    for name in ["x-injected", "x-split", "x-feed", "te:", "upgrade", "keep-alive", "host:"] {
        assert!(!head.lines().any(|line| line.to_lowercase().starts_with(name)), "{name}: {head}");
    }
    assert_eq!(head.matches("connection:").count(), 1, "the server's own: {head}");
    let (head, body) = see(&server, P2, "/bad-trailers");
    let body = String::from_utf8(body).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && body.contains("whole"), "{head} {body}");
    for name in ["content-length", "transfer-encoding"] {
        assert!(!body.contains(name), "{name} in {body}");
    }
}

/// It runs beside itself once for each level, so the bound is also one on instances.
#[test]
fn a_function_that_asks_itself_without_end_is_ended_by_the_depth() {
    let server = Server::start();
    let path = guest_path("bad/http-rude");
    let made = server.cli(&[
        "deploy",
        path.to_str().unwrap(),
        "--name",
        "s/http-rude",
        "--timeout",
        "30s",
        "--http",
        "--grant",
        "http-private=http://127.0.0.1:*",
    ]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (head, body) = see(&server, P2, &format!("/loop?to={}", server.address()));
    let body = String::from_utf8(body).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") || head.starts_with("HTTP/1.1 508 "), "{head}");
    assert!(body.contains("LoopDetected") || head.contains(" 508 "), "{head} {body}");
    eventually("all ends", || server.metric("hearth_running_invocations") == 0.0);
    is_well(&server, P2, "/loop");
}
