//! What a function answers, as a response: `{isBase64Encoded, statusCode, headers, body}`. Whatever is not that is malformed, and what is
//! wrong with it is said for the function's log.
//!
//! `statusCode` is a number from 200 to 599. `headers` has texts, numbers, true and false, and lists of them for headers that
//! come more than once. `body` is a text; with `isBase64Encoded` it is decoded. All but `statusCode` may be absent or null, and fields
//! that are not of the structure mean nothing. A function may also answer with a JSON text that holds the structure, as runtimes make
//! of a returned string. Headers of one hop, lengths and the platform's own are not passed on.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::guest_request::is_ours;
use super::super::hop;
use crate::http::{Body, Response};

/// Most bytes of headers that a function may answer with.
const HEADER_BYTES_MAX: usize = 64 << 10;
/// Most characters of a wrong name or value that are repeated.
const SHOWN_CHARS: usize = 64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Structure<'a> {
    is_base64_encoded: Option<bool>,
    status_code: Option<i64>,
    headers: Option<Map<String, Value>>,
    #[serde(borrow)]
    body: Option<Cow<'a, str>>,
}

/// An answer that is a response.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Reads an answer.
///
/// # Errors
/// What keeps it from being a response.
pub(super) fn read(answer: &[u8]) -> Result<Answer, String> {
    let text = answer.trim_ascii_start();
    if text.first() == Some(&b'"') {
        let inner: String = parse(text)?;
        return structure(inner.as_bytes());
    }
    structure(text)
}

fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, String> {
    if text.is_empty() {
        return Err(
            "it is empty; expected {\"statusCode\", \"headers\", \"body\", \"isBase64Encoded\"}"
                .to_owned(),
        );
    }
    serde_json::from_slice(text).map_err(|error| format!("it cannot be read: {error}"))
}

fn structure(text: &[u8]) -> Result<Answer, String> {
    if text.first() == Some(&b'[') {
        // It would be read as the fields in their order.
        return Err("it is a list and no object".to_owned());
    }
    let read: Structure<'_> = parse(text)?;
    let status = read.status_code.ok_or("it has no `statusCode`")?;
    let status = u16::try_from(status)
        .ok()
        .filter(|code| (200..600).contains(code))
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| format!("`statusCode` {status} is not from 200 to 599"))?;
    let is_binary = read.is_base64_encoded.unwrap_or(false);
    let text = read.body.unwrap_or_default();
    let body: Bytes = if is_binary {
        let decoded = STANDARD.decode(text.as_bytes());
        decoded.map_err(|error| format!("`body` is not Base64: {error}"))?.into()
    } else {
        text.into_owned().into()
    };
    let mut headers = headers(read.headers.unwrap_or_default())?;
    if !headers.contains_key(CONTENT_TYPE) && !body.is_empty() {
        let kind = if is_binary { "application/octet-stream" } else { "text/plain; charset=utf-8" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    Ok(Answer { status, headers, body })
}

fn headers(given: Map<String, Value>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let mut bytes = 0;
    for (name, value) in given {
        let shown =
            || name.chars().take(SHOWN_CHARS).collect::<String>().escape_debug().to_string();
        let parsed = HeaderName::from_bytes(name.as_bytes());
        let parsed = parsed.map_err(|_| format!("`{}` is no name of a header", shown()))?;
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                Value::Array(_) | Value::Object(_) => {
                    return Err(format!("header `{}` is no text", shown()));
                }
            };
            let text = HeaderValue::from_str(text.trim_matches([' ', '\t']))
                .map_err(|_| format!("header `{}` has characters that no header may", shown()))?;
            bytes += name.len() + text.len();
            if bytes > HEADER_BYTES_MAX {
                return Err("its headers are over the limit of 64KiB".to_owned());
            }
            headers.append(parsed.clone(), text);
        }
    }
    hop::strip(&mut headers, is_ours);
    // They are of the body as it is sent, which the server knows best.
    headers.remove(CONTENT_LENGTH);
    headers.remove(header::TRAILER);
    Ok(headers)
}

impl Answer {
    /// The response.
    pub(super) fn into_response(self) -> Response {
        let bodiless = matches!(
            self.status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        );
        let body = if bodiless { Body::empty() } else { Body::Full(self.body) };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
