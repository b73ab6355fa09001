//! HTTP functions on their own address, the proxy path: who gets through, and who is told what.

use std::time::{SystemTime, UNIX_EPOCH};

use hearth_tests::{Key, Reply, Server, Start, eventually, guarded, guest, raw};
use serde_json::{Value, json};

/// Makes an HTTP trigger of `s/FUNCTION`.
pub(crate) fn trigger(server: &Server, function: &str, config: &Value) -> Reply {
    let body = json!({"triggerName": "web", "triggerType": "http", "triggerConfig": config});
    server.call("POST", &format!("/services/s/functions/{function}/triggers"), &body)
}

/// A function with an HTTP trigger that everybody may call.
pub(crate) fn open(server: &Server, function: &str) {
    server.deploy(function);
    let config = json!({"authType": "anonymous", "methods": ["GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS"]});
    let made = trigger(server, function.trim_start_matches("bad/"), &config);
    assert_eq!(made.status, 200, "{}", made.text());
}

/// Asserts a refusal by the gateway: the dialect's error, marked as the platform's.
pub(crate) fn is_refused(reply: &Reply, status: u16, code: &str) {
    reply.is_error(status, code);
    assert_eq!(reply.header("x-fc-error-type"), Some("FCCommonError"), "{}", reply.text());
}

#[test]
fn what_does_not_exist_is_told_apart() {
    let server = Server::start();
    server.deploy("rust-http");
    let get = |path: &str| server.send("GET", &format!("/2016-08-15/proxy/{path}"), &[], b"");
    is_refused(&get("none/f/"), 404, "ServiceNotFound");
    is_refused(&get("s/none/"), 404, "FunctionNotFound");
    is_refused(&get("s.9/rust-http/"), 404, "VersionNotFound");
    is_refused(&get("s.prod/rust-http/"), 404, "AliasNotFound");
    is_refused(&get("s/rust-http/"), 404, "TriggerNotFound");
    is_refused(&get("s"), 400, "PathNotSupported");
    let every = json!({"cronExpression": "@every 1h"});
    let timer = json!({"triggerName": "t", "triggerType": "timer", "triggerConfig": every});
    let made = server.call("POST", "/services/s/functions/rust-http/triggers", &timer);
    assert_eq!(made.status, 200);
    is_refused(&get("s/rust-http/"), 404, "TriggerNotFound");
}

#[test]
fn methods_that_the_trigger_does_not_list_are_forbidden() {
    let server = Server::start();
    server.deploy("rust-http");
    let made = trigger(&server, "rust-http", &json!({"authType": "anonymous", "methods": ["GET"]}));
    assert_eq!(made.status, 200, "{}", made.text());
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE"] {
        let refused = server.send(method, "/2016-08-15/proxy/s/rust-http/", &[], b"");
        is_refused(&refused, 403, "AccessDenied");
    }
}

#[test]
fn an_address_that_is_closed_stays_closed() {
    let server = Server::start();
    server.deploy("rust-http");
    let config = json!({"authType": "anonymous", "methods": ["GET"], "disableURLInternet": true});
    assert_eq!(trigger(&server, "rust-http", &config).status, 200);
    let refused = server.send("GET", "/2016-08-15/proxy/s/rust-http/", &[], b"");
    is_refused(&refused, 403, "AccessDenied");
    assert!(refused.text().contains("internet URL is disabled"), "{}", refused.text());
}

#[test]
fn what_a_trigger_cannot_keep_is_refused_when_it_is_said() {
    let server = Server::start();
    server.deploy("rust-http");
    let web = |more: Value| {
        let mut config = json!({"methods": ["GET"]});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    };
    for (config, names) in [
        (web(json!({"authType": "jwt"})), "jwt"),
        (web(json!({"authType": "basic"})), "authType"),
        (web(json!({"disableURLInternet": "no"})), "disableURLInternet"),
        (web(json!({"hearth": 5})), "hearth"),
        (web(json!({"hearth": {"speed": 5}})), "speed"),
        (web(json!({"hearth": {"rate": 0}})), "rate"),
        (web(json!({"hearth": {"rate": 1.5}})), "rate"),
        (web(json!({"hearth": {"rate": -1}})), "rate"),
        (web(json!({"hearth": {"rate": u64::MAX}})), "rate"),
        (web(json!({"hearth": {"burst": 5}})), "burst"),
        (web(json!({"hearth": {"maxInFlight": "5"}})), "maxInFlight"),
        (web(json!({"hearth": {"queue": 5}})), "queue"),
        (web(json!({"hearth": {"maxInFlight": 1, "queueWaitMs": 3_600_000}})), "queueWaitMs"),
        (web(json!({"hearth": {"x".repeat(5000): 1}})), "limit"),
    ] {
        let refused = trigger(&server, "rust-http", &config);
        refused.is_error(400, "InvalidArgument");
        assert!(refused.text().contains(names), "{config}: {}", refused.text());
        assert!(refused.body.len() < 1500, "{} bytes", refused.body.len());
    }
    let kept = web(
        json!({"hearth": {"rate": 5, "burst": 9, "maxInFlight": 2, "queue": 0, "queueWaitMs": 10}}),
    );
    let made = trigger(&server, "rust-http", &kept);
    assert_eq!((made.status, &made.json()["triggerConfig"]), (200, &kept));
}

