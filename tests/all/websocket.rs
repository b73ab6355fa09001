//! WebSockets end to end: a connection that a function grants or not, its messages in both directions, its end.

use std::time::SystemTime;

use hearth_tests::{Key, Server, Start, eventually, guarded, guest, guest_path, raw};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::custom_domains::HOST;
use crate::http_trigger::trigger;

pub(crate) const ECHO: &str = "/2016-08-15/proxy/s/rust-websocket-echo";

/// A server with a function that takes WebSockets, with these settings of them.
pub(crate) fn serving(start: Start, function: &str, websocket: &Value) -> Server {
    let server = start.start();
    deploy(&server, function, websocket);
    server
}

pub(crate) fn deploy(server: &Server, function: &str, websocket: &Value) {
    server.deploy(function);
    let config =
        json!({"authType": "anonymous", "methods": ["GET"], "hearth": {"websocket": websocket}});
    let made = trigger(server, function.trim_start_matches("bad/"), &config);
    assert_eq!(made.status, 200, "{}", made.text());
}

fn echo() -> Server {
    serving(Start::default(), "rust-websocket-echo", &json!({}))
}

/// How many connections the function has open.
fn open(server: &Server) -> u64 {
    server.invoke("rust-websocket-echo", "null").text().parse().unwrap()
}

#[test]
fn a_client_connects_speaks_and_leaves() {
    let server = echo();
    let offered = [("sec-websocket-protocol", "soap, echo")];
    let mut client = server.websocket(&format!("{ECHO}/a/b?greet"), &offered).unwrap();
    assert!(client.head.contains("sec-websocket-protocol: echo\r\n"), "{}", client.head);
    assert!(client.head.contains("x-path: /a/b\r\n"), "{}", client.head);
    assert!(client.head.contains("x-fc-request-id: "), "{}", client.head);
    assert!(client.text().starts_with("hello"), "sent before the connection was there");
    assert_eq!(client.ask("hi"), "hi");
    assert_eq!(client.ask(""), "");
    client.send(&[0, 255, 1]);
    assert_eq!(client.message(), Message::binary(vec![0, 255, 1]));
    let large = "x".repeat(100_000);
    assert_eq!(client.ask(&large), large);
    assert_eq!((open(&server), server.metric("hearth_websockets")), (1, 1.0));
    assert_eq!(client.close(4001, "enough"), (4001, "enough".to_owned()));
    let logs = "/hearth/v1/logs?function=s/rust-websocket-echo&limit=100";
    eventually("the function's being told", || {
        server.send("GET", logs, &[], b"").text().contains("closed with 4001 enough")
    });
    assert_eq!(open(&server), 0);
}

#[test]
fn messages_come_in_their_order_and_one_at_a_time() {
    let server = echo();
    let mut client = server.websocket(ECHO, &[]).unwrap();
    client.say("/sleep 200");
    for number in 0..50 {
        client.say(&format!("message {number}"));
    }
    for number in 0..50 {
        assert_eq!(client.text(), format!("message {number}"));
    }
    client.say("/burst 500");
    for number in 0..500 {
        assert_eq!(client.text(), number.to_string());
    }
}

#[test]
fn each_message_is_an_invocation_in_the_journal() {
    let server = echo();
    let mut client = server.websocket(ECHO, &[]).unwrap();
    let first = client.ask("/request");
    let second = client.ask("/request");
    assert_ne!(first, second);
    client.say("/error");
    assert_eq!(client.ask("still here"), "still here");
    let _ = client.close(1000, "");
    // One that opens, four messages, one that closes.
    eventually("six invocations", || server.metric("faas_invocations_total") == 6.0);
    assert_eq!(server.metric("faas_errors_total"), 1.0);
}

#[test]
fn a_function_may_turn_a_client_away() {
    let server = echo();
    let refused = server.websocket(&format!("{ECHO}/private"), &[]).unwrap_err();
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    assert!(refused.ends_with("this is private"), "{refused}");
    assert_eq!(open(&server), 0);
}

#[test]
fn a_function_may_close() {
    let server = echo();
    let mut client = server.websocket(ECHO, &[]).unwrap();
    client.say("/close 3000 that is all");
    assert_eq!(client.closed(), (3000, "that is all".to_owned()));
    eventually("its end", || open(&server) == 0);
}

