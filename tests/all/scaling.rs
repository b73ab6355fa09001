//! Instances bounded and kept ready over the wire, and the lists that show them.

use std::sync::atomic::{AtomicBool, Ordering};

use hearth_tests::{Server, eventually};
use serde_json::{Value, json};

/// A server with a function whose calls take two seconds, at `LATEST` and at an alias.
fn with_alias() -> Server {
    with_alias_of("bad/infinite-loop")
}

/// The same of another guest.
fn with_alias_of(guest: &str) -> Server {
    let server = Server::start();
    server.deploy_with(guest, json!({"timeout": 2}));
    server.publish();
    let alias = json!({"aliasName": "prod", "versionId": "1"});
    assert_eq!(server.call("POST", "/services/s/aliases", &alias).status, 200);
    server
}

#[test]
fn a_maximum_bounds_calls_at_its_qualifier() {
    let server = with_alias();
    let path = "/services/s.prod/functions/infinite-loop/on-demand-config";
    server.call("GET", path, &Value::Null).is_error(404, "OnDemandConfigNotFound");
    let set = server.call("PUT", path, &json!({"maximumInstanceCount": 1}));
    let shown =
        json!({"resource": "services/s.prod/functions/infinite-loop", "maximumInstanceCount": 1});
    assert_eq!((set.status, set.json()), (200, shown.clone()), "{}", set.text());
    std::thread::scope(|scope| {
        let first = scope.spawn(|| server.invoke_at("prod", "infinite-loop"));
        let instances = "/services/s.prod/functions/infinite-loop/instances";
        let count = |path: &str| {
            server.call("GET", path, &Value::Null).json()["instances"].as_array().unwrap().len()
        };
        eventually("its instance", || count(instances) == 1);
        server.invoke_at("prod", "infinite-loop").is_error(429, "ResourceExhausted");
        assert!(
            !first.is_finished(),
            "the first call ended too early for this test to say anything"
        );
        let first = first.join().unwrap();
        assert!(first.fault().contains("timed out"), "{}", first.text());
        eventually("its end", || count(instances) == 0);
    });
    let other = server.invoke_at("LATEST", "infinite-loop");
    assert!(other.header("x-fc-error-type").is_some(), "LATEST has no maximum: {}", other.text());
    let tag = set.header("etag").unwrap();
    server
        .call_if_match("PUT", path, "wrong", &json!({"maximumInstanceCount": 2}))
        .is_error(412, "PreconditionFailed");
    let changed = server.call_if_match("PUT", path, tag, &json!({"maximumInstanceCount": 2}));
    assert_eq!(changed.json()["maximumInstanceCount"], 2);
    let listed =
        server.call("GET", "/on-demand-configs?prefix=services/s.prod/functions/inf", &Value::Null);
    assert_eq!(listed.json()["configs"].as_array().map(Vec::len), Some(1), "{}", listed.text());
    assert_eq!(server.call("DELETE", path, &Value::Null).status, 204);
    server.call("DELETE", path, &Value::Null).is_error(404, "OnDemandConfigNotFound");
}

#[test]
fn provisioned_instances_are_reached_and_told() {
    let mut server = Server::start();
    server.deploy("wat-echo");
    let path = "/services/s.LATEST/functions/wat-echo/provision-config";
    let none = server.call("GET", path, &Value::Null).json();
    assert_eq!((&none["target"], &none["current"]), (&json!(0), &json!(0)));
    let action = json!({"name": "a", "target": 3, "scheduleExpression": "cron(0 0 4 * * *)"});
    let set = server.call("PUT", path, &json!({"target": 3, "scheduledActions": [action]}));
    assert_eq!(
        (set.status, &set.json()["resource"]),
        (200, &json!("0#s#LATEST#wat-echo")),
        "{}",
        set.text()
    );
    assert!(set.header("etag").is_some());
    assert_eq!(set.header("x-hearth-no-effect"), None);
    let reached = |server: &Server, wanted: u64| {
        eventually("the target", || {
            server.call("GET", path, &Value::Null).json()["current"].as_u64() == Some(wanted)
        });
    };
    reached(&server, 3);
    assert_eq!(server.invoke("wat-echo", "x").header("x-hearth-start"), Some("fresh"));
    let instances =
        server.call("GET", "/services/s/functions/wat-echo/instances", &Value::Null).json();
    let instances = instances["instances"].as_array().unwrap();
    assert!(instances.len() >= 3 && instances.iter().all(|one| one["versionId"] == "LATEST"));
    let id = instances[0]["instanceId"].as_str().unwrap();
    let one = format!("/services/s/functions/wat-echo/instances?instanceIds={id}");
    assert_eq!(server.call("GET", &one, &Value::Null).json()["instances"], json!([instances[0]]));
    // By a metric that there is not here: kept, and told.
    let policy = json!({"name": "p", "metricType": "CPUUtilization", "metricTarget": 0.6, "minCapacity": 1, "maxCapacity": 9});
    let policies = json!({"target": 3, "targetTrackingPolicies": [policy]});
    server.call("PUT", path, &policies).is_error(400, "InstanceMetricsRequired");
    let metrics =
        json!({"logConfig": {"project": "p", "logstore": "l", "enableInstanceMetrics": true}});
    assert_eq!(server.call("PUT", "/services/s", &metrics).status, 200);
    let tracked = server.call("PUT", path, &policies);
    assert_eq!(tracked.json()["targetTrackingPolicies"], json!([policy]), "{}", tracked.text());
    assert_eq!(tracked.header("x-hearth-no-effect"), Some("targetTrackingPolicies"));
    server.restart();
    reached(&server, 3);
    let kept = server.call("PUT", path, &json!({"target": 1, "scheduledActions": null})).json();
    assert_eq!(kept["scheduledActions"][0]["name"], "a", "absent leaves them");
    let cleared = server.call("PUT", path, &json!({"target": 1, "scheduledActions": []})).json();
    assert_eq!(cleared["scheduledActions"], json!([]));
    reached(&server, 1);
    let listed = server
        .call("GET", "/provision-configs?serviceName=s&qualifier=LATEST", &Value::Null)
        .json();
    assert_eq!(listed["provisionConfigs"].as_array().map(Vec::len), Some(1));
    let other = server.call("GET", "/provision-configs?serviceName=t", &Value::Null).json();
    assert_eq!(other, json!({"provisionConfigs": []}));
    assert_eq!(server.call("PUT", path, &json!({"target": 0})).json()["target"], 0);
    reached(&server, 0);
    assert_eq!(
        server.call("GET", "/provision-configs", &Value::Null).json(),
        json!({"provisionConfigs": []})
    );
}

