//! TLS: the certificate of the settings, what is agreed on, and clients that shake no hands.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hearth_tests::{Certificate, Start, TlsClient};

#[test]
fn the_certificate_of_the_settings_is_shown() {
    let certificate = Certificate::of(&["hearth.example", "127.0.0.1"]);
    let server = Start::default().showing(&certificate).start();
    for name in ["hearth.example", "127.0.0.1"] {
        let mut client = TlsClient::plain(server.tls_address(), name, &certificate).unwrap();
        assert_eq!(client.protocol().as_deref(), Some("http/1.1"));
        let answer = client.get(&format!("{name}:9443"), "/2016-08-15/services");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let plain = server.call("GET", "/services", &serde_json::Value::Null);
    assert_eq!(plain.status, 200, "plain HTTP is served beside it");
}

#[test]
fn http_2_is_chosen_where_the_client_offers_it() {
    let certificate = Certificate::of(&["hearth.example"]);
    let server = Start::default().showing(&certificate).start();
    let (address, all) = (server.tls_address(), rustls::ALL_VERSIONS);
    let offered = ["h2", "http/1.1"];
    let mut client =
        TlsClient::connect(address, "hearth.example", &certificate, all, &offered).unwrap();
    assert_eq!(client.protocol().as_deref(), Some("h2"));
    // Preface, empty settings, GOAWAY: the server answers with frames and closes.
    let hello = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        b"\0\0\0\x04\0\0\0\0\0",
        b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ]
    .concat();
    assert_eq!(client.exchange(&hello).get(3), Some(&4), "settings come first");
}

#[test]
fn a_request_for_another_host_than_the_connections_is_misdirected() {
    let certificate = Certificate::of(&["hearth.example"]);
    let server = Start::default().showing(&certificate).start();
    let mut client =
        TlsClient::plain(server.tls_address(), "hearth.example", &certificate).unwrap();
    let answer = client.get("other.example", "/2016-08-15/services");
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
}

#[test]
fn without_a_certificate_the_handshake_ends_in_an_alert() {
    let server = Start::default().with("--tls-listen", "127.0.0.1:0").start();
    let trusted = Certificate::of(&["hearth.example"]);
    let why = TlsClient::plain(server.tls_address(), "hearth.example", &trusted).unwrap_err();
    assert!(why.contains("alert"), "{why}");
}

#[test]
fn who_shakes_no_hands_is_cut_off() {
    let server = Start::default()
        .with("--tls-listen", "127.0.0.1:0")
        .with("--http-header-timeout", "300ms")
        .start();
    let (started, mut silent) = (Instant::now(), TcpStream::connect(server.tls_address()).unwrap());
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "it is closed");
    assert!(started.elapsed() >= Duration::from_millis(300));
    // Nor is HTTP answered where TLS is spoken.
    let answer = hearth_tests::raw(server.tls_address(), b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
}

#[test]
fn a_certificate_that_cannot_be_used_is_named_at_the_start() {
    let (one, other) = (Certificate::of(&["a.example"]), Certificate::of(&["a.example"]));
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("c.pem"), &one.pem).unwrap();
    std::fs::write(path("k.pem"), &other.key).unwrap();
    std::fs::write(path("none.pem"), "no key").unwrap();
    for (key, said) in [("k.pem", "c.pem"), ("none.pem", "private key"), ("gone.pem", "gone.pem")] {
        let failed = Start::default()
            .with("--tls-listen", "127.0.0.1:0")
            .with("--tls-certificate", &path("c.pem"))
            .with("--tls-private-key", &path(key))
            .fail();
        let words = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert!(!failed.status.success() && words.contains(said), "{key}: {words}");
    }
}
