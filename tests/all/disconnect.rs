//! A client that goes away takes its guest with it.

use std::io::Write;
use std::net::TcpStream;

use hearth_tests::{Server, eventually};
use serde_json::json;

#[test]
fn a_client_that_disconnects_frees_the_slot() {
    let server = Server::start();
    server.deploy_with("bad/sleeper", json!({"timeout": 600}));
    server.deploy("wat-echo");
    for _ in 0..5 {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let path = "/2016-08-15/services/s/functions/sleeper/invocations";
        let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx");
        stream.write_all(request.as_bytes()).unwrap();
        eventually("it runs", || server.metric("hearth_running_invocations") >= 1.0);
        drop(stream);
        eventually("its slot is free", || server.metric("hearth_running_invocations") == 0.0);
    }
    assert_eq!(server.invoke("wat-echo", "alive").text(), "alive");
}

#[test]
fn a_client_that_disconnects_is_noted_once_and_its_guest_never_serves_again() {
    let server = Server::start();
    server.deploy_with("bad/infinite-loop", json!({"timeout": 600}));
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let path = "/2016-08-15/services/s/functions/infinite-loop/invocations";
    let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx");
    stream.write_all(request.as_bytes()).unwrap();
    eventually("it runs", || server.metric("hearth_running_invocations") >= 1.0);
    drop(stream);
    eventually("its slot is free", || server.metric("hearth_running_invocations") == 0.0);
    eventually("its instance is gone", || server.metric("hearth_instances") == 0.0);
    eventually("it is noted", || !server.records_of("s/infinite-loop").is_empty());
    let noted = server.records_of("s/infinite-loop");
    assert_eq!(noted.len(), 1);
    assert_ne!(noted[0]["status"], "succeeded", "{}", noted[0]);
}

#[test]
fn a_client_that_disconnects_while_it_waits_leaves_the_queue() {
    let server = Server::start();
    let settings = json!({"max_instances": 1, "queue": 5, "queue_wait": "60s", "timeout": "600s"});
    let deployed = server.put("sleeper", &hearth_tests::guest("bad/sleeper"), &settings);
    assert_eq!(deployed.status, 200, "{}", deployed.text());
    let clients: Vec<_> = (0..6)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            let path = "/2016-08-15/services/s/functions/sleeper/invocations";
            let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx");
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    eventually("all are in", || server.metric("hearth_running_invocations") == 6.0);
    server.invoke("sleeper", "one too many").is_error(429, "ResourceExhausted");
    drop(clients);
    eventually("all are out", || server.metric("hearth_running_invocations") == 0.0);
    assert_eq!(server.metric("hearth_pool"), 1.0, "only the limit of the pool is left");
}
