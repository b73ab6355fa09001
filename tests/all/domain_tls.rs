//! Custom domains with certificates of their own: shown by name, changed without a restart, their private keys kept to themselves.

use std::os::unix::fs::PermissionsExt;

use hearth_tests::{Certificate, Server, Start, TlsClient, make_key_in};
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};

const PATH: &str = "/custom-domains/shop.example";

fn server() -> Server {
    Start::default().with("--tls-listen", "127.0.0.1:0").with("--log-level", "debug").start()
}

fn config(certificate: &Certificate) -> Value {
    json!({"certName": "c", "certificate": certificate.pem, "privateKey": certificate.key})
}

fn body(name: &str, certificate: &Certificate) -> Value {
    json!({"domainName": name, "protocol": "HTTP,HTTPS", "certConfig": config(certificate)})
}

fn make(server: &Server, body: &Value) -> Value {
    let made = server.call("POST", "/custom-domains", body);
    assert_eq!(made.status, 200, "{}", made.text());
    made.json()
}

fn shows(server: &Server, name: &str, certificate: &Certificate) -> Result<(), String> {
    let mut client = TlsClient::plain(server.tls_address(), name, certificate)?;
    let answer = client.get(name, "/");
    assert!(answer.starts_with("HTTP/1.1 4"), "it has no route: {answer}");
    Ok(())
}

#[test]
fn each_domain_shows_its_own_certificate_and_a_change_is_seen_at_once() {
    let mut server = server();
    let (shop, wild) = (Certificate::of(&["shop.example"]), Certificate::of(&["*.club.example"]));
    make(&server, &body("shop.example", &shop));
    make(&server, &body("a.club.example", &wild));
    shows(&server, "shop.example", &shop).unwrap();
    shows(&server, "a.club.example", &wild).unwrap();
    shows(&server, "a.club.example", &shop).unwrap_err();
    let told = shows(&server, "b.club.example", &wild).unwrap_err();
    assert!(told.contains("alert"), "nobody has that name: {told}");
    let other = Certificate::of(&["shop.example"]);
    let changed = server.call("PUT", PATH, &json!({"certConfig": config(&other)}));
    assert_eq!(changed.status, 200, "{}", changed.text());
    shows(&server, "shop.example", &other).unwrap();
    shows(&server, "shop.example", &shop).unwrap_err();
    server.restart();
    shows(&server, "shop.example", &other).unwrap();
    assert_eq!(server.call("DELETE", PATH, &Value::Null).status, 204);
    shows(&server, "shop.example", &other).unwrap_err();
}

#[test]
fn a_private_key_is_in_no_answer_no_file_and_no_log() {
    let server = server();
    let certificate = Certificate::of(&["shop.example"]);
    let made = make(&server, &body("shop.example", &certificate));
    assert_eq!(made["certConfig"]["privateKey"], Value::Null);
    assert_eq!(made["certConfig"]["certificate"], json!(certificate.pem));
    shows(&server, "shop.example", &certificate).unwrap();
    let mut bad = body("b.example", &certificate);
    bad["certConfig"]["certificate"] = json!("none");
    let refused = server.call("POST", "/custom-domains", &bad);
    refused.is_error(400, "InvalidArgument");
    let secret = certificate.key.lines().nth(1).unwrap();
    for answer in [server.call("GET", PATH, &Value::Null).text(), refused.text(), server.log()] {
        assert!(!answer.contains(secret), "{answer}");
    }
    for file in server.all_files() {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let holds = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!holds, "{} holds the private key", file.display());
    }
}

#[test]
fn what_was_read_can_be_sent_back_and_keeps_the_key() {
    let server = server();
    let certificate = Certificate::of(&["shop.example"]);
    let made = make(&server, &body("shop.example", &certificate));
    let sent = json!({"certConfig": made["certConfig"], "protocol": "HTTPS"});
    assert_eq!(server.call("PUT", PATH, &sent).status, 200);
    shows(&server, "shop.example", &certificate).unwrap();
    let mut other = made["certConfig"].clone();
    other["certificate"] = json!(Certificate::of(&["shop.example"]).pem);
    server.call("PUT", PATH, &json!({"certConfig": other})).is_error(400, "InvalidArgument");
    assert_eq!(server.call("PUT", PATH, &json!({"certConfig": {"certName": "c"}})).status, 200);
    shows(&server, "shop.example", &certificate).unwrap_err();
}

