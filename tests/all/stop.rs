//! Stopping and starting again: what runs finishes, what was kept is there.

use std::sync::atomic::{AtomicU32, Ordering};
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
fn a_signal_under_load_breaks_no_answer() {
    let mut server = Server::start();
    server.deploy("rust-event");
    let answered = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // Refused connections and 503 are what a caller may see at the end; half an answer or another error is not.
                while let Some(reply) = server.try_invoke("rust-event", r#"{"name":"x"}"#) {
                    if reply.status == 503 {
                        reply.is_error(503, "ServiceUnavailable");
                        break;
                    }
                    assert_eq!(reply.json()["message"], "hello x", "{}", reply.text());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        hearth_tests::eventually("the load", || answered.load(Ordering::Relaxed) > 50);
        server.ask_to_stop();
    });
    assert_eq!(server.wait(), Some(0), "{}", server.log());
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn what_is_queued_at_a_signal_runs_after_the_next_start() {
    let mut server = Server::start();
    server.deploy("rust-event");
    let accepted: Vec<String> = (0..200)
        .map(|number| server.invoke_async("rust-event", &format!(r#"{{"name":"n{number}"}}"#)))
        .collect();
    assert_eq!(server.terminate(), Some(0), "{}", server.log());
    server.restart();
    server.all_succeed(&accepted);
}

#[test]
fn a_second_signal_ends_what_does_not_end() {
    let mut server = Server::start();
    server.deploy_with("bad/sleeper", json!({"timeout": 600}));
    thread::scope(|scope| {
        let sleeping = scope.spawn(|| server.try_invoke("sleeper", "x"));
        hearth_tests::eventually("it runs", || server.metric("hearth_running_invocations") >= 1.0);
        server.ask_to_stop();
        hearth_tests::eventually("it is stopping", || server.log().contains("stopping"));
        server.ask_to_stop();
        let reply = sleeping.join().unwrap();
        assert!(reply.is_none_or(|reply| reply.status != 200), "a sleeper was told to be well");
    });
    assert_eq!(server.wait(), Some(1));
}

#[test]
fn a_drain_has_an_end() {
    let mut server = Start::default().with("--drain-time", "500ms").start();
    server.deploy_with("bad/sleeper", json!({"timeout": 600}));
    thread::scope(|scope| {
        let sleeping = scope.spawn(|| server.try_invoke("sleeper", "x"));
        hearth_tests::eventually("it runs", || server.metric("hearth_running_invocations") >= 1.0);
        server.ask_to_stop();
        let reply = sleeping.join().unwrap();
        assert!(reply.is_none_or(|reply| reply.status != 200), "a sleeper was told to be well");
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
