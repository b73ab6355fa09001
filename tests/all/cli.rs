//! The command line against a server: what the README's first screen says, and what scripts rely on.

use std::process::Output;

use hearth_tests::{Server, guest_path};
use serde_json::Value;

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn deploy(server: &Server, guest: &str, name: &str) {
    let path = guest_path(guest);
    let deployed = server.cli(&["deploy", path.to_str().unwrap(), "--name", name]);
    assert!(deployed.status.success(), "{}", err(&deployed));
}

#[test]
fn from_nothing_to_an_answer_with_its_log() {
    let server = Server::start();
    deploy(&server, "rust-event", "demo/hello");
    let invoked = server.cli(&["invoke", "demo/hello", "--data", r#"{"name":"you"}"#, "--tail"]);
    assert!(invoked.status.success(), "{}", err(&invoked));
    assert_eq!(out(&invoked).trim(), r#"{"message":"hello you","served":1}"#);
    let told = err(&invoked);
    assert!(told.contains("greeting you from hello") && told.contains("Duration:"), "{told}");
}

#[test]
fn a_pipe_gets_json() {
    let server = Server::start();
    deploy(&server, "wat-echo", "demo/echo");
    let listed = server.cli(&["ls"]);
    let listed: Value = serde_json::from_str(&out(&listed)).unwrap();
    assert_eq!(listed["functions"][0]["function"], "echo");
    let removed = server.cli(&["rm", "demo/echo"]);
    assert!(removed.status.success(), "{}", err(&removed));
    let listed: Value = serde_json::from_str(&out(&server.cli(&["ls"]))).unwrap();
    assert_eq!(listed["functions"].as_array().map(Vec::len), Some(0));
}

#[test]
fn exit_codes_tell_whose_fault_it_is() {
    let server = Server::start();
    deploy(&server, "bad/trap", "demo/trap");
    assert_eq!(server.cli(&["invoke", "demo/trap", "--data", "x"]).status.code(), Some(1));
    let missing = server.cli(&["invoke", "demo/nobody", "--data", "x"]);
    assert_ne!(missing.status.code(), Some(0));
    assert!(err(&missing).contains("nobody"), "{}", err(&missing));
    assert_eq!(server.cli(&["invoke"]).status.code(), Some(2));
}

#[test]
fn a_file_runs_without_a_server() {
    let server = Server::start();
    let path = guest_path("rust-command");
    let ran = server.cli(&["run", path.to_str().unwrap(), "--data", "hello"]);
    assert!(ran.status.success() && !out(&ran).is_empty(), "{}", err(&ran));
    let path = guest_path("bad/infinite-loop");
    let stopped = server.cli(&["run", path.to_str().unwrap(), "--data", "x", "--timeout", "100ms"]);
    assert_eq!(stopped.status.code(), Some(1));
    assert!(err(&stopped).contains("timed out"), "{}", err(&stopped));
}

/// A program's traceback was in the log of its initializer, and nobody saw that.
#[test]
fn what_a_failed_initializer_logged_is_shown() {
    let server = Server::start();
    let code = wat::parse_str(
        r#"(module (import "hearth" "log" (func $log (param i32 i32 i32)))
            (memory (export "memory") 1) (data (i32.const 16) "no such catalogue")
            (func (export "alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "initialize") (result i32)
                (call $log (i32.const 2) (i32.const 16) (i32.const 17)) (i32.const 1))
            (func (export "handle") (param i32 i32) (result i64) (i64.const 0)))"#,
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fails.wasm");
    std::fs::write(&path, code.unwrap()).unwrap();
    let failed = server.cli(&["run", path.to_str().unwrap(), "--isolation", "snapshot"]);
    assert!(!failed.status.success());
    let told = err(&failed);
    assert!(told.contains("initializer of function `fails` failed"), "{told}");
    assert!(told.contains("it logged:") && told.contains("no such catalogue"), "{told}");
}

#[test]
fn a_granted_tmp_reaches_the_guest() {
    let server = Server::start();
    let path = guest_path("rust-tmp-command");
    let path = path.to_str().unwrap();
    let ran = server.cli(&["run", path, "--grant", "tmp=1MiB", "--data", "fill /tmp/a 2000000"]);
    assert_eq!(out(&ran).trim(), "StorageFull at 1048576", "{}", err(&ran));
    let file = guest_path("rust-tmp");
    let file = file.to_str().unwrap();
    let deployed = server.cli(&["deploy", file, "--name", "demo/tmp", "--grant", "tmp"]);
    assert!(deployed.status.success(), "{}", err(&deployed));
    let answered = server.cli(&["invoke", "demo/tmp", "--data", "write /tmp/a x\nread /tmp/a"]);
    assert_eq!(out(&answered).trim(), "done\nx", "{}", err(&answered));
    let refused = server.cli(&["deploy", file, "--name", "demo/tmp", "--grant", "tmp=2GiB"]);
    assert!(!refused.status.success());
    assert!(err(&refused).contains("out of bounds"), "{}", err(&refused));
}

#[test]
fn a_file_is_measured_without_a_server() {
    let server = Server::start();
    let path = guest_path("wat-echo");
    let measured = server.cli(&["bench", path.to_str().unwrap(), "--duration", "200ms"]);
    assert!(measured.status.success(), "{}", err(&measured));
    let figures: Value = serde_json::from_str(&out(&measured)).unwrap();
    assert!(figures["figures"]["warm"]["count"].as_u64() > Some(100), "{figures}");
}

#[test]
fn logs_are_kept_and_cannot_be_forged() {
    let server = Server::start();
    deploy(&server, "rust-event", "demo/hello");
    let hostile = r#"{"name":"\n{\"level\":\"error\"}\u001b[31m\r"}"#;
    let invoked = server.cli(&["invoke", "demo/hello", "--data", hostile]);
    assert!(invoked.status.success(), "{}", err(&invoked));
    let mut shown = String::new();
    hearth_tests::eventually("the log", || {
        shown = out(&server.cli(&["logs", "demo/hello"]));
        shown.lines().count() >= 2
    });
    for line in shown.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["function"], "demo/hello");
        assert_ne!(line["level"], "error");
        let text = line["text"].as_str().unwrap();
        assert!(!text.contains(['\u{1b}', '\r', '\n']), "{text:?}");
    }
}
