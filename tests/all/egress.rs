//! Outgoing requests of functions, from a guest through a real server to a peer on loopback: granted, refused, counted, ended.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hearth_tests::{Server, guest_path};
use serde_json::{Value, json};

/// A peer that answers each request on its connection with what a test says; keeps the heads it saw.
struct Peer {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    /// `answer` is given the number of the connection and the head of the request; without an answer the peer stays silent.
    fn answering(answer: impl Fn(usize, &str) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (heads.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(mut stream) = stream else { return };
                let (kept, answer) = (kept.clone(), answer.clone());
                std::thread::spawn(move || {
                    let mut head = [0; 8192];
                    while let Ok(read @ 1..) = stream.read(&mut head) {
                        let head = String::from_utf8_lossy(&head[..read]).into_owned();
                        let said = answer(number + 1, &head);
                        kept.lock().unwrap().push(head);
                        match said {
                            Some(said) if stream.write_all(said.as_bytes()).is_ok() => {}
                            Some(_) => return,
                            None => std::thread::sleep(Duration::from_secs(30)),
                        }
                    }
                });
            }
        });
        Self { port, heads }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Deploys the guest that makes requests as `default/NAME`.
fn deploy(server: &Server, name: &str, grants: &[&str], more: &[&str]) {
    let (guest, name) = (guest_path("rust-fetch"), format!("default/{name}"));
    let mut arguments = vec!["deploy", guest.to_str().unwrap(), "--name", &name];
    arguments.extend_from_slice(more);
    for grant in grants {
        arguments.extend(["--grant", *grant]);
    }
    let made = server.cli(&arguments);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn fetch(server: &Server, name: &str, wish: &Value) -> Value {
    let path = format!("/2016-08-15/services/default/functions/{name}/invocations");
    server.send("POST", &path, &[], wish.to_string().as_bytes()).json()
}

#[test]
fn what_a_function_sends_is_granted_kept_open_and_counted() {
    let server = Server::start();
    let peer = Peer::answering(|number, _| Some(ok(&number.to_string())));
    deploy(&server, "fetch", &["http-private=http://127.0.0.1:*"], &[]);
    let wish = json!({"url": peer.url(), "times": 10, "method": "POST", "body": "four"});
    let answer = fetch(&server, "fetch", &wish);
    assert_eq!(answer["status"], 200, "{answer}");
    assert_eq!(server.metric("hearth_outgoing_sent_total"), 10.0);
    // The body names the connection. On a busy machine one may not be at rest yet when the next request comes.
    let connections: f64 = answer["body"].as_str().unwrap().parse().unwrap();
    assert!(connections <= 3.0, "{answer}");
    assert_eq!(server.metric("hearth_outgoing_reused_total"), 10.0 - connections);
    let metrics = server.admin("/metrics").text();
    for line in [
        r#"hearth_outgoing_bytes_total{function="default/fetch",direction="out"} 40"#,
        r#"hearth_outgoing_bytes_total{function="default/fetch",direction="in"} 10"#,
        r#"hearth_outgoing_failed_total{function="default/fetch"} 0"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[test]
fn no_function_gets_anothers_connection_and_none_keeps_one_over_a_change() {
    let server = Server::start();
    let peer = Peer::answering(|number, _| Some(ok(&number.to_string())));
    let grant = ["http-private=http://127.0.0.1:*"];
    deploy(&server, "one", &grant, &[]);
    deploy(&server, "two", &grant, &[]);
    let ask = |name| fetch(&server, name, &json!({"url": peer.url()}))["body"].clone();
    let one = ask("one");
    assert_ne!(one, ask("two"));
    deploy(&server, "one", &["http-private=http://127.0.0.1:*", "kv"], &[]);
    assert_ne!(one, ask("one"), "its grants are others now");
}

#[test]
fn refusals_are_told_apart_and_counted_by_reason() {
    let server = Server::start();
    let peer = Peer::answering(|_, _| {
        Some(
            "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
                .to_owned(),
        )
    });
    let exact = format!("http-private=http://127.0.0.1:{}", peer.port);
    deploy(&server, "fetch", &[&exact, "http=http://*:*"], &[]);
    let error = |url: &str, hops: u32| {
        fetch(&server, "fetch", &json!({"url": url, "hops": hops}))["error"].clone()
    };
    let admin = server.address();
    for url in [
        format!("http://{admin}/"),
        "http://localhost./".to_owned(),
        "http://2130706433/".to_owned(),
        "http://0x7f.1/".to_owned(),
        "http://[::ffff:127.0.0.1]/".to_owned(),
        "http://[fd00::1]/".to_owned(),
    ] {
        assert_eq!(error(&url, 0), "DestinationIpProhibited", "{url}");
    }
    // A redirect is the guest's to follow, and what it leads to is checked like anything else.
    assert_eq!(error(&peer.url(), 0), Value::Null);
    assert_eq!(error(&peer.url(), 5), "DestinationIpProhibited");
    assert_eq!(error("https://127.0.0.1/", 0), "HttpRequestDenied");
    let metrics = server.admin("/metrics").text();
    for (reason, count) in [("not-public", 7), ("not-granted", 1), ("too-many", 0)] {
        let line = format!(
            r#"hearth_outgoing_denied_total{{function="default/fetch",reason="{reason}"}} {count}"#
        );
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
}

#[test]
fn a_peer_that_never_answers_costs_its_guest_and_nobody_else() {
    let server = Server::start();
    let silent = Peer::answering(|_, _| None);
    let grant = ["http-private=http://127.0.0.1:*"];
    deploy(&server, "fetch", &grant, &["--timeout", "1s"]);
    let start = Instant::now();
    let path = "/2016-08-15/services/default/functions/fetch/invocations";
    let wish = json!({"url": silent.url()}).to_string();
    let reply = server.send("POST", path, &[], wish.as_bytes());
    assert_eq!(
        reply.header("x-fc-error-type"),
        Some("UnhandledInvocationError"),
        "{}",
        reply.text()
    );
    assert!(start.elapsed() < Duration::from_secs(8));
    let lively = Peer::answering(|_, _| Some(ok("here")));
    assert_eq!(fetch(&server, "fetch", &json!({"url": lively.url()}))["body"], "here");
}

/// The header is the host's: a guest can neither set it nor see one that a peer sends, and each request says how deep it is.
#[test]
fn requests_say_how_deep_their_function_stands() {
    let server = Server::start();
    let peer = Peer::answering(|_, _| {
        Some("HTTP/1.1 200 OK\r\nx-hearth-depth: 7\r\ncontent-length: 2\r\n\r\nok".to_owned())
    });
    deploy(&server, "fetch", &["http-private=http://127.0.0.1:*"], &[]);
    let answer = fetch(&server, "fetch", &json!({"url": peer.url()}));
    assert!(!answer["headers"].to_string().contains("x-hearth-depth"), "{answer}");
    let forged = json!({"url": peer.url(), "headers": [["X-Hearth-Depth", "0"]]});
    let answer = fetch(&server, "fetch", &forged);
    assert!(answer["error"].as_str().unwrap().contains("Forbidden"), "{answer}");
    let path = "/2016-08-15/services/default/functions/fetch/invocations";
    let wish = json!({"url": peer.url()}).to_string();
    let deep =
        |depth: &str| server.send("POST", path, &[("x-hearth-depth", depth)], wish.as_bytes());
    assert_eq!(deep("6").json()["status"], 200);
    for depth in ["8", "9", "99999999999", "-1", "junk"] {
        assert_eq!(deep(depth).json()["error"], "LoopDetected", "{depth}");
    }
    let told: Vec<_> = peer
        .heads()
        .iter()
        .filter_map(|head| head.lines().find(|line| line.starts_with("x-hearth-depth")))
        .map(str::to_owned)
        .collect();
    assert_eq!(told, ["x-hearth-depth: 1", "x-hearth-depth: 7"]);
}

/// A function that asks the server to run it again, by the API, ends at the bound: on the caller's way and through the queue.
#[test]
fn a_function_that_calls_itself_ends_at_the_bound() {
    let server = Server::start();
    deploy(&server, "loop", &["http-private=http://127.0.0.1:*"], &[]);
    let url = format!(
        "http://{}/2016-08-15/services/default/functions/loop/invocations",
        server.address()
    );
    let event = |left: u32, kind: &str| {
        let mut wish = json!({"url": url, "method": "POST"});
        for _ in 0..left {
            wish = json!({
                "url": url, "method": "POST", "body": wish.to_string(),
                "headers": [["x-fc-invocation-type", kind]],
            });
        }
        wish
    };
    // Each level runs the next from its body; a dozen of them, of which the ninth is refused.
    let answer = fetch(&server, "loop", &event(4, "Sync"));
    assert!(!answer.to_string().contains("LoopDetected"), "{answer}");
    let answer = fetch(&server, "loop", &event(8, "Sync"));
    assert!(answer.to_string().contains("LoopDetected"), "{answer}");
    let before = server.metric("hearth_outgoing_denied_total");
    let answer = fetch(&server, "loop", &event(8, "Async"));
    assert_eq!(answer["status"], 202, "{answer}");
    hearth_tests::eventually("the ninth is refused", || {
        server.metric("hearth_outgoing_denied_total") > before
    });
}
