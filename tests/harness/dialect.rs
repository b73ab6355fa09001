//! The calls of the dialect that stories are made of: services, functions, invocations.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::{Reply, Server, eventually, guest};

/// A guest that answers with this text whatever it is asked.
///
/// # Panics
/// When the text does not fit into a string of the text format.
#[must_use]
pub fn answering(text: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 0) "{text}")
            (func (export "alloc") (param i32) (result i32) i32.const 1024)
            (func (export "handle") (param i32 i32) (result i64) i64.const {}))"#,
        text.len()
    ))
    .expect("a module that answers")
}

impl Server {
    /// Makes function `s/NAME` that answers with its text.
    ///
    /// # Panics
    /// When it is refused.
    pub fn deploy_answering(&self, name: &str, text: &str) {
        let made = self.create(name, &answering(text), json!({}));
        assert_eq!(made.status, 200, "{}", made.text());
    }

    /// Publishes service `s`; the number of the version.
    ///
    /// # Panics
    /// When it is refused.
    pub fn publish(&self) -> String {
        let made = self.call("POST", "/services/s/versions", &json!({"description": "d"}));
        assert_eq!(made.status, 200, "{}", made.text());
        made.json()["versionId"].as_str().expect("a number as text").to_owned()
    }

    /// Invokes a function of service `s` at a qualifier.
    #[must_use]
    pub fn invoke_at(&self, qualifier: &str, name: &str) -> Reply {
        let path = format!("/2016-08-15/services/s.{qualifier}/functions/{name}/invocations");
        self.send("POST", &path, &[], b"x")
    }

