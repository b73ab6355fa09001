//! Connections of HTTP/1.1 over real sockets.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::config::HttpSection;
use crate::http::test_site::{PATIENCE, Site, eventually, idle_soon, rest, until};

const CLOSE: &str = "host: x\r\nconnection: close\r\n";

#[test]
fn bodies_pass_as_they_come_with_their_trailers() {
    let site = Site::start(&HttpSection::default(), PATIENCE);
    let head = "POST /echo HTTP/1.1\r\nte: trailers\r\ntransfer-encoding: chunked\r\n";
    let mut socket = site.send(&format!("{head}{CLOSE}\r\n3\r\nabc\r\n"));
    assert!(until(&mut socket, "3\r\nabc\r\n").starts_with("HTTP/1.1 200"));
    socket.write_all(b"2\r\nde\r\n").unwrap();
    assert_eq!(until(&mut socket, "2\r\nde\r\n"), "2\r\nde\r\n");
    socket.write_all(b"0\r\nx-sum: 5\r\nx-other: 6\r\n\r\n").unwrap();
    assert_eq!(rest(socket), "0\r\nx-sum: 5\r\n\r\n");
}

#[test]
fn a_body_that_breaks_off_ends_the_connection_before_its_end() {
    let site = Site::start(&HttpSection::default(), PATIENCE);
    let answer = rest(site.send("GET /breaks HTTP/1.1\r\nhost: x\r\n\r\n"));
    assert!(answer.ends_with("\r\n6\r\nso far\r\n"), "{answer}");
}

#[test]
fn a_connection_is_not_idle_while_an_answer_goes_on() {
    let site = Site::start(&idle_soon(), PATIENCE);
    let mut socket = site.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n");
    let answer = until(&mut socket, "0\r\n\r\n");
    assert!(answer.contains("1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n"), "{answer}");
    socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert!(rest(socket).ends_with("full"), "it is idle afterwards, and closed");
}

#[test]
fn who_takes_nothing_of_an_answer_is_cut_off() {
    let site = Site::start(&idle_soon(), PATIENCE);
    let socket = site.send("GET /endless HTTP/1.1\r\nhost: x\r\n\r\n");
    eventually("it is sent", || site.paths.endless.load(Ordering::SeqCst) == 1);
    eventually("it is cut off", || site.paths.endless.load(Ordering::SeqCst) == 0);
    drop(socket);
}

#[test]
fn a_client_that_goes_ends_its_body() {
    let site = Site::start(&HttpSection::default(), PATIENCE);
    let mut socket = site.send("GET /endless HTTP/1.1\r\nhost: x\r\n\r\n");
    until(&mut socket, "xxxx");
    drop(socket);
    eventually("it is over", || site.paths.endless.load(Ordering::SeqCst) == 0);
    eventually("its slot is free", || site.connections() == 0);
}

#[test]
fn a_connection_that_is_taken_over_keeps_its_slot_and_is_drained() {
    let site = Site::start(&idle_soon(), Duration::from_millis(300));
    let head = "GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    let mut socket = site.send(head);
    assert!(until(&mut socket, "\r\n\r\n").starts_with("HTTP/1.1 101"));
    std::thread::sleep(Duration::from_millis(600));
    socket.write_all(b"hello").unwrap();
    assert_eq!(until(&mut socket, "hello"), "hello", "the idle bound is not for it");
    assert_eq!(site.connections(), 1);
    let (started, cores) = (Instant::now(), site.cores.clone());
    site.shutdown.start();
    socket.write_all(b"again").unwrap();
    assert_eq!(until(&mut socket, "again"), "again", "it may finish");
    site.thread.join();
    assert!(started.elapsed() >= Duration::from_millis(300), "the drain waited for it");
    assert_eq!(rest(socket), "");
    assert_eq!(cores.connections().sum::<usize>(), 0);
}
