//! Every route of the server, called by everybody who may not: each is refused as documented and nothing comes of it, then the least
//! key that may is served, and the audit trail tells what it changed. A route that is in a route table and not in this story fails it.

use std::time::SystemTime;

use base64::Engine as _;
use hearth_tests::{Server, eventually, guest};
use serde_json::{Value, json};

use crate::auth_story::Needs::{Found, InBody, Named, Unrestricted};
use crate::auth_story::{FC, OURS, Story};
use crate::http_trigger::is_refused;

fn zip_of(name: &str, bytes: &[u8]) -> String {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(bytes).unwrap();
    base64::prelude::BASE64_STANDARD.encode(zip.finish().unwrap().into_inner())
}

fn creation(name: &str, code: &[u8]) -> Value {
    let code = json!({"zipFile": zip_of("main.wasm", code)});
    json!({"functionName": name, "runtime": "wasm", "handler": "handle", "timeout": 60, "memorySize": 128, "code": code})
}

fn services_and_functions(story: &mut Story) {
    let (deploy, all) = (Named("deploy"), Unrestricted("deploy"));
    story.fc("POST", "/services", InBody("deploy"), json!({"serviceName": "bank"}));
    story.fc("GET", "/services", all, Value::Null);
    story.fc("GET", "/services/{bank}", deploy, Value::Null);
    story.fc("PUT", "/services/{bank}", deploy, json!({"description": "d"}));
    let functions = "/services/{bank}/functions";
    story.fc("POST", functions, deploy, creation("echo", &guest("wat-echo")));
    story.fc("GET", functions, deploy, Value::Null);
    let echo = format!("{functions}/{{echo}}");
    story.fc("GET", &echo, deploy, Value::Null);
    story.fc("PUT", &echo, deploy, json!({"timeout": 4}));
    let code = story.fc("GET", &format!("{echo}/code"), deploy, Value::Null).json();
    story.link("/hearth/v1/code/{bank}/{echo}", code["url"].as_str().unwrap());
    story.fc("POST", &format!("{echo}/invocations"), Named("invoke"), json!("hi"));
    story.fc("POST", "/services/{bank}/versions", deploy, json!({}));
    story.fc("GET", "/services/{bank}/versions", deploy, Value::Null);
    let alias = json!({"aliasName": "prod", "versionId": "1"});
    story.fc("POST", "/services/{bank}/aliases", deploy, alias);
    story.fc("GET", "/services/{bank}/aliases", deploy, Value::Null);
    story.fc("GET", "/services/{bank}/aliases/{prod}", deploy, Value::Null);
    story.fc("PUT", "/services/{bank}/aliases/{prod}", deploy, json!({"description": "d"}));
    for word in ["bindings", "binding"] {
        let path = format!("/services/{{bank}}/{word}");
        story.fc("POST", &path, deploy, json!({"vpcId": "vpc"}));
        story.fc("GET", &path, deploy, Value::Null);
        story.fc("DELETE", &format!("{path}/{{vpc}}"), deploy, Value::Null);
    }
}

