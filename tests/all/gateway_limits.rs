//! Limits of an HTTP trigger and of a domain's route: how often, how many at once, and who waits how long.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Instant;

use hearth_tests::{Reply, Server, eventually};
use serde_json::{Value, json};

use crate::custom_domains::{HOST, domain, get_at};
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

#[test]
fn a_route_over_its_rate_is_told_while_its_neighbours_are_served() {
    let server = limited(&json!({}));
    let to = |path: &str, more: Value| {
        let mut route = json!({"path": path, "functionName": GUEST});
        route.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        route
    };
    let limits = json!({"rate": 1, "burst": 2});
    let routes = [to("/api/*", json!({"hearth": limits})), to("/*", json!({}))];
    let made = domain(&server, "HTTP", &routes);
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!(made.json()["routeConfig"]["routes"][0]["hearth"], limits);
    assert_eq!(made.json()["routeConfig"]["routes"][1].get("hearth"), None);
    let refused =
        (0..30).map(|_| get_at(&server, HOST, "/api/x")).find(|reply| reply.status == 429);
    let refused = refused.expect("30 at once are too many");
    is_refused(&refused, 429, "ResourceExhausted");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(refused.text().contains("the route takes 1 requests a second"), "{}", refused.text());
    for _ in 0..10 {
        // The function has no such path and says so itself; that it is asked is what counts.
        let beside = get_at(&server, HOST, "/other");
        assert_eq!((beside.status, beside.header("x-fc-error-type")), (404, None));
        assert_eq!(get(&server, "/").status, 200);
    }
    eventually("another token", || get_at(&server, HOST, "/api/x").status == 404);
}

#[test]
fn a_route_s_places_are_held_until_responses_have_ended_and_waited_for_in_a_queue() {
    let server = limited(&json!({}));
    let limits = json!({"maxInFlight": 1, "queue": 1, "queueWaitMs": 60_000});
    let route = json!({"functionName": GUEST, "hearth": limits});
    assert_eq!(domain(&server, "HTTP", &[route]).status, 200);
    let mut held = std::net::TcpStream::connect(server.address()).unwrap();
    let head = format!("GET /sse?events=500&ms=100 HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    held.write_all(head.as_bytes()).unwrap();
    let mut begun = [0; 12];
    held.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    assert_eq!(get(&server, "/").status, 200, "the trigger has no limit");
    std::thread::scope(|scope| {
        let (sender, replies) = mpsc::sync_channel(3);
        for _ in 0..3 {
            let (sender, server) = (sender.clone(), &server);
            scope.spawn(move || sender.send(get_at(server, HOST, "/")).unwrap());
        }
        for _ in 0..2 {
            let refused = replies.recv().unwrap();
            is_refused(&refused, 429, "ResourceExhausted");
            assert!(refused.text().contains("limits of the route"), "{}", refused.text());
        }
        drop(held);
        assert_eq!(replies.recv().unwrap().status, 200);
    });
}

#[test]
fn limits_of_a_route_that_cannot_be_held_are_refused() {
    let server = Server::start();
    server.deploy("rust-http");
    for (limits, names) in [
        (json!({"rate": 0}), "rate"),
        (json!({"speed": 1}), "speed"),
        (json!({"burst": 1}), "burst"),
        (json!({"websocket": {}}), "websocket"),
        (json!([1]), "hearth"),
    ] {
        let refused = domain(&server, "HTTP", &[json!({"hearth": limits})]);
        refused.is_error(400, "InvalidArgument");
        assert!(refused.text().contains(names), "{limits}: {}", refused.text());
    }
}
