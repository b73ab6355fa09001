//! Aliases over the wire: names for versions, with a share of the calls for another one.

use hearth_tests::{Server, answering};
use serde_json::{Value, json};

/// A server whose function answers `one` in version 1, `two` in version 2 and `three` in its newest code.
fn with_versions() -> Server {
    let server = Server::start();
    server.deploy_answering("f", "one");
    server.publish();
    for text in ["two", "three"] {
        assert_eq!(server.replace("f", &answering(text)).status, 200);
        if text == "two" {
            server.publish();
        }
    }
    server
}

fn create(server: &Server, body: &Value) -> hearth_tests::Reply {
    server.call("POST", "/services/s/aliases", body)
}

#[test]
fn an_alias_lives() {
    let mut server = with_versions();
    let made = create(&server, &json!({"aliasName": "prod", "versionId": "1", "description": "d"}));
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!(made.json()["versionId"], "1");
    assert_eq!(made.json()["additionalVersionWeight"], json!({}));
    let tag = made.header("etag").unwrap().to_owned();
    create(&server, &json!({"aliasName": "prod", "versionId": "1"}))
        .is_error(409, "AliasAlreadyExists");
    let called = server.invoke_at("prod", "f");
    assert_eq!(
        (called.text().as_str(), called.header("x-fc-invocation-service-version")),
        ("one", Some("1"))
    );
    let path = "/services/s/aliases/prod";
    let moved = json!({"versionId": "2"});
    let changed = server.call_if_match("PUT", path, &tag, &moved);
    assert_eq!(
        (changed.status, &changed.json()["description"]),
        (200, &json!("d")),
        "{}",
        changed.text()
    );
    server.call_if_match("PUT", path, &tag, &moved).is_error(412, "PreconditionFailed");
    server.call_if_match("DELETE", path, &tag, &Value::Null).is_error(412, "PreconditionFailed");
    server.restart();
    assert_eq!(server.invoke_at("prod", "f").text(), "two");
    let found = server.call("GET", path, &Value::Null);
    assert_eq!(found.header("etag"), changed.header("etag"));
    let known = [("if-none-match", found.header("etag").unwrap())];
    let unchanged = server.send("GET", &format!("/2016-08-15{path}"), &known, b"");
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    server.call("DELETE", "/services/s", &Value::Null).is_error(409, "ServiceNotEmpty");
    assert_eq!(server.call("DELETE", path, &Value::Null).status, 204);
    server.call("DELETE", path, &Value::Null).is_error(404, "AliasNotFound");
    server.invoke_at("prod", "f").is_error(404, "AliasNotFound");
}

#[test]
fn an_alias_is_a_qualifier_everywhere() {
    let server = with_versions();
    let body =
        json!({"aliasName": "prod", "versionId": "1", "additionalVersionWeight": {"2": 1.0}});
    assert_eq!(create(&server, &body).status, 200);
    let then = server.call("GET", "/services/s.1/functions/f", &Value::Null).json();
    let shown = server.call("GET", "/services/s.prod/functions/f", &Value::Null).json();
    assert_eq!(shown, then, "what is looked at is the main version");
    assert_eq!(server.call("GET", "/services/s.prod", &Value::Null).json()["description"], "d");
    let listed = server.call("GET", "/services/s.prod/functions", &Value::Null).json();
    assert_eq!(listed["functions"][0], then);
    assert!(
        server.call("GET", "/services/s.prod/functions/f/code", &Value::Null).json()["url"]
            .is_string()
    );
    let asynchronous = [("x-fc-invocation-type", "Async")];
    let path = "/2016-08-15/services/s.prod/functions/f/invocations";
    assert_eq!(server.send("POST", path, &asynchronous, b"x").status, 202);
    for what in ["", "/functions", "/functions/f", "/functions/f/code"] {
        let missing = server.call("GET", &format!("/services/s.none{what}"), &Value::Null);
        missing.is_error(404, "AliasNotFound");
        server
            .call("GET", &format!("/services/s.a%20b{what}"), &Value::Null)
            .is_error(400, "InvalidArgument");
    }
    server.call("PUT", "/services/s.prod", &json!({"role": "r"})).is_error(400, "InvalidArgument");
}

