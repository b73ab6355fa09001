//! Functions that begin where their initializer ended: deployed, called, changed, and still there after a restart.

use hearth_tests::{Server, guest_path, guest_path_if_built};
use serde_json::{Value, json};

fn deploy(server: &Server, guest: &str, more: &[&str]) -> std::process::Output {
    let path = guest_path(guest);
    let mut arguments =
        vec!["deploy", path.to_str().unwrap(), "--name", "s/f", "--isolation", "snapshot"];
    arguments.extend(more);
    server.cli(&arguments)
}

fn told(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn found(server: &Server, index: &str) -> Value {
    let reply = server.invoke("f", index);
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

#[test]
fn the_table_is_built_once_and_outlives_a_restart() {
    let mut server = Server::start();
    let deployed = deploy(&server, "rust-table", &["--env", "TABLE_NAME=first"]);
    assert!(deployed.status.success(), "{}", told(&deployed));
    let first = found(&server, "7");
    assert_eq!((&first["served"], &first["name"]), (&json!(1), &json!("first")));
    for _ in 0..5 {
        assert_eq!(found(&server, "7"), first, "every call has an instance that nobody used");
    }
    let built = |server: &Server| server.log().matches("building the table").count();
    let logged = server.cli(&["logs", "s/f"]);
    let logged = String::from_utf8_lossy(&logged.stdout).into_owned();
    assert_eq!(logged.matches("building the table").count(), 1, "{logged}");
    assert_eq!(built(&server), 0);
    server.restart();
    assert_eq!(found(&server, "7"), first);
    let logged = server.cli(&["logs", "s/f"]);
    let logged = String::from_utf8_lossy(&logged.stdout).into_owned();
    assert_eq!(logged.matches("building the table").count(), 1, "{logged}");
    // A changed variable is another deployment: the initializer sees it.
    let changed = json!({"environmentVariables": {"TABLE_NAME": "second"}});
    assert_eq!(server.call("PUT", "/services/s/functions/f", &changed).status, 200);
    assert_eq!(found(&server, "7")["name"], "second");
    let listed = server.cli(&["ls"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["functions"][0]["isolation"], "snapshot");
}

#[test]
fn a_component_in_javascript_keeps_its_catalogue_over_a_restart() {
    // 12 MB, so it is not kept: CI builds it.
    let Some(path) = guest_path_if_built("js-table") else { return };
    let mut server = Server::start();
    let arguments = ["deploy", path.to_str().unwrap(), "--name", "s/f", "--isolation", "snapshot"];
    let deployed = server.cli(&[&arguments[..], &["--initialize-timeout", "60s"]].concat());
    assert!(deployed.status.success(), "{}", told(&deployed));
    let first = found(&server, r#""item-49999""#);
    assert_eq!((&first["served"], &first["builtFor"]), (&json!(1), &json!("f")));
    assert_eq!(found(&server, r#""item-49999""#), first, "an instance that nobody used");
    server.restart();
    assert_eq!(found(&server, r#""item-49999""#), first);
    let logged = server.cli(&["logs", "s/f"]);
    let logged = String::from_utf8_lossy(&logged.stdout).into_owned();
    assert_eq!(logged.matches("building the catalogue").count(), 1, "{logged}");
}

#[test]
fn an_initializer_that_fails_refuses_the_deployment_and_leaves_what_was_there() {
    let server = Server::start();
    assert!(deploy(&server, "rust-table", &[]).status.success());
    let before = found(&server, "9");
    for (guest, expected) in [
        ("bad/initialize-fails", "initializer of function `s/f` failed"),
        ("bad/keeps-handle", "kept handles of the host (an input stream, an output stream)"),
        ("wat-echo", "exports no initializer"),
        ("rust-http", "has no initializer"),
    ] {
        let refused = deploy(&server, guest, &[]);
        assert!(!refused.status.success(), "{guest}");
        assert!(told(&refused).contains(expected), "{guest}: {}", told(&refused));
        assert_eq!(found(&server, "9"), before, "{guest}");
    }
}

#[test]
fn a_server_cannot_make_it_the_default() {
    let refused = hearth_tests::Start::default().with("--isolation", "snapshot").fail();
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("choose it for each function"), "{told}");
}
