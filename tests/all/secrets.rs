//! What is in a function's environment stays with the function, and a new value takes the place of the old one at once.

use hearth_tests::{Server, Start, eventually};
use serde_json::json;

const CANARY: &str = "canary-7f3a91";

fn with_token(token: &str) -> serde_json::Value {
    json!({"environmentVariables": {"API_TOKEN": token}})
}

#[test]
fn a_secret_is_nowhere_but_in_its_own_tail_and_log() {
    let server = Start::default().with("--log-level", "trace").with("--log-access", "all").start();
    server.deploy_with("bad/secret-panic", with_token(CANARY));
    server.deploy("rust-event");
    let untold = server.invoke_with("secret-panic", "x", &[]);
    assert!(untold.fault().contains("unreachable"));
    for (name, value) in &untold.headers {
        assert!(!value.contains(CANARY), "header {name}");
    }
    assert!(!untold.text().contains(CANARY), "{}", untold.text());
    assert!(server.invoke("secret-panic", "x").tail().contains(CANARY), "its owner asked for it");
    let _ = server.invoke_async("secret-panic", "x");
    eventually("it is retried", || server.metric("hearth_queue_retries_total") >= 1.0);
    for public in ["/metrics", "/healthz", "/readyz"] {
        assert!(!server.admin(public).text().contains(CANARY), "{public}");
    }
    let other = server.cli(&["logs", "s/rust-event"]);
    assert!(!String::from_utf8_lossy(&other.stdout).contains(CANARY), "another function's log");
    eventually("the log was on", || server.log().contains("/invocations"));
    let log = server.log();
    assert!(!log.contains(CANARY), "{}", log.lines().find(|line| line.contains(CANARY)).unwrap());
}

#[test]
fn an_error_about_a_setting_does_not_repeat_a_secret() {
    let server = Start::default().with("--log-level", "trace").start();
    server.deploy("bad/secret-panic");
    let path = "/services/s/functions/secret-panic";
    let long = format!("{CANARY}{}", "x".repeat(5000));
    for change in [
        with_token(&long),
        json!({"environmentVariables": {"API_TOKEN": [CANARY]}}),
        json!({"environmentVariables": {"": CANARY}}),
        json!({"environmentVariables": {"A=B": CANARY}}),
        json!({"environmentVariables": {"A\0": CANARY}}),
        json!({"environmentVariables": {"A": format!("{CANARY}\0")}}),
        json!({"timeout": 0, "environmentVariables": {"API_TOKEN": CANARY}}),
    ] {
        let refused = server.call("PUT", path, &change);
        refused.is_error(400, "InvalidArgument");
        assert!(!refused.text().contains(CANARY), "{}", refused.text());
    }
    assert!(!server.log().contains(CANARY));
}

#[test]
fn a_new_value_takes_the_old_ones_place() {
    let server = Server::start();
    server.deploy_with("bad/secret-panic", with_token("first"));
    assert!(server.invoke("secret-panic", "x").tail().contains("token first"));
    for token in ["second", "third", ""] {
        let changed = server.call("PUT", "/services/s/functions/secret-panic", &with_token(token));
        assert_eq!(changed.status, 200, "{}", changed.text());
        let tail = server.invoke("secret-panic", "x").tail();
        assert!(tail.contains(&format!("token {token}")) && !tail.contains("first"), "{tail}");
    }
}

#[test]
fn the_servers_own_environment_is_not_the_guests() {
    // The test's own variables are those of the server it starts; PATH is always among them.
    let server = Server::start();
    server.deploy("bad/secret-panic");
    assert!(server.invoke("secret-panic", "x").tail().contains("token unset"));
    let environ = wat::parse_str(ENVIRON).unwrap();
    let made =
        server.create("environ", &environ, json!({"environmentVariables": {"ONLY": "this"}}));
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!(server.invoke("environ", "x").text(), "ONLY=this\0");
}

/// A command that answers with all of its environment.
const ENVIRON: &str = r#"(module
    (import "wasi_snapshot_preview1" "environ_get" (func $get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (func (export "_start")
        (drop (call $sizes (i32.const 0) (i32.const 4)))
        (drop (call $get (i32.const 1024) (i32.const 65536)))
        (i32.store (i32.const 16) (i32.const 65536))
        (i32.store (i32.const 20) (i32.load (i32.const 4)))
        (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))))"#;