#[test]
fn certificates_that_do_not_fit_are_refused() {
    let server = server();
    let good = Certificate::of(&["shop.example"]);
    let wrong = [
        (Certificate::of(&["other.example"]), "is not for"),
        (Certificate::between(&["shop.example"], 2000, 2001), "expired"),
        (Certificate::between(&["shop.example"], 2080, 2081), "not valid yet"),
        (Certificate { key: Certificate::of(&["shop.example"]).key, ..good.clone() }, "another"),
        (Certificate { key: "none".to_owned(), ..good.clone() }, "private key"),
        (Certificate { pem: String::new(), ..good.clone() }, "no certificate"),
    ];
    for (certificate, said) in &wrong {
        let refused = server.call("POST", "/custom-domains", &body("shop.example", certificate));
        refused.is_error(400, "InvalidArgument");
        assert!(refused.text().contains(said), "{said}: {}", refused.text());
    }
    server.call("GET", PATH, &Value::Null).is_error(404, "DomainNameNotFound");
    make(&server, &body("shop.example", &good));
    for (certificate, _) in &wrong {
        let change = json!({"certConfig": config(certificate)});
        server.call("PUT", PATH, &change).is_error(400, "InvalidArgument");
    }
    shows(&server, "shop.example", &good).unwrap();
}

#[test]
fn the_oldest_version_is_the_domains_and_a_domain_for_http_has_none() {
    let server = server();
    let certificate = Certificate::of(&["shop.example"]);
    let with = |versions: &[&'static rustls::SupportedProtocolVersion]| {
        let address = server.tls_address();
        TlsClient::connect(address, "shop.example", &certificate, versions, &["h2"]).map(|_| ())
    };
    let change = |change: Value| {
        let changed = server.call("PUT", PATH, &change);
        assert_eq!(changed.status, 200, "{}", changed.text());
    };
    make(&server, &body("shop.example", &certificate));
    with(&[&TLS12]).unwrap();
    change(json!({"tlsConfig": {"minVersion": "TLSv1.3"}}));
    with(&[&TLS12]).unwrap_err();
    with(&[&TLS13]).unwrap();
    change(json!({"tlsConfig": {"minVersion": "TLSv1.2"}}));
    with(&[&TLS12]).unwrap();
    let bad = json!({"tlsConfig": {"minVersion": "SSLv3"}});
    server.call("PUT", PATH, &bad).is_error(400, "InvalidArgument");
    change(json!({"protocol": "HTTP"}));
    with(&[&TLS13]).unwrap_err();
}

#[test]
fn a_sealing_key_that_is_gone_is_not_replaced_while_a_certificate_needs_it() {
    let home = tempfile::tempdir().unwrap();
    let start = || Start::default().with("--tls-listen", "127.0.0.1:0").on(home.path());
    let mut server = start().start();
    let shop = Certificate::of(&["shop.example"]);
    make(&server, &body("shop.example", &shop));
    let sealing_key = server.data_dir().join("sealing.key");
    let kept = std::fs::read(&sealing_key).unwrap();
    server.terminate();
    drop(server);
    std::fs::remove_file(&sealing_key).unwrap();

    let refused = make_key_in(home.path(), &["--role", "admin"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("sealing.key"), "{told}");
    assert!(!sealing_key.exists(), "a new one would never open what the old one sealed");

    std::fs::write(&sealing_key, kept).unwrap();
    std::fs::set_permissions(&sealing_key, std::fs::Permissions::from_mode(0o600)).unwrap();
    shows(&start().start(), "shop.example", &shop).unwrap();
}

#[test]
fn a_check_finds_keys_of_domains_that_do_not_open() {
    let mut server = server();
    make(&server, &body("shop.example", &Certificate::of(&["shop.example"])));
    server.kill9();
    let check = || {
        let dir = server.data_dir().to_str().unwrap();
        let mut command = std::process::Command::new(hearth_tests::binary());
        let output =
            command.args(["check", "--format", "json", "--data-dir", dir]).output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.success(), told["problems"].to_string())
    };
    assert_eq!(check(), (true, "[]".to_owned()));
    // The sealing key of another server.
    let other = self::server();
    make(&other, &body("other.example", &Certificate::of(&["other.example"])));
    let key = |server: &Server| server.data_dir().join("sealing.key");
    std::fs::copy(key(&other), key(&server)).unwrap();
    let (whole, problems) = check();
    assert!(!whole && problems.contains("domain 'shop.example'"), "{problems}");
}
