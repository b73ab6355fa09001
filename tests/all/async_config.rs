//! How async invocations are run, set over the wire: records, bounds, and that they take effect.

use hearth_tests::{Server, eventually};
use serde_json::{Value, json};

const CONFIG: &str = "/services/s/functions/wat-echo/async-invoke-config";
const CONFIGS: &str = "/services/s/functions/wat-echo/async-invoke-configs";

#[test]
fn a_config_is_set_shown_listed_and_removed() {
    let mut server = Server::start();
    server.deploy("wat-echo");
    server.deploy_answering("told", "ok");
    server.call("GET", CONFIG, &Value::Null).is_error(404, "AsyncConfigNotExists");
    server.call("DELETE", CONFIG, &Value::Null).is_error(404, "AsyncConfigNotExists");
    let destination = json!({"destination": "acs:fc:cn-x:12:services/s/functions/told"});
    let body = json!({"destinationConfig": {"onSuccess": destination}, "maxAsyncRetryAttempts": 8});
    let set = server.call("PUT", CONFIG, &body);
    assert_eq!(set.status, 200, "{}", set.text());
    let shown = set.json();
    assert_eq!(shown["destinationConfig"]["onSuccess"], destination, "as it was named");
    assert_eq!(shown["maxAsyncRetryAttempts"], 8);
    assert_eq!(shown["maxAsyncEventAgeInSeconds"], Value::Null, "what is not set is null");
    assert_eq!(
        (&shown["service"], &shown["function"], &shown["qualifier"]),
        (&json!("s"), &json!("wat-echo"), &json!("LATEST"))
    );
    server.publish();
    let alias = json!({"aliasName": "prod", "versionId": "1"});
    assert_eq!(server.call("POST", "/services/s/aliases", &alias).status, 200);
    let at_alias = CONFIG.replace("/s/", "/s.prod/");
    assert_eq!(server.call("PUT", &at_alias, &json!({"maxAsyncRetryAttempts": 0})).status, 200);
    let all = server.call("GET", CONFIGS, &Value::Null).json();
    let qualifiers = |list: &Value| -> Vec<String> {
        let configs = list["configs"].as_array().unwrap();
        configs.iter().map(|one| one["qualifier"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (qualifiers(&all), &all["nextToken"]),
        (vec!["LATEST".into(), "prod".into()], &json!(""))
    );
    let first = server.call("GET", &format!("{CONFIGS}?limit=1"), &Value::Null).json();
    assert_eq!((qualifiers(&first), &first["nextToken"]), (vec!["LATEST".into()], &json!("prod")));
    let rest = server.call("GET", &format!("{CONFIGS}?limit=1&nextToken=prod"), &Value::Null);
    assert_eq!(qualifiers(&rest.json()), ["prod"]);
    server.restart();
    assert_eq!(server.call("GET", CONFIG, &Value::Null).json(), shown, "it is kept");
    assert_eq!(server.call("DELETE", "/services/s/aliases/prod", &Value::Null).status, 204);
    assert_eq!(qualifiers(&server.call("GET", CONFIGS, &Value::Null).json()), ["LATEST"]);
    assert_eq!(server.call("DELETE", CONFIG, &Value::Null).status, 204);
    server.call("GET", CONFIG, &Value::Null).is_error(404, "AsyncConfigNotExists");
}

#[test]
fn a_config_goes_with_its_function() {
    let server = Server::start();
    server.deploy("wat-echo");
    assert_eq!(server.call("PUT", CONFIG, &json!({"maxAsyncRetryAttempts": 1})).status, 200);
    assert_eq!(server.call("DELETE", "/services/s/functions/wat-echo", &Value::Null).status, 204);
    server.deploy("wat-echo");
    server.call("GET", CONFIG, &Value::Null).is_error(404, "AsyncConfigNotExists");
}

#[test]
fn bad_configs_are_refused() {
    let server = Server::start();
    server.deploy("wat-echo");
    let to = |name: &str| json!({"destinationConfig": {"onFailure": {"destination": name}}});
    for body in [
        json!({"maxAsyncRetryAttempts": 9}),
        json!({"maxAsyncRetryAttempts": -1}),
        json!({"maxAsyncRetryAttempts": "3"}),
        json!({"maxAsyncEventAgeInSeconds": 0}),
        json!({"maxAsyncEventAgeInSeconds": 604_801}),
        json!({"statefulInvocation": "yes"}),
        json!({"destinationConfig": []}),
        to("acs:eventbridge:r:1:eventbus/b"),
        to("acs:mns:r:1:/queues/q/messages"),
        to("acs:fc:r:1:services/s.prod/functions/wat-echo"),
        to("http://user@host/"),
        to("anything"),
        json!([]),
    ] {
        server.call("PUT", CONFIG, &body).is_error(400, "InvalidArgument");
    }
    let good = json!({"maxAsyncRetryAttempts": 1});
    let other = |path: &str| server.call("PUT", path, &good);
    other("/services/s/functions/none/async-invoke-config").is_error(404, "FunctionNotFound");
    other("/services/none/functions/f/async-invoke-config").is_error(404, "ServiceNotFound");
    other(&CONFIG.replace("/s/", "/s.none/")).is_error(404, "AliasNotFound");
    server.call("GET", CONFIG, &Value::Null).is_error(404, "AsyncConfigNotExists");
}

#[test]
fn retries_and_age_take_effect() {
    let server = Server::start();
    server.deploy("bad/trap");
    let path = "/services/s/functions/trap/async-invoke-config";
    let attempts = |body: Value| {
        assert_eq!(server.call("PUT", path, &body).status, 200);
        let id = server.invoke_async("trap", "x");
        eventually("its end", || server.record(&id).is_some());
        server.record(&id).unwrap()
    };
    assert_eq!(attempts(json!({"maxAsyncRetryAttempts": 0}))["attempt"], 1);
    assert_eq!(attempts(json!({"maxAsyncRetryAttempts": 1}))["attempt"], 2);
    let old = attempts(json!({"maxAsyncRetryAttempts": 8, "maxAsyncEventAgeInSeconds": 1}));
    assert_eq!(old["status"], "expired", "{old}");
}
