//! Tags of services over the wire: put on, looked at, found by, taken off.

use hearth_tests::Server;
use serde_json::{Value, json};

fn names(server: &Server, query: &str) -> Vec<String> {
    let page = server.call("GET", &format!("/services{query}"), &Value::Null).json();
    let services = page["services"].as_array().unwrap().iter();
    services.map(|service| service["serviceName"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn services_are_found_by_their_tags() {
    let mut server = Server::start();
    for name in ["a", "b", "c"] {
        server.service(name);
    }
    let before = server.call("GET", "/services/a", &Value::Null);
    for (name, tags) in [("a", json!({"team": "x", "stage": "p q"})), ("b", json!({"team": "y"}))] {
        let body =
            json!({"resourceArn": format!("acs:fc:anywhere:1234:services/{name}"), "tags": tags});
        let tagged = server.call("POST", "/tag", &body);
        assert_eq!((tagged.status, tagged.json().is_object()), (200, true), "{}", tagged.text());
    }
    server.restart();
    let shown = server.call("GET", "/tag?resourceArn=services/a", &Value::Null).json();
    assert_eq!(shown["tags"], json!({"team": "x", "stage": "p q"}));
    assert!(shown["resourceArn"].as_str().unwrap().starts_with("acs:fc:"), "{shown}");
    let after = server.call("GET", "/services/a", &Value::Null);
    assert_eq!(before.header("etag"), after.header("etag"), "tags are beside the service");
    assert_eq!(names(&server, "?tag_team=x"), ["a"]);
    assert_eq!(names(&server, "?tag_team="), ["a", "b"]);
    assert_eq!(names(&server, "?tag_team=x&tag_stage=p+q"), ["a"]);
    assert_eq!(names(&server, "?tag_team=y&tag_stage="), Vec::<String>::new());
    let page = server.call("GET", "/services?tag_team=&limit=1", &Value::Null).json();
    assert_eq!(page["nextToken"], "b");
    server.call("DELETE", "/services/a", &Value::Null).is_error(409, "ServiceNotEmpty");
    let off = json!({"resourceArn": "services/a", "tagKeys": ["team", "unknown"]});
    assert_eq!(server.call("DELETE", "/tag", &off).json(), json!({}));
    assert_eq!(names(&server, "?tag_team="), ["b"]);
    let rest = json!({"resourceArn": "services/a", "tagKeys": [], "all": true});
    assert_eq!(server.call("DELETE", "/tag", &rest).status, 200);
    assert_eq!(server.call("DELETE", "/services/a", &Value::Null).status, 204);
}

#[test]
fn bad_tags_are_refused() {
    let server = Server::start();
    server.service("s");
    let many: serde_json::Map<_, _> = (0..21).map(|n| (n.to_string(), json!(""))).collect();
    for (tags, code) in [
        (json!({}), "InvalidArgument"),
        (Value::Null, "InvalidArgument"),
        (json!({"": "x"}), "InvalidArgument"),
        (json!({"k": 1}), "InvalidArgument"),
        (json!({"k": "x".repeat(257)}), "InvalidArgument"),
        (Value::Object(many), "LimitExceededError"),
    ] {
        let body = json!({"resourceArn": "services/s", "tags": tags});
        server.call("POST", "/tag", &body).is_error(400, code);
    }
    for arn in ["", "s", "services/s/functions/f", "acs:oss:r:a:services/s", "services/s.1"] {
        let body = json!({"resourceArn": arn, "tags": {"k": "v"}});
        server.call("POST", "/tag", &body).is_error(400, "InvalidArgument");
        server
            .call("GET", &format!("/tag?resourceArn={arn}"), &Value::Null)
            .is_error(400, "InvalidArgument");
    }
    let body = json!({"resourceArn": "services/none", "tags": {"k": "v"}});
    server.call("POST", "/tag", &body).is_error(404, "ServiceNotFound");
    let nothing = json!({"resourceArn": "services/s"});
    server.call("DELETE", "/tag", &nothing).is_error(400, "InvalidArgument");
}
