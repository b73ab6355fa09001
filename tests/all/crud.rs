//! Services and functions over the wire: made, read, listed, changed and removed, and every mistake told in the dialect's words.

use hearth_tests::{Server, guest};
use serde_json::{Value, json};

#[test]
fn a_service_lives() {
    let server = Server::start();
    let made =
        server.call("POST", "/services", &json!({"serviceName": "shop", "description": "d"}));
    assert_eq!(made.status, 200, "{}", made.text());
    for key in ["serviceName", "serviceId", "createdTime", "lastModifiedTime", "logConfig", "role"]
    {
        assert!(made.json().get(key).is_some(), "{key} is missing: {}", made.text());
    }
    let changed = server.call("PUT", "/services/shop", &json!({"description": "new"}));
    assert_eq!(changed.json()["description"], "new");
    assert_eq!(server.call("GET", "/services/shop", &Value::Null).json()["description"], "new");
    server
        .call("POST", "/services", &json!({"serviceName": "shop"}))
        .is_error(409, "ServiceAlreadyExists");
    let removed = server.call("DELETE", "/services/shop", &Value::Null);
    assert_eq!((removed.status, removed.body.len()), (204, 0));
    server.call("GET", "/services/shop", &Value::Null).is_error(404, "ServiceNotFound");
}

#[test]
fn a_function_lives() {
    let server = Server::start();
    let made =
        server.create("echo", &guest("wat-echo"), json!({"environmentVariables": {"A": "b"}}));
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    assert_eq!((&made["memorySize"], &made["timeout"]), (&json!(128), &json!(3)));
    assert!(made["codeChecksum"].as_str().is_some_and(|sum| sum.parse::<u64>().is_ok()), "{made}");
    server.create("echo", &guest("wat-echo"), json!({})).is_error(409, "FunctionAlreadyExists");
    let changed = server.call("PUT", "/services/s/functions/echo", &json!({"timeout": 7}));
    assert_eq!(changed.json()["timeout"], 7);
    assert_eq!(changed.json()["environmentVariables"], json!({"A": "b"}));
    assert_eq!(server.invoke("echo", "still works").text(), "still works");
    server.call("DELETE", "/services/s", &Value::Null).is_error(409, "ServiceNotEmpty");
    assert_eq!(server.call("DELETE", "/services/s/functions/echo", &Value::Null).status, 204);
    server.invoke("echo", "x").is_error(404, "FunctionNotFound");
}

#[test]
fn code_can_be_fetched_from_the_link() {
    let server = Server::start();
    server.deploy("wat-echo");
    let link = server.call("GET", "/services/s/functions/wat-echo/code", &Value::Null).json();
    let url = link["url"].as_str().unwrap().to_owned();
    let path = url.split_once("://").unwrap().1.split_once('/').unwrap().1.to_owned();
    let fetched = server.send("GET", &format!("/{path}"), &[], b"");
    assert_eq!(fetched.status, 200);
    assert!(fetched.body.starts_with(b"PK"), "the package comes back as it was sent");
    assert_ne!(
        server.send("GET", &format!("/{path}0"), &[], b"").status,
        200,
        "a changed link is refused"
    );
}

#[test]
fn lists_come_in_pages() {
    let server = Server::start();
    for number in 0..5 {
        server.service(&format!("page-{number}"));
    }
    let (mut names, mut token) = (Vec::new(), String::new());
    for _ in 0..3 {
        let page = server
            .call("GET", &format!("/services?limit=2&prefix=page-{token}"), &Value::Null)
            .json();
        for service in page["services"].as_array().unwrap() {
            names.push(service["serviceName"].as_str().unwrap().to_owned());
        }
        match page["nextToken"].as_str() {
            Some(next) => token = format!("&nextToken={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["page-0", "page-1", "page-2", "page-3", "page-4"]);
    server.call("GET", "/services?limit=0", &Value::Null).is_error(400, "InvalidArgument");
}

#[test]
fn names_are_checked_the_same_everywhere() {
    let server = Server::start();
    let long = "x".repeat(129);
    for name in ["", "1abc", "a.b", "a/b", "a b", "\u{e4}", "..", long.as_str(), "a\0b"] {
        server
            .call("POST", "/services", &json!({"serviceName": name}))
            .is_error(400, "InvalidArgument");
    }
    server.create(&"f".repeat(65), &guest("wat-echo"), json!({})).is_error(400, "InvalidArgument");
    let encoded = server.call("GET", "/services/%2e%2e%2fadmin", &Value::Null);
    assert!(encoded.status >= 400);
}

#[test]
fn keys_are_read_in_any_case() {
    let server = Server::start();
    let made =
        server.call("POST", "/services", &json!({"ServiceName": "cased", "DESCRIPTION": "d"}));
    assert_eq!(made.json()["description"], "d", "{}", made.text());
}

#[test]
fn settings_out_of_bounds_are_refused_by_name() {
    let server = Server::start();
    for (setting, value) in [
        ("memorySize", json!(100)),
        ("memorySize", json!(1 << 30)),
        ("timeout", json!(0)),
        ("timeout", json!("soon")),
        ("environmentVariables", json!({"K": "v".repeat(5000)})),
    ] {
        let refused = server.create("bad", &guest("wat-echo"), json!({setting: value}));
        assert_eq!(refused.status, 400, "{setting}={value}: {}", refused.text());
        assert_eq!(refused.error_code(), "InvalidArgument");
    }
}

#[test]
fn every_wrong_turn_has_an_error_body() {
    let server = Server::start();
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/2016-08-15"),
        ("GET", "/2016-08-15/nothing"),
        ("PATCH", "/2016-08-15/services"),
        ("POST", "/2016-08-15/services/s/functions/f"),
        ("GET", "/hearth/v1/nothing"),
    ] {
        let wrong = server.send(method, path, &[], b"");
        assert!(wrong.status >= 400, "{method} {path}");
        assert!(!wrong.error_code().is_empty(), "{method} {path}: {}", wrong.text());
        assert!(wrong.header("x-fc-request-id").is_some());
    }
}

#[test]
fn bodies_that_are_no_json_are_refused() {
    let server = Server::start();
    let deep = "[".repeat(100_000);
    for body in ["", "{", "null", "[]", "\u{1}", "{\"serviceName\":", deep.as_str()] {
        let refused = server.send("POST", "/2016-08-15/services", &[], body.as_bytes());
        assert_eq!(refused.status, 400, "{}: {}", &body[..body.len().min(20)], refused.text());
        assert!(!refused.error_code().is_empty());
    }
    server.service("alive");
}
