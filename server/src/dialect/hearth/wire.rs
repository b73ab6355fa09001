//! The JSON of hearth's own API, shared by the server and the command line.
//!
//! Quantities are text with units, as on the command line. Unknown fields are refused: a misspelt limit must not be ignored.

use std::collections::BTreeMap;

use hearth_engine::{Grants, Isolation, Limits, PoolPolicy};
use hearth_platform::Deed;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::config::{Size, Span};

/// The header that carries [`DeployRequest`] as JSON beside a body of WebAssembly.
pub const SETTINGS_HEADER: &str = "x-hearth-settings";

/// What a deployment may say about a function beside its code. What is absent is left as it is, or at its default when the
/// function is new.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeployRequest {
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The object that holds the code, as `BUCKET/KEY`; the body is empty then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Memory of one instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// Wall-clock time of one invocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// CPU time of one invocation; `0` means no limit of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_time: Option<Span>,
    /// Time for making an instance ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initialize_timeout: Option<Span>,
    /// `reuse`, `fresh` or `snapshot`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// Environment variables; replaces all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<BTreeMap<String, String>>,
    /// Ready instances kept even when nobody calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ready: Option<u32>,
    /// Most instances at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_instances: Option<u32>,
    /// Invocations that one instance serves at once, 1 to 200; more than 1 is for HTTP functions of WASI 0.3 that are reused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// An idle instance is dropped after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_time: Option<Span>,
    /// Invocations an instance serves before it retires; 0 means no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// Invocations that may wait for an instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    /// How long one waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_wait: Option<Span>,
    /// What it may reach outside its instance; replaces all grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(deserialize_with = "object")]
    pub grants: Option<Grants>,
    /// Who may call it by HTTP at an address of its own, `anonymous` or `function`: makes an HTTP trigger unless there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
}

impl DeployRequest {
    /// Lays what is said over existing limits.
    pub fn apply_limits(&self, limits: &mut Limits) {
        set(&mut limits.memory_bytes, self.memory.map(|size| size.0));
        set(&mut limits.timeout, self.timeout.map(|span| span.0));
        set(
            &mut limits.cpu_time,
            self.cpu_time.map(|span| Some(span.0).filter(|time| !time.is_zero())),
        );
        set(&mut limits.initialize_timeout, self.initialize_timeout.map(|span| span.0));
    }

    /// Lays what is said over an existing pool policy.
    pub fn apply_pool(&self, pool: &mut PoolPolicy) {
        set(&mut pool.min_ready, self.min_ready);
        set(&mut pool.max_instances, self.max_instances);
        set(&mut pool.idle_time, self.idle_time.map(|span| span.0));
        set(&mut pool.uses, self.uses);
        set(&mut pool.queue, self.queue);
        set(&mut pool.queue_wait, self.queue_wait.map(|span| span.0));
    }
}

fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}

/// Reads JSON that must be an object: a struct is read from a list as well otherwise.
pub(super) fn read_object<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    let fields: Map<String, Value> = serde_json::from_slice(text)?;
    serde_json::from_value(Value::Object(fields))
}

/// The same for a field.
fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let fields: Option<Map<String, Value>> = Option::deserialize(deserializer)?;
    let read = |fields| serde_json::from_value(Value::Object(fields)).map_err(D::Error::custom);
    fields.map(read).transpose()
}

/// A function as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionView {
    /// Its service.
    pub service: String,
    /// Its name.
    pub function: String,
    /// A sentence about it.
    #[serde(default)]
    pub description: String,
    /// SHA-256 of the WebAssembly, or of the package it came in, in hexadecimal.
    pub code_sha256: String,
    /// Bytes of it.
    pub code_bytes: u64,
    /// Memory of one instance.
    pub memory: Size,
    /// Wall-clock time of one invocation.
    pub timeout: Span,
    /// CPU time of one invocation, if it has a limit of its own.
    pub cpu_time: Option<Span>,
    /// `reuse`, `fresh` or `snapshot`.
    pub isolation: Isolation,
    /// Ready instances kept.
    pub min_ready: u32,
    /// Most instances at once.
    pub max_instances: u32,
    /// Invocations that one instance may serve at once.
    pub concurrency: u32,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// What it may reach outside its instance.
    pub grants: Grants,
    /// When it last changed, as RFC 3339.
    pub modified: String,
}

/// The answer to a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployReply {
    /// Whether the function is new.
    pub created: bool,
    /// Time until it was ready to be called, the upload included.
    pub took_ms: u64,
    /// The function now.
    pub function: FunctionView,
    /// Settings that were asked for and have no effect on this code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_effect: Vec<String>,
    /// Where it answers HTTP requests, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// All functions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionsReply {
    /// In the order of service and name.
    pub functions: Vec<FunctionView>,
    /// Whether there are more than are shown.
    pub more: bool,
}

/// A line that a guest logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLineView {
    /// When it was complete, as RFC 3339 with microseconds.
    pub time: String,
    /// The invocation.
    pub request_id: String,
    /// The function, as `service/function`.
    pub function: String,
    /// `stdout`, `stderr` or `log`.
    pub stream: String,
    /// How grave.
    pub level: String,
    /// The text.
    pub text: String,
    /// Whether it was cut.
    #[serde(default)]
    pub cut: bool,
}

/// An invocation that gave up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterView {
    /// Its request id.
    pub request_id: String,
    /// The function, as `service/function`; where it was to be sent, if it was for no function.
    pub function: String,
    /// Why it gave up.
    pub reason: String,
    /// Attempts that the function failed.
    pub attempts: u32,
    /// When it was accepted, as RFC 3339.
    pub accepted: String,
    /// When it gave up.
    pub parked: String,
    /// Bytes of its event.
    pub event_bytes: u64,
    /// Its event in base64; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}

/// Invocations that gave up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLettersReply {
    /// In the order of their request ids.
    pub dead_letters: Vec<DeadLetterView>,
    /// Where the next page begins, if there may be more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A dead letter that was queued again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveReply {
    /// The request id of the new invocation.
    pub request_id: String,
}

/// A change of what exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecordView {
    /// Its place in the trail.
    pub number: u64,
    /// When, as RFC 3339 with milliseconds.
    pub time: String,
    /// What was done by whom; its fields stand among these.
    #[serde(flatten)]
    pub deed: Deed,
    /// The record's hash, which the next one holds.
    pub hash: String,
}

/// A part of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditReply {
    /// In the order that was asked for.
    pub records: Vec<AuditRecordView>,
    /// Where the next page begins, if there may be more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_said_is_laid_over_what_was() {
        let text = r#"{"memory":"64MiB","timeout":"200ms","cpu_time":"0","max_instances":7}"#;
        let request: DeployRequest = serde_json::from_str(text).unwrap();
        let mut limits = Limits { cpu_time: Some(Duration::from_secs(1)), ..Limits::default() };
        let mut pool = PoolPolicy { queue: 3, ..PoolPolicy::default() };
        request.apply_limits(&mut limits);
        request.apply_pool(&mut pool);
        assert_eq!(limits.memory_bytes, 64 << 20);
        assert_eq!(limits.timeout, Duration::from_millis(200));
        assert_eq!(limits.cpu_time, None);
        assert_eq!((pool.max_instances, pool.queue), (7, 3));
        assert!(serde_json::from_str::<DeployRequest>(r#"{"memroy":"1MiB"}"#).is_err());
        assert_eq!(serde_json::to_string(&DeployRequest::default()).unwrap(), "{}");
    }
}
