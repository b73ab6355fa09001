//! Fields that mean nothing to WebAssembly: kept, given back, and told of once; what would be a lie is refused.

use hearth_tests::{Server, guest, guest_path};
use serde_json::{Value, json};

use crate::http_trigger::trigger;

#[test]
fn what_has_no_effect_is_kept_and_told() {
    let mut server = Server::start();
    let vpc = json!({"vpcId": "v", "vSwitchIds": ["w"], "securityGroupId": "g"});
    let nas =
        json!({"userId": 1, "groupId": 2, "mountPoints": [{"serverAddr": "a", "mountDir": "/m"}]});
    let body = json!({"serviceName": "s", "vpcConfig": vpc, "nasConfig": nas});
    let made = server.call("POST", "/services", &body);
    assert_eq!(made.header("x-hearth-no-effect"), Some("nasConfig, vpcConfig"), "{}", made.text());
    let settings = json!({"caPort": 8080, "cpu": 0.5, "diskSize": 512, "instanceConcurrency": 5});
    let function = server.create("f", &guest("wat-echo"), settings);
    assert_eq!(function.header("x-hearth-no-effect"), Some("cpu, diskSize, instanceConcurrency"));
    assert!(server.log().contains("without effect on WebAssembly"));
    let quiet = server.call("PUT", "/services/s/functions/f", &json!({"timeout": 5}));
    assert_eq!(quiet.header("x-hearth-no-effect"), None, "told when it is set, not ever after");
    server.restart();
    let service = server.call("GET", "/services/s", &Value::Null).json();
    assert_eq!((&service["vpcConfig"], &service["nasConfig"]), (&vpc, &nas));
    let function = server.call("GET", "/services/s/functions/f", &Value::Null).json();
    assert_eq!(
        (&function["caPort"], &function["cpu"], &function["diskSize"]),
        (&json!(8080), &json!(0.5), &json!(512))
    );
}

#[test]
fn bindings_to_networks_are_kept() {
    let mut server = Server::start();
    server.service("s");
    let path = "/services/s/bindings";
    for network in ["vpc-b", "vpc-a", "vpc-a"] {
        let bound = server.call("POST", path, &json!({"vpcId": network}));
        assert_eq!(
            (bound.status, bound.header("x-hearth-no-effect")),
            (200, Some("vpcId")),
            "{}",
            bound.text()
        );
    }
    for body in [json!({}), json!({"vpcId": ""}), json!({"vpcId": "a/b"}), json!({"vpcId": 7})] {
        server.call("POST", path, &body).is_error(400, "InvalidArgument");
    }
    server.restart();
    assert_eq!(
        server.call("GET", path, &Value::Null).json(),
        json!({"vpcIds": ["vpc-a", "vpc-b"]})
    );
    server.call("DELETE", "/services/s", &Value::Null).is_error(409, "ServiceNotEmpty");
    for network in ["vpc-a", "vpc-b"] {
        assert_eq!(server.call("DELETE", &format!("{path}/{network}"), &Value::Null).status, 204);
    }
    server.call("DELETE", &format!("{path}/vpc-a"), &Value::Null).is_error(404, "BindingNotFound");
    assert_eq!(server.call("DELETE", "/services/s", &Value::Null).status, 204);
    server.call("GET", path, &Value::Null).is_error(404, "ServiceNotFound");
}

#[test]
fn a_container_image_is_no_code() {
    let server = Server::start();
    server.service("s");
    let image = json!({"image": "registry/a:1"});
    let alone = json!({"functionName": "f", "runtime": "custom-container", "handler": "h", "customContainerConfig": image});
    let refused = server.call("POST", "/services/s/functions", &alone);
    refused.is_error(400, "InvalidArgument");
    assert!(refused.text().contains("container images do not run here"), "{}", refused.text());
    server
        .create("f", &guest("wat-echo"), json!({"customContainerConfig": image}))
        .is_error(400, "InvalidArgument");
    server.deploy("wat-echo");
    let update = server.call(
        "PUT",
        "/services/s/functions/wat-echo",
        &json!({"customContainerConfig": image}),
    );
    update.is_error(400, "InvalidArgument");
}