#[test]
fn targets_follow_the_clock_and_use() {
    let mut server = with_alias_of("bad/sleeper");
    let path = "/services/s.prod/functions/sleeper/provision-config";
    let told = |server: &Server| {
        let config = server.call("GET", path, &Value::Null).json();
        (config["target"].as_u64().unwrap(), config["current"].as_u64().unwrap())
    };
    let action = json!({"name": "now", "startTime": "2020-01-01T00:00:00Z", "endTime": "2099-01-01T00:00:00Z", "target": 2,
        "scheduleExpression": "cron(* * * * * *)"});
    let set = server.call("PUT", path, &json!({"target": 0, "scheduledActions": [action]}));
    assert_eq!(set.json()["scheduledActions"], json!([action]), "{}", set.text());
    eventually("the action's target", || told(&server) == (2, 2));
    server.restart();
    eventually("the same after a start", || told(&server) == (2, 2));

    let metrics =
        json!({"logConfig": {"project": "p", "logstore": "l", "enableInstanceMetrics": true}});
    assert_eq!(server.call("PUT", "/services/s", &metrics).status, 200);
    let policy = json!({"name": "p", "metricType": "ProvisionedConcurrencyUtilization", "metricTarget": 0.5, "minCapacity": 1,
        "maxCapacity": 10});
    let body = json!({"target": 1, "scheduledActions": [], "targetTrackingPolicies": [policy]});
    let set = server.call("PUT", path, &body);
    assert_eq!((set.status, set.header("x-hearth-no-effect")), (200, None), "{}", set.text());
    assert_eq!(set.json()["target"], 1);
    let seen = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let server = &server;
            // Again and again: on a loaded machine the first three need not meet.
            scope.spawn(move || {
                for _ in 0..20 {
                    if !seen.load(Ordering::SeqCst) {
                        let _ = server.invoke_at("prod", "sleeper");
                    }
                }
            });
        }
        eventually("twice as many as are busy", || told(&server) == (6, 6));
        seen.store(true, Ordering::SeqCst);
    });
    for (field, value) in [
        ("scheduledActions", json!([{"name": "a", "target": 1, "scheduleExpression": "daily"}])),
        ("scheduledActions", json!([{"name": "a", "scheduleExpression": "cron(0 0 4 * * *)"}])),
        ("scheduledActions", json!([action, action])),
        ("targetTrackingPolicies", json!([{"name": "p"}])),
    ] {
        let refused = server.call("PUT", path, &json!({"target": 1, field: value}));
        refused.is_error(400, "InvalidArgument");
        assert!(refused.text().contains(field), "{}", refused.text());
    }
}

#[test]
fn bad_scaling_is_refused() {
    let server = with_alias();
    for (what, bodies) in [
        (
            "on-demand-config",
            [
                json!({}),
                json!({"maximumInstanceCount": 0}),
                json!({"maximumInstanceCount": "many"}),
                json!({"maximumInstanceCount": -1}),
            ],
        ),
        (
            "provision-config",
            [
                json!({}),
                json!({"target": 10_001}),
                json!({"target": 1.5}),
                json!({"target": 1, "scheduledActions": "x"}),
            ],
        ),
    ] {
        let at = |service: &str, function: &str| {
            format!("/services/{service}/functions/{function}/{what}")
        };
        for body in bodies {
            server
                .call("PUT", &at("s.prod", "infinite-loop"), &body)
                .is_error(400, "InvalidArgument");
        }
        let good = json!({"maximumInstanceCount": 1, "target": 1});
        server.call("PUT", &at("s.1", "infinite-loop"), &good).is_error(400, "InvalidArgument");
        server.call("PUT", &at("s.none", "infinite-loop"), &good).is_error(404, "AliasNotFound");
        server.call("PUT", &at("s", "none"), &good).is_error(404, "FunctionNotFound");
        server.call("GET", &at("none", "f"), &Value::Null).is_error(404, "ServiceNotFound");
    }
    server
        .call("GET", "/services/s/functions/none/instances", &Value::Null)
        .is_error(404, "FunctionNotFound");
    let many = "/services/s/functions/infinite-loop/instances?limit=1001";
    server.call("GET", many, &Value::Null).is_error(400, "InvalidArgument");
}

#[test]
fn what_an_account_has() {
    let server = Server::start();
    let settings = server.call("GET", "/account-settings", &Value::Null).json();
    assert!(settings["availableAZs"][0].is_string(), "{settings}");
    let reserved = server.call("GET", "/reservedCapacities", &Value::Null).json();
    assert_eq!(reserved, json!({"reservedCapacities": []}));
}
