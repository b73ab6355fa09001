//! WebSockets of clients and functions that do what they must not: each costs its own connection and nothing else.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use hearth_tests::{Server, Start, WebSocketClient, eventually};
use serde_json::{Value, json};

use crate::websocket::{ECHO, deploy, serving};

const BAD: &str = "/2016-08-15/proxy/s/bad-websocket";

fn echo(websocket: &Value) -> Server {
    serving(Start::default(), "rust-websocket-echo", websocket)
}

/// A frame of a client: first byte, and a payload under a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

/// What the server closes with after these bytes.
fn after(server: &Server, bytes: &[u8]) -> (u16, String) {
    let mut client = server.websocket(ECHO, &[]).unwrap();
    client.stream().write_all(bytes).unwrap();
    client.closed()
}

#[test]
fn frames_against_the_standard_close_the_connection() {
    let server = echo(&json!({"messageBytes": 1000}));
    let mut neighbour = server.websocket(ECHO, &[]).unwrap();
    for (what, bytes, code) in [
        ("a frame without a mask", vec![0x81, 1, b'x'], 1002),
        ("a reserved bit", frame(0xC1, b"x"), 1002),
        ("an unknown opcode", frame(0x83, b"x"), 1002),
        ("an unknown control opcode", frame(0x8B, b"x"), 1002),
        ("a continuation of nothing", frame(0x80, b"x"), 1002),
        ("a message inside another", [frame(0x01, b"x"), frame(0x81, b"y")].concat(), 1002),
        ("a ping in pieces", frame(0x09, b"x"), 1002),
        ("a close of one byte", frame(0x88, b"x"), 1002),
        ("a text that is no text", frame(0x81, b"\xff\xfe"), 1007),
        ("half of a character", frame(0x81, b"\xe2\x82"), 1007),
        ("no text in pieces", [frame(0x01, b"\xe2"), frame(0x80, b"\x28")].concat(), 1007),
        ("a frame said to be large", vec![0x82, 0xFE, 0x03, 0xE9, 0, 0, 0, 0], 1009),
        ("a frame said to be huge", vec![0x82, 0xFF, 0x7F, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1009),
    ] {
        let (closed, reason) = after(&server, &bytes);
        assert_eq!(closed, code, "{what}: {reason}");
        assert_eq!(neighbour.ask("x"), "x");
    }
    let pieces = [frame(0x02, &[0; 100]), frame(0x00, &[0; 100]).repeat(10)].concat();
    assert_eq!(after(&server, &pieces).0, 1009, "too large in pieces");
}

#[test]
fn pings_are_answered_between_the_pieces_of_a_message() {
    let server = echo(&json!({}));
    let mut client = server.websocket(ECHO, &[]).unwrap();
    let bytes = [frame(0x01, b"a"), frame(0x89, b"ping"), frame(0x80, b"b")].concat();
    client.stream().write_all(&bytes).unwrap();
    let mut pong = [0; 6];
    client.stream().read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"\x8A\x04ping");
    assert_eq!(client.text(), "ab");
}

#[test]
fn a_fault_closes_the_connection_it_happened_on() {
    for mode in ["message", "connection"] {
        let server = Server::start();
        server.deploy_with("bad/bad-websocket", json!({"timeout": 3}));
        let config = json!({"authType": "anonymous", "methods": ["GET"],
            "hearth": {"websocket": {"mode": mode}}});
        assert_eq!(crate::http_trigger::trigger(&server, "bad-websocket", &config).status, 200);
        let mut neighbour = server.websocket(BAD, &[]).unwrap();
        for fault in ["trap", "spin"] {
            let mut client = server.websocket(BAD, &[]).unwrap();
            client.say(fault);
            assert_eq!(
                client.closed(),
                (1011, "the function failed".to_owned()),
                "{mode}: {fault}"
            );
        }
        for refused in ["large", "close", "other"] {
            let mut client = server.websocket(BAD, &[]).unwrap();
            client.say(refused);
            assert_eq!(client.ask("after"), "after", "{mode}: {refused}");
        }
        let mut flooded = server.websocket(BAD, &[]).unwrap();
        flooded.say("flood");
        for _ in 0..100 {
            assert_eq!(flooded.message().len(), 1024, "{mode}");
        }
        drop(flooded);
        let mut late = server.websocket(BAD, &[]).unwrap();
        late.say("later");
        let _ = late.close(1000, "");
        assert_eq!(neighbour.ask("alive"), "alive", "{mode}");
    }
}

