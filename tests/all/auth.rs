//! Access keys end to end: made on the command line, asked for by the server, bounded by role and service, rotated and revoked; and
//! their secrets nowhere to be found.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hearth_tests::{Key, Server, Start, guarded, guest_path, make_key_in};
use serde_json::{Value, json};

fn echo() -> String {
    guest_path("wat-echo").display().to_string()
}

#[test]
fn what_is_not_signed_is_not_served_and_what_is_is() {
    let (server, admin, _home) = guarded(Start::default());
    for (method, path) in [
        ("GET", "/2016-08-15/services"),
        ("POST", "/2016-08-15/services/s/functions/f/invocations"),
        ("GET", "/hearth/v1/functions"),
        ("POST", "/hearth/v1/keys"),
        ("GET", "/2016-08-15/nowhere"),
    ] {
        let refused = server.send(method, path, &[], br#"{"role":"admin"}"#);
        refused.is_error(400, "MissingRequiredHeader");
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(server.admin(path).status, 200, "{path}");
    }
    assert_eq!(admin.refusal(&server, &["deploy", &echo(), "--name", "s/echo"]), "");
    let answer = admin.run(&server, &["invoke", "s/echo", "--data", "hi"]);
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "hi");
    let bench = admin.run(&server, &["bench", "s/echo", "--duration", "100ms"]);
    assert!(bench.status.success(), "{}", String::from_utf8_lossy(&bench.stderr));
}

#[test]
fn wrong_secrets_ids_and_tokens_are_told_apart() {
    let (server, admin, _home) = guarded(Start::default());
    let with = |id: &str, secret: &str, token: Option<&str>| Key {
        id: id.to_owned(),
        secret: secret.to_owned(),
        token: token.map(str::to_owned),
    };
    for (key, code) in [
        (with(&admin.id, "wrong", None), "SignatureNotMatch"),
        (with("nobody", &admin.secret, None), "InvalidAccessKeyID"),
        (with(&"x".repeat(200), &admin.secret, None), "AccessDenied"),
        (with(&admin.id, &admin.secret, Some("made-up")), "InvalidSecurityToken"),
    ] {
        assert_eq!(key.refusal(&server, &["ls"]), code);
    }
    let hostile = [
        ("date", "yesterday"),
        ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("authorization", "Basic YTpi"),
        ("authorization", "FC a:b:c"),
    ];
    for (name, value) in hostile {
        let mut headers =
            vec![("authorization", "FC a:b"), ("date", "Thu, 01 Jan 1970 00:00:00 GMT")];
        headers.retain(|(other, _)| *other != name);
        headers.push((name, value));
        let refused = server.send("GET", "/2016-08-15/services", &headers, b"");
        assert_eq!(refused.status, 403, "{name}: {value}: {}", refused.text());
    }
}

#[test]
fn a_role_ends_where_it_ends() {
    let (server, admin, _home) = guarded(Start::default());
    for name in ["shop-a/echo", "bank/echo"] {
        assert_eq!(admin.refusal(&server, &["deploy", &echo(), "--name", name]), "");
    }
    let invoker = admin.make(&server, &["--role", "invoke"]);
    let deployer = admin.make(&server, &["--role", "deploy", "--services", "shop-"]);
    let denied = "AccessDenied";
    let invoke = |name| ["invoke", name, "--data", "x"];
    assert_eq!(invoker.refusal(&server, &invoke("bank/echo")), "");
    for refused in [&["ls"][..], &["rm", "bank/echo"], &["key", "list"], &["logs", "bank/echo"]] {
        assert_eq!(invoker.refusal(&server, refused), denied, "{refused:?}");
    }
    assert_eq!(deployer.refusal(&server, &invoke("shop-a/echo")), "");
    assert_eq!(deployer.refusal(&server, &["deploy", &echo(), "--name", "shop-b/echo"]), "");
    let other = ["deploy", &echo(), "--name", "bank/other"];
    for refused in
        [&invoke("bank/echo")[..], &other, &["rm", "bank/echo"], &["ls"], &["key", "list"]]
    {
        assert_eq!(deployer.refusal(&server, refused), denied, "{refused:?}");
    }
    assert_eq!(admin.refusal(&server, &invoke("bank/echo")), "", "nothing was removed");
}

#[test]
fn a_key_grants_no_more_than_it_has() {
    let (server, admin, home) = guarded(Start::default());
    assert_eq!(admin.refusal(&server, &["deploy", &echo(), "--name", "bank/echo"]), "");
    let deployer = admin.make(&server, &["--role", "deploy", "--services", "shop-"]);
    let deploy = |key: &Key, grant: &str| {
        key.refusal(&server, &["deploy", &echo(), "--name", "shop-a/echo", "--grant", grant])
    };
    // With it the function could read the key that opens all secrets.
    let directory = format!("dir={}:/data", home.path().display());
    for grant in
        [&*directory, "http-private=http://localhost:9000", "call=bank/*", "call=bank/echo"]
    {
        assert_eq!(deploy(&deployer, grant), "AccessDenied", "{grant}");
        assert_eq!(deploy(&admin, grant), "", "{grant}");
    }
    for grant in ["http=https://example.com", "call=shop-b/echo", "call=echo", "kv", "tmp"] {
        assert_eq!(deploy(&deployer, grant), "", "{grant}");
    }
    let config = "/2016-08-15/services/shop-a/functions/echo/async-invoke-config";
    let put = |service: &str| {
        let destination = format!("acs:fc:local:0:services/{service}/functions/echo");
        let body = json!({"destinationConfig": {"onSuccess": {"destination": destination}}});
        deployer.send(&server, "PUT", config, &body.to_string())
    };
    put("bank").is_error(403, "AccessDenied");
    assert_eq!(put("shop-b").status, 200);
}

