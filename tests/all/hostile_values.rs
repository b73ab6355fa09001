//! What a field may be filled with by somebody who means harm or knows no better, and whether that must be refused.

use serde_json::{Value, json};

use crate::hostile_calls::Call;

/// Fields that are read by nobody: whatever is in them is ignored.
const UNREAD: [&str; 1] = ["/certConfig/privateKey"];
/// Numbers that are kept without effect, of any size from 0.
const KEPT_NUMBERS: [&str; 4] = ["/cpu", "/diskSize", "/gpuMemorySize", "/instanceSoftConcurrency"];
/// Fields of which more than there can be does no harm: what is not there is not removed.
const ANY_LENGTH: [&str; 2] = ["/tagKeys", "/tagKeys/0"];

/// Fields whose names are the caller's.
const MAPS: [&str; 5] = [
    "/environment",
    "/environmentVariables",
    "/tags",
    "/additionalVersionWeight",
    "/triggerConfig",
];
/// Texts that are bounded with all that is kept beside them.
const KEPT_TEXTS: [&str; 3] = ["/resolvePolicy", "/certConfig", "/triggerConfig"];
/// Fields that must be there and may say nothing: what is called is told by the binary.
const MAY_BE_EMPTY: [&str; 1] = ["/handler"];

/// Texts that are made to do harm, of a usual length.
pub(super) fn hostile_texts() -> Vec<String> {
    let texts = [
        "\0",
        "a\0b",
        "a\nb",
        "a\r\nx: y",
        "../../etc/passwd",
        "..",
        ".",
        "/",
        "a/b",
        "%2F",
        "%00",
        "a%2fb",
        "\u{202e}abc",
        "\u{feff}",
        "é",
        "\u{1f525}",
        "a b",
        " ",
        "'; DROP TABLE record; --",
        "${jndi:x}",
        "<script>",
        "NaN",
        "Infinity",
        "-1",
        "9223372036854775808",
        "18446744073709551616",
        "null",
        "true",
        "a.b",
        "LATEST",
        "\u{7f}",
        "\u{1b}[31m",
        "{}",
        "[]",
    ];
    texts.map(str::to_owned).to_vec()
}

/// What is far over any bound there is, ten times and more.
pub(super) fn over_long(valid: &Value, is_kept: bool) -> Vec<Value> {
    // Ten times the bounds of what is only kept, or of everything else.
    let bytes = if is_kept { 700 << 10 } else { 41 << 10 };
    let long = "a".repeat(bytes);
    match valid {
        Value::String(_) => vec![json!(long), json!("é".repeat(bytes / 2))],
        Value::Array(items) => {
            let item = items.first().cloned().unwrap_or_else(|| json!("a"));
            vec![Value::Array(vec![item; 20_000])]
        }
        Value::Object(_) => {
            let many = (0..50_000).map(|number| (format!("key{number}"), json!("a")));
            vec![json!({"a": long}), Value::Object(many.collect())]
        }
        _ => Vec::new(),
    }
}

/// Values of every type but that of a value.
pub(super) fn other_types(valid: &Value) -> Vec<Value> {
    let all = [
        json!(7),
        json!(-1),
        json!(true),
        json!("7"),
        json!(["x"]),
        json!([]),
        json!([["x"]]),
        json!({"x": 1}),
        json!({}),
    ];
    let kind = |value: &Value| std::mem::discriminant(value);
    all.into_iter().filter(|other| kind(other) != kind(valid)).collect()
}

/// Numbers that no field takes.
pub(super) fn numbers() -> Vec<Value> {
    let texts = [
        "-1",
        "-9223372036854775808",
        "4294967296",
        "9223372036854775808",
        "18446744073709551616",
        "1e300",
        "-0.5",
    ];
    texts.map(|text| serde_json::from_str(text).unwrap()).to_vec()
}

pub(super) fn deep(depth: usize) -> Value {
    (0..depth).fold(json!("x"), |inner, _| json!([inner]))
}

/// What a field may be filled with: the value, none where it is left out, and whether that must be refused.
pub(super) fn fillings(
    call: &Call,
    field: &str,
    valid: &Value,
) -> Vec<(String, Option<Value>, bool)> {
    let is_required = call.required.contains(&field);
    let is_unread = UNREAD.contains(&field);
    let mut found = vec![("missing".to_owned(), None, is_required)];
    let mut add = |what: &str, value: Value, is_wrong: bool| {
        found.push((what.to_owned(), Some(value), is_wrong && !is_unread));
    };
    add("null", Value::Null, is_required);
    for value in other_types(valid) {
        add("another type", value, true);
    }
    let is_kept = KEPT_TEXTS.iter().any(|kept| field.starts_with(kept));
    let is_open = call.opaque.contains(&field) || MAPS.contains(&field);
    for value in over_long(valid, is_open || is_kept) {
        let is_bounded = match valid {
            // In others, fields that nobody knows are ignored, however many.
            Value::Object(_) => is_open,
            _ => !ANY_LENGTH.contains(&field),
        };
        add("over-long", value, is_bounded);
    }
    add("deep", deep(100), true);
    match valid {
        Value::String(_) => {
            add("empty", json!(""), is_required && !MAY_BE_EMPTY.contains(&field));
            for text in hostile_texts() {
                add("hostile", json!(text), false);
            }
        }
        Value::Number(_) => {
            for value in numbers() {
                let is_negative = value.as_f64().is_some_and(|value| value < 0.0);
                add("a number", value, is_negative || !KEPT_NUMBERS.contains(&field));
            }
        }
        Value::Array(_) => add("empty", json!([]), is_required),
        Value::Object(_) => add("empty", json!({}), is_required && field != "/triggerConfig"),
        _ => {}
    }
    found
}

/// The body with a field filled in otherwise.
pub(super) fn filled(body: &Value, field: &str, value: Option<Value>) -> Value {
    let mut body = body.clone();
    let (parent, name) = field.rsplit_once('/').unwrap();
    match (body.pointer_mut(parent).unwrap(), value) {
        (Value::Object(fields), Some(value)) => drop(fields.insert(name.to_owned(), value)),
        (Value::Object(fields), None) => drop(fields.remove(name)),
        (Value::Array(items), Some(value)) => items[name.parse::<usize>().unwrap()] = value,
        (Value::Array(items), None) => drop(items.remove(name.parse().unwrap())),
        _ => panic!("{field} has no parent"),
    }
    body
}
