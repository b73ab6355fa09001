//! Ten thousand connections that are kept alive and say nothing: what each of them costs, and that whoever comes is served as ever.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use hearth_tests::{PATIENCE, Start, eventually};

use crate::websocket_crowd::files;

/// As many as one address of a client has ports for, whatever range the machine gives.
const EACH_ADDRESS: usize = 2500;

/// Files that this process needs for all else; a server in its own process has one for each connection, too.
const ELSE: u64 = 2000;

/// Resident memory of the server for each of them, at most: twice the 28,365 bytes when this was written, of which the parser's buffers
/// are the most.
const BYTES_EACH_MAX: u64 = 56 << 10;

const REQUEST: &[u8] =
    b"POST /2016-08-15/services/s/functions/wat-echo/invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi";

/// Connects from the address of a client's number.
fn connect(runtime: &tokio::runtime::Runtime, server: SocketAddr, number: usize) -> TcpStream {
    let own = Ipv4Addr::LOCALHOST.to_bits() + 1 + u32::try_from(number / EACH_ADDRESS).unwrap();
    let connected = async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::from_bits(own), 0).into()).unwrap();
        socket.connect(server).await.unwrap().into_std().unwrap()
    };
    let stream = runtime.block_on(connected);
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// One request on a connection, which stays open.
fn ask(stream: &mut TcpStream) {
    stream.write_all(REQUEST).unwrap();
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(b"\r\n\r\nhi") {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "it was closed: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..count]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn ten_thousand_kept_alive_leave_the_server_as_it_was() {
    let files = files();
    let crowd_size = usize::try_from(files.limit.saturating_sub(ELSE).clamp(500, 10_000)).unwrap();
    let server = Start::default()
        .with("--http-connections", "12000")
        .with("--http-idle-timeout", "1h")
        .start();
    server.deploy("wat-echo");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let opened = |number: usize| {
        let mut stream = connect(&runtime, server.address(), number);
        ask(&mut stream);
        stream
    };
    // What is made once is not counted: code, instances, the first of everything.
    let first: Vec<_> = (0..100).map(opened).collect();
    let before = server.resident_bytes();
    let mut crowd: Vec<_> = (first.len()..crowd_size).map(opened).collect();
    let grown = server.resident_bytes().saturating_sub(before);
    let each = grown / crowd.len() as u64;
    assert!(each < BYTES_EACH_MAX, "{each} bytes for each connection");
    for _ in 0..20 {
        assert_eq!(server.invoke("wat-echo", "alive").text(), "alive");
        assert_eq!(server.admin("/healthz").status, 200);
    }
    // They were idle and not forgotten.
    crowd.iter_mut().step_by(97).for_each(ask);
    drop((first, crowd));
    eventually("the end of all", || server.metric("hearth_connections") < 100.0);
    assert_eq!(server.invoke("wat-echo", "afterwards").text(), "afterwards");
}