/// A request to the function of this trigger.
pub(crate) fn ask(
    server: &Server,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    server.send(method, &format!("/2016-08-15/proxy/{path}"), headers, body)
}

#[test]
fn a_function_answers_its_callers_itself() {
    let server = Server::start();
    // Those made for Spin bring its SDK and know nothing of hearth.
    for name in ["rust-http", "rust-http-p3", "rust-spin", "rust-spin-p3"] {
        open(&server, name);
        let hello = ask(&server, "GET", &format!("s/{name}"), &[], b"");
        assert_eq!((hello.status, hello.text()), (200, format!("hello from {name}\n")));
        assert_eq!(hello.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(hello.header("x-fc-request-id").map(str::len), Some(36));
        assert_eq!(hello.header("x-fc-invocation-service-version"), Some("LATEST"));
        assert_eq!(hello.header("x-fc-error-type"), None);
        let missing = ask(&server, "GET", &format!("s.LATEST/{name}/nothing/here?x=1"), &[], b"");
        assert_eq!((missing.status, missing.header("x-fc-error-type")), (404, None), "its own 404");
        let poem = [("content-type", "text/x-poem")];
        let echo = ask(&server, "PUT", &format!("s/{name}/echo"), &poem, b"roses \xff");
        assert_eq!((echo.status, &*echo.body), (200, &b"roses \xff"[..]));
        assert_eq!(echo.header("content-type"), Some("text/x-poem"));
        let large = vec![7; 3 << 20];
        let echo = ask(&server, "POST", &format!("s/{name}/echo"), &[], &large);
        assert!(echo.status == 200 && echo.body == large, "{}", echo.status);
        let head = ask(&server, "HEAD", &format!("s/{name}/"), &[], b"");
        assert_eq!((head.status, head.body.len()), (200, 0));
        // It takes events as before.
        assert_eq!(server.invoke(name, "event").text(), "event");
    }
}

#[test]
fn what_the_platform_knows_of_a_call_is_told_with_it() {
    let server = Server::start();
    open(&server, "rust-http");
    let tail = [("x-fc-log-type", "Tail")];
    let hello = ask(&server, "GET", "s/rust-http/", &tail, b"");
    assert!(hello.tail().contains("FC Invoke End"), "{}", hello.tail());
    for name in ["x-fc-invocation-duration", "x-fc-max-memory-usage", "x-fc-instance-id"] {
        assert!(hello.header(name).is_some(), "{name}: {:?}", hello.headers);
    }
    let id = hello.header("x-fc-request-id").unwrap();
    let records = server.records_of("s/rust-http");
    assert!(records.iter().any(|record| record["request_id"] == id), "{id} {records:?}");
    assert!(server.metric("faas_invocations_total") >= 1.0);
    let bad = ask(&server, "GET", "s/rust-http/", &[("x-fc-log-type", "all")], b"");
    is_refused(&bad, 400, "InvalidArgument");
}

#[test]
fn functions_that_do_not_answer_are_bad_gateways() {
    let server = Server::start();
    for guest in ["bad/trap", "wat-echo", "rust-command"] {
        open(&server, guest);
        let name = guest.trim_start_matches("bad/");
        let failed = ask(&server, "POST", &format!("s/{name}/"), &[], b"x");
        assert_eq!(failed.status, 502, "{guest}: {}", failed.text());
        assert_eq!(failed.header("x-fc-error-type"), Some("UnhandledInvocationError"));
        assert!(
            failed.fault().contains("exports no handler of HTTP requests"),
            "{}",
            failed.text()
        );
    }
}

#[test]
fn a_version_is_reached_by_its_own_trigger() {
    let server = Server::start();
    server.deploy("rust-http");
    server.publish();
    let config = json!({"authType": "anonymous", "methods": ["GET"]});
    let body = json!({"triggerName": "web", "triggerType": "http", "triggerConfig": config, "qualifier": "1"});
    assert_eq!(server.call("POST", "/services/s/functions/rust-http/triggers", &body).status, 200);
    let hello = ask(&server, "GET", "s.1/rust-http/", &[], b"");
    assert_eq!(hello.status, 200, "{}", hello.text());
    assert_eq!(hello.header("x-fc-invocation-service-version"), Some("1"));
    is_refused(&ask(&server, "GET", "s/rust-http/", &[], b""), 404, "TriggerNotFound");
}

#[test]
fn a_body_beyond_the_limit_is_refused_whether_it_says_its_length_or_not() {
    let server = Start::default().with("--gateway-body-size", "64KiB").start();
    open(&server, "rust-http");
    let body = vec![b'x'; (64 << 10) + 1];
    is_refused(&ask(&server, "POST", "s/rust-http/echo", &[], &body), 400, "InvalidArgument");
    let fits = ask(&server, "POST", "s/rust-http/echo", &[], &body[1..]);
    assert_eq!((fits.status, fits.body.len()), (200, 64 << 10));
    let head = b"POST /2016-08-15/proxy/s/rust-http/echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = [b"10001\r\n", &*body, b"\r\n0\r\n\r\n"].concat();
    let answer = raw(server.address(), &[&head[..], &chunk].concat());
    // What was echoed before the limit was known cannot be taken back; then the answer breaks off.
    let is_whole = answer.starts_with("HTTP/1.1 200") && answer.ends_with("0\r\n\r\n");
    assert!(!is_whole, "{} bytes", answer.len());
}

#[test]
fn a_request_may_be_queued_as_it_is() {
    let server = Start::default().with("--queue-backoff", "10ms").start();
    open(&server, "rust-http");
    open(&server, "rust-http-stream");
    let later =
        [("x-fc-invocation-type", "Async"), ("content-type", "text/x-poem"), ("x-bytes", "\u{e4}")];
    let accepted = ask(&server, "PUT", "s/rust-http/echo?a=%2F", &later, b"roses \xff");
    assert_eq!((accepted.status, accepted.body.len()), (202, 0), "{}", accepted.text());
    assert_eq!(accepted.header("content-type"), None);
    let id = accepted.header("x-fc-request-id").unwrap();
    eventually("its end", || {
        server.record(id).is_some_and(|record| record["status"] == "succeeded")
    });
    let record = server.record(id).unwrap();
    assert_eq!(record["attempt"], 1, "{record}");
    // A failing status is a failure, and is tried again.
    let failing = ask(&server, "GET", "s/rust-http-stream/status/503?bytes=20", &later[..1], b"");
    let id = failing.header("x-fc-request-id").unwrap();
    eventually("its end", || server.record(id).is_some_and(|record| record["status"] == "failed"));
    let record = server.record(id).unwrap();
    assert!(
        record["attempt"].as_u64() > Some(1) && record.to_string().contains("status 503"),
        "{record}"
    );
    let named = [later[0], ("x-fc-stateful-async-invocation-id", "mine")];
    let accepted = ask(&server, "GET", "s/rust-http/", &named, b"");
    assert_eq!(accepted.header("x-fc-stateful-async-invocation-id"), Some("mine"));
    is_refused(
        &ask(&server, "GET", "s/rust-http/", &named, b""),
        409,
        "StatefulAsyncInvocationAlreadyExists",
    );
    let tail = [later[0], ("x-fc-log-type", "Tail")];
    is_refused(&ask(&server, "GET", "s/rust-http/", &tail, b""), 400, "InvalidArgument");
    let large = vec![b'x'; 129 << 10];
    is_refused(&ask(&server, "POST", "s/rust-http/echo", &later, &large), 400, "EntityTooLarge");
}

#[test]
fn who_says_to_be_too_deep_is_in_a_loop() {
    let server = Server::start();
    open(&server, "rust-http");
    let at = |depth: &str| ask(&server, "GET", "s/rust-http/", &[("x-hearth-depth", depth)], b"");
    assert_eq!(at("1").status, 200);
    for depth in ["1000", "4294967296", "-1", "deep", ""] {
        is_refused(&at(depth), 508, "LoopDetected");
    }
}

/// Sends a request that a key signs.
fn signed(server: &Server, key: &Key, method: &str, path: &str) -> Reply {
    key.send(server, method, path, "")
}

#[test]
fn who_is_not_known_learns_nothing_of_what_there_is() {
    let (server, admin, _home) = guarded(Start::default());
    let zip = json!({"serviceName": "s"}).to_string();
    assert_eq!(admin.send(&server, "POST", "/2016-08-15/services", &zip).status, 200);
    let deployed =
        admin.run(&server, &["deploy", guest_file("rust-http").as_str(), "--name", "s/web"]);
    assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));
    let paths = [
        "/2016-08-15/proxy/s/web/",
        "/2016-08-15/proxy/s/none/",
        "/2016-08-15/proxy/none/f/",
        "/2016-08-15/proxy/s",
    ];
    for path in paths {
        is_refused(&server.send("GET", path, &[], b""), 400, "MissingRequiredHeader");
    }
    // Who is known is told the difference.
    is_refused(&signed(&server, &admin, "GET", paths[0]), 404, "TriggerNotFound");
    is_refused(&signed(&server, &admin, "GET", paths[1]), 404, "FunctionNotFound");
    let body =
        json!({"triggerName": "web", "triggerType": "http", "triggerConfig": {"methods": ["GET"]}});
    let triggers = "/2016-08-15/services/s/functions/web/triggers";
    assert_eq!(admin.send(&server, "POST", triggers, &body.to_string()).status, 200);
    is_refused(&server.send("GET", paths[0], &[], b""), 400, "MissingRequiredHeader");
    let wrong = Key { secret: "wrong".to_owned(), ..admin.clone() };
    is_refused(&signed(&server, &wrong, "GET", paths[0]), 403, "SignatureNotMatch");
    let elsewhere = admin.make(&server, &["--role", "invoke", "--services", "other"]);
    is_refused(&signed(&server, &elsewhere, "GET", paths[0]), 403, "AccessDenied");
    // Whoever may invoke it does, by header or by a link that was signed ahead.
    let caller = admin.make(&server, &["--role", "invoke", "--services", "s"]);
    let path = "/2016-08-15/proxy/s/web/?b=2&a=1";
    let hello = signed(&server, &caller, "GET", path);
    assert_eq!(hello.status, 200, "{}", hello.text());
    is_refused(&signed(&server, &caller, "POST", paths[0]), 403, "AccessDenied");
    let past = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - 1;
    let link = format!(
        "{}?x-fc-access-key-id={}&x-fc-expires={past}&x-fc-signature=c2ln",
        paths[0], admin.id
    );
    is_refused(&server.send("GET", &link, &[], b""), 403, "RequestTimeTooSkewed");
}

