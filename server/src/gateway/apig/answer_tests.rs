//! Answers of functions: those that are responses, those that are malformed, and anything at all.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn of(answer: &Value) -> Result<Answer, String> {
    read(answer.to_string().as_bytes())
}

fn all<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn the_documented_structure_is_a_response() {
    let answer = of(&json!({
        "isBase64Encoded": false, "statusCode": 201,
        "headers": {"Content-Type": "application/json", "X-Count": 7, "x-flag": true, "x-none": null},
        "body": "{\"a\":1}", "unknown": {"means": "nothing"},
    }))
    .unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (201, b"{\"a\":1}".as_ref()));
    assert_eq!(all(&answer, "content-type"), ["application/json"]);
    assert_eq!((all(&answer, "x-count"), all(&answer, "x-flag")), (vec!["7"], vec!["true"]));
    assert!(all(&answer, "x-none").is_empty());
}

#[test]
fn all_but_the_status_may_be_absent_or_null() {
    for answer in [
        json!({"statusCode": 204}),
        json!({"statusCode": 204, "headers": null, "body": null, "isBase64Encoded": null}),
    ] {
        let answer = of(&answer).unwrap();
        assert!(answer.body.is_empty() && answer.headers.is_empty());
    }
    let text = of(&json!({"statusCode": 200, "body": "x"})).unwrap();
    assert_eq!(all(&text, "content-type"), ["text/plain; charset=utf-8"]);
}

#[test]
fn bytes_come_in_base64() {
    let answer = of(&json!({"statusCode": 200, "isBase64Encoded": true, "body": "AP8Q"})).unwrap();
    assert_eq!(answer.body.as_ref(), [0, 255, 16]);
    assert_eq!(all(&answer, "content-type"), ["application/octet-stream"]);
    for bad in ["AP8", "AP8Q=", "****", "AP 8Q", "\u{e4}"] {
        let why = of(&json!({"statusCode": 200, "isBase64Encoded": true, "body": bad}));
        assert!(why.unwrap_err().contains("Base64"), "{bad}");
    }
}

#[test]
fn a_text_that_holds_the_structure_is_read_once() {
    let inner = json!({"statusCode": 200, "body": "x"}).to_string();
    assert_eq!(of(&json!(inner)).unwrap().body.as_ref(), b"x");
    assert!(of(&json!(json!(inner).to_string())).is_err());
}

#[test]
fn what_is_for_one_hop_or_ours_is_not_passed_on() {
    let answer = of(&json!({"statusCode": 200, "body": "abc", "headers": {
        "Connection": "close, X-Private", "x-private": "1", "Transfer-Encoding": "chunked", "Content-Length": "999",
        "Upgrade": "x", "X-Fc-Request-Id": "forged", "x-hearth-depth": "0", "Trailer": "x",
        "Set-Cookie": ["a=1", "b=2"], "x-kept": " yes ",
    }}))
    .unwrap();
    let mut names: Vec<_> = answer.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-type", "set-cookie", "x-kept"]);
    assert_eq!(
        (all(&answer, "set-cookie"), all(&answer, "x-kept")),
        (vec!["a=1", "b=2"], vec!["yes"])
    );
}

#[test]
fn what_is_malformed_is_said() {
    let big = "y".repeat(HEADER_BYTES_MAX);
    for (answer, why) in [
        (json!(null), "cannot be read"),
        (json!([200]), "a list"),
        (json!(200), "cannot be read"),
        (json!("hello"), "cannot be read"),
        (json!(""), "is empty"),
        (json!({}), "no `statusCode`"),
        (json!({"statusCode": null}), "no `statusCode`"),
        (json!({"statusCode": "200"}), "cannot be read"),
        (json!({"statusCode": 200.5}), "cannot be read"),
        (json!({"statusCode": 0}), "`statusCode` 0"),
        (json!({"statusCode": 99}), "`statusCode` 99"),
        (json!({"statusCode": 101}), "`statusCode` 101"),
        (json!({"statusCode": 600}), "`statusCode` 600"),
        (json!({"statusCode": -200}), "`statusCode` -200"),
        (json!({"statusCode": 65_736}), "`statusCode` 65736"),
        (json!({"statusCode": 200, "body": {"a": 1}}), "cannot be read"),
        (json!({"statusCode": 200, "body": 7}), "cannot be read"),
        (json!({"statusCode": 200, "isBase64Encoded": "true"}), "cannot be read"),
        (json!({"statusCode": 200, "headers": ["a"]}), "cannot be read"),
        (json!({"statusCode": 200, "headers": {"": "x"}}), "no name"),
        (json!({"statusCode": 200, "headers": {"a b": "x"}}), "no name"),
        (json!({"statusCode": 200, "headers": {"a\r\nb": "x"}}), "no name"),
        (json!({"statusCode": 200, "headers": {"a": "x\r\ny: z"}}), "characters"),
        (json!({"statusCode": 200, "headers": {"a": "x\u{0}"}}), "characters"),
        (json!({"statusCode": 200, "headers": {"a": {"b": 1}}}), "no text"),
        (json!({"statusCode": 200, "headers": {"a": [["b"]]}}), "no text"),
        (json!({"statusCode": 200, "headers": {"a": big}}), "64KiB"),
    ] {
        let found = of(&answer).map(drop).unwrap_err();
        assert!(found.contains(why), "{answer}: {found}");
    }
    for text in [
        &b""[..],
        b"  ",
        b"{",
        b"{\"statusCode\":200}x",
        b"\xff\xfe",
        b"{\"statusCode\":200,\"statusCode\":500}",
    ] {
        assert!(read(text).is_err(), "{text:?}");
    }
}

#[test]
fn some_statuses_have_no_body() {
    for status in [204, 205, 304] {
        let response = of(&json!({"statusCode": status, "body": "x"})).unwrap().into_response();
        assert!(matches!(response.body(), Body::Full(bytes) if bytes.is_empty()), "{status}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-10i64..1000).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(".{0,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever its fields hold, an answer is malformed or a response that HTTP allows.
    #[test]
    fn any_structure_is_a_response_or_malformed(
        status in prop_oneof![Just(json!(200)), (100i64..700).prop_map(Value::from), any_json()],
        headers in any_json(), body in any_json(), binary in any_json(),
    ) {
        let answer = json!({"statusCode": status, "headers": headers, "body": body, "isBase64Encoded": binary});
        if let Ok(answer) = of(&answer) {
            prop_assert!((200..600).contains(&answer.status.as_u16()));
            prop_assert!(!answer.headers.contains_key(CONTENT_LENGTH));
            prop_assert!(!answer.headers.contains_key(header::TRANSFER_ENCODING));
            let bytes: usize = answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
            prop_assert!(bytes <= HEADER_BYTES_MAX + 64);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = read(&bytes);
    }

    /// Text and bytes come out as they went in.
    #[test]
    fn bodies_arrive_whole(text in ".{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let said = of(&json!({"statusCode": 200, "body": text})).unwrap();
        prop_assert_eq!(said.body.as_ref(), text.as_bytes());
        let encoded = STANDARD.encode(&bytes);
        let said = of(&json!({"statusCode": 200, "body": encoded, "isBase64Encoded": true})).unwrap();
        prop_assert_eq!(said.body.as_ref(), bytes.as_slice());
    }
}