    /// Sends JSON to the dialect, unless the thing was changed since this entity tag.
    #[must_use]
    pub fn call_if_match(&self, method: &str, path: &str, tag: &str, body: &Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, &format!("/2016-08-15{path}"), &[("if-match", tag)], body.as_bytes())
    }

    /// Makes a service, unless it is there.
    pub fn service(&self, name: &str) {
        let made = self.call("POST", "/services", &json!({"serviceName": name}));
        assert!([200, 409].contains(&made.status), "{}", made.text());
    }

    /// Makes a function in service `s` from code, with more settings.
    #[must_use]
    pub fn create(&self, name: &str, code: &[u8], settings: Value) -> Reply {
        self.service("s");
        let mut body = creation(name, code);
        if let (Value::Object(body), Value::Object(settings)) = (&mut body, settings) {
            body.extend(settings);
        }
        self.call("POST", "/services/s/functions", &body)
    }

    /// Makes a function of service `s` from the bytes of a package, whatever they are.
    #[must_use]
    pub fn create_from_package(&self, name: &str, package: &[u8]) -> Reply {
        self.create_from_package_with(name, package, &[])
    }

    /// The same with headers.
    #[must_use]
    pub fn create_from_package_with(
        &self,
        name: &str,
        package: &[u8],
        headers: &[(&str, &str)],
    ) -> Reply {
        self.service("s");
        let mut body = creation(name, b"");
        body["code"] = encoded(package);
        self.send("POST", "/2016-08-15/services/s/functions", headers, body.to_string().as_bytes())
    }

    /// Replaces the code of `s/NAME`.
    #[must_use]
    pub fn replace(&self, name: &str, code: &[u8]) -> Reply {
        self.call("PUT", &format!("/services/s/functions/{name}"), &json!({"code": package(code)}))
    }

    /// Makes function `s/NAME` of the guest of that name.
    ///
    /// # Panics
    /// When it is refused.
    pub fn deploy(&self, name: &str) {
        self.deploy_with(name, json!({}));
    }

    /// The same with settings.
    ///
    /// # Panics
    /// When it is refused.
    pub fn deploy_with(&self, name: &str, settings: Value) {
        let function = name.trim_start_matches("bad/");
        let made = self.create(function, &guest(name), settings);
        assert_eq!(made.status, 200, "{name}: {}", made.text());
    }

    /// Invokes `s/NAME` and asks for the tail log.
    #[must_use]
    pub fn invoke(&self, name: &str, event: &str) -> Reply {
        self.invoke_with(name, event, &[("x-fc-log-type", "Tail")])
    }

    /// Invokes `s/NAME` with these headers.
    #[must_use]
    pub fn invoke_with(&self, name: &str, event: &str, headers: &[(&str, &str)]) -> Reply {
        let path = format!("/2016-08-15/services/s/functions/{name}/invocations");
        self.send("POST", &path, headers, event.as_bytes())
    }

    /// Invokes `s/NAME` asynchronously; its request id.
    ///
    /// # Panics
    /// When it is not accepted.
    #[must_use]
    pub fn invoke_async(&self, name: &str, event: &str) -> String {
        let accepted = self.invoke_with(name, event, &[("x-fc-invocation-type", "Async")]);
        assert_eq!(accepted.status, 202, "{}", accepted.text());
        accepted.header("x-fc-request-id").expect("every answer has an id").to_owned()
    }

    /// Invokes `s/NAME` asynchronously so many times on a disk without room for all of them; the request ids of what was accepted.
    ///
    /// # Panics
    /// When one is neither accepted nor refused for now, or none is refused.
    #[must_use]
    pub fn invoke_async_beyond_room(&self, name: &str, event: &str, count: usize) -> Vec<String> {
        let mut accepted = Vec::new();
        for _ in 0..count {
            let reply = self.invoke_with(name, event, &[("x-fc-invocation-type", "Async")]);
            match reply.status {
                202 => accepted.push(reply.header("x-fc-request-id").expect("an id").to_owned()),
                _ => reply.is_error(503, "ServiceUnavailable"),
            }
        }
        assert!(accepted.len() < count, "{count} of {} bytes fit", event.len());
        accepted
    }

    /// Waits until all these invocations have succeeded.
    pub fn all_succeed(&self, request_ids: &[String]) {
        eventually("the end of what was accepted", || {
            let good =
                |id: &String| self.record(id).is_some_and(|one| one["status"] == "succeeded");
            request_ids.iter().all(good)
        });
    }

    /// Creates `s/NAME` on a server that may die meanwhile; the status, if an answer came.
    #[must_use]
    pub fn try_create(&self, name: &str, code: &[u8]) -> Option<u16> {
        let body = creation(name, code).to_string();
        let reply =
            self.try_send("POST", "/2016-08-15/services/s/functions", &[], body.as_bytes())?;
        Some(reply.status)
    }

    /// Replaces the code of `s/NAME` on a server that may die meanwhile; the status, if an answer came.
    #[must_use]
    pub fn try_replace(&self, name: &str, code: &[u8]) -> Option<u16> {
        let body = json!({"code": package(code)}).to_string();
        let path = format!("/2016-08-15/services/s/functions/{name}");
        Some(self.try_send("PUT", &path, &[], body.as_bytes())?.status)
    }

    /// Invokes `s/NAME` on a server that may end meanwhile; none if no whole answer came.
    #[must_use]
    pub fn try_invoke(&self, name: &str, event: &str) -> Option<Reply> {
        let path = format!("/2016-08-15/services/s/functions/{name}/invocations");
        self.try_send("POST", &path, &[], event.as_bytes())
    }

    /// Invokes `s/NAME` asynchronously on a server that may die meanwhile; its request id, if it was accepted.
    #[must_use]
    pub fn try_invoke_async(&self, name: &str, event: &str) -> Option<String> {
        let path = format!("/2016-08-15/services/s/functions/{name}/invocations");
        let headers = [("x-fc-invocation-type", "Async")];
        let reply = self.try_send("POST", &path, &headers, event.as_bytes())?;
        let id = reply.header("x-fc-request-id").map(str::to_owned);
        id.filter(|_| reply.status == 202)
    }

    /// What became of an invocation, if it has ended.
    #[must_use]
    pub fn record(&self, request_id: &str) -> Option<Value> {
        let reply = self.send("GET", &format!("/hearth/v1/invocations/{request_id}"), &[], b"");
        (reply.status == 200).then(|| reply.json())
    }

    /// What became of the invocations of a function, newest first; at most 1,000.
    #[must_use]
    pub fn records_of(&self, function: &str) -> Vec<Value> {
        let path = format!("/hearth/v1/invocations?function={function}&limit=1000");
        let reply = self.send("GET", &path, &[], b"");
        reply.json()["invocations"].as_array().cloned().unwrap_or_default()
    }
}

/// What creates a function from code.
pub(crate) fn creation(name: &str, code: &[u8]) -> Value {
    json!({
        "functionName": name, "runtime": "wasm", "handler": "handle", "timeout": 3, "memorySize": 128,
        "code": package(code),
    })
}

/// Code as the dialect takes it: a zip in base64.
fn package(code: &[u8]) -> Value {
    encoded(&zip_of(code))
}

fn encoded(package: &[u8]) -> Value {
    json!({"zipFile": base64::prelude::BASE64_STANDARD.encode(package)})
}

/// A zip with this one file of code.
fn zip_of(code: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("main.wasm", zip::write::SimpleFileOptions::default()).expect("a new file");
    zip.write_all(code).expect("memory can be written");
    zip.finish().expect("memory can be written").into_inner()
}
