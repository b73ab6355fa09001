//! Stopping and starting again: what runs finishes, what was kept is there.

use std::thread;

use hearth_tests::{Server, Start};
use serde_json::{Value, json};

#[test]
fn a_signal_lets_what_runs_finish() {
    let mut server = Server::start();
    server.deploy_with("bad/infinite-loop", json!({"timeout": 1}));
    server.deploy("wat-echo");
    thread::scope(|scope| {
        let running: Vec<_> =
            (0..4).map(|_| scope.spawn(|| server.invoke("infinite-loop", "x"))).collect();
        hearth_tests::eventually("they run", || server.metric("hearth_running_invocations") >= 4.0);
        server.ask_to_stop();
        for running in running {
            let reply = running.join().unwrap();
            assert!(reply.fault().contains("timed out"), "{}", reply.text());
        }
    });
    assert_eq!(server.wait(), Some(0), "{}", server.log());
}

#[test]
fn a_restart_has_everything() {
    let mut server = Server::start();
    server.deploy_with(
        "rust-event",
        json!({"description": "kept", "environmentVariables": {"A": "b"}}),
    );
    let before = server.call("GET", "/services/s/functions/rust-event", &Value::Null).json();
    assert_eq!(server.terminate(), Some(0), "{}", server.log());
    server.restart();
    let after = server.call("GET", "/services/s/functions/rust-event", &Value::Null).json();
    assert_eq!(before, after);
    assert_eq!(server.invoke("rust-event", r#"{"name":"x"}"#).json()["message"], "hello x");
    assert_eq!(server.metric("hearth_compilations_total"), 0.0, "the artifact was kept");
}

#[test]
fn an_open_address_needs_saying_so() {
    let refused = Start::default().with("--listen", "0.0.0.0:0").fail();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--allow-unauthenticated"));
}