fn what_functions_have(story: &mut Story) {
    let (deploy, all) = (Named("deploy"), Unrestricted("deploy"));
    let echo = "/services/{bank}/functions/{echo}";
    let timer = json!({"triggerName": "t", "triggerType": "timer", "triggerConfig": {"cronExpression": "@every 1h"}});
    story.fc("POST", &format!("{echo}/triggers"), deploy, timer);
    story.fc("GET", &format!("{echo}/triggers"), deploy, Value::Null);
    story.fc("GET", &format!("{echo}/triggers/{{t}}"), deploy, Value::Null);
    story.fc("PUT", &format!("{echo}/triggers/{{t}}"), deploy, json!({"description": "d"}));
    story.fc("DELETE", &format!("{echo}/triggers/{{t}}"), deploy, Value::Null);
    let prod = "/services/{bank.prod}/functions/{echo}";
    for (config, body) in [
        ("on-demand-config", json!({"maximumInstanceCount": 9})),
        ("provision-config", json!({"target": 0})),
        ("async-invoke-config", json!({"maxAsyncRetryAttempts": 1})),
    ] {
        let path = format!("{prod}/{config}");
        story.fc("PUT", &path, deploy, body);
        story.fc("GET", &path, deploy, Value::Null);
        if config == "async-invoke-config" {
            story.fc("GET", &format!("{echo}/async-invoke-configs"), deploy, Value::Null);
        }
        if config != "provision-config" {
            story.fc("DELETE", &path, deploy, Value::Null);
        }
    }
    story.fc("GET", "/on-demand-configs", all, Value::Null);
    story.fc("GET", "/provision-configs", all, Value::Null);
    story.fc("GET", &format!("{echo}/instances"), deploy, Value::Null);
    let invoke = Named("invoke");
    let stateful = format!("{echo}/stateful-async-invocations");
    let spin = creation("echo", &guest("bad/infinite-loop"));
    let code = json!({"code": spin["code"], "timeout": 60}).to_string();
    let bare = |path: &str| format!("{FC}{}", path.replace(['{', '}'], ""));
    let done = story.admin.send(&story.server, "PUT", &bare(echo), &code);
    assert_eq!(done.status, 200, "{}", done.text());
    let path = bare(&format!("{echo}/invocations"));
    let more = [("x-fc-invocation-type", "Async"), ("x-fc-stateful-async-invocation-id", "mine")];
    let headers = story.admin.sign("POST", &path, &more, SystemTime::now());
    assert_eq!(story.with(&headers, "POST", &path, b"x").status, 202);
    story.fc("GET", &stateful, invoke, Value::Null);
    story.fc("GET", &format!("{stateful}/{{mine}}"), invoke, Value::Null);
    story.fc("PUT", &format!("{stateful}/{{mine}}"), invoke, Value::Null);
    story.fc("GET", "/stateful-async-invocation-functions", all, Value::Null);
}

fn what_belongs_to_no_service(story: &mut Story) {
    let all = Unrestricted("deploy");
    story.fc("GET", "/reservedCapacities", all, Value::Null);
    story.fc("GET", "/account-settings", all, Value::Null);
    let domain = "/custom-domains/{shop.example}";
    let body = json!({"domainName": "shop.example", "protocol": "HTTP"});
    story.fc("POST", "/custom-domains", all, body);
    story.fc("GET", "/custom-domains", all, Value::Null);
    story.fc("GET", domain, all, Value::Null);
    story.fc("PUT", domain, all, json!({"protocol": "HTTP"}));
    story.fc("DELETE", domain, all, Value::Null);
    let tagged = json!({"resourceArn": "services/bank", "tags": {"a": "b"}});
    story.fc("POST", "/tag", all, tagged);
    story.fc("GET", "/tag?resourceArn=services/bank", all, Value::Null);
    story.fc("DELETE", "/tag", all, json!({"resourceArn": "services/bank", "tagKeys": ["a"]}));
    let layer = json!({"code": {"zipFile": zip_of("a", b"a")}, "compatibleRuntime": ["wasm"]});
    let made = story.fc("POST", "/layers/{words}/versions", all, layer).json();
    story.fc("GET", "/layers/{words}/versions", all, Value::Null);
    let one = story.fc("GET", "/layers/{words}/versions/{1}", all, Value::Null).json();
    story.link("/hearth/v1/layers/{words}/{1}", one["code"]["location"].as_str().unwrap());
    story.fc("GET", "/layers", all, Value::Null);
    story.fc("PUT", "/layers/{words}/acl?public=true", all, Value::Null);
    let arn = made["arnV2"].as_str().unwrap().replace('#', "%23").replace('/', "%2F");
    story.fc("GET", &format!("/layerarn/{{{arn}}}"), all, Value::Null);
    story.fc("DELETE", "/layers/{words}/versions/{1}", all, Value::Null);
}

