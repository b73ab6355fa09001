//! Asynchronous invocations: accepted, run, retried, told.

use hearth_tests::{Server, eventually};

#[test]
fn what_is_accepted_runs() {
    let server = Server::start();
    server.deploy("rust-event");
    let accepted = server.invoke_with(
        "rust-event",
        r#"{"name":"later"}"#,
        &[("x-fc-invocation-type", "Async")],
    );
    assert_eq!((accepted.status, accepted.body.len()), (202, 0));
    assert_ne!(accepted.header("content-type"), Some("application/json"));
    let id = accepted.header("x-fc-request-id").unwrap().to_owned();
    eventually("its log line", || {
        let shown = server.cli(&["logs", "s/rust-event", "--request-id", &id]);
        String::from_utf8_lossy(&shown.stdout).contains("greeting later")
    });
    eventually("its settlement", || server.metric("hearth_queue_settled_total") >= 1.0);
}

#[test]
fn what_cannot_be_accepted_is_told() {
    let server = Server::start();
    server.deploy("wat-echo");
    let asynchronous = [("x-fc-invocation-type", "Async")];
    server.invoke_with("nobody", "x", &asynchronous).is_error(404, "FunctionNotFound");
    for fits in [(128 << 10) - 1, 128 << 10] {
        let id = server.invoke_async("wat-echo", &"x".repeat(fits));
        eventually("its end", || server.record(&id).is_some());
        assert_eq!(server.record(&id).unwrap()["status"], "succeeded", "{fits} bytes");
    }
    let large = "x".repeat((128 << 10) + 1);
    server.invoke_with("wat-echo", &large, &asynchronous).is_error(400, "EntityTooLarge");
    let tail = [("x-fc-invocation-type", "Async"), ("x-fc-log-type", "Tail")];
    let refused = server.invoke_with("wat-echo", "x", &tail);
    refused.is_error(400, "InvalidArgument");
    assert!(refused.text().contains("allowed: None"), "{}", refused.text());
}
