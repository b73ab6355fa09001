//! Tests of the dialect's JSON.

use serde_json::json;

use super::*;

fn function_body(text: &str) -> FunctionBody {
    parse(text.as_bytes()).unwrap()
}

#[test]
fn keys_come_in_any_case_and_nulls_are_absent() {
    let body = function_body(
        r#"{"FunctionName":"f","description":null,"Runtime":"wasm","HANDLER":"h","memorysize":256,
            "Code":{"ZipFile":"UEs="},"environmentVariables":{"Code":"x"},"CAPort":8080,"unknown":1}"#,
    );
    assert_eq!(body.function_name.as_deref(), Some("f"));
    let (settings, code) = body.into_new(hearth_engine::Isolation::Fresh).unwrap();
    assert_eq!((settings.memory_mb, settings.timeout_s), (256, 3));
    assert_eq!(settings.environment.get("Code").map(String::as_str), Some("x"));
    assert_eq!(settings.isolation, hearth_engine::Isolation::Fresh);
    assert_eq!(Value::Object(settings.extra), json!({"caPort": 8080}));
    assert!(matches!(code, CodeUpload::Zip(bytes) if &bytes[..] == b"PK"));
}

#[test]
fn what_is_wrong_is_named() {
    let refused = |text: &str| {
        let body: FunctionBody = match parse(text.as_bytes()) {
            Ok(body) => body,
            Err(error) => return error.message,
        };
        body.into_new(hearth_engine::Isolation::Reuse).unwrap_err().message
    };
    assert!(refused("{").contains("not valid JSON"));
    assert!(refused("[]").contains("not a JSON object"));
    assert!(refused(r#"{"timeout":"x"}"#).starts_with("timeout is set to an invalid value"));
    assert!(refused(r#"{"runtime":"cobol"}"#).starts_with("Runtime is set to an invalid value"));
    assert!(refused(r#"{"runtime":"wasm","handler":"h"}"#).contains("code is required"));
    assert!(refused(r#"{"code":{"zipFile":"*"}}"#).contains("base64"));
    assert!(refused(r#"{"code":{"ossBucketName":"b"}}"#).contains("ossObjectName"));
}

#[test]
fn an_empty_tracing_configuration_resets_it() {
    let body: ServiceBody = parse(br#"{"tracingConfig":{},"logConfig":null,"role":"r"}"#).unwrap();
    let change = body.into_change(Some(7)).unwrap();
    assert_eq!(Value::Object(change.extra), json!({"tracingConfig": null}));
    assert_eq!(
        (change.role.as_deref(), change.description, change.expect),
        (Some("r"), None, Some(7))
    );
}

#[test]
fn times_are_whole_seconds() {
    assert_eq!(time(1_585_893_447_999), "2020-04-03T05:57:27Z");
    assert_eq!(time(u64::MAX), "9999-12-31T23:59:59Z");
}

#[test]
fn the_last_page_has_no_token() {
    let shown = page("services", &Page { items: vec![1], next: None }, |n| json!(n));
    assert_eq!(shown, json!({"services": [1]}));
    let shown = page("services", &Page { items: vec![1], next: Some("b".into()) }, |n| json!(n));
    assert_eq!(shown, json!({"services": [1], "nextToken": "b"}));
}
