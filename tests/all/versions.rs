//! Versions over the wire: published, looked at, called, deleted; nothing that happens to the newest code changes them.

use hearth_tests::{Server, answering};
use serde_json::{Value, json};

#[test]
fn a_version_is_immutable_and_can_be_called() {
    let mut server = Server::start();
    server.deploy_answering("f", "one");
    let made = server.call("POST", "/services/s/versions", &json!({"description": "first"}));
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!(
        (&made.json()["versionId"], &made.json()["description"]),
        (&json!("1"), &json!("first"))
    );
    assert!(made.header("etag").is_some() && made.json()["createdTime"].is_string());
    assert_eq!(server.replace("f", &answering("two")).status, 200);
    let changed = json!({"description": "changed", "timeout": 9});
    assert_eq!(server.call("PUT", "/services/s/functions/f", &changed).status, 200);
    assert_eq!(server.call("PUT", "/services/s", &json!({"role": "r"})).status, 200);
    server.restart();
    for (qualifier, answer, version) in
        [("1", "one", "1"), ("LATEST", "two", "LATEST"), ("", "two", "LATEST")]
    {
        let reply = server.invoke_at(qualifier, "f");
        assert_eq!(reply.text(), answer, "{qualifier}");
        assert_eq!(reply.header("x-fc-invocation-service-version"), Some(version));
    }
    let service = server.call("GET", "/services/s.1", &Value::Null).json();
    assert_eq!((&service["description"], &service["role"]), (&json!("first"), &json!("")));
    let function = server.call("GET", "/services/s.1/functions/f", &Value::Null).json();
    assert_eq!((&function["timeout"], &function["description"]), (&json!(3), &json!("")));
    let listed = server.call("GET", "/services/s.1/functions", &Value::Null).json();
    assert_eq!(listed["functions"][0]["codeChecksum"], function["codeChecksum"]);
    let newest = server.call("GET", "/services/s/functions/f", &Value::Null).json();
    assert_ne!(newest["codeChecksum"], function["codeChecksum"]);
    assert_eq!(server.call("DELETE", "/services/s/functions/f", &Value::Null).status, 204);
    assert_eq!(server.invoke_at("1", "f").text(), "one");
    server.invoke_at("LATEST", "f").is_error(404, "FunctionNotFound");
}

#[test]
fn the_code_of_a_version_can_be_fetched() {
    let server = Server::start();
    server.deploy_answering("f", "one");
    server.publish();
    assert_eq!(server.replace("f", &answering("two")).status, 200);
    let fetch = |path: &str| {
        let url = server.call("GET", path, &Value::Null).json()["url"].as_str().unwrap().to_owned();
        let path = url.split_once("://").unwrap().1.split_once('/').unwrap().1.to_owned();
        let fetched = server.send("GET", &format!("/{path}"), &[], b"");
        assert_eq!(fetched.status, 200, "{}", fetched.text());
        fetched.body
    };
    let (then, now) =
        (fetch("/services/s.1/functions/f/code"), fetch("/services/s/functions/f/code"));
    assert!(then.starts_with(b"PK") && then != now);
}

#[test]
fn nothing_to_publish_and_wrong_tags_are_told() {
    let server = Server::start();
    server.service("s");
    let made = server.call("GET", "/services/s", &Value::Null);
    let tag = made.header("etag").unwrap();
    let path = "/services/s/versions";
    server.call_if_match("POST", path, "wrong", &json!({})).is_error(412, "PreconditionFailed");
    assert_eq!(server.call_if_match("POST", path, tag, &json!({})).json()["versionId"], "1");
    server.call("POST", path, &json!({})).is_error(409, "VersionPublishError");
    // No body at all is as good as an empty one.
    assert_eq!(server.call("PUT", "/services/s", &json!({"description": "new"})).status, 200);
    assert_eq!(server.call("POST", path, &Value::Null).json()["versionId"], "2");
    for body in [json!({"description": 7}), json!({"description": "x".repeat(300)})] {
        server.call("POST", path, &body).is_error(400, "InvalidArgument");
    }
    server.call("POST", "/services/none/versions", &json!({})).is_error(404, "ServiceNotFound");
    server.call("POST", "/services/s.1/versions", &json!({})).is_error(400, "InvalidArgument");
    for id in ["9", "0", "01", "-1", "abc", "99999999999999999999", "%ff%00"] {
        let reply = server.call("DELETE", &format!("/services/s/versions/{id}"), &Value::Null);
        assert!((400..500).contains(&reply.status), "{id}: {}", reply.text());
    }
}

