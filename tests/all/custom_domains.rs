//! Custom domains: requests told by their host go to functions by path, and nothing of the server's own is there.

use hearth_tests::{Certificate, Reply, Server, Start, TlsClient};
use serde_json::{Value, json};

use crate::http_trigger::{is_refused, open};

pub(crate) const HOST: &str = "shop.example";

/// Makes the domain with these routes, each to `s/rust-http` unless it says otherwise.
pub(crate) fn domain(server: &Server, protocol: &str, routes: &[Value]) -> Reply {
    let whole = |route: &Value| {
        let mut whole = json!({"path": "/*", "serviceName": "s", "functionName": "rust-http"});
        whole.as_object_mut().unwrap().extend(route.as_object().unwrap().clone());
        whole
    };
    let routes: Vec<Value> = routes.iter().map(whole).collect();
    let body = json!({"domainName": HOST, "protocol": protocol, "routeConfig": {"routes": routes}});
    server.call("POST", "/custom-domains", &body)
}

pub(crate) fn get_at(server: &Server, host: &str, path: &str) -> Reply {
    server.send("GET", path, &[("host", host)], b"")
}

#[test]
fn without_a_route_there_is_nothing_not_even_the_servers_own() {
    let server = Server::start();
    open(&server, "rust-http");
    assert_eq!(domain(&server, "HTTP", &[json!({"path": "/a/*", "methods": ["GET"]})]).status, 200);
    for path in [
        "/",
        "/b",
        "/healthz",
        "/metrics",
        "/hearth/v1/functions",
        "/2016-08-15/services",
        "/2016-08-15/proxy/s/rust-http/",
    ] {
        for host in ["shop.example", "SHOP.example:80", "shop.example.", "shop.example.:9000"] {
            is_refused(&get_at(&server, host, path), 404, "DomainRouteNotFound");
        }
        let elsewhere = get_at(&server, "other.example", path);
        assert!(!elsewhere.text().contains("DomainRouteNotFound"), "{path}");
    }
    let posted = server.send("POST", "/a/b", &[("host", HOST)], b"x");
    is_refused(&posted, 403, "AccessDenied");
}

#[test]
fn a_domain_for_https_takes_nothing_else() {
    let server = Server::start();
    open(&server, "rust-http");
    assert_eq!(domain(&server, "HTTPS", &[json!({})]).status, 200);
    is_refused(&get_at(&server, HOST, "/"), 403, "AccessDenied");
    // A proxy that is not trusted says nothing.
    let said = [("host", HOST), ("x-forwarded-proto", "https")];
    is_refused(&server.send("GET", "/", &said, b""), 403, "AccessDenied");
}

#[test]
fn over_tls_a_domain_is_answered_and_one_for_http_is_not() {
    let certificate = Certificate::of(&[HOST]);
    let server = Start::default().showing(&certificate).start();
    open(&server, "rust-http-stream");
    let route = json!({"functionName": "rust-http-stream"});
    assert_eq!(domain(&server, "HTTPS", &[route]).status, 200);
    let get = |host: &str| {
        let mut client = TlsClient::plain(server.tls_address(), HOST, &certificate).unwrap();
        client.get(host, "/headers")
    };
    let answer = get(HOST);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(r#""scheme":"https""#), "{answer}");
    assert!(answer.contains(r#"["x-forwarded-proto","https"]"#), "{answer}");
    let elsewhere = get("other.example");
    assert!(elsewhere.starts_with("HTTP/1.1 421"), "{elsewhere}");
    let change = json!({"protocol": "HTTP"});
    assert_eq!(server.call("PUT", "/custom-domains/shop.example", &change).status, 200);
    assert!(get(HOST).starts_with("HTTP/1.1 403"), "{}", get(HOST));
}

#[test]
fn a_route_to_what_is_not_there_or_has_no_trigger_says_so() {
    let server = Server::start();
    server.deploy("rust-http");
    let routes = [
        json!({"path": "/a"}),
        json!({"path": "/b", "functionName": "none"}),
        json!({"path": "/c", "serviceName": "none"}),
        json!({"path": "/d", "qualifier": "prod"}),
    ];
    assert_eq!(domain(&server, "HTTP", &routes).status, 200);
    for (path, code) in [
        ("/a", "TriggerNotFound"),
        ("/b", "FunctionNotFound"),
        ("/c", "ServiceNotFound"),
        ("/d", "AliasNotFound"),
    ] {
        is_refused(&get_at(&server, HOST, path), 404, code);
    }
}

#[test]
fn the_servers_own_hosts_are_never_a_domains() {
    let server = Start::default().with("--gateway-own-hosts", "api.example, Shop.example").start();
    assert_eq!(domain(&server, "HTTP", &[json!({})]).status, 200);
    assert_eq!(get_at(&server, HOST, "/2016-08-15/services").status, 200);
    for name in ["127.0.0.1", "localhost", "a.localhost", "1"] {
        let body = json!({"domainName": name});
        server.call("POST", "/custom-domains", &body).is_error(400, "InvalidArgument");
    }
}

#[test]
fn rules_for_rewriting_that_cannot_be_used_are_refused() {
    let server = Server::start();
    let rule = |pattern: &str, to: &str| json!([{"match": pattern, "replacement": to}]);
    let many: Vec<Value> =
        (0..101).map(|n| json!({"match": format!("/{n}"), "replacement": "/"})).collect();
    for rules in [
        json!({"regexRules": rule("(", "/")}),
        json!({"regexRules": rule("(a{1000}){1000}", "/")}),
        json!({"wildcardRules": rule("/a/*", "http://evil/$1")}),
        json!({"equalRules": rule("/a", "/b\r\nx: y")}),
        json!({"equalRules": rule("", "/")}),
        json!({"equalRules": 7}),
        json!({"equalRules": [{"match": 7, "replacement": "/"}]}),
        json!({"equalRules": many}),
    ] {
        let refused = domain(&server, "HTTP", &[json!({"rewriteConfig": rules})]);
        refused.is_error(400, "InvalidArgument");
        assert!(refused.body.len() < 1500, "{} bytes", refused.body.len());
    }
}
