//! WebSockets over HTTP/2: each is one stream of a connection that goes on beside it.

use std::time::{Duration, SystemTime};

use hearth_tests::{Http2, Server, Start, eventually};
use serde_json::json;

use crate::custom_domains::{HOST, domain};
use crate::http_trigger::open;
use crate::websocket::{ECHO, guarded_echo, serving};

fn echo(start: Start) -> Server {
    serving(start, "rust-websocket-echo", &json!({"messageBytes": 1_000_000}))
}

/// How often the function was told of an end like this.
fn told(server: &Server, end: &str) -> usize {
    let logs = "/hearth/v1/logs?function=s/rust-websocket-echo&limit=100";
    server.send("GET", logs, &[], b"").text().matches(end).count()
}

#[test]
fn several_share_a_connection_with_plain_requests() {
    let server = echo(Start::default());
    let mut client = server.http2();
    let offered = [("sec-websocket-protocol", "soap, echo")];
    let mut first = client.websocket(&format!("{ECHO}/a/b?greet"), &offered);
    let head = first.response.headers();
    assert_eq!(
        (head["sec-websocket-protocol"].as_bytes(), head["x-path"].as_bytes()),
        (&b"echo"[..], &b"/a/b"[..])
    );
    assert!(head.contains_key("x-fc-request-id") && !head.contains_key("sec-websocket-accept"));
    assert!(client.text(&mut first).starts_with("hello"), "sent before the connection was there");
    let mut second = client.websocket(ECHO, &[]);
    let large = "x".repeat(900_000);
    for text in ["a", &large, ""] {
        for socket in [&mut first, &mut second] {
            assert!(client.ask(socket, text) == text, "{} bytes", text.len());
            assert_eq!(client.get("/2016-08-15/services/s").status, 200);
        }
    }
    assert_eq!(server.metric("hearth_websockets"), 2.0);
    assert_eq!(client.close(&mut first, 4001, "enough"), (4001, "enough".to_owned()));
    eventually("the function's being told", || told(&server, "closed with 4001 enough") == 1);
    client.say(&mut second, "/close 3000 that is all");
    assert_eq!(client.closed(&mut second), (3000, "that is all".to_owned()));
    assert_eq!(client.get("/2016-08-15/services/s").status, 200, "the connection goes on");
    eventually("both ends", || server.metric("hearth_websockets") == 0.0);
}

#[test]
fn a_stream_that_breaks_off_takes_no_other_with_it() {
    let server = echo(Start::default());
    let mut client = server.http2();
    let (gone, mut stays) = (client.websocket(ECHO, &[]), client.websocket(ECHO, &[]));
    drop(gone);
    eventually("the function's being told", || told(&server, "closed with 1006") == 1);
    assert_eq!(client.ask(&mut stays, "x"), "x");
    drop((client, stays));
    eventually("the other's end", || told(&server, "closed with 1006") == 2);
}

#[test]
fn a_connection_is_not_idle_while_a_stream_is_a_websocket() {
    let server = echo(Start::default().with("--http-idle-timeout", "300ms"));
    let mut client = server.http2();
    let mut socket = client.websocket(ECHO, &[]);
    assert!(client.is_open_after(Duration::from_millis(1500)));
    assert_eq!(client.ask(&mut socket, "x"), "x");
    let _ = client.close(&mut socket, 1000, "");
    assert!(!client.is_open_after(Duration::from_secs(20)), "it is idle afterwards, and closed");
}