#[test]
fn only_a_handshake_of_the_standard_is_granted() {
    let server = echo();
    let ask = |headers: &[(&str, &str)]| server.websocket(ECHO, headers).unwrap_err();
    let old = ask(&[("sec-websocket-version", "8")]);
    assert!(old.starts_with("HTTP/1.1 426 "), "{old}");
    assert!(old.contains("sec-websocket-version: 13\r\n"), "{old}");
    for headers in [
        &[("sec-websocket-key", "short")][..],
        &[("sec-websocket-key", "c2hvcnQ=")],
        &[("sec-websocket-protocol", "a b")],
    ] {
        let refused = ask(headers);
        assert!(refused.starts_with("HTTP/1.1 400 "), "{headers:?}: {refused}");
    }
    let unknown = ask(&[("upgrade", "irc/6.9")]);
    assert!(unknown.starts_with("HTTP/1.1 426 "), "{unknown}");
    // A body that one end takes for frames and the other for a request.
    let smuggled = format!(
        "GET {ECHO} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         content-length: 50\r\n\r\nGET /2016-08-15/services HTTP/1.1\r\nhost: x\r\n\r\n"
    );
    let answer = raw(server.address(), smuggled.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(!answer.contains("101 Switching") && !answer.contains("serviceName"), "{answer}");
    assert_eq!(open(&server), 0);
}

#[test]
fn a_refused_handshake_makes_no_tunnel_of_the_connection() {
    let server = echo();
    let second = "GET /2016-08-15/proxy/s/none/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let first = format!(
        "GET {ECHO}/private HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let answer = raw(server.address(), format!("{first}{second}").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains("HTTP/1.1 404 ") && answer.contains("FunctionNotFound"), "{answer}");
}

#[test]
fn functions_that_take_no_websockets_say_so() {
    let server = serving(Start::default(), "rust-http", &json!({}));
    let refused = server.websocket("/2016-08-15/proxy/s/rust-http/", &[]).unwrap_err();
    assert!(refused.starts_with("HTTP/1.1 501 "), "{refused}");
    assert!(refused.contains("takes no WebSockets"), "{refused}");
    assert_eq!(server.send("GET", "/2016-08-15/proxy/s/rust-http/", &[], b"").status, 200);
}

#[test]
fn one_function_serves_requests_and_websockets_at_one_address() {
    let server = serving(Start::default(), "rust-websocket-chat", &json!({}));
    let path = "/2016-08-15/proxy/s/rust-websocket-chat/";
    let page = server.send("GET", path, &[], b"");
    assert!(page.status == 200 && page.text().contains("new WebSocket"), "{}", page.text());
    let mut ada = server.websocket(path, &[]).unwrap();
    assert_eq!(ada.text(), "* 1 here");
    let mut bob = server.websocket(path, &[]).unwrap();
    assert_eq!(bob.text(), "* 2 here");
    ada.say("hello");
    assert_eq!((ada.text(), bob.text()), ("hello".to_owned(), "hello".to_owned()));
    let _ = bob.close(1000, "");
    assert_eq!(ada.text(), "* one left");
}

#[test]
fn many_say_something_at_once_and_each_hears_all() {
    const CLIENTS: usize = 8;
    const SAID: usize = 20;
    let server = serving(Start::default(), "rust-websocket-chat", &json!({}));
    let path = "/2016-08-15/proxy/s/rust-websocket-chat/";
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = server.websocket(path, &[]).unwrap();
            assert!(client.text().ends_with(" here"));
            client
        })
        .collect();
    std::thread::scope(|scope| {
        for (number, mut client) in clients.into_iter().enumerate() {
            scope.spawn(move || {
                for turn in 0..SAID {
                    client.say(&format!("{number} {turn}"));
                }
                let mut heard = [0; CLIENTS];
                while heard != [SAID; CLIENTS] {
                    let text = client.text();
                    if text.starts_with('*') {
                        // Who has heard all leaves, and that is told as well.
                        continue;
                    }
                    let (who, turn) = text.split_once(' ').unwrap();
                    let who: usize = who.parse().unwrap();
                    assert_eq!(turn.parse(), Ok(heard[who]), "what one says is heard in order");
                    heard[who] += 1;
                }
            });
        }
    });
}

#[test]
fn each_connection_may_have_an_instance_of_its_own() {
    let own = json!({"mode": "connection"});
    let server = serving(Start::default(), "rust-websocket-echo", &own);
    let mut clients: Vec<_> = (0..3).map(|_| server.websocket(ECHO, &[]).unwrap()).collect();
    for turn in 1..4 {
        for client in &mut clients {
            assert_eq!(client.ask("/count"), turn.to_string());
        }
    }
    assert_eq!(server.metric("hearth_running_invocations"), 0.0, "nothing runs while they wait");
    for client in &mut clients {
        let _ = client.close(1000, "");
    }
    let mut next = server.websocket(ECHO, &[]).unwrap();
    assert_eq!(next.ask("/count"), "1", "nobody is served by another's instance");
}

