//! Triggers as records over the wire: all documented types are kept and given back as they came; a function with triggers stays.

use hearth_tests::{Reply, Server};
use serde_json::{Value, json};

const PATH: &str = "/services/s/functions/wat-echo/triggers";

fn create(server: &Server, name: &str, kind: &str, config: &Value, more: &Value) -> Reply {
    let mut body = json!({"triggerName": name, "triggerType": kind, "triggerConfig": config, "qualifier": null});
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more.clone());
    }
    server.call("POST", PATH, &body)
}

#[test]
fn every_documented_type_is_kept_and_given_back() {
    let mut server = Server::start();
    server.deploy("wat-echo");
    let configs = [
        ("timer", json!({"payload": "p", "cronExpression": "@every 5m", "enable": true})),
        (
            "oss",
            json!({"events": ["oss:ObjectCreated:*"], "filter": {"key": {"prefix": "a/", "Suffix": ".b"}}}),
        ),
        (
            "log",
            json!({"sourceConfig": {"logstore": "l"}, "jobConfig": {"maxRetryTime": 1}, "functionParameter": {"Code": "x"}}),
        ),
        ("mns_topic", json!({"filterTag": "t", "notifyContentFormat": "JSON"})),
        (
            "cdn_events",
            json!({"eventName": "e", "eventVersion": "1.0.0", "filter": {"domain": ["a"]}}),
        ),
        ("tablestore", json!({})),
        ("rds", json!({"subscriptionObjects": ["db.t"], "retry": 3})),
        (
            "eventbridge",
            json!({"triggerEnable": true, "eventSourceConfig": {"eventSourceType": "Default"}}),
        ),
    ];
    for (kind, config) in &configs {
        let more = json!({"sourceArn": "acs:x", "invocationRole": "r", "description": "d"});
        let made = create(&server, &format!("t_{kind}"), kind, config, &more);
        assert_eq!(made.status, 200, "{kind}: {}", made.text());
        assert!(made.header("etag").is_some());
    }
    server.restart();
    for (kind, config) in &configs {
        let found = server.call("GET", &format!("{PATH}/t_{kind}"), &Value::Null).json();
        assert_eq!((&found["triggerType"], &found["triggerConfig"]), (&json!(kind), config));
        assert_eq!((&found["sourceArn"], &found["invocationRole"]), (&json!("acs:x"), &json!("r")));
        for key in ["triggerId", "createdTime", "lastModifiedTime", "qualifier"] {
            assert!(found.get(key).is_some(), "{key} is missing: {found}");
        }
    }
    let page = server.call("GET", &format!("{PATH}?limit=3&prefix=t_"), &Value::Null).json();
    let names = |page: &Value| -> Vec<String> {
        let triggers = page["triggers"].as_array().unwrap().iter();
        triggers.map(|trigger| trigger["triggerName"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&page), ["t_cdn_events", "t_eventbridge", "t_log"]);
    assert_eq!(page["nextToken"], "t_mns_topic");
    let rest = server.call("GET", &format!("{PATH}?nextToken=t_rds"), &Value::Null).json();
    assert_eq!((names(&rest).len(), rest.get("nextToken")), (3, None));
}

#[test]
fn a_trigger_lives() {
    let server = Server::start();
    server.deploy("wat-echo");
    let made = create(
        &server,
        "web",
        "HTTP",
        &json!({"authType": "anonymous", "methods": ["GET"]}),
        &json!({"sourceArn": "x"}),
    );
    assert_eq!(made.json()["sourceArn"], Value::Null, "{}", made.text());
    assert_eq!(made.json()["triggerType"], "http", "types are lower case");
    create(&server, "web", "http", &web(), &json!({})).is_error(409, "TriggerAlreadyExists");
    let tag = made.header("etag").unwrap();
    let path = format!("{PATH}/web");
    let change = json!({"triggerConfig": {"methods": ["POST"]}, "description": "new"});
    let changed = server.call_if_match("PUT", &path, tag, &change);
    assert_eq!(
        (changed.status, &changed.json()["triggerConfig"]),
        (200, &json!({"methods": ["POST"]}))
    );
    server.call_if_match("PUT", &path, tag, &change).is_error(412, "PreconditionFailed");
    server.call_if_match("DELETE", &path, tag, &Value::Null).is_error(412, "PreconditionFailed");
    let function = "/services/s/functions/wat-echo";
    server.call("DELETE", function, &Value::Null).is_error(409, "FunctionNotEmpty");
    assert_eq!(server.call("DELETE", &path, &Value::Null).status, 204);
    server.call("DELETE", &path, &Value::Null).is_error(404, "TriggerNotFound");
    server.call("GET", &path, &Value::Null).is_error(404, "TriggerNotFound");
    server.call("PUT", &path, &change).is_error(404, "TriggerNotFound");
    assert_eq!(server.call("DELETE", function, &Value::Null).status, 204);
    server.call("GET", &path, &Value::Null).is_error(404, "FunctionNotFound");
}

#[test]
fn an_http_trigger_is_alone_on_its_version() {
    let server = Server::start();
    server.deploy("wat-echo");
    server.publish();
    let timer = every();
    assert_eq!(create(&server, "t1", "timer", &timer, &json!({})).status, 200);
    assert_eq!(create(&server, "t2", "timer", &timer, &json!({})).status, 200);
    create(&server, "web", "http", &web(), &json!({})).is_error(400, "InvalidArgument");
    create(&server, "web", "http", &web(), &json!({"qualifier": "LATEST"}))
        .is_error(400, "InvalidArgument");
    assert_eq!(create(&server, "web", "http", &web(), &json!({"qualifier": "1"})).status, 200);
    create(&server, "t3", "timer", &timer, &json!({"qualifier": "1"}))
        .is_error(400, "InvalidArgument");
    // Nor does a change lead there.
    let moved = server.call("PUT", &format!("{PATH}/t1"), &json!({"qualifier": "1"}));
    moved.is_error(400, "InvalidArgument");
    create(&server, "t4", "timer", &every(), &json!({"qualifier": "2"}))
        .is_error(404, "VersionNotFound");
    create(&server, "t4", "timer", &every(), &json!({"qualifier": "prod"}))
        .is_error(404, "AliasNotFound");
}

#[test]
fn bad_triggers_are_refused() {
    let server = Server::start();
    server.deploy("wat-echo");
    let long = "x".repeat(129);
    for name in ["", "1a", "a/b", "a.b", long.as_str()] {
        create(&server, name, "timer", &every(), &json!({})).is_error(400, "InvalidArgument");
    }
    for (kind, config) in [
        ("carrier-pigeon", json!({})),
        ("", json!({})),
        ("timer", json!("{}")),
        ("timer", json!([])),
        ("timer", Value::Null),
        ("timer", json!({"cronExpression": "@every 5m", "payload": "x".repeat(70_000)})),
    ] {
        create(&server, "t", kind, &config, &json!({})).is_error(400, "InvalidArgument");
    }
    for more in [
        json!({"description": "x".repeat(257)}),
        json!({"invocationRole": 7}),
        json!({"qualifier": "a/b"}),
    ] {
        create(&server, "t", "timer", &every(), &more).is_error(400, "InvalidArgument");
    }
    let body = json!({"triggerName": "t", "triggerType": "timer", "triggerConfig": every()});
    server
        .call("POST", "/services/s/functions/none/triggers", &body)
        .is_error(404, "FunctionNotFound");
    server
        .call("POST", "/services/none/functions/f/triggers", &body)
        .is_error(404, "ServiceNotFound");
    for number in 0..50 {
        assert_eq!(
            create(&server, &format!("t{number}"), "timer", &every(), &json!({})).status,
            200
        );
    }
    create(&server, "one-more", "timer", &every(), &json!({})).is_error(400, "LimitExceededError");
}

/// What a timer needs.
fn every() -> Value {
    json!({"cronExpression": "@every 1m"})
}

/// What an HTTP trigger needs.
fn web() -> Value {
    json!({"authType": "anonymous", "methods": ["GET", "POST"]})
}

#[test]
fn a_time_that_never_comes_is_refused_when_it_is_said() {
    let server = Server::start();
    server.deploy("wat-echo");
    let cron = |text: &str| json!({ "cronExpression": text });
    let bad = [
        ("timer", json!({})),
        ("timer", json!({"cronExpression": 7})),
        ("timer", json!({"cronExpression": null})),
        ("timer", json!({"cronExpression": "@every 5m", "enable": "yes"})),
        ("timer", json!({"cronExpression": "@every 5m", "enable": 1})),
        ("timer", json!({"cronExpression": "@every 5m", "payload": {}})),
        ("timer", cron("")),
        ("timer", cron("now and then")),
        ("timer", cron("@every 59s")),
        ("timer", cron("61 * * * * *")),
        ("timer", cron("* * * * *")),
        ("timer", cron("0 0 0 30 2 *")),
        ("timer", cron("CRON_TZ=Mars/Olympus 0 0 4 * * *")),
        ("timer", cron(&"0,".repeat(30_000))),
        ("http", json!({})),
        ("http", json!({"methods": ["GET"], "authType": "trust"})),
        ("http", json!({"methods": ["GET", "FETCH"]})),
        ("http", json!({"methods": [7]})),
        ("http", json!({"methods": []})),
        ("http", json!({"methods": "GET"})),
    ];
    for (kind, config) in &bad {
        let refused = create(&server, "t", kind, config, &json!({}));
        refused.is_error(400, "InvalidArgument");
        assert!(refused.text().contains("triggerConfig"), "{}", refused.text());
        assert!(refused.body.len() < 1500, "{} bytes", refused.body.len());
    }
    let kept = json!({"cronExpression": "CRON_TZ=Asia/Shanghai 0 0 4 * * MON-FRI", "enable": false, "payload": "p"});
    assert_eq!(create(&server, "t", "timer", &kept, &json!({})).status, 200);
    for (_, config) in bad.iter().filter(|(kind, _)| *kind == "timer") {
        let change = json!({ "triggerConfig": config });
        server.call("PUT", &format!("{PATH}/t"), &change).is_error(400, "InvalidArgument");
    }
    let found = server.call("GET", &format!("{PATH}/t"), &Value::Null).json();
    assert_eq!(found["triggerConfig"], kept);
}
