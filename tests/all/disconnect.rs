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