#[test]
fn numbers_go_on_and_a_service_with_versions_stays() {
    let mut server = Server::start();
    server.service("s");
    for (number, role) in [("1", "a"), ("2", "b"), ("3", "c")] {
        assert_eq!(server.call("PUT", "/services/s", &json!({"role": role})).status, 200);
        assert_eq!(server.publish(), number);
    }
    let list = |server: &Server, query: &str| {
        let page = server.call("GET", &format!("/services/s/versions{query}"), &Value::Null).json();
        let ids = page["versions"].as_array().unwrap().iter();
        let ids: Vec<_> =
            ids.map(|version| version["versionId"].as_str().unwrap().to_owned()).collect();
        (ids, page["nextToken"].as_str().map(str::to_owned), page["direction"].clone())
    };
    assert_eq!(
        list(&server, ""),
        (vec!["3".into(), "2".into(), "1".into()], None, json!("BACKWARD"))
    );
    let first = list(&server, "?limit=2&direction=FORWARD");
    assert_eq!(first, (vec!["1".into(), "2".into()], Some("3".into()), json!("FORWARD")));
    let rest = list(&server, "?limit=2&direction=FORWARD&nextToken=3");
    assert_eq!(rest, (vec!["3".into()], None, json!("FORWARD")));
    assert_eq!(list(&server, "?startKey=2").0, ["2", "1"]);
    for query in ["?limit=0", "?limit=101", "?limit=x", "?startKey=x", "?direction=UP"] {
        let bad = server.call("GET", &format!("/services/s/versions{query}"), &Value::Null);
        bad.is_error(400, "InvalidArgument");
    }
    assert_eq!(server.call("DELETE", "/services/s/versions/3", &Value::Null).status, 204);
    server.call("DELETE", "/services/s/versions/3", &Value::Null).is_error(404, "VersionNotFound");
    server.restart();
    assert_eq!(server.call("PUT", "/services/s", &json!({"role": "d"})).status, 200);
    assert_eq!(server.publish(), "4", "a number is never given again");
    server.call("DELETE", "/services/s", &Value::Null).is_error(409, "ServiceNotEmpty");
    for id in ["1", "2", "4"] {
        let gone = server.call("DELETE", &format!("/services/s/versions/{id}"), &Value::Null);
        assert_eq!(gone.status, 204);
    }
    assert_eq!(server.call("DELETE", "/services/s", &Value::Null).status, 204);
    server.service("s");
    assert_eq!(server.publish(), "1", "another service of the same name begins anew");
}

#[test]
fn a_version_can_be_called_later_as_well() {
    let server = Server::start();
    server.deploy("wat-log");
    server.publish();
    assert_eq!(server.call("DELETE", "/services/s/functions/wat-log", &Value::Null).status, 204);
    let path =
        |version: &str| format!("/2016-08-15/services/s.{version}/functions/wat-log/invocations");
    let later = [("x-fc-invocation-type", "Async")];
    server.send("POST", &path("2"), &later, b"x").is_error(404, "VersionNotFound");
    let accepted = server.send("POST", &path("1"), &later, b"x");
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    server.all_succeed(&[accepted.header("x-fc-request-id").unwrap().to_owned()]);
}

#[test]
fn each_version_has_a_pool_that_can_be_watched() {
    let server = Server::start();
    server.deploy("wat-echo");
    server.publish();
    for qualifier in ["LATEST", "1"] {
        assert_eq!(server.invoke_at(qualifier, "wat-echo").status, 200);
    }
    let metrics = server.admin("/metrics").text();
    for name in ["s/wat-echo", "s.1/wat-echo"] {
        let line = format!("hearth_pool{{function=\"{name}\",state=\"idle\"}} 1");
        assert!(metrics.lines().any(|found| found == line), "no `{line}` in {metrics}");
    }
}
