//! Triggers of type `apig`: a request becomes the documented event of an event function, and its answer the response.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hearth_tests::{Reply, Server, Start, eventually, guarded, guest_path, raw};
use serde_json::{Value, json};

use crate::custom_domains::{domain, get_at};
use crate::http_trigger::is_refused;

/// Makes a trigger of a function of service `s`.
fn trigger(server: &Server, function: &str, name: &str, config: &Value) -> Reply {
    let body = json!({"triggerName": name, "triggerType": "apig", "triggerConfig": config});
    server.call("POST", &format!("/services/s/functions/{function}/triggers"), &body)
}

/// Makes function `s/NAME`, which answers with this text.
fn say(server: &Server, name: &str, text: &str) {
    let data: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let code = wat::parse_str(format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 0) "{data}")
            (func (export "alloc") (param i32) (result i32) i32.const 4096)
            (func (export "handle") (param i32 i32) (result i64) i64.const {}))"#,
        text.len()
    ));
    let made = server.create(name, &code.unwrap(), json!({}));
    assert_eq!(made.status, 200, "{}", made.text());
}

/// A server with function `s/rust-apig` and its triggers.
fn serving(triggers: &[Value]) -> Server {
    let server = Server::start();
    server.deploy("rust-apig");
    for (number, config) in triggers.iter().enumerate() {
        let made = trigger(&server, "rust-apig", &format!("t{number}"), config);
        assert_eq!(made.status, 200, "{}", made.text());
    }
    server
}

fn get(server: &Server, path: &str) -> Reply {
    server.send("GET", &format!("/apig/s/rust-apig{path}"), &[], b"")
}

