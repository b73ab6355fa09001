//! The host itself gets no more memory. Whether it can go on or not, it loses nothing, says so where it still can, and the next start
//! is an ordinary one.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use hearth_tests::{PATIENCE, Server, Start, eventually};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use crate::kill::{answering, unended};

/// Each sends five mebibytes: all together more than what threads have reserved for themselves before.
const CLIENTS: usize = 200;

/// Leaves a running server only so many bytes of address space more than it has.
fn starve(server: &Server, bytes: u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let held = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let held: u64 = held.trim().trim_end_matches(" kB").parse().unwrap();
    let limit = Some(held * 1024 + bytes);
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    prlimit(pid, Resource::As, Rlimit { current: limit, maximum: limit }).unwrap();
}

/// Sends an event but for its last byte.
fn all_but_sent(server: &Server, event: &[u8]) -> std::io::Result<TcpStream> {
    let mut client = TcpStream::connect(server.address())?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let path = "/2016-08-15/services/s/functions/wat-echo/invocations";
    let length = event.len() + 1;
    write!(client, "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n")?;
    write!(client, "content-length: {length}\r\n\r\n")?;
    client.write_all(event)?;
    Ok(client)
}

/// Sends the last byte and reads the answer.
fn end(client: &mut TcpStream) -> std::io::Result<String> {
    client.write_all(b"x")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_host_without_memory_loses_nothing() {
    let mut server = Start::default().with("--http-body-budget", "8GiB").start();
    server.deploy("wat-echo");
    assert_eq!(server.create("slow", &answering(7, 8_000_000), json!({})).status, 200);
    let mut accepted: BTreeSet<String> =
        (0..30).map(|_| server.invoke_async("slow", "x")).collect();
    starve(&server, 2 << 20);
    // Bodies that are all but complete, which it must hold, far more of them than it has room for.
    let body = "x".repeat(5 << 20);
    let mut clients: Vec<_> =
        (0..CLIENTS).filter_map(|_| all_but_sent(&server, body.as_bytes()).ok()).collect();
    accepted.extend(server.try_invoke_async("slow", "x"));
    let answers = clients.iter_mut().filter_map(|client| end(client).ok());
    let good = answers.filter(|answer| answer.starts_with("HTTP/1.1 200")).count();
    assert!(good < CLIENTS, "all were answered: there was memory enough");
    server.restart();
    assert_eq!(server.invoke("wat-echo", "alive").text(), "alive");
    eventually("the end of all that was accepted", || unended(&server, &accepted) == 0);
    for id in &accepted {
        let record = server.record(id).expect("it has ended");
        assert_eq!(record["status"], "succeeded", "{record}");
    }
}