#[test]
fn an_initializer_has_a_frame_of_its_own_in_the_log() {
    let server = Server::start();
    server.deploy_with("bad/returned-error", json!({"initializer": "initialize"}));
    let first = server.invoke("returned-error", "x").tail();
    let at = |what: &str| first.find(what).unwrap_or_else(|| panic!("no `{what}` in {first}"));
    assert!(
        at("FC Initialize Start") < at("initialize\n")
            && at("initialize\n") < at("FC Initialize End")
    );
    assert!(at("FC Initialize End") < at("FC Invoke Start"), "{first}");
    assert!(!server.invoke("returned-error", "x").tail().contains("FC Initialize"));
    let failing =
        json!({"initializer": "initialize", "environmentVariables": {"FAIL_IN": "initialize"}});
    assert_eq!(server.call("PUT", "/services/s/functions/returned-error", &failing).status, 200);
    let failed = server.invoke("returned-error", "x");
    assert!(failed.header("x-fc-error-type").is_some(), "{}", failed.text());
    assert!(
        failed.tail().contains("FC Initialize End") && !failed.tail().contains("FC Invoke"),
        "{}",
        failed.tail()
    );
}

#[test]
fn answers_do_not_repeat_all_they_were_told() {
    let server = Server::start();
    let long = "x".repeat(7000);
    let refused = server.call("GET", &format!("/services/{long}"), &Value::Null);
    refused.is_error(404, "ServiceNotFound");
    assert!(refused.body.len() < 1500, "{} bytes", refused.body.len());
}

#[test]
fn several_calls_at_once_are_for_guests_that_can() {
    let server = Server::start();
    server.service("s");
    let several = json!({"instanceConcurrency": 4});
    let can = server.create("can", &guest("rust-http-p3"), several.clone());
    assert_eq!((can.status, can.header("x-hearth-no-effect")), (200, None), "{}", can.text());
    assert_eq!(can.json()["instanceConcurrency"], 4);
    for name in ["rust-http", "rust-event"] {
        let cannot = server.create(name, &guest(name), several.clone());
        assert_eq!(cannot.header("x-hearth-no-effect"), Some("instanceConcurrency"), "{name}");
    }
    let answer = server.invoke("can", "hello");
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
}

#[test]
fn the_command_line_says_so_too() {
    let server = Server::start();
    let deploy = |guest: &str, concurrency: &str, format: &str| {
        let (path, name) = (guest_path(guest), format!("s/{guest}"));
        let what = ["deploy", path.to_str().unwrap(), "--name", &name];
        server.cli(&[&what[..], &["--concurrency", concurrency, "--format", format]].concat())
    };
    let reply = |ran: std::process::Output| -> Value {
        let told = String::from_utf8_lossy(&ran.stderr).into_owned();
        serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{told}"))
    };
    let can = reply(deploy("rust-http-p3", "4", "json"));
    assert_eq!((&can["function"]["concurrency"], can.get("without_effect")), (&json!(4), None));
    let cannot = reply(deploy("rust-http", "4", "json"));
    assert_eq!(cannot["without_effect"], json!(["concurrency"]));
    let told = deploy("rust-event", "2", "human");
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success() && said.contains("concurrency has no effect"), "{said}");
    let refused = deploy("rust-event", "0", "human");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("oncurrency"), "{said}");
}

#[test]
fn an_instance_that_can_serves_as_many_calls_at_once_as_it_is_told() {
    let server = Server::start();
    server.service("s");
    let made = server.create("f", &guest("rust-http-p3"), json!({"instanceConcurrency": 3}));
    assert_eq!(made.status, 200, "{}", made.text());
    let config = json!({"authType": "anonymous", "methods": ["GET"]});
    assert_eq!(trigger(&server, "f", &config).status, 200);
    let one = server.call(
        "PUT",
        "/services/s.LATEST/functions/f/on-demand-config",
        &json!({"maximumInstanceCount": 1}),
    );
    assert_eq!(one.status, 200, "{}", one.text());
    let wait = |id: &str| {
        server.send("GET", &format!("/2016-08-15/proxy/s/f/wait?ms=1500&id={id}"), &[], b"")
    };
    let answers: Vec<_> = std::thread::scope(|scope| {
        let calls = ["a", "b", "c", "d"].map(|id| scope.spawn(move || wait(id)));
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let (served, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((served.len(), refused.len()), (3, 1), "three seats, and four came");
    assert_eq!(refused[0].status, 429, "{}", refused[0].text());
    assert!(served.iter().any(|answer| answer.json()["most"] == 3), "in one instance");
}