#[test]
fn a_connection_under_message_comes_to_new_code() {
    let server = echo();
    let mut client = server.websocket(ECHO, &[]).unwrap();
    assert_eq!(client.ask("/nothing"), "no such wish: nothing");
    let replaced = server.replace("rust-websocket-echo", &guest("bad/bad-websocket"));
    assert_eq!(replaced.status, 200, "{}", replaced.text());
    assert_eq!(client.ask("/nothing"), "/nothing");
}

/// A server whose echo takes signed calls only, and a key for it.
pub(crate) fn guarded_echo() -> (Server, Key, tempfile::TempDir) {
    let (server, admin, home) = guarded(Start::default());
    let zip = json!({"serviceName": "s"}).to_string();
    assert_eq!(admin.send(&server, "POST", "/2016-08-15/services", &zip).status, 200);
    let file = guest_path("rust-websocket-echo").display().to_string();
    let deployed = admin.run(&server, &["deploy", &file, "--name", "s/rust-websocket-echo"]);
    assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));
    let web =
        json!({"triggerName": "web", "triggerType": "http", "triggerConfig": {"methods": ["GET"]}});
    let triggers = "/2016-08-15/services/s/functions/rust-websocket-echo/triggers";
    assert_eq!(admin.send(&server, "POST", triggers, &web.to_string()).status, 200);
    (server, admin, home)
}

#[test]
fn who_may_not_call_gets_no_connection() {
    let (server, admin, _home) = guarded_echo();
    let refused = server.websocket(ECHO, &[]).unwrap_err();
    assert!(
        refused.starts_with("HTTP/1.1 400 ") && refused.contains("MissingRequiredHeader"),
        "{refused}"
    );
    let signed = admin.sign("GET", ECHO, &[], SystemTime::now());
    let mut headers: Vec<_> = signed.iter().map(|(name, value)| (*name, &**value)).collect();
    let mut client = server.websocket(ECHO, &headers).unwrap();
    assert_eq!(client.ask("hi"), "hi");
    headers.retain(|(name, _)| *name != "date");
    headers.push(("date", "Thu, 01 Jan 1970 00:00:00 GMT"));
    let refused = server.websocket(ECHO, &headers).unwrap_err();
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
}

#[test]
fn a_connection_ends_with_the_way_it_came_by() {
    let server = echo();
    let domain = |verb: &str, path: &str, route: &str| {
        let function = "rust-websocket-echo";
        let routes = json!([{"path": route, "serviceName": "s", "functionName": function}]);
        let body =
            json!({"domainName": HOST, "protocol": "HTTP", "routeConfig": {"routes": routes}});
        assert_eq!(server.call(verb, &format!("/custom-domains{path}"), &body).status, 200);
    };
    domain("POST", "", "/*");
    let by_domain = || server.websocket("/", &[("host", HOST)]).unwrap();
    let (mut first, mut direct) = (by_domain(), server.websocket(ECHO, &[]).unwrap());
    // What has nothing to do with it, and new code, change nothing.
    server.deploy("wat-echo");
    let other = json!({"domainName": "other.example", "protocol": "HTTP"});
    assert_eq!(server.call("POST", "/custom-domains", &other).status, 200);
    assert_eq!(server.replace("rust-websocket-echo", &guest("rust-websocket-echo")).status, 200);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!((first.ask("a"), direct.ask("b")), ("a".to_owned(), "b".to_owned()));
    let gone = (1001, "the way to the function is gone".to_owned());
    // A domain that sends requests elsewhere.
    domain("PUT", "/shop.example", "/elsewhere/*");
    assert_eq!(first.closed(), gone);
    assert_eq!(direct.ask("still"), "still");
    // A domain that is removed.
    domain("PUT", "/shop.example", "/*");
    let mut second = by_domain();
    assert_eq!(second.ask("c"), "c");
    assert_eq!(server.call("DELETE", "/custom-domains/shop.example", &Value::Null).status, 204);
    assert_eq!(second.closed(), gone);
    assert_eq!(direct.ask("still"), "still");
    // A trigger that is changed, and one that is removed.
    let path = "/services/s/functions/rust-websocket-echo/triggers/web";
    let closed = json!({"authType": "anonymous", "methods": ["GET"], "disableURLInternet": true});
    assert_eq!(server.call("PUT", path, &json!({"triggerConfig": closed})).status, 200);
    assert_eq!(direct.closed(), gone);
    let opened = json!({"authType": "anonymous", "methods": ["GET"]});
    assert_eq!(server.call("PUT", path, &json!({"triggerConfig": opened})).status, 200);
    let mut last = server.websocket(ECHO, &[]).unwrap();
    assert_eq!(server.call("DELETE", path, &Value::Null).status, 204);
    assert_eq!(last.closed(), gone);
    eventually("the function's being told of all", || open(&server) == 0);
}
