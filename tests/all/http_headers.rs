//! What the function is told of a request and what its caller is told of the response: nothing that speaks of one connection, and
//! nothing in the platform's name that somebody else made up.

use hearth_tests::{Reply, Server, Start, eventually, guarded, raw};
use serde_json::{Value, json};

use crate::custom_domains::domain;
use crate::http_trigger::{ask, open, trigger};

const GUESTS: [&str; 2] = ["rust-http-stream", "rust-http-stream-p3"];

/// The values of a header as the function saw them.
fn seen<'a>(told: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = told["headers"].as_array().unwrap().iter();
    headers.filter(|header| header[0] == name).map(|header| header[1].as_str().unwrap()).collect()
}

/// What a function says to have been told.
fn told(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

#[test]
fn path_query_and_headers_come_as_they_were_sent() {
    let server = Server::start();
    for guest in GUESTS {
        open(&server, guest);
        let more =
            [("x-mine", "1"), ("x-mine", "2"), ("content-type", "text/x-poem"), ("cookie", "a=b")];
        let path = format!("s.LATEST/{guest}/headers?a=1&a=2&b=%2F+x&c&=");
        let told = told(&ask(&server, "PUT", &path, &more, b"x"));
        assert_eq!((&told["method"], &told["scheme"]), (&json!("PUT"), &json!("http")));
        assert_eq!(told["path"], "/headers?a=1&a=2&b=%2F+x&c&=");
        assert_eq!(told["authority"], server.address().to_string());
        assert_eq!(seen(&told, "x-mine"), ["1", "2"]);
        assert_eq!(
            (seen(&told, "content-type"), seen(&told, "cookie")),
            (vec!["text/x-poem"], vec!["a=b"])
        );
        let base = format!("/2016-08-15/proxy/s.LATEST/{guest}/");
        assert_eq!(seen(&told, "x-fc-base-path"), [&*base]);
        assert_eq!(seen(&told, "x-fc-service-name"), ["s"]);
        assert_eq!(seen(&told, "x-fc-function-name"), [guest]);
        assert_eq!(seen(&told, "x-fc-version-id"), ["LATEST"]);
        assert_eq!(seen(&told, "x-fc-qualifier"), ["LATEST"]);
        assert_eq!(seen(&told, "x-fc-control-path"), ["/http-invoke"]);
        assert_eq!(seen(&told, "x-fc-client-ip"), ["127.0.0.1"]);
        assert_eq!(seen(&told, "x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(seen(&told, "x-forwarded-proto"), ["http"]);
    }
}

#[test]
fn what_only_the_platform_may_say_is_not_taken_from_callers() {
    let server = Server::start();
    for guest in GUESTS {
        open(&server, guest);
        let lies = [
            ("x-fc-request-id", "mine"),
            ("X-Fc-Client-Ip", "1.2.3.4"),
            ("x-fc-account-id", "1"),
            ("x-fc-access-key-secret", "s"),
            ("x-fc-anything", "1"),
            ("x-hearth-anything", "1"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "bank.example"),
            ("forwarded", "for=1.2.3.4"),
            ("x-real-ip", "1.2.3.4"),
            ("traceparent", "junk"),
            ("tracestate", "a=b"),
        ];
        let reply = ask(&server, "GET", &format!("s/{guest}/headers"), &lies, b"");
        let told = told(&reply);
        let id = reply.header("x-fc-request-id").unwrap();
        assert_eq!(seen(&told, "x-fc-request-id"), [id]);
        for (name, lie) in lies {
            assert!(!seen(&told, &name.to_lowercase()).contains(&lie), "{name}");
        }
        for name in ["x-fc-access-key-secret", "x-fc-anything", "x-hearth-anything", "tracestate"] {
            assert!(seen(&told, name).is_empty(), "{name}");
        }
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = [("traceparent", parent), ("tracestate", "a=b")];
        let reply = ask(&server, "GET", &format!("s/{guest}/headers"), &trace, b"");
        let told = reply.json();
        assert!(seen(&told, "traceparent")[0].starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
        assert_eq!(seen(&told, "tracestate"), ["a=b"]);
    }
}

#[test]
fn a_proxy_that_is_trusted_says_for_whom_it_asks() {
    let server = Start::default().with("--gateway-trusted-proxies", "127.0.0.0/8").start();
    open(&server, "rust-http-stream");
    let said = [
        ("x-forwarded-for", "6.6.6.6, 1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
        ("x-fc-client-ip", "6.6.6.6"),
    ];
    let told = told(&ask(&server, "GET", "s/rust-http-stream/headers", &said, b""));
    assert_eq!(seen(&told, "x-fc-client-ip"), ["1.2.3.4"]);
    assert_eq!(seen(&told, "x-forwarded-for"), ["6.6.6.6, 1.2.3.4", "127.0.0.1"]);
    assert_eq!(
        (&told["scheme"], seen(&told, "x-forwarded-host")),
        (&json!("https"), vec!["shop.example"])
    );
    let refused = Start::default().with("--gateway-trusted-proxies", "10.0.0.0/33").fail();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("gateway.trusted_proxies"));
}

#[test]
fn what_is_for_one_hop_stays_there() {
    let server = Server::start();
    open(&server, "rust-http-stream");
    let request = "GET /2016-08-15/proxy/s/rust-http-stream/headers HTTP/1.1\r\nhost: a.example\r\nconnection: close, x-private\r\n\
        x-private: 1\r\nkeep-alive: 5\r\nproxy-authorization: Basic x\r\nproxy-connection: close\r\nte: trailers\r\nexpect: x\r\n\
        upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\nx-kept: 1\r\n\r\n";
    let answer = raw(server.address(), request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    // Whole or in chunks, it is one line of JSON.
    let line = body.lines().find(|line| line.starts_with('{')).unwrap();
    let told: Value = serde_json::from_str(line).unwrap();
    // Whole or in chunks, it is one line of JSON.
    for name in [
        "x-private",
        "keep-alive",
        "connection",
        "proxy-authorization",
        "proxy-connection",
        "upgrade",
        "http2-settings",
        "expect",
    ] {
        assert!(seen(&told, name).is_empty(), "{name}: {body}");
    }
    assert_eq!((seen(&told, "x-kept"), seen(&told, "te")), (vec!["1"], vec!["trailers"]));
    assert_eq!(told["authority"], "a.example");
}

#[test]
fn a_signature_is_for_the_platform_and_goes_no_further() {
    let (server, admin, _home) = guarded(Start::default());
    let path = hearth_tests::guest_path("rust-http-stream").display().to_string();
    let deployed = admin.run(&server, &["deploy", &path, "--name", "s/web"]);
    assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));
    let body =
        json!({"triggerName": "web", "triggerType": "http", "triggerConfig": {"methods": ["GET"]}});
    let triggers = "/2016-08-15/services/s/functions/web/triggers";
    assert_eq!(admin.send(&server, "POST", triggers, &body.to_string()).status, 200);
    let reply = admin.send(&server, "GET", "/2016-08-15/proxy/s/web/headers", "");
    let told = told(&reply);
    assert!(seen(&told, "authorization").is_empty(), "{told}");
    assert!(!reply.text().contains(&admin.secret));
}

#[test]
fn other_credentials_are_the_functions_own_affair() {
    let server = Server::start();
    open(&server, "rust-http-stream");
    let bearer = [("authorization", "Bearer abc")];
    let told = told(&ask(&server, "GET", "s/rust-http-stream/headers", &bearer, b""));
    assert_eq!(seen(&told, "authorization"), ["Bearer abc"]);
}

#[test]
fn every_final_status_goes_back_and_no_other() {
    let server = Server::start();
    open(&server, "rust-http-stream");
    for status in [200u16, 204, 304, 400, 404, 429, 500, 503, 599] {
        let reply = ask(&server, "GET", &format!("s/rust-http-stream/status/{status}"), &[], b"");
        assert_eq!((reply.status, reply.header("x-fc-error-type")), (status, None));
        assert!(reply.body.is_empty());
    }
    for status in [100, 101, 103] {
        let reply = ask(&server, "GET", &format!("s/rust-http-stream/status/{status}"), &[], b"");
        assert!(matches!(reply.status, 400 | 502), "{status}: {}", reply.status);
    }
}

#[test]
fn a_response_that_is_rude_is_made_fit_or_a_bad_gateway() {
    let server = Server::start();
    open(&server, "bad/http-rude");
    let at = |path: &str| ask(&server, "GET", &format!("s/http-rude{path}"), &[], b"");
    let fit = at("/headers");
    assert_eq!(fit.status, 200, "{}", fit.text());
    for name in [
        "x-split",
        "x-injected",
        "x-feed",
        "x-null",
        "keep-alive",
        "proxy-connection",
        "upgrade",
        "te",
        "http2-settings",
    ] {
        assert_eq!(fit.header(name), None, "{:?}", fit.headers);
    }
    for path in ["/none", "/error", "/trap-before", "/huge-header", "/many-headers"] {
        let failed = at(path);
        assert_eq!(failed.status, 502, "{path}: {}", failed.text());
        assert_eq!(failed.header("x-fc-error-type"), Some("UnhandledInvocationError"), "{path}");
        assert!(!failed.fault().is_empty(), "{path}");
        assert_eq!(at("/").text(), "well", "after {path}");
    }
    // What was begun cannot be taken back: it breaks off, and nobody takes it for whole.
    let failed = || {
        let records = server.records_of("s/http-rude");
        records.iter().filter(|one| one["status"] == "failed").count()
    };
    for path in ["/twice", "/trap", "/unfinished", "/long", "/short"] {
        let before = failed();
        let whole =
            server.try_send("GET", &format!("/2016-08-15/proxy/s/http-rude{path}"), &[], b"");
        // Of one that is longer than it said, no more than it said is ever passed on.
        let is_cut = |reply: &Reply| path == "/long" && reply.body.len() <= 5;
        // The first of two is whole: if others have their turn just then, it goes out before the guest begins the second and fails.
        let is_first = |reply: &Reply| path == "/twice" && reply.body == b"once";
        let is_fit = |reply: &Reply| reply.status == 502 || is_cut(reply) || is_first(reply);
        assert!(whole.as_ref().is_none_or(is_fit), "{path}");
        if whole.as_ref().is_some_and(is_first) {
            eventually("it is noted as failed", || failed() > before);
        }
        assert_eq!(at("/").text(), "well", "after {path}");
    }
}

#[test]
fn at_a_domain_the_function_sees_the_path_that_was_asked_for_or_what_rules_make_of_it() {
    let server = Server::start();
    open(&server, "rust-http-stream");
    let to = |path: &str, rules: Value| json!({"path": path, "functionName": "rust-http-stream", "rewriteConfig": rules});
    let rule =
        |pattern: &str, replacement: &str| json!([{"match": pattern, "replacement": replacement}]);
    let routes = [
        to("/headers", Value::Null),
        to("/api/*", json!({"wildcardRules": rule("^/api/*", "/$1")})),
        to("/v1/*", json!({"regexRules": rule("^/v1/([a-z]+)/(\\d+)$", "/$1?id=$2")})),
        to("/old", json!({"equalRules": rule("/old", "/headers")})),
    ];
    let made = domain(&server, "HTTP", &routes);
    assert_eq!(made.status, 200, "{}", made.text());
    let get = |path: &str| told(&server.send("GET", path, &[("host", "Shop.Example:80")], b""));
    for (path, seen) in [
        ("/headers?a=1", "/headers?a=1"),
        ("/api/headers?a=%2F", "/headers?a=%2F"),
        ("/v1/headers/7", "/headers?id=7"),
        ("/old?x", "/headers?x"),
    ] {
        let told = get(path);
        assert_eq!(told["path"], seen, "{path}");
        assert_eq!(told["authority"], "Shop.Example:80");
    }
    assert_eq!(seen(&get("/headers"), "x-fc-base-path"), ["/"]);
    assert_eq!(seen(&get("/headers"), "x-fc-service-name"), ["s"]);
}

#[test]
fn a_domain_outlives_a_restart_and_changes_at_once() {
    let mut server = Server::start();
    open(&server, "rust-http-stream");
    let route = |rules: Value| json!({"path": "/*", "serviceName": "s", "functionName": "rust-http-stream", "rewriteConfig": rules});
    let rules = json!({"wildcardRules": [{"match": "^/a/*", "replacement": "/$1"}]});
    assert_eq!(domain(&server, "HTTP", &[route(rules)]).status, 200);
    let seen = |server: &Server| {
        told(&server.send("GET", "/a/headers", &[("host", "shop.example")], b""))["path"].clone()
    };
    assert_eq!(seen(&server), "/headers");
    server.restart();
    assert_eq!(seen(&server), "/headers");
    let rules = json!({"wildcardRules": [{"match": "^/a/*", "replacement": "/$1?changed"}]});
    let change = json!({"routeConfig": {"routes": [route(rules)]}});
    assert_eq!(server.call("PUT", "/custom-domains/shop.example", &change).status, 200);
    assert_eq!(seen(&server), "/headers?changed");
    assert_eq!(server.call("DELETE", "/custom-domains/shop.example", &Value::Null).status, 204);
    let gone = server.send("GET", "/a/headers", &[("host", "shop.example")], b"");
    gone.is_error(400, "PathNotSupported");
}

#[test]
fn a_trigger_at_a_domain_still_says_who_may_call() {
    let server = Server::start();
    server.deploy("rust-http-stream");
    let config = json!({"authType": "anonymous", "methods": ["GET"], "disableURLInternet": true});
    assert_eq!(trigger(&server, "rust-http-stream", &config).status, 200);
    assert_eq!(
        domain(&server, "HTTP,HTTPS", &[json!({"functionName": "rust-http-stream"})]).status,
        200
    );
    let at = |method: &str| server.send(method, "/", &[("host", "shop.example")], b"");
    assert_eq!(at("GET").status, 200, "only its own address is closed");
    at("POST").is_error(403, "AccessDenied");
}
