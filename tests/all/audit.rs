//! The audit trail on a server: who did what with which key in which request, for administrators only, and nothing secret in it.

use hearth_tests::{Key, Server, Start, guarded, guest, guest_path};
use serde_json::{Value, json};

fn told(key: &Key, server: &Server, arguments: &[&str]) -> Vec<Value> {
    let output = key.run(server, &[&["audit"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    told["records"].as_array().unwrap().clone()
}

fn what(record: &Value) -> String {
    let text = |key: &str| record[key].as_str().unwrap().to_owned();
    format!("{} {} {}", text("verb"), text("noun"), text("name"))
}

#[test]
fn it_says_who_did_what_in_which_request() {
    let (mut server, admin, _home) = guarded(Start::default());
    let deployer = admin.make(&server, &["--role", "deploy"]);
    let path = "/2016-08-15/services";
    let made = deployer.send(&server, "POST", path, r#"{"serviceName":"shop"}"#);
    let request = made.header("x-fc-request-id").unwrap();
    let file = guest_path("wat-echo").display().to_string();
    assert_eq!(admin.refusal(&server, &["deploy", &file, "--name", "bank/echo"]), "");
    assert_eq!(admin.refusal(&server, &["rm", "bank/echo"]), "");
    let all: Vec<_> = told(&admin, &server, &["--oldest-first"]);
    let said: Vec<_> = all.iter().map(what).collect();
    let (first, second) =
        (format!("create access key {}", admin.id), format!("create access key {}", deployer.id));
    let expected = [
        &*first,
        &second,
        "create service shop",
        "create service bank",
        "create function bank/echo",
        "delete function bank/echo",
        "delete service bank",
    ];
    assert_eq!(said, expected);
    // Made on the data directory, before there was anybody to be.
    assert_eq!((&all[0]["who"], &all[0]["role"]), (&json!("local"), &Value::Null));
    assert_eq!((&all[2]["who"], &all[2]["role"]), (&json!(deployer.id), &json!("deploy")));
    assert_eq!(all[2]["request_id"], json!(request));
    assert_eq!((&all[6]["who"], &all[6]["became"]), (&json!(admin.id), &Value::Null));
    assert_eq!(all[5]["request_id"], all[6]["request_id"], "one request, two changes");
    let since = told(&admin, &server, &["--since", "1h", "--what", "function bank", "-n", "1"]);
    assert_eq!(since, [all[5].clone()], "the newest first");
    assert!(told(&admin, &server, &["--until", "2020-01-01T00:00:00Z"]).is_empty());
    assert_eq!(told(&admin, &server, &["--who", &deployer.id]), [all[2].clone()]);
    // What was refused changed nothing and is not there; nor is what only looks.
    assert_eq!(deployer.refusal(&server, &["key", "list"]), "AccessDenied");
    server.kill9();
    server.restart();
    assert_eq!(told(&admin, &server, &["--oldest-first"]), all, "and it survives a restart");
}

#[test]
fn it_is_for_administrators_of_everything() {
    let (server, admin, _home) = guarded(Start::default());
    for arguments in
        [&["--role", "deploy"][..], &["--role", "invoke"], &["--role", "admin", "--services", "a"]]
    {
        let other = admin.make(&server, arguments);
        for asked in [&["audit"][..], &["audit", "verify"]] {
            assert_eq!(other.refusal(&server, asked), "AccessDenied", "{arguments:?} {asked:?}");
        }
    }
    assert_eq!(admin.refusal(&server, &["audit", "verify"]), "");
}

#[test]
fn a_head_that_was_noted_is_looked_for() {
    let server = Server::start();
    server.service("a");
    let verify = |arguments: &[&str]| {
        let output = server.cli(&[&["audit", "verify"], arguments].concat());
        let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), told)
    };
    let (code, told) = verify(&[]);
    assert_eq!((code, &told["problem"]), (Some(0), &Value::Null));
    let head = format!("{}:{}", told["last"], told["hash"].as_str().unwrap());
    assert!(server.log().contains(told["hash"].as_str().unwrap()), "the log says it as well");
    server.service("b");
    assert_eq!(verify(&["--head", &head]).0, Some(0));
    let other = head.replacen("1:", "2:", 1);
    assert_eq!(
        verify(&["--head", &other]).1["problem"],
        "audit record 2 is another than the noted one"
    );
    assert_eq!(verify(&["--head", &other]).0, Some(3));
    assert_eq!(verify(&["--head", "yesterday"]).0, Some(2));
    let page = |query: &str| server.send("GET", &format!("/hearth/v1/audit{query}"), &[], b"");
    assert_eq!(page("?order=oldest&limit=1").json()["next"], 2);
    for wrong in ["limit=0", "limit=101", "limit=x", "order=up", "since=yesterday", "from=-1"] {
        page(&format!("?{wrong}")).is_error(400, "InvalidArgument");
    }
    server.send("GET", "/hearth/v1/audit/verify?head=1", &[], b"").is_error(400, "InvalidArgument");
    server.send("POST", "/hearth/v1/audit", &[], b"").is_error(400, "PathNotSupported");
}

#[test]
fn nothing_secret_is_in_it() {
    let (server, admin, _home) = guarded(Start::default());
    let made = admin.make(&server, &["--life", "1h"]);
    let code = guest("wat-echo");
    let file = guest_path("wat-echo").display().to_string();
    let secret = "correct-horse-battery-staple";
    let variable = format!("PASSWORD={secret}");
    let deploy = ["deploy", &file, "--name", "s/f", "--env", &variable, "--description", secret];
    assert_eq!(admin.refusal(&server, &deploy), "");
    let all = json!(told(&admin, &server, &[])).to_string();
    for secret in [secret, &admin.secret, &made.secret, made.token.as_deref().unwrap()] {
        assert!(!all.contains(secret), "{all}");
    }
    assert!(all.len() < 8 * code.len().max(1 << 10), "records are small");
}