fn our_own(story: &mut Story) {
    let (deploy, found) = (Named("deploy"), Found("deploy"));
    let (all, admin) = (Unrestricted("deploy"), Unrestricted("admin"));
    let function = "/hearth/v1/functions/{bank}/{trap}";
    story.route("PUT", function, deploy, &guest("bad/trap"));
    story.ours("GET", "/functions", all, Value::Null);
    story.route("GET", function, deploy, b"");
    let path = format!("{FC}/services/bank/functions/trap/invocations");
    let sign = |story: &Story| {
        let more = [("x-fc-invocation-type", "Async")];
        story.admin.sign("POST", &path, &more, SystemTime::now())
    };
    let accepted = story.with(&sign(story), "POST", &path, b"secret event");
    let id = accepted.header("x-fc-request-id").unwrap().to_owned();
    let path = format!("{OURS}/dead/{id}");
    eventually("its end", || story.admin.send(&story.server, "GET", &path, "").status == 200);
    for list in ["logs", "invocations", "dead", "stats"] {
        story.ours("GET", &format!("/{list}?function=bank/trap"), deploy, Value::Null);
        if list != "logs" {
            story.ours("GET", &format!("/{list}"), all, Value::Null);
        }
    }
    story.ours("GET", &format!("/invocations/{{{id}}}"), found, Value::Null);
    story.ours("GET", &format!("/dead/{{{id}}}"), found, Value::Null);
    let again = story.ours("POST", &format!("/dead/{{{id}}}"), found, Value::Null).json();
    let again = again["request_id"].as_str().unwrap();
    let path = format!("{OURS}/dead/{again}");
    let has_ended = || story.admin.send(&story.server, "GET", &path, "").status == 200;
    eventually("its end once more", has_ended);
    story.route("DELETE", function, deploy, b"");
    story.ours("GET", "/keys", admin, Value::Null);
    let made = story.ours("POST", "/keys", admin, json!({"role": "invoke"})).json();
    let id = made["accessKeyId"].as_str().unwrap();
    story.ours("POST", &format!("/keys/{{{id}}}/rotate"), admin, json!({"overlapS": 0}));
    story.ours("DELETE", &format!("/keys/{{{id}}}"), admin, Value::Null);
    story.ours("GET", "/audit", admin, Value::Null);
    story.ours("GET", "/audit/verify", admin, Value::Null);
}

#[test]
fn every_route_is_refused_to_all_who_may_not_have_it() {
    let mut story = Story::new();
    services_and_functions(&mut story);
    what_functions_have(&mut story);
    what_belongs_to_no_service(&mut story);
    our_own(&mut story);
    let deploy = Named("deploy");
    story.fc("DELETE", "/services/{bank}/aliases/{prod}", deploy, Value::Null);
    story.fc("DELETE", "/services/{bank}/versions/{1}", deploy, Value::Null);
    story.fc("DELETE", "/services/{bank}/functions/{echo}", deploy, Value::Null);
    story.fc("DELETE", "/services/{bank}", deploy, Value::Null);
    let routes = Server::start().routes();
    let missing: Vec<_> = routes.difference(&story.seen).collect();
    assert!(missing.is_empty(), "routes without a place in this story: {missing:?}");
    let gone: Vec<_> = story.seen.difference(&routes).collect();
    assert!(gone.is_empty(), "no routes of the server: {gone:?}");
}

#[test]
fn the_address_of_a_function_is_refused_to_all_who_may_not_call_it() {
    let story = Story::new();
    let admin = |path: &str, body: &Value| {
        let path = format!("{FC}{path}");
        let made = story.admin.send(&story.server, "POST", &path, &body.to_string());
        assert_eq!(made.status, 200, "{}", made.text());
    };
    admin("/services", &json!({"serviceName": "bank"}));
    admin("/services/bank/functions", &creation("web", &guest("rust-http")));
    let methods = ["GET", "POST", "PUT", "DELETE", "PATCH"];
    let config = json!({"authType": "function", "methods": methods});
    let trigger = json!({"triggerName": "web", "triggerType": "http", "triggerConfig": config});
    admin("/services/bank/functions/web/triggers", &trigger);
    let before = story.state();
    let spelled = ["bank/web/", "bank.LATEST/web/?a=1", "%62ank/web/", "bank/%77eb/"];
    for method in methods {
        for path in spelled.map(|path| format!("{FC}/proxy/{path}")) {
            for (what, headers, status, code) in story.not_believed(method, &path) {
                let refused = story.with(&headers, method, &path, b"");
                assert_eq!(refused.status, status, "{what}: {method} {path}: {}", refused.text());
                is_refused(&refused, status, code);
            }
            for (who, key, path) in story.not_allowed(Named("invoke"), &path) {
                let refused = story.send(key, method, &path, b"");
                assert_eq!(refused.status, 403, "{who}: {method} {path}: {}", refused.text());
                is_refused(&refused, 403, "AccessDenied");
            }
        }
    }
    assert_eq!(story.state(), before, "by those who may not");
    for method in methods {
        for path in spelled.map(|path| format!("{FC}/proxy/{path}")) {
            let served = story.send(story.key("invoke", "bank"), method, &path, b"");
            assert_eq!(served.status, 200, "{method} {path}: {}", served.text());
        }
    }
}

