//! Limits of an HTTP trigger: how often, how many at once, and who waits how long.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Instant;

use hearth_tests::{Reply, Server, eventually};
use serde_json::{Value, json};

use crate::http_trigger::{ask, is_refused, trigger};

const GUEST: &str = "rust-http-stream";

fn limited(limits: &Value) -> Server {
    let server = Server::start();
    server.deploy_with(GUEST, json!({"timeout": 60}));
    let config = json!({"authType": "anonymous", "methods": ["GET", "POST"], "hearth": limits});
    let made = trigger(&server, GUEST, &config);
    assert_eq!(made.status, 200, "{}", made.text());
    // The first call loads the code; what is told apart here is not that.
    assert!(server.invoke_with(GUEST, "", &[]).status < 500);
    server
}

fn get(server: &Server, path: &str) -> Reply {
    ask(server, "GET", &format!("s/{GUEST}{path}"), &[], b"")
}

#[test]
fn more_than_the_rate_is_told_when_to_come_again() {
    // A token an hour would be told exactly, but the slowest rate is one a second.
    let server = limited(&json!({"rate": 1, "burst": 3}));
    let began = Instant::now();
    let replies: Vec<Reply> = (0..30).map(|_| get(&server, "/")).collect();
    let took = began.elapsed().as_secs();
    let served = replies.iter().filter(|reply| reply.status == 200).count() as u64;
    assert!(served >= 3 && served <= 3 + took + 1, "{served} in {took} s");
    let refused =
        replies.iter().find(|reply| reply.status != 200).expect("30 at once are too many");
    is_refused(refused, 429, "ResourceExhausted");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(server.metric("hearth_refusals_total") >= 1.0);
    eventually("another token", || get(&server, "/").status == 200);
    // Another trigger's limits are its own.
    let change = json!({"triggerConfig": {"authType": "anonymous", "methods": ["GET"]}});
    let path = format!("/services/s/functions/{GUEST}/triggers/web");
    assert_eq!(server.call("PUT", &path, &change).status, 200);
    assert!((0..10).all(|_| get(&server, "/").status == 200), "the limit is gone with the change");
}

#[test]
fn a_place_is_held_until_the_response_has_ended() {
    let server = limited(&json!({"maxInFlight": 1}));
    let mut held = long(&server, 50);
    // Its head has come and its body goes on: the place is taken all the while.
    is_refused(&get(&server, "/"), 429, "ResourceExhausted");
    let mut rest = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&rest).contains("tick 50\n") {
        let count = held.read(&mut piece).unwrap();
        assert!(count > 0, "it ended before its end");
        rest.extend_from_slice(&piece[..count]);
    }
    eventually("its place", || get(&server, "/").status == 200);
}

/// A request whose response has begun and goes on for so many events, or as long as this is kept.
fn long(server: &Server, events: u32) -> std::net::TcpStream {
    let path = format!("/2016-08-15/proxy/s/{GUEST}/sse?events={events}&ms=100");
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    stream
}

#[test]
fn who_waits_gets_a_place_in_time_or_is_told() {
    let server = limited(&json!({"maxInFlight": 1, "queue": 1, "queueWaitMs": 60_000}));
    let held = long(&server, 500);
    std::thread::scope(|scope| {
        let (sender, replies) = mpsc::sync_channel(5);
        for _ in 0..5 {
            let (sender, server) = (sender.clone(), &server);
            scope.spawn(move || sender.send(get(server, "/")).unwrap());
        }
        // One waits, the others are too many.
        for _ in 0..4 {
            is_refused(&replies.recv().unwrap(), 429, "ResourceExhausted");
        }
        drop(held);
        assert_eq!(replies.recv().unwrap().status, 200);
    });
    let impatient = limited(&json!({"maxInFlight": 1, "queue": 5, "queueWaitMs": 50}));
    let _held = long(&impatient, 500);
    let refused = get(&impatient, "/");
    is_refused(&refused, 429, "ResourceExhausted");
    assert!(refused.text().contains("within 50 ms"), "{}", refused.text());
}

#[test]
fn a_client_that_goes_away_gives_its_place_back() {
    let server = limited(&json!({"maxInFlight": 1}));
    let held = long(&server, 500);
    is_refused(&get(&server, "/"), 429, "ResourceExhausted");
    drop(held);
    eventually("its place", || get(&server, "/").status == 200);
}