#[test]
fn a_request_is_the_documented_event() {
    let server = serving(&[json!({"path": "/api/{proxy+}", "env_name": "test"})]);
    let answer = raw(
        server.address(),
        b"PUT /apig/s/rust-apig/api/v%201/event?name=me&b=1&b=2&plus=a+b%2B&flag HTTP/1.1\r\nHost: gateway.example\r\n\
          User-Agent: test/1\r\nX-Twice: one\r\nX-Twice: two\r\nCookie: a=1\r\nCookie: b=2\r\nX-Fc-Request-Id: forged\r\n\
          X-Hearth-Depth: 3\r\nX-Forwarded-For: 6.6.6.6\r\nX-Private: 1\r\nConnection: close, X-Private\r\nContent-Length: 15\r\n\r\n{\"test\":\"body\"}",
    );
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(head.contains("content-type: application/json"), "{head}");
    let event: Value = serde_json::from_str(body).unwrap();
    let listed =
        server.call("GET", "/services/s/functions/rust-apig/triggers", &Value::Null).json();
    let id = |line: &str| line.strip_prefix("x-fc-request-id: ").map(str::to_owned);
    let request_id = head.lines().find_map(id).unwrap();
    let expected = json!({
        "httpMethod": "PUT",
        "path": "/api/v%201/event",
        "pathParameters": {"proxy": "v 1/event"},
        "queryStringParameters": {"name": "me", "b": "1,2", "plus": "a b+", "flag": ""},
        "headers": {
            "host": "gateway.example", "user-agent": "test/1", "x-twice": "one,two", "cookie": "a=1; b=2",
            "content-length": "15", "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http",
        },
        "body": STANDARD.encode(r#"{"test":"body"}"#),
        "isBase64Encoded": true,
        "requestContext": {
            "apiId": listed["triggers"][0]["triggerId"], "requestId": request_id, "stage": "test",
        },
    });
    assert_eq!(event, expected);
}

#[test]
fn an_answer_is_the_response_text_and_bytes() {
    let server =
        serving(&[json!({"path": "/hello/{name}"}), json!({"path": "/", "match_mode": "SWA"})]);
    let greeted = get(&server, "/hello/ada%20l?greeting=hi");
    assert_eq!((greeted.status, greeted.text().as_str()), (200, "hi ada l"));
    assert_eq!(greeted.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(greeted.header("x-fc-invocation-duration").is_some());
    let nobody = get(&server, "/elsewhere");
    assert_eq!((nobody.status, nobody.text().as_str()), (404, "nobody to greet"));
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let image = [("content-type", "image/png")];
    let echoed = server.send("POST", "/apig/s/rust-apig/image", &image, &bytes);
    assert_eq!(echoed.header("content-type"), Some("image/png"));
    assert_eq!((echoed.status, &echoed.body[..]), (200, &bytes[..]));
    let head = server.send("HEAD", "/apig/s/rust-apig/hello/ada", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn the_narrowest_trigger_for_path_and_method_takes_a_request() {
    let server = serving(&[
        json!({"path": "/", "match_mode": "SWA", "env_name": "all"}),
        json!({"path": "/users/{id}/event", "env_name": "one"}),
        json!({"path": "/users/me/event", "req_method": "GET", "env_name": "me"}),
        json!({"path": "/only", "req_method": "POST", "match_mode": "SWA", "env_name": "only"}),
    ]);
    let stage = |path: &str| get(&server, path).json()["requestContext"]["stage"].clone();
    assert_eq!(stage("/users/me/event"), "me");
    assert_eq!(stage("/users/%6de/event"), "me");
    assert_eq!(stage("/users/7/event"), "one");
    assert_eq!(stage("/users/7/8/event"), "all");
    assert_eq!(stage("/event"), "all");
    assert_eq!(stage("/only/event"), "all", "a narrower one that takes no GET is not meant");
    let posted = server.send("DELETE", "/apig/s/rust-apig/users/me/event", &[], b"").json();
    assert_eq!(posted["requestContext"]["stage"], "one");
}

#[test]
fn what_leads_nowhere_is_told_apart() {
    let server = serving(&[json!({"path": "/a", "req_method": "GET"})]);
    server.deploy("rust-event");
    is_refused(&get(&server, "/b"), 404, "ApiNotFound");
    is_refused(&get(&server, ""), 404, "ApiNotFound");
    is_refused(&server.send("POST", "/apig/s/rust-apig/a", &[], b"x"), 405, "MethodNotAllowed");
    is_refused(&server.send("BREW", "/apig/s/rust-apig/a", &[], b""), 405, "MethodNotAllowed");
    let at = |path: &str| server.send("GET", path, &[], b"");
    is_refused(&at("/apig/none/f/a"), 404, "ServiceNotFound");
    is_refused(&at("/apig/s/none/a"), 404, "FunctionNotFound");
    is_refused(&at("/apig/s.9/rust-apig/a"), 404, "VersionNotFound");
    is_refused(&at("/apig/s/rust-event/a"), 404, "TriggerNotFound");
    is_refused(&at("/apig/s"), 400, "PathNotSupported");
    // By the way of HTTP functions there is nothing.
    is_refused(&at("/2016-08-15/proxy/s/rust-apig/a"), 404, "TriggerNotFound");
}

#[test]
fn a_malformed_answer_is_a_502_whose_reason_is_in_the_log_alone() {
    let server = Server::start();
    for (number, (answer, why)) in [
        (json!("hello"), "cannot be read"),
        (json!(""), "is empty"),
        (json!({"body": "secret"}), "no `statusCode`"),
        (json!({"statusCode": 42, "body": "secret"}), "`statusCode` 42"),
        (json!({"statusCode": 200, "body": "secret!", "isBase64Encoded": true}), "Base64"),
        (json!({"statusCode": 200, "headers": {"a b": "secret"}}), "`a b` is no name"),
    ]
    .iter()
    .enumerate()
    {
        let name = format!("f{number}");
        say(&server, &name, &answer.to_string());
        assert_eq!(trigger(&server, &name, "t", &json!({"path": "/"})).status, 200);
        let reply = server.send("GET", &format!("/apig/s/{name}/"), &[], b"");
        reply.is_error(502, "FunctionError");
        assert_eq!(reply.header("x-fc-error-type"), Some("UnhandledInvocationError"));
        let told = reply.text();
        assert!(!told.contains("secret") && !told.contains(why), "{told}");
        let id = reply.header("x-fc-request-id").unwrap();
        let log = || {
            let shown = server.cli(&["logs", &format!("s/{name}"), "--format", "json"]);
            String::from_utf8_lossy(&shown.stdout).into_owned()
        };
        eventually("the reason is in the function's log", || {
            let log = log();
            log.contains(why) && log.contains(id)
        });
    }
}

#[test]
fn a_function_that_fails_is_told_from_one_that_is_late() {
    let server = Server::start();
    server.deploy("bad/trap");
    server.deploy_with("bad/infinite-loop", json!({"timeout": 30}));
    assert_eq!(trigger(&server, "trap", "t", &json!({"path": "/"})).status, 200);
    let late = json!({"path": "/", "func_info": {"timeout": 300}});
    assert_eq!(trigger(&server, "infinite-loop", "t", &late).status, 200);
    let failed = server.send("GET", "/apig/s/trap/", &[], b"");
    failed.is_error(502, "FunctionError");
    assert!(!failed.text().contains("unreachable"), "{}", failed.text());
    let start = Instant::now();
    server.send("GET", "/apig/s/infinite-loop/", &[], b"").is_error(504, "FunctionError");
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(20), "{took:?}");
    assert_eq!(server.metric("faas_errors_total"), 2.0);
    assert_eq!(server.metric("faas_timeouts_total"), 1.0);
}

#[test]
fn a_body_is_bounded_with_and_without_a_length() {
    let server = Start::default().with("--gateway-event-body-size", "64KiB").start();
    server.deploy("rust-apig");
    assert_eq!(trigger(&server, "rust-apig", "t", &json!({"path": "/"})).status, 200);
    let post = |size: usize| server.send("POST", "/apig/s/rust-apig/", &[], &vec![b'x'; size]);
    assert_eq!((post(64 << 10).status, post(64 << 10).body.len()), (200, 64 << 10));
    assert_eq!(post((64 << 10) + 1).status, 400);
    let chunk = format!("10001\r\n{}\r\n0\r\n\r\n", "y".repeat(0x10001));
    let head = "POST /apig/s/rust-apig/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = raw(server.address(), format!("{head}{chunk}").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn what_a_trigger_cannot_hold_to_is_refused_and_the_rest_is_kept() {
    let server = serving(&[]);
    for (config, why) in [
        (json!({}), "path"),
        (json!({"path": "users"}), "path"),
        (json!({"path": "/{a}/{a}"}), "twice"),
        (json!({"path": "/", "auth": "APP"}), "APP"),
        (json!({"path": "/", "auth": "anyone"}), "auth"),
        (json!({"path": "/", "req_method": "BREW"}), "req_method"),
        (json!({"path": "/", "match_mode": "REGEX"}), "match_mode"),
        (json!({"path": "/", "func_info": {"timeout": 0}}), "func_info"),
        (json!({"path": "/", "hearth": {"rate": 0}}), "hearth"),
    ] {
        let refused = trigger(&server, "rust-apig", "t", &config);
        refused.is_error(400, "InvalidArgument");
        assert!(refused.text().contains(why), "{}", refused.text());
    }
    let whole = json!({"path": "/a/{x}", "group_id": "g", "env_id": "e", "name": "api", "type": 1, "sl_domain": "d"});
    let made = trigger(&server, "rust-apig", "t", &whole);
    assert_eq!((made.status, &made.json()["triggerConfig"]), (200, &whole));
    assert_eq!(made.json()["triggerType"], "apig");
    trigger(&server, "rust-apig", "u", &json!({"path": "/a/{y}"})).is_error(400, "InvalidArgument");
    assert_eq!(
        trigger(&server, "rust-apig", "u", &json!({"path": "/a/{y}", "req_method": "GET"})).status,
        200
    );
    let http =
        json!({"triggerName": "h", "triggerType": "http", "triggerConfig": {"methods": ["GET"]}});
    let refused = server.call("POST", "/services/s/functions/rust-apig/triggers", &http);
    refused.is_error(400, "InvalidArgument");
    // A change is checked as well, and works from then on.
    let path = "/services/s/functions/rust-apig/triggers/u";
    server
        .call("PUT", path, &json!({"triggerConfig": {"path": "/a/{z}"}}))
        .is_error(400, "InvalidArgument");
    assert_eq!(
        server.call("PUT", path, &json!({"triggerConfig": {"path": "/b/{name}"}})).status,
        200
    );
    assert_eq!(get(&server, "/b/ada").text(), "hello ada");
    assert_eq!(server.call("DELETE", path, &Value::Null).status, 204);
    is_refused(&get(&server, "/b/ada"), 404, "ApiNotFound");
}

#[test]
fn who_may_call_is_the_triggers_to_say() {
    let (server, admin, _home) = guarded(Start::default());
    let code = guest_path("rust-apig");
    let deployed = admin.run(&server, &["deploy", code.to_str().unwrap(), "--name", "s/rust-apig"]);
    assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));
    for (name, auth) in [("open", "NONE"), ("signed", "IAM")] {
        let config = json!({"path": format!("/{name}/{{name}}"), "auth": auth});
        let body = json!({"triggerName": name, "triggerType": "apig", "triggerConfig": config});
        let path = "/2016-08-15/services/s/functions/rust-apig/triggers";
        let made = admin.send(&server, "POST", path, &body.to_string());
        assert_eq!(made.status, 200, "{}", made.text());
    }
    assert_eq!(get(&server, "/open/ada").text(), "hello ada");
    assert_eq!(admin.send(&server, "GET", "/apig/s/rust-apig/signed/ada", "").text(), "hello ada");
    // Who is not known learns nothing of what there is.
    for path in ["/signed/ada", "/%73igned/ada", "/nowhere"] {
        get(&server, path).is_error(400, "MissingRequiredHeader");
    }
    for path in ["/apig/none/f/", "/apig/x"] {
        server.send("GET", path, &[], b"").is_error(400, "MissingRequiredHeader");
    }
    let other = admin.make(&server, &["--role", "invoke", "--services", "t"]);
    assert_eq!(other.send(&server, "GET", "/apig/s/rust-apig/signed/ada", "").status, 403);
}

#[test]
fn a_domain_leads_to_such_a_function_too() {
    let server = serving(&[json!({"path": "/shop/{name}"})]);
    let route = json!({"path": "/shop/*", "functionName": "rust-apig"});
    assert_eq!(domain(&server, "HTTP", &[route]).status, 200);
    assert_eq!(get_at(&server, "shop.example", "/shop/ada").text(), "hello ada");
    is_refused(&get_at(&server, "shop.example", "/shop/a/b"), 404, "ApiNotFound");
    is_refused(&get_at(&server, "shop.example", "/else"), 404, "DomainRouteNotFound");
}

#[test]
fn a_version_has_triggers_of_its_own() {
    let server = serving(&[json!({"path": "/{name}"})]);
    let version = server.publish();
    let at =
        |path: &str| server.send("GET", &format!("/apig/s.{version}/rust-apig{path}"), &[], b"");
    is_refused(&at("/ada"), 404, "TriggerNotFound");
    let body = json!({
        "triggerName": "v", "triggerType": "apig", "qualifier": version, "triggerConfig": {"path": "/v/{name}"},
    });
    assert_eq!(server.call("POST", "/services/s/functions/rust-apig/triggers", &body).status, 200);
    assert_eq!(at("/v/ada").text(), "hello ada");
    is_refused(&get(&server, "/v/ada"), 404, "ApiNotFound");
}

#[test]
fn limits_and_the_later_way_are_those_of_the_trigger() {
    let server = serving(&[
        json!({"path": "/slow/{name}", "hearth": {"rate": 1, "burst": 2}}),
        json!({"path": "/later/{name}", "func_info": {"invocation_type": "async"}}),
    ]);
    let statuses: Vec<_> = (0..4).map(|_| get(&server, "/slow/ada")).collect();
    assert_eq!(statuses[0].status, 200);
    let last = &statuses[3];
    is_refused(last, 429, "ResourceExhausted");
    assert!(last.header("retry-after").is_some());
    let accepted = get(&server, "/later/ada");
    assert_eq!((accepted.status, accepted.text().as_str()), (202, ""));
    let id = accepted.header("x-fc-request-id").unwrap().to_owned();
    eventually("it ran later", || {
        let shown = server.cli(&["logs", "s/rust-apig", "--format", "json"]);
        String::from_utf8_lossy(&shown.stdout).contains(&id)
    });
    // What runs later answers nobody: that its answer is whatever it is matters to no one.
    say(&server, "mute", "");
    let body = json!({"path": "/", "func_info": {"invocation_type": "async"}});
    assert_eq!(trigger(&server, "mute", "t", &body).status, 200);
    assert_eq!(server.send("GET", "/apig/s/mute/", &[], b"").status, 202);
}

#[test]
fn answers_of_the_smallest_guests_work_too() {
    let server = Server::start();
    let answer = json!({"statusCode": 418, "headers": {"x-tea": "yes"}, "body": "short"});
    say(&server, "tea", &answer.to_string());
    assert_eq!(trigger(&server, "tea", "t", &json!({"path": "/pot"})).status, 200);
    let reply = server.send("GET", "/apig/s/tea/pot", &[], b"");
    assert_eq!((reply.status, reply.text().as_str()), (418, "short"));
    assert_eq!(reply.header("x-tea"), Some("yes"));
}