#[test]
fn an_opening_that_goes_wrong_makes_no_connection() {
    let server = serving(Start::default(), "bad/bad-websocket", &json!({}));
    for path in ["/trap", "/headers", "/subprotocol"] {
        let refused = server.websocket(&format!("{BAD}{path}"), &[]).unwrap_err();
        assert!(refused.starts_with("HTTP/1.1 502 "), "{path}: {refused}");
        assert!(!refused.contains("set-cookie"), "{refused}");
    }
    let refused = server.websocket(&format!("{BAD}/status"), &[]).unwrap_err();
    assert!(refused.starts_with("HTTP/1.1 403 "), "a 200 would be no refusal: {refused}");
    let mut client = server.websocket(&format!("{BAD}/hop"), &[]).unwrap();
    assert!(!client.head.contains("close"), "{}", client.head);
    assert_eq!(client.ask("x"), "x");
}

#[test]
fn a_connection_on_which_nothing_happens_is_closed() {
    let server = echo(&json!({"idleSeconds": 1}));
    let begun = Instant::now();
    let mut client = server.websocket(ECHO, &[]).unwrap();
    let until = begun + Duration::from_millis(1500);
    while Instant::now() < until {
        assert_eq!(client.ask("x"), "x", "messages keep it open");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(client.closed(), (1001, "the connection was idle".to_owned()));
    // A byte now and then is no message.
    let mut slow = server.websocket(ECHO, &[]).unwrap();
    for byte in frame(0x81, b"slowly") {
        if slow.stream().write_all(&[byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(150));
    }
    assert_eq!(slow.closed(), (1001, "the connection was idle".to_owned()));
}

/// Pings that came without pause were all that was looked at, and the bound of time was not.
#[test]
fn a_flood_of_pings_is_no_message_either() {
    let server = echo(&json!({"idleSeconds": 1}));
    let mut client = server.websocket(ECHO, &[]).unwrap();
    let mut flood = client.stream().try_clone().unwrap();
    let begun = Instant::now();
    let flooding = std::thread::spawn(move || {
        let pings = frame(0x89, b"").repeat(2000);
        while begun.elapsed() < Duration::from_secs(15) && flood.write_all(&pings).is_ok() {}
    });
    let (code, _) = client.closed();
    assert!(begun.elapsed() < Duration::from_secs(10), "it went on for as long as they came");
    // Whoever still sends when it is closed may lose the close on its way.
    assert!([1001, 1006].contains(&code), "{code}");
    drop(client);
    flooding.join().unwrap();
    assert_eq!(server.websocket(ECHO, &[]).unwrap().ask("x"), "x");
}

#[test]
fn a_client_that_answers_no_pings_is_cut_off() {
    let start = Start::default().with("--gateway-websocket-ping", "200ms");
    let server = serving(start, "rust-websocket-echo", &json!({}));
    let mut client = server.websocket(ECHO, &[]).unwrap();
    let mut stream = client.stream().try_clone().unwrap();
    for _ in 0..5 {
        client.ping();
        // What was read is answered with the next that is sent.
        assert_eq!(client.ask("x"), "x");
    }
    // From now on nothing is read and so nothing answered.
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.windows(2).any(|pair| pair == b"\x89\x00"), "it was asked: {rest:?}");
    eventually("its end", || server.invoke("rust-websocket-echo", "null").text() == "0");
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_holds_nobody() {
    let start = Start::default().with("--http-write-timeout", "500ms");
    let server = serving(start, "rust-websocket-echo", &json!({"messageBytes": 1_000_000}));
    let mut client = server.websocket(ECHO, &[]).unwrap();
    let mut neighbour = server.websocket(ECHO, &[]).unwrap();
    let large = vec![0; 1_000_000];
    let mut sent = client.stream().try_clone().unwrap();
    sent.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    let masked = [&[0x82, 0xFF][..], &1_000_000_u64.to_be_bytes(), &[0; 4], &large].concat();
    let begun = Instant::now();
    while sent.write_all(&masked).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is never cut off");
        assert_eq!(neighbour.ask("x"), "x");
    }
    assert_eq!(server.invoke("rust-websocket-echo", "null").text(), "1");
}

#[test]
fn a_client_that_vanishes_in_the_middle_of_a_message_is_told_of() {
    for mode in ["message", "connection"] {
        let server = echo(&json!({"mode": mode}));
        let mut client = server.websocket(ECHO, &[]).unwrap();
        client.stream().write_all(&frame(0x01, b"the first piece")).unwrap();
        drop(client);
        let mut client = server.websocket(ECHO, &[]).unwrap();
        client.say("/sleep 300");
        drop(client);
        eventually("both ends", || server.invoke("rust-websocket-echo", "null").text() == "0");
        let logs = "/hearth/v1/logs?function=s/rust-websocket-echo&limit=100";
        eventually("the function's being told", || {
            let text = server.send("GET", logs, &[], b"").text();
            text.matches("closed with 1006").count() == 2
        });
        // The sleeper was let finish: one more message than faults.
        assert_eq!(server.metric("faas_errors_total"), 0.0, "{mode}");
    }
}

#[test]
fn no_more_connections_than_the_trigger_allows() {
    let server = echo(&json!({"connections": 2}));
    let mut one = server.websocket(ECHO, &[]).unwrap();
    let _two = server.websocket(ECHO, &[]).unwrap();
    let refused = server.websocket(ECHO, &[]).unwrap_err();
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.contains("2 open WebSockets"), "{refused}");
    let _ = one.close(1000, "");
    eventually("a place", || server.websocket(ECHO, &[]).is_ok());
}