fn guest_file(name: &str) -> String {
    hearth_tests::guest_path(name).display().to_string()
}

#[test]
fn other_protocols_are_refused_in_words() {
    let server = Server::start();
    assert!(!guest("rust-http").is_empty());
    open(&server, "rust-http");
    let ask = |upgrade: &str| {
        let request = format!(
            "GET /2016-08-15/proxy/s/rust-http/ HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: {upgrade}\r\n\r\n"
        );
        raw(server.address(), request.as_bytes())
    };
    assert!(ask("TLS/1.0").starts_with("HTTP/1.1 426 "), "{}", ask("TLS/1.0"));
    let tunnel =
        raw(server.address(), b"CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\n\r\n");
    assert!(tunnel.starts_with("HTTP/1.1 400 "), "{tunnel}");
}

#[test]
fn a_line_or_a_header_beyond_the_documented_bounds_is_refused() {
    let server = Server::start();
    open(&server, "rust-http");
    let path = format!("/2016-08-15/proxy/s/rust-http/?{}", "x".repeat(4100));
    is_refused(&server.send("GET", &path, &[], b""), 400, "InvalidArgument");
    let long = "x".repeat(8 << 10);
    let refused = server.send("GET", "/2016-08-15/proxy/s/rust-http/", &[("x-long", &long)], b"");
    is_refused(&refused, 400, "InvalidArgument");
}