#[test]
fn only_what_is_asked_as_the_standard_has_it_is_granted() {
    let server = echo(Start::default());
    open(&server, "rust-http");
    let mut client = server.http2();
    let version = [("sec-websocket-version", "13")];
    let mut refused = |protocol, path: &str, headers: &[_]| client.refused(protocol, path, headers);
    assert_eq!(
        refused("websocket", &format!("{ECHO}/private"), &version).text(),
        "this is private"
    );
    let old = refused("websocket", ECHO, &[("sec-websocket-version", "8")]);
    assert_eq!((old.status, old.header("sec-websocket-version")), (400, Some("13")));
    assert_eq!(refused("websocket", ECHO, &[]).status, 400);
    assert_eq!(refused("connect-udp", ECHO, &version).status, 501);
    let none = refused("websocket", "/2016-08-15/proxy/s/rust-http/", &version);
    assert!(none.status == 501 && none.text().contains("takes no WebSockets"), "{}", none.text());
    // What is no function's takes no connection, whatever it answers to a GET.
    for path in ["/2016-08-15/services/s", "/healthz", "/metrics", "/hearth/v1/functions"] {
        let status = refused("websocket", path, &version).status;
        assert!((400..500).contains(&status), "{path}: {status}");
    }
    let mut socket = client.websocket(ECHO, &[]);
    assert_eq!(client.ask(&mut socket, "after"), "after");
}

#[test]
fn a_call_is_signed_as_the_get_that_it_is_over_http_1() {
    let (server, admin, _home) = guarded_echo();
    let mut client = server.http2();
    let version = [("sec-websocket-version", "13")];
    assert_eq!(client.refused("websocket", ECHO, &version).status, 400, "nobody signed it");
    let of = |method| admin.sign(method, ECHO, &[], SystemTime::now());
    let (right, wrong) = (of("GET"), of("CONNECT"));
    let mut headers: Vec<_> = wrong.iter().map(|(name, value)| (*name, &**value)).collect();
    headers.extend(version);
    assert_eq!(client.refused("websocket", ECHO, &headers).status, 403);
    let headers: Vec<_> = right.iter().map(|(name, value)| (*name, &**value)).collect();
    let mut socket = client.websocket(ECHO, &headers);
    assert_eq!(client.ask(&mut socket, "hi"), "hi");
}

#[test]
fn a_route_for_get_leads_there() {
    let server = echo(Start::default());
    let routes = [
        json!({"path": "/chat", "functionName": "rust-websocket-echo", "methods": ["GET"]}),
        json!({"path": "/post", "functionName": "rust-websocket-echo", "methods": ["POST"]}),
    ];
    assert_eq!(domain(&server, "HTTP", &routes).status, 200);
    let mut client = server.http2();
    let mut socket = client.websocket("/chat", &[("host", HOST)]);
    assert_eq!(client.ask(&mut socket, "x"), "x");
    let headers = [("host", HOST), ("sec-websocket-version", "13")];
    assert_eq!(client.refused("websocket", "/post", &headers).status, 403);
}

#[test]
fn who_reads_nothing_of_one_stream_is_cut_off_from_that() {
    let server = echo(Start::default().with("--http-write-timeout", "500ms"));
    let mut client = server.http2();
    let (mut silent, mut neighbour) = (client.websocket(ECHO, &[]), client.websocket(ECHO, &[]));
    let large = "x".repeat(500_000);
    // Nobody reads what comes back, so the window of the stream stays shut.
    client.say(&mut silent, &large);
    eventually("the function's being told", || told(&server, "closed with 1006") == 1);
    assert_eq!(client.ask(&mut neighbour, "x"), "x");
    drop(silent);
    assert_eq!(client.ask(&mut neighbour, "y"), "y");
}

#[test]
fn a_server_that_stops_says_goodbye_on_each_stream() {
    let mut server = echo(Start::default());
    let mut clients: Vec<Http2> = (0..3).map(|_| server.http2()).collect();
    let mut sockets: Vec<_> = clients
        .iter_mut()
        .map(|client| [client.websocket(ECHO, &[]), client.websocket(ECHO, &[])])
        .collect();
    server.ask_to_stop();
    for (client, sockets) in clients.iter_mut().zip(&mut sockets) {
        for socket in sockets {
            assert_eq!(client.closed(socket), (1001, "the server is going away".to_owned()));
        }
    }
    assert_eq!(server.wait(), Some(0));
    server.restart();
    assert_eq!(told(&server, "closed with 1001"), 6, "each end was told");
}
