//! Values of the wrong type: refused by name in services and functions, whatever the field has an effect on.

use hearth_tests::{Server, guest};
use serde_json::{Value, json};

/// What no object is.
fn no_objects() -> Vec<Value> {
    vec![json!(7), json!(-1), json!(1.5), json!(true), json!("x"), json!([]), json!(["x"])]
}

#[test]
fn fields_of_a_service_have_their_types() {
    let server = Server::start();
    server.service("s");
    let mut wrong: Vec<(&str, Value)> = Vec::new();
    for field in ["logConfig", "vpcConfig", "nasConfig", "tracingConfig"] {
        wrong.extend(no_objects().into_iter().map(|value| (field, value)));
    }
    for value in [json!(7), json!(-1), json!(1.5), json!("x"), json!([]), json!({}), json!(["x"])] {
        wrong.push(("internetAccess", value));
    }
    for value in no_objects() {
        if !value.is_string() {
            wrong.extend(["description", "role"].map(|field| (field, value.clone())));
        }
    }
    for (field, value) in wrong {
        let created = server.call("POST", "/services", &json!({"serviceName": "t", field: value}));
        let updated = server.call("PUT", "/services/s", &json!({ field: value }));
        for refused in [created, updated] {
            refused.is_error(400, "InvalidArgument");
            assert!(refused.text().contains(field), "{field} = {value}: {}", refused.text());
        }
    }
    server.call("GET", "/services/t", &Value::Null).is_error(404, "ServiceNotFound");
}

#[test]
fn fields_of_a_function_have_their_types() {
    let server = Server::start();
    server.deploy("wat-echo");
    let mut wrong: Vec<(&str, Value)> = Vec::new();
    for field in ["code", "environmentVariables", "customRuntimeConfig", "instanceLifecycleConfig"]
    {
        wrong.extend(no_objects().into_iter().map(|value| (field, value)));
    }
    for value in [json!("x"), json!([7]), json!(["no-arn"]), json!([[]]), json!({}), json!(true)] {
        wrong.push(("layers", value));
    }
    for value in [json!("x"), json!(-1), json!(1.5), json!([]), json!({}), json!(4_294_967_296_u64)]
    {
        wrong.extend(
            ["memorySize", "timeout", "instanceConcurrency"].map(|field| (field, value.clone())),
        );
    }
    for (field, value) in wrong {
        let body = json!({ field: value });
        let created = server.create("f", &guest("wat-echo"), body.clone());
        let updated = server.call("PUT", "/services/s/functions/wat-echo", &body);
        for refused in [created, updated] {
            refused.is_error(400, "InvalidArgument");
            assert!(refused.text().contains(field), "{field} = {value}: {}", refused.text());
        }
    }
    assert_eq!(server.invoke("wat-echo", "still the same").text(), "still the same");
}

#[test]
fn what_was_sent_comes_back_bounded() {
    let server = Server::start();
    server.deploy("wat-echo");
    let long = "x".repeat(9000);
    let quotes = "\"".repeat(9000);
    for text in [&long, &quotes] {
        for (method, path, body) in [
            ("POST", "/services", json!({"serviceName": text})),
            ("POST", "/services/s/functions", json!({"functionName": text})),
            ("PUT", "/services/s/functions/wat-echo", json!({"runtime": text})),
            ("PUT", "/services/s/functions/wat-echo", json!({"timeout": text})),
            ("POST", "/services/s/functions/wat-echo/triggers", json!({"triggerName": text})),
            ("POST", "/services/s/aliases", json!({"aliasName": text, "versionId": text})),
            ("POST", "/custom-domains", json!({"domainName": text})),
            (
                "POST",
                "/tag",
                json!({"resourceArn": format!("services/{text}"), "tags": {"k": "v"}}),
            ),
        ] {
            let refused = server.call(method, path, &body);
            assert!((400..500).contains(&refused.status), "{method} {path}: {}", refused.status);
            // Escaped, a message is at most twice as long.
            assert!(refused.body.len() < 2500, "{method} {path}: {} bytes", refused.body.len());
        }
    }
}

#[test]
fn a_condition_of_quote_marks_is_a_condition() {
    let server = Server::start();
    server.service("s");
    for tag in ["\"".repeat(100), "\"".to_owned(), "\"\"".to_owned(), "\"*\"".to_owned()] {
        let refused = server.call_if_match("PUT", "/services/s", &tag, &json!({"role": "r"}));
        refused.is_error(412, "PreconditionFailed");
    }
    let unchanged = server.call("GET", "/services/s", &Value::Null).json();
    assert_eq!(unchanged["role"], json!(""));
}
