//! Custom domains as records over the wire.

use hearth_tests::Server;
use serde_json::{Value, json};

fn routes(path: &str) -> Value {
    json!({"routes": [{"path": path, "serviceName": "s", "functionName": "f", "qualifier": "prod", "methods": ["GET"]}]})
}

#[test]
fn a_domain_lives() {
    let mut server = Server::start();
    let body = json!({
        "domainName": "Shop.Example", "protocol": "HTTP,HTTPS", "routeConfig": routes("/a/*"),
        "certConfig": {"certName": "c"},
        "tlsConfig": {"minVersion": "TLSv1.2"},
    });
    let made = server.call("POST", "/custom-domains", &body);
    assert_eq!(made.status, 200, "{}", made.text());
    let shown = made.json();
    assert_eq!(
        (&shown["domainName"], &shown["apiVersion"]),
        (&json!("shop.example"), &json!("2016-08-15"))
    );
    assert_eq!(
        shown["certConfig"],
        json!({"certName": "c", "certificate": null, "privateKey": null})
    );
    assert_eq!(shown["routeConfig"]["routes"][0]["functionName"], "f");
    server.call("POST", "/custom-domains", &body).is_error(409, "DomainNameAlreadyExists");
    server.restart();
    let path = "/custom-domains/shop.example";
    let found = server.call("GET", path, &Value::Null);
    assert_eq!(found.json(), shown);
    let tag = found.header("etag").unwrap();
    let change = json!({"routeConfig": routes("/b")});
    let changed = server.call_if_match("PUT", path, tag, &change);
    assert_eq!(
        (changed.status, &changed.json()["protocol"]),
        (200, &json!("HTTP,HTTPS")),
        "{}",
        changed.text()
    );
    server.call_if_match("PUT", path, tag, &change).is_error(412, "PreconditionFailed");
    let listed = server.call("GET", "/custom-domains?prefix=shop", &Value::Null).json();
    assert_eq!(listed["customDomains"], json!([changed.json()]));
    assert_eq!(server.call("DELETE", path, &Value::Null).status, 204);
    for method in ["GET", "PUT", "DELETE"] {
        server.call(method, path, &change).is_error(404, "DomainNameNotFound");
    }
}

#[test]
fn bad_domains_are_refused() {
    let server = Server::start();
    let long = "a".repeat(64);
    for name in ["", "a..b", "-a", "a b", "a/b", "\u{e4}.com", long.as_str()] {
        let body = json!({"domainName": name, "routeConfig": routes("/")});
        server.call("POST", "/custom-domains", &body).is_error(400, "InvalidArgument");
    }
    for more in [
        json!({"protocol": "GOPHER"}),
        json!({"protocol": 7}),
        json!({"routeConfig": routes("no-slash")}),
        json!({"routeConfig": {"routes": [{"path": "/", "serviceName": "a.b", "functionName": "f"}]}}),
        json!({"routeConfig": {"routes": [{"path": "/"}]}}),
        json!({"routeConfig": {"routes": "all"}}),
        json!({"tlsConfig": "x".repeat(70_000)}),
    ] {
        let mut body = json!({"domainName": "a.example"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.call("POST", "/custom-domains", &body).is_error(400, "InvalidArgument");
    }
    assert_eq!(
        server.call("GET", "/custom-domains", &Value::Null).json(),
        json!({"customDomains": []})
    );
}
