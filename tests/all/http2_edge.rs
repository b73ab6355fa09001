//! Frames of HTTP/2 that no well-behaved client sends: the connection they come on ends, and a neighbour is answered meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use hearth_tests::{Frames, Server, Start, eventually};

const INVOKE: &str = "/2016-08-15/services/s/functions/wat-echo/invocations";

/// More than any bound.
const ENDLESS: u32 = 2_000_000;

/// Sends frames until the server takes no more, at most so many, and sees to it that another client is answered before, meanwhile and afterwards.
fn flood(server: &Server, count: u32, mut send: impl FnMut(&mut Frames) -> bool + Send) {
    server.deploy("wat-echo");
    let over = AtomicBool::new(false);
    let (over, server) = (&over, &server);
    std::thread::scope(|scope| {
        let neighbour = scope.spawn(move || {
            let mut answers = 0;
            while !over.load(Ordering::Relaxed) || answers == 0 {
                assert_eq!(server.invoke("wat-echo", "alive").text(), "alive");
                answers += 1;
            }
        });
        let mut frames = Frames::connect(server.address());
        let refused = (0..count).any(|_| !send(&mut frames));
        let closed = frames.until_closed();
        over.store(true, Ordering::Relaxed);
        neighbour.join().unwrap();
        assert!(refused || closed, "all of it was taken");
        eventually("nothing of it runs", || server.metric("hearth_running_invocations") == 0.0);
    });
}

#[test]
fn requests_that_are_given_up_at_once_end_the_connection() {
    let server = Server::start();
    flood(&server, ENDLESS, |frames| {
        frames.request(INVOKE, false).is_some_and(|stream| frames.reset(stream))
    });
}

#[test]
fn a_header_without_end_ends_the_connection() {
    let server = Server::start();
    let mut stream = None;
    flood(&server, ENDLESS, move |frames| {
        let stream = *stream.get_or_insert_with(|| frames.request_without_end(INVOKE));
        // An empty piece, a small field that is never indexed.
        stream.is_some_and(|stream| frames.continuation(stream, b"\x10\x01x\x01y"))
    });
}

#[test]
fn a_header_without_end_of_empty_pieces_ends_the_connection() {
    let server = Server::start();
    let mut stream = None;
    flood(&server, ENDLESS, move |frames| {
        let stream = *stream.get_or_insert_with(|| frames.request_without_end(INVOKE));
        stream.is_some_and(|stream| frames.continuation(stream, b""))
    });
}

#[test]
fn a_body_of_empty_pieces_ends_the_connection() {
    let server = Server::start();
    let mut stream = None;
    flood(&server, ENDLESS, move |frames| {
        let stream = *stream.get_or_insert_with(|| frames.request(INVOKE, false));
        stream.is_some_and(|stream| frames.data(stream, b""))
    });
}

#[test]
fn ten_thousand_requests_at_once_are_not_taken() {
    let server = Server::start();
    flood(&server, 10_000, |frames| frames.request(INVOKE, false).is_some());
}

#[test]
fn pings_and_settings_without_end_are_bounded_by_what_is_read() {
    let server = Start::default().with("--http-write-timeout", "1s").start();
    flood(&server, ENDLESS, |frames| frames.ping() && frames.settings());
}

#[test]
fn who_never_opens_a_window_is_given_up() {
    let server = Start::default()
        .with("--http-write-timeout", "500ms")
        .with("--http-idle-timeout", "500ms")
        .start();
    server.deploy("wat-echo");
    let mut frames = Frames::connect(server.address());
    assert!(frames.close_windows());
    for _ in 0..100 {
        frames.request("/2016-08-15/services", true).unwrap();
    }
    assert_eq!(server.invoke("wat-echo", "alive").text(), "alive");
    assert!(frames.until_closed(), "its streams hold the connection");
}