#[test]
fn a_qualifier_of_another_service_is_none_of_this_one() {
    let server = Server::start();
    server.service("shop");
    let made =
        server.call("POST", "/services/shop/functions", &creation("echo", &guest("wat-echo")));
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!(server.create("echo", &guest("wat-echo"), json!({})).status, 200);
    assert_eq!(server.publish(), "1");
    let alias = json!({"aliasName": "prod", "versionId": "1"});
    assert_eq!(server.call("POST", "/services/s/aliases", &alias).status, 200);
    // `s` has version 1 and alias `prod`, `shop` has neither.
    for (qualifier, kind) in [("1", "VersionNotFound"), ("prod", "AliasNotFound")] {
        let service = format!("/services/shop.{qualifier}");
        let echo = format!("{service}/functions/echo");
        let none = Value::Null;
        for (method, path, body) in [
            ("GET", service.clone(), none.clone()),
            ("GET", format!("{service}/functions"), none.clone()),
            ("GET", echo.clone(), none.clone()),
            ("GET", format!("{echo}/code"), none.clone()),
            ("POST", format!("{echo}/invocations"), none.clone()),
            ("GET", format!("{echo}/instances"), none.clone()),
            ("PUT", format!("{echo}/async-invoke-config"), json!({"maxAsyncRetryAttempts": 1})),
            ("GET", format!("{echo}/stateful-async-invocations"), none.clone()),
        ] {
            let refused = server.call(method, &path, &body);
            let (status, code) = (refused.status, refused.error_code());
            assert_eq!((status, &*code), (404, kind), "{method} {path}: {}", refused.text());
        }
        for (method, path, body) in [
            ("PUT", format!("{echo}/on-demand-config"), json!({"maximumInstanceCount": 1})),
            ("PUT", format!("{echo}/provision-config"), json!({"target": 1})),
        ] {
            let refused = server.call(method, &path, &body);
            assert!(matches!(refused.status, 400 | 404), "{path}: {}", refused.text());
        }
    }
    let stolen = json!({"aliasName": "mine", "versionId": "1"});
    server.call("POST", "/services/shop/aliases", &stolen).is_error(404, "VersionNotFound");
    server
        .call("DELETE", "/services/shop/versions/1", &Value::Null)
        .is_error(404, "VersionNotFound");
    server
        .call("DELETE", "/services/shop/aliases/prod", &Value::Null)
        .is_error(404, "AliasNotFound");
    assert_eq!(server.invoke_at("prod", "echo").text(), "x", "the other has what it had");
    let records = server.send("GET", "/hearth/v1/audit?order=oldest", &[], b"").json();
    let records = records["records"].as_array().unwrap().len();
    assert_eq!(
        records, 6,
        "two services, two functions, a version and an alias, and nothing since"
    );
}

#[test]
fn a_request_may_be_sent_again_while_its_date_is_fresh_and_as_it_was_only() {
    let story = Story::new();
    let path = "/2016-08-15/services?limit=1";
    let fresh = SystemTime::now() - std::time::Duration::from_secs(14 * 60);
    let headers = story.admin.sign("GET", path, &[("x-fc-account-id", "0")], fresh);
    for _ in 0..2 {
        assert_eq!(story.with(&headers, "GET", path, b"").status, 200);
    }
    for (changed, value) in
        [("date", httpdate::fmt_http_date(SystemTime::now())), ("x-fc-account-id", "1".to_owned())]
    {
        let mut other = headers.clone();
        other
            .iter_mut()
            .filter(|(name, _)| *name == changed)
            .for_each(|(_, old)| old.clone_from(&value));
        story.with(&other, "GET", path, b"").is_error(403, "SignatureNotMatch");
    }
    let mut more = headers.clone();
    more.push(("x-fc-trace-id", "one that was not signed".to_owned()));
    story.with(&more, "GET", path, b"").is_error(403, "SignatureNotMatch");
}
