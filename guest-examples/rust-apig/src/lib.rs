//! An event function behind an API gateway: a request comes as an event, and what it answers becomes the response.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hearth_guest::{Context, Error, event_function, log};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    http_method: String,
    path: String,
    path_parameters: BTreeMap<String, String>,
    query_string_parameters: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: String,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    is_base64_encoded: bool,
    status_code: u16,
    headers: BTreeMap<&'static str, String>,
    body: String,
}

event_function!(|event: Value, context: &Context| -> Result<Response, Error> {
    if event["path"].as_str().is_some_and(|path| path.ends_with("/event")) {
        return Ok(text(200, "application/json", event.to_string()));
    }
    let request: Request =
        serde_json::from_value(event).map_err(|why| Error::new("NoRequest", why))?;
    log::info(format_args!("{} {} is {}", request.http_method, request.path, context.request_id));
    Ok(answer(request))
});

fn text(status_code: u16, kind: &str, body: String) -> Response {
    let headers = BTreeMap::from([("content-type", kind.to_owned())]);
    Response { is_base64_encoded: false, status_code, headers, body }
}

fn answer(request: Request) -> Response {
    if request.http_method == "POST" {
        return echo(request);
    }
    match request.path_parameters.get("name") {
        Some(name) => {
            let greeting = request.query_string_parameters.get("greeting");
            let greeting = greeting.map_or("hello", String::as_str);
            text(200, "text/plain; charset=utf-8", format!("{greeting} {name}"))
        }
        None => text(404, "text/plain; charset=utf-8", "nobody to greet".to_owned()),
    }
}

/// The body as it came, under its own content type.
fn echo(request: Request) -> Response {
    let bytes = if request.is_base64_encoded {
        STANDARD.decode(&request.body).unwrap_or_default()
    } else {
        request.body.into_bytes()
    };
    let kind = request.headers.get("content-type");
    let kind = kind.map_or("application/octet-stream", String::as_str);
    Response {
        is_base64_encoded: true,
        body: STANDARD.encode(bytes),
        ..text(200, kind, String::new())
    }
}
