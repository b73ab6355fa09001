//! Health and figures answer whatever the guests do.

use std::thread;

use hearth_tests::{Server, eventually};
use serde_json::json;

#[test]
fn health_answers_while_guests_spin_on_every_core() {
    let server = Server::start();
    server.deploy_with("bad/infinite-loop", json!({"timeout": 5}));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| server.invoke("infinite-loop", "x"));
        }
        eventually("guests spin", || server.metric("hearth_running_invocations") >= 4.0);
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(server.admin(path).status, 200, "{path}");
        }
    });
    assert!(server.metric("faas_timeouts_total") >= 8.0);
}

#[test]
fn figures_have_the_fields_words() {
    let server = Server::start();
    server.deploy("rust-event");
    let _ = server.invoke("rust-event", r#"{"name":"Ann"}"#);
    let _ = server.invoke("rust-event", r#"{"name":""}"#);
    assert_eq!(server.metric("faas_invocations_total"), 2.0);
    assert_eq!(server.metric("faas_errors_total"), 1.0);
    assert_eq!(server.metric("faas_coldstarts_total"), 1.0);
    assert_eq!(server.metric("hearth_functions_stored"), 1.0);
    assert!(server.metric("faas_invoke_duration_seconds_count") >= 2.0);
    assert_eq!(
        server.send("GET", "/metrics", &[], b"").status,
        400,
        "figures are for the admin address"
    );
}

#[test]
fn no_secret_is_told() {
    let server = Server::start();
    let canary = "canary-7f3a";
    server.deploy_with("bad/secret-panic", json!({"environmentVariables": {"API_TOKEN": canary}}));
    let quiet = server.invoke_with("secret-panic", "x", &[]);
    assert!(quiet.header("x-fc-error-type").is_some());
    assert!(!quiet.text().contains(canary), "{}", quiet.text());
    assert!(
        server.invoke("secret-panic", "x").tail().contains(canary),
        "its owner may see its own tail"
    );
    assert!(!server.admin("/metrics").text().contains(canary));
    assert!(!server.log().contains(canary));
}
