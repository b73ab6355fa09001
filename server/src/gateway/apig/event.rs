//! The event that a request becomes: the documented fields and no others.
//!
//! | field | is |
//! |---|---|
//! | `body`, `isBase64Encoded` | the body in Base64, and always true; an empty text without a body |
//! | `httpMethod`, `path` | as they came; the path is that of the route, still escaped, without its query |
//! | `pathParameters` | the route's parameters, escapes undone |
//! | `queryStringParameters` | names and values, escapes undone and `+` a space |
//! | `headers` | names in lower case, without those of one hop and the platform's own |
//! | `requestContext` | `apiId` (the trigger's), `requestId`, `stage` |
//!
//! Every value is one text. Where a name comes more than once, values are joined in their order with a comma, those of `cookie` with `; `.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hearth_platform::{GatewayRoute, unescape};
use http::header::{COOKIE, HOST};
use http::request::Parts;
use serde::Serialize;

/// What a caller said.
pub(super) struct Said<'a> {
    /// The head, cleaned.
    pub(super) parts: &'a Parts,
    /// The whole body.
    pub(super) body: &'a [u8],
    /// Path and query as the function is to see them.
    pub(super) path: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    body: String,
    request_context: Context<'a>,
    query_string_parameters: BTreeMap<String, String>,
    http_method: &'a str,
    path_parameters: BTreeMap<&'a str, &'a str>,
    headers: BTreeMap<&'a str, String>,
    path: &'a str,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    api_id: &'a str,
    request_id: &'a str,
    stage: &'a str,
}

/// The event.
pub(super) fn write(said: &Said<'_>, route: &GatewayRoute, request_id: &str) -> Bytes {
    let (path, query) = said.path.split_once('?').unwrap_or((said.path, ""));
    let event = Event {
        body: STANDARD.encode(said.body),
        request_context: Context { api_id: &route.id, request_id, stage: &route.trigger.stage },
        query_string_parameters: query_parameters(query),
        http_method: said.parts.method.as_str(),
        path_parameters: route.parameters.iter().map(|(name, value)| (&**name, &**value)).collect(),
        headers: headers(said.parts),
        path,
        is_base64_encoded: true,
    };
    // Texts alone: it cannot fail.
    serde_json::to_vec(&event).unwrap_or_default().into()
}

fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = |text: &str| unescape(&text.replace('+', " ")).into_owned();
        add(&mut parameters, plain(name), &plain(value), ",");
    }
    parameters
}

fn headers(parts: &Parts) -> BTreeMap<&str, String> {
    let mut headers = BTreeMap::new();
    for (name, value) in &parts.headers {
        let between = if name == COOKIE { "; " } else { "," };
        add(&mut headers, name.as_str(), &String::from_utf8_lossy(value.as_bytes()), between);
    }
    // HTTP/2 says it in the request's line.
    if let Some(authority) = parts.uri.authority().filter(|_| !headers.contains_key(HOST.as_str()))
    {
        headers.insert("host", authority.as_str().to_owned());
    }
    headers
}

fn add<K: Ord>(map: &mut BTreeMap<K, String>, name: K, value: &str, between: &str) {
    match map.get_mut(&name) {
        Some(held) => {
            held.push_str(between);
            held.push_str(value);
        }
        None => drop(map.insert(name, value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn query(text: &str) -> String {
        let found = query_parameters(text);
        let found: Vec<_> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
        found.join("|")
    }

    #[test]
    fn queries() {
        for (text, found) in [
            ("", ""),
            ("name=me", "name=me"),
            ("a=1&b=2", "a=1|b=2"),
            ("b=2&a=1", "a=1|b=2"),
            ("a=1&a=2&a=", "a=1,2,"),
            ("a", "a="),
            ("a=b=c", "a=b=c"),
            ("=x", "=x"),
            ("&&a=1&", "a=1"),
            ("a+b=c%2Bd+e", "a b=c+d e"),
            ("%61=%C3%A9", "a=\u{e9}"),
            ("a=%zz%ff", "a=%zz%ff"),
        ] {
            assert_eq!(query(text), found, "{text}");
        }
    }

    #[test]
    fn headers_that_come_twice_are_one_text() {
        let request = http::Request::builder()
            .uri("https://h2.example/")
            .header("Accept", "a")
            .header("accept", "b")
            .header("cookie", "x=1")
            .header("cookie", "y=2");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let found = headers(&parts);
        assert_eq!((found["accept"].as_str(), found["cookie"].as_str()), ("a,b", "x=1; y=2"));
        assert_eq!(found["host"], "h2.example");
    }

    proptest! {
        #[test]
        fn no_query_is_lost_or_panics(pairs in prop::collection::vec(("[a-c]{1,2}", "[a-z &%+=]{0,4}"), 0..6)) {
            let escape = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02x}")).collect() };
            let text: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
            let found = query_parameters(&text.join("&"));
            for (name, value) in &pairs {
                prop_assert!(found[name].contains(value.as_str()));
            }
            let _ = query_parameters(&pairs.iter().map(|(_, value)| value.as_str()).collect::<String>());
        }
    }
}