#[test]
fn calls_are_split_by_weight() {
    let server = with_versions();
    let body =
        json!({"aliasName": "split", "versionId": "1", "additionalVersionWeight": {"2": 0.3}});
    assert_eq!(create(&server, &body).status, 200);
    let calls = 600;
    let second = (0..calls).filter(|_| server.invoke_at("split", "f").text() == "two").count();
    // Six standard deviations from the expected 180.
    assert!((112..=248).contains(&second), "{second} of {calls}");
    for (weight, answer) in [(0.0, "one"), (1.0, "two")] {
        let body = json!({"additionalVersionWeight": {"2": weight}});
        assert_eq!(server.call("PUT", "/services/s/aliases/split", &body).status, 200);
        assert!((0..20).all(|_| server.invoke_at("split", "f").text() == answer), "{weight}");
    }
    let cleared =
        server.call("PUT", "/services/s/aliases/split", &json!({"additionalVersionWeight": {}}));
    assert_eq!(cleared.json()["additionalVersionWeight"], json!({}));
    assert_eq!(server.invoke_at("split", "f").text(), "one");
}

#[test]
fn bad_aliases_are_refused() {
    let server = with_versions();
    for (body, status, code) in [
        (json!({"versionId": "1"}), 400, "InvalidArgument"),
        (json!({"aliasName": "LATEST", "versionId": "1"}), 400, "InvalidArgument"),
        (json!({"aliasName": "1a", "versionId": "1"}), 400, "InvalidArgument"),
        (json!({"aliasName": "x".repeat(129), "versionId": "1"}), 400, "InvalidArgument"),
        (json!({"aliasName": "a"}), 400, "InvalidArgument"),
        (json!({"aliasName": "a", "versionId": 1}), 400, "InvalidArgument"),
        (json!({"aliasName": "a", "versionId": "9"}), 404, "VersionNotFound"),
        (json!({"aliasName": "a", "versionId": "LATEST"}), 404, "VersionNotFound"),
        (
            json!({"aliasName": "a", "versionId": "1", "additionalVersionWeight": {"9": 0.1}}),
            404,
            "VersionNotFound",
        ),
        (
            json!({"aliasName": "a", "versionId": "1", "additionalVersionWeight": {"2": 1.1}}),
            400,
            "InvalidArgument",
        ),
        (
            json!({"aliasName": "a", "versionId": "1", "additionalVersionWeight": {"2": "much"}}),
            400,
            "InvalidArgument",
        ),
        (
            json!({"aliasName": "a", "versionId": "1", "additionalVersionWeight": {"1": 0.1, "2": 0.1}}),
            400,
            "InvalidArgument",
        ),
        (
            json!({"aliasName": "a", "versionId": "1", "resolvePolicy": "x".repeat(70_000)}),
            400,
            "InvalidArgument",
        ),
    ] {
        let refused = create(&server, &body);
        assert_eq!(
            (refused.status, refused.error_code().as_str()),
            (status, code),
            "{body}: {}",
            refused.text()
        );
    }
    server
        .call("POST", "/services/none/aliases", &json!({"aliasName": "a", "versionId": "1"}))
        .is_error(404, "ServiceNotFound");
    server.call("GET", "/services/s/aliases/none", &Value::Null).is_error(404, "AliasNotFound");
    assert_eq!(
        server.call("GET", "/services/s/aliases", &Value::Null).json()["aliases"],
        json!([])
    );
}

#[test]
fn an_alias_of_a_deleted_version_leads_nowhere() {
    let server = with_versions();
    for name in ["a", "b", "c"] {
        assert_eq!(create(&server, &json!({"aliasName": name, "versionId": "1"})).status, 200);
    }
    let page = server.call("GET", "/services/s/aliases?limit=2", &Value::Null).json();
    assert_eq!((page["aliases"].as_array().unwrap().len(), &page["nextToken"]), (2, &json!("c")));
    // As the official service has it: versions may go before the aliases that point to them.
    assert_eq!(server.call("DELETE", "/services/s/versions/1", &Value::Null).status, 204);
    server.invoke_at("a", "f").is_error(404, "VersionNotFound");
    let body = json!({"versionId": "2"});
    assert_eq!(server.call("PUT", "/services/s/aliases/a", &body).status, 200);
    assert_eq!(server.invoke_at("a", "f").text(), "two");
}