#[test]
fn instances_of_connections_count_against_the_function() {
    let server = Server::start();
    let settings = json!({"max_instances": 2, "queue": 0});
    let guest = hearth_tests::guest("rust-websocket-echo");
    let deployed = server.put("rust-websocket-echo", &guest, &settings);
    assert_eq!(deployed.status, 200, "{}", deployed.text());
    let config = json!({"authType": "anonymous", "methods": ["GET"],
        "hearth": {"websocket": {"mode": "connection"}}});
    assert_eq!(crate::http_trigger::trigger(&server, "rust-websocket-echo", &config).status, 200);
    let mut one = server.websocket(ECHO, &[]).unwrap();
    let mut two = server.websocket(ECHO, &[]).unwrap();
    let refused = server.websocket(ECHO, &[]).unwrap_err();
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert_eq!((one.ask("x"), two.ask("y")), ("x".to_owned(), "y".to_owned()));
    let _ = one.close(1000, "");
    eventually("a place", || server.websocket(ECHO, &[]).is_ok());
}

#[test]
fn a_function_that_is_removed_closes_its_connections_at_the_next_message() {
    let server = echo(&json!({}));
    let mut client = server.websocket(ECHO, &[]).unwrap();
    let path = "/services/s/functions/rust-websocket-echo";
    assert_eq!(server.call("DELETE", &format!("{path}/triggers/web"), &Value::Null).status, 204);
    assert_eq!(server.call("DELETE", path, &Value::Null).status, 204);
    client.say("x");
    // Who looks first tells it: the message that finds no function, or the connection, that its trigger was removed before.
    let (code, reason) = client.closed();
    assert_eq!(code, 1001, "{reason}");
    assert!(
        ["the function is gone", "the way to the function is gone"].contains(&&*reason),
        "{reason}"
    );
}

#[test]
fn a_server_that_stops_says_goodbye() {
    let mut server = echo(&json!({}));
    let mut clients: Vec<WebSocketClient> =
        (0..20).map(|_| server.websocket(ECHO, &[]).unwrap()).collect();
    let mut busy = server.websocket(ECHO, &[]).unwrap();
    busy.say("/sleep 300");
    server.moment();
    server.ask_to_stop();
    for client in clients.iter_mut().chain([&mut busy]) {
        assert_eq!(client.closed(), (1001, "the server is going away".to_owned()));
    }
    assert_eq!(server.wait(), Some(0));
    deploy_again(&mut server);
}

/// What was closed is no burden to the next process.
fn deploy_again(server: &mut Server) {
    server.restart();
    let logs = "/hearth/v1/logs?function=s/rust-websocket-echo&limit=100";
    let told = server.send("GET", logs, &[], b"").text();
    assert_eq!(told.matches("closed with 1001").count(), 21, "each end was told: {told}");
    let mut client = server.websocket(ECHO, &[]).unwrap();
    assert_eq!(client.ask("x"), "x");
    assert_eq!(server.invoke("rust-websocket-echo", "null").text(), "1");
    deploy(server, "bad/bad-websocket", &json!({}));
}