#[test]
fn a_secret_is_rotated_with_an_overlap_and_a_revoked_key_is_dead_at_once() {
    let (mut server, admin, _home) = guarded(Start::default());
    let old = admin.make(&server, &["--role", "deploy"]);
    let rotate = ["key", "rotate", &old.id, "--overlap", "1h"];
    let new = Key::read(&admin.run(&server, &rotate));
    assert_eq!((&new.id, new.secret == old.secret), (&old.id, false));
    for key in [&old, &new] {
        assert_eq!(key.refusal(&server, &["ls"]), "");
    }
    server.kill9();
    server.restart();
    assert_eq!(old.refusal(&server, &["ls"]), "", "the overlap survives a restart");
    let last = Key::read(&admin.run(&server, &["key", "rotate", &old.id, "--overlap", "0s"]));
    assert_eq!(new.refusal(&server, &["ls"]), "SignatureNotMatch");
    assert_eq!(last.refusal(&server, &["ls"]), "");
    assert_eq!(admin.refusal(&server, &["key", "revoke", &old.id]), "");
    assert_eq!(last.refusal(&server, &["ls"]), "InvalidAccessKeyID");
    assert_eq!(admin.refusal(&server, &["key", "rotate", &old.id]), "AccessKeyRevoked");
}

#[test]
fn a_temporary_key_needs_its_token() {
    let (server, admin, _home) = guarded(Start::default());
    let made = admin.make(&server, &["--role", "deploy", "--life", "1h"]);
    assert_eq!(made.refusal(&server, &["ls"]), "");
    let without = Key { token: None, ..made };
    assert_eq!(without.refusal(&server, &["ls"]), "InvalidSecurityToken");
}

#[test]
fn the_first_key_closes_a_server_that_was_open() {
    let server = Server::start();
    assert_eq!(server.send("GET", "/2016-08-15/services", &[], b"").status, 200);
    let first = server.cli(&["key", "create", "--format", "json"]);
    let admin = Key::read(&first);
    server.send("GET", "/2016-08-15/services", &[], b"").is_error(400, "MissingRequiredHeader");
    assert_eq!(admin.refusal(&server, &["ls"]), "");
}

#[test]
fn a_secret_is_in_no_log_and_no_file() {
    let (server, admin, home) = guarded(Start::default().with("--log-level", "debug"));
    let made = admin.make(&server, &["--role", "deploy", "--life", "1h"]);
    assert_eq!(made.refusal(&server, &["deploy", &echo(), "--name", "s/echo"]), "");
    let wrong = Key { secret: "wrong".to_owned(), token: made.token.clone(), id: made.id.clone() };
    assert_eq!(wrong.refusal(&server, &["ls"]), "SignatureNotMatch");
    let token = made.token.clone().unwrap();
    for secret in [&admin.secret, &made.secret, &token] {
        assert!(!server.log().contains(secret.as_str()));
        for file in server.all_files() {
            let bytes = std::fs::read(&file).unwrap();
            let is_in = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_in, "{}", file.display());
        }
    }
    let mode = std::fs::metadata(home.path().join("sealing.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_sealing_key_that_is_open_or_gone_stops_the_start() {
    let home = tempfile::tempdir().unwrap();
    drop(Key::read(&make_key_in(home.path(), &[])));
    let path = home.path().join("sealing.key");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = Start::default().on(home.path()).fail();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("chmod 600"));
    std::fs::remove_file(&path).unwrap();
    let refused = Start::default().on(home.path()).fail();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not there"));
    let refused = make_key_in(home.path(), &[]);
    assert!(!refused.status.success(), "no second sealing key is made");
}

#[test]
fn an_address_for_others_needs_a_key() {
    let home = tempfile::tempdir().unwrap();
    let open = |home: &Path| Start::default().on(home).with("--listen", "0.0.0.0:0").fail();
    let refused = open(home.path());
    assert_eq!(refused.status.code(), Some(2));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        told.contains("hearth key create") && told.contains("--allow-unauthenticated"),
        "{told}"
    );
    let refused = Start::default().on(home.path()).with("--auth", "required").fail();
    assert_eq!(refused.status.code(), Some(2));
    let refused = Start::default().with("--auth", "off").with("--listen", "0.0.0.0:0").fail();
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn a_link_is_for_programs_that_sign_nothing() {
    let (server, _admin, _home) = guarded(Start::default());
    for path in ["/hearth/v1/code/s/f?digest=a&expires=1&signature=b", "/hearth/v1/layers/l/1"] {
        let refused = server.send("GET", path, &[], b"");
        assert!(refused.status >= 400, "{path}: a link that nobody made");
        assert_ne!(refused.error_code(), "MissingRequiredHeader", "{path}");
    }
}

#[test]
fn a_server_has_its_data_directory_to_itself() {
    let (server, _admin, home) = guarded(Start::default());
    let refused = make_key_in(home.path(), &[]);
    assert!(!refused.status.success(), "a server runs on it");
    assert_eq!(server.send("GET", "/hearth/v1/keys", &[], b"").status, 400);
}

#[test]
fn what_a_key_cannot_be_is_refused() {
    let (server, admin, _home) = guarded(Start::default());
    for wrong in [&["--services", "a/b"][..], &["--account", ""], &["--life", "0s"]] {
        assert_eq!(
            admin.refusal(&server, &[&["key", "create"], wrong].concat()),
            "InvalidArgument"
        );
    }
    assert_eq!(admin.refusal(&server, &["key", "revoke", "nobody"]), "AccessKeyNotFound");
    let listed: Value =
        serde_json::from_slice(&admin.run(&server, &["key", "list"]).stdout).unwrap();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 1);
    assert_eq!(listed["keys"][0]["role"], json!("admin"));
}
