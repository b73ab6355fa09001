//! A server with one of everything, and what is looked at after each attempt to do it harm: what `hostile` is written with.

use base64::Engine as _;
use hearth_tests::{Connection, Reply, Server, Start, guest};
use serde_json::{Value, json};

use crate::hostile_calls::Call;

pub(super) const PREFIX: &str = "/2016-08-15";

/// One request that somebody might send.
pub(super) struct Attempt {
    pub(super) what: String,
    /// Whether it must be refused.
    pub(super) is_wrong: bool,
    pub(super) target: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    /// A text that was put into a field, and where it is shown if it was taken.
    pub(super) sent: Option<(String, String)>,
}

pub(super) struct World {
    pub(super) server: Server,
    pub(super) connection: Connection,
    /// The end of the audit trail.
    last: Value,
    pub(super) wrong: Vec<String>,
    pub(super) count: u32,
    pub(super) refusals: u32,
}

impl World {
    pub(super) fn new() -> Self {
        // Keys are made here as well, and must not close it.
        let server = Start::default().with("--auth", "off").start();
        let made = server.create("f", &guest("wat-echo"), json!({}));
        assert_eq!(made.status, 200, "{}", made.text());
        server.publish();
        let zip = creation_zip();
        let config = json!({"cronExpression": "@every 1h"});
        let logs = json!({"logConfig": {"enableInstanceMetrics": true}});
        let trigger = json!({"triggerName": "t", "triggerType": "timer", "triggerConfig": config});
        let prod = "/services/s.prod/functions/f";
        for (method, path, body) in [
            ("PUT", "/services/s".to_owned(), logs),
            (
                "POST",
                "/services/s/aliases".to_owned(),
                json!({"aliasName": "prod", "versionId": "1"}),
            ),
            ("POST", "/services/s/functions/f/triggers".to_owned(), trigger),
            (
                "POST",
                "/custom-domains".to_owned(),
                json!({"domainName": "a.example", "protocol": "HTTP"}),
            ),
            ("POST", "/layers/l/versions".to_owned(), json!({"code": {"zipFile": zip}})),
            ("PUT", format!("{prod}/on-demand-config"), json!({"maximumInstanceCount": 5})),
            ("PUT", format!("{prod}/provision-config"), json!({"target": 0})),
            ("PUT", format!("{prod}/async-invoke-config"), json!({"maxAsyncRetryAttempts": 1})),
        ] {
            let made = server.call(method, &path, &body);
            assert_eq!(made.status, 200, "{method} {path}: {}", made.text());
        }
        let connection = Connection::new(server.address());
        let mut world = Self {
            server,
            connection,
            last: Value::Null,
            wrong: Vec::new(),
            count: 0,
            refusals: 0,
        };
        world.last = world.trail();
        world
    }

    pub(super) fn trail(&mut self) -> Value {
        let reply = self.connection.send("GET", "/hearth/v1/audit?limit=1", &[], b"").unwrap();
        reply.json()["records"][0]["number"].clone()
    }

    /// Makes an attempt and says what is wrong with its answer.
    pub(super) fn attempt(&mut self, call: &Call, attempt: &Attempt) {
        self.count += 1;
        let headers: Vec<_> =
            attempt.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let sent = self.connection.send(call.method, &attempt.target, &headers, &attempt.body);
        let problem = match sent {
            Err(why) => Some(why),
            Ok(reply) => self.judge(call, attempt, &reply),
        };
        if let Some(problem) = problem {
            let what = format!("{} {}: {}: {problem}", call.method, call.path, attempt.what);
            self.wrong.push(what.chars().take(400).collect());
        }
    }

    pub(super) fn judge(
        &mut self,
        call: &Call,
        attempt: &Attempt,
        reply: &Reply,
    ) -> Option<String> {
        let last = self.trail();
        let text = reply.text();
        match reply.status {
            200..300 if attempt.is_wrong => {
                self.restore(call, reply);
                Some(format!("it was taken: {} {text}", reply.status))
            }
            200..300 => {
                let shown: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
                self.restore(call, reply);
                let (field, value) = attempt.sent.as_ref()?;
                let found = shown.pointer(field)?.as_str()?;
                let is_same = found.eq_ignore_ascii_case(value);
                (!is_same && !value.is_empty()).then(|| format!("it became {found:?}"))
            }
            304 => None,
            400..500 => {
                self.refusals += 1;
                if last != self.last {
                    self.last = last;
                    return Some(format!("it was refused and changed something: {text}"));
                }
                let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
                let says = |key: &str| body[key].as_str().is_some_and(|text| !text.is_empty());
                let has_id = reply.header("x-fc-request-id").is_some_and(|id| id.len() == 36);
                (!says("ErrorCode") || !says("ErrorMessage") || !has_id)
                    .then(|| format!("{} is not as documented: {text:?}", reply.status))
            }
            other => Some(format!("{other} {text}")),
        }
    }

    /// Undoes what was done, so that the next attempt finds what this one found.
    pub(super) fn restore(&mut self, call: &Call, reply: &Reply) {
        if let Some((path, field)) = call.undo {
            let name = reply.json()[field].as_str().unwrap_or_default().to_owned();
            let path = target(&format!("{path}/{name}"));
            let gone = self.server.send("DELETE", &path, &[], b"");
            assert!(matches!(gone.status, 200 | 204), "{path}: {}", gone.text());
        } else if call.path == "/tag" && call.method == "POST" {
            let body = json!({"resourceArn": "services/s", "tagKeys": [], "all": true});
            assert_eq!(self.server.call("DELETE", "/tag", &body).status, 200);
        } else if call.method == "PUT" && !call.body.is_null() {
            let restored = self.server.call("PUT", &bare(call.path), &call.body);
            assert_eq!(restored.status, 200, "{}: {}", call.path, restored.text());
        }
        self.last = self.trail();
    }

    /// What there is, as far as it does not tell when it was looked at.
    pub(super) fn holdings(&self) -> Vec<(&'static str, Value)> {
        let paths = [
            "/services/s",
            "/services/s.1",
            "/services/s/functions/f",
            "/services/s.1/functions/f",
            "/services/s/aliases/prod",
            "/services/s/functions/f/triggers/t",
            "/custom-domains/a.example",
            "/layers/l/versions/1",
            "/tag?resourceArn=services/s",
            "/services/s.prod/functions/f/on-demand-config",
            "/services/s.prod/functions/f/provision-config",
            "/services/s.prod/functions/f/async-invoke-config",
            "/services",
            "/custom-domains",
        ];
        let look = |path: &'static str| {
            let reply = self.server.call("GET", path, &Value::Null);
            assert_eq!(reply.status, 200, "{path}: {}", reply.text());
            let mut shown = reply.json();
            if let Some(shown) = shown.as_object_mut() {
                shown.remove("code");
            }
            (path, shown)
        };
        paths.into_iter().map(look).collect()
    }
}

pub(super) fn creation_zip() -> String {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("a", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"a").unwrap();
    base64::prelude::BASE64_STANDARD.encode(zip.finish().unwrap().into_inner())
}

pub(super) fn bare(path: &str) -> String {
    path.replace(['{', '}'], "")
}

/// All of a path.
pub(super) fn target(path: &str) -> String {
    let prefix = if path.starts_with("/hearth") { "" } else { PREFIX };
    format!("{prefix}{}", bare(path))
}

pub(super) fn without_times(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| name != "lastModifiedTime");
        fields.values_mut().for_each(|value| *value = without_times(value));
    } else if let Some(items) = value.as_array_mut() {
        items.iter_mut().for_each(|value| *value = without_times(value));
    }
    value
}
