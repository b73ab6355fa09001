//! A function: its type and its rules. What can be done with it is in `deploy.rs`.
//!
//! Bounds are those of the official API this platform serves first. It refuses to know wire names.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use hearth_engine::{Grants, GuestKind, Isolation, PoolPolicy};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::RequestError;
use crate::layer::LayerRef;
use crate::mounted::LAYERS_PATH;
use crate::name::{FunctionName, ServiceName};
use crate::objects::ObjectName;
use crate::service::{DESCRIPTION_CHARS_MAX, check_extra, check_text, merge, set};

/// The most bytes of all environment variables together, names and values.
pub const ENVIRONMENT_BYTES_MAX: usize = 4096;
/// The longest timeout of an invocation, in seconds.
pub const TIMEOUT_S_MAX: u32 = 86_400;
/// The longest timeout of an initialization, in seconds.
pub const INITIALIZATION_TIMEOUT_S_MAX: u32 = 300;

/// A function as it stands: what was deployed last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// Its service.
    pub service: ServiceName,
    /// Its name.
    pub name: FunctionName,
    /// Its id: a UUID that a function of the same name made later does not share.
    pub id: String,
    /// Its settings.
    pub settings: FunctionSettings,
    /// Its code.
    pub code: Code,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it was last changed.
    pub modified_ms: u64,
    /// Grows with every change over the whole platform; what entity tags are made of.
    #[serde(skip)]
    pub revision: u64,
}

impl Function {
    /// Whether an instance of it can serve several invocations at once: HTTP functions of WASI 0.3 whose instances are reused.
    #[must_use]
    pub fn serves_several(&self) -> bool {
        self.code.guest == Some(GuestKind::HttpP3) && self.settings.isolation == Isolation::Reuse
    }
}

/// What the owner of a function sets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FunctionSettings {
    /// Free text.
    pub description: String,
    /// The runtime as the dialect calls it; kept, not interpreted: the kind of guest is seen from its code.
    pub runtime: String,
    /// The handler as the dialect calls it; kept, not interpreted.
    pub handler: String,
    /// Memory of one instance, in MiB: 128 to 32,768 in steps of 64.
    pub memory_mb: u32,
    /// Wall-clock time of one invocation, in seconds: 1 to 86,400.
    pub timeout_s: u32,
    /// The initializer as the dialect calls it; kept: a guest that exports one has it called.
    pub initializer: Option<String>,
    /// Wall-clock time for making an instance ready, in seconds: 1 to 300.
    pub initialization_timeout_s: u32,
    /// Environment variables, at most 4 KiB together.
    pub environment: BTreeMap<String, String>,
    /// Invocations that one instance may serve at once, 1 to 200. Kept, and without effect on functions that do not
    /// [serve several](Function::serves_several).
    pub instance_concurrency: u32,
    /// The class of instance as the dialect calls it; kept.
    pub instance_type: String,
    /// How instances are kept.
    pub pool: PoolPolicy,
    /// How invocations are kept apart.
    pub isolation: Isolation,
    /// CPU time of one invocation, in milliseconds; none leaves it to the timeout.
    pub cpu_ms: Option<u64>,
    /// What it may reach outside its instance.
    pub grants: Grants,
    /// The layers whose files it sees, read-only, under `/opt`; where two have one path, the earlier one counts.
    pub layers: Vec<LayerRef>,
    /// Fields of a dialect that it must echo and that have no effect.
    pub extra: Map<String, Value>,
}

impl Default for FunctionSettings {
    fn default() -> Self {
        Self {
            description: String::new(),
            runtime: "wasm".to_owned(),
            handler: "handle".to_owned(),
            memory_mb: 128,
            timeout_s: 3,
            initializer: None,
            initialization_timeout_s: 3,
            environment: BTreeMap::new(),
            instance_concurrency: 1,
            instance_type: "e1".to_owned(),
            pool: PoolPolicy::default(),
            isolation: Isolation::default(),
            cpu_ms: None,
            grants: Grants::default(),
            layers: Vec::new(),
            extra: Map::new(),
        }
    }
}

/// Where a function's code is and what it is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// SHA-256 of the wasm binary, in hexadecimal.
    pub digest: String,
    /// Size of the wasm binary in bytes.
    pub wasm_bytes: u64,
    /// SHA-256 of what was uploaded: an archive, or the binary itself.
    pub package_digest: String,
    /// Size of what was uploaded in bytes.
    pub package_bytes: u64,
    /// CRC-64/XZ of what was uploaded; shown as a decimal.
    pub checksum: u64,
    /// What kind of guest it is; none where it was stored before that was remembered.
    #[serde(default)]
    pub guest: Option<GuestKind>,
}

/// Code as it comes in.
#[derive(Debug, Clone)]
pub enum CodeUpload {
    /// A zip archive that holds one wasm binary; see [`package`](crate::package) for which one.
    Zip(Bytes),
    /// A wasm binary.
    Wasm(Bytes),
    /// An object that holds either; it is read once, when the function is created or changed.
    Object(ObjectName),
}

/// A function to create.
#[derive(Debug, Clone)]
pub struct NewFunction {
    /// Its name.
    pub name: FunctionName,
    /// Its settings.
    pub settings: FunctionSettings,
    /// Its code.
    pub code: CodeUpload,
    /// CRC-64/XZ of the upload, if the caller computed it.
    pub checksum: Option<u64>,
}

/// A change of a function: fields that are none stay as they are.
#[derive(Debug, Clone, Default)]
pub struct FunctionChange {
    /// Replaces the description.
    pub description: Option<String>,
    /// Replaces the runtime.
    pub runtime: Option<String>,
    /// Replaces the handler.
    pub handler: Option<String>,
    /// Replaces the memory, in MiB.
    pub memory_mb: Option<u32>,
    /// Replaces the timeout, in seconds.
    pub timeout_s: Option<u32>,
    /// Replaces the initializer; `Some(None)` removes it.
    pub initializer: Option<Option<String>>,
    /// Replaces the initialization timeout, in seconds.
    pub initialization_timeout_s: Option<u32>,
    /// Replaces all environment variables.
    pub environment: Option<BTreeMap<String, String>>,
    /// Replaces the instance concurrency.
    pub instance_concurrency: Option<u32>,
    /// Replaces the instance type.
    pub instance_type: Option<String>,
    /// Replaces the pool policy.
    pub pool: Option<PoolPolicy>,
    /// Replaces the isolation.
    pub isolation: Option<Isolation>,
    /// Replaces the CPU limit, in milliseconds; `Some(None)` removes it.
    pub cpu_ms: Option<Option<u64>>,
    /// Replaces the grants.
    pub grants: Option<Grants>,
    /// Replaces all layers.
    pub layers: Option<Vec<LayerRef>>,
    /// Replaces these fields of `extra`; a null removes the field.
    pub extra: Map<String, Value>,
    /// Replaces the code.
    pub code: Option<CodeUpload>,
    /// CRC-64/XZ of the upload, if the caller computed it.
    pub checksum: Option<u64>,
    /// The revision that the caller has seen; when it is another one now, the change is refused with
    /// [`RequestError::Conflict`].
    pub expect: Option<u64>,
}

impl FunctionSettings {
    /// Checks all bounds.
    ///
    /// # Errors
    /// [`RequestError::Invalid`] names the first setting that is out of bounds.
    pub fn check(&self) -> Result<(), RequestError> {
        check_text("description", &self.description, DESCRIPTION_CHARS_MAX)?;
        check_text("runtime", &self.runtime, 128)?;
        check_text("handler", &self.handler, 128)?;
        check_text("initializer", self.initializer.as_deref().unwrap_or_default(), 128)?;
        check_text("instance_type", &self.instance_type, 64)?;
        if !(128..=32_768).contains(&self.memory_mb) || !self.memory_mb.is_multiple_of(64) {
            let why = format!("{} is not 128 to 32768 in steps of 64", self.memory_mb);
            return Err(RequestError::invalid("memory_mb", why));
        }
        check_range("timeout_s", self.timeout_s, TIMEOUT_S_MAX)?;
        check_range(
            "initialization_timeout_s",
            self.initialization_timeout_s,
            INITIALIZATION_TIMEOUT_S_MAX,
        )?;
        check_range("instance_concurrency", self.instance_concurrency, 200)?;
        check_environment(&self.environment)?;
        if self.cpu_ms == Some(0) {
            return Err(RequestError::invalid("cpu_ms", "it must be at least 1"));
        }
        if self.pool.max_instances == 0 || self.pool.min_ready > self.pool.max_instances {
            let why = "`max_instances` must be at least 1 and not less than `min_ready`";
            return Err(RequestError::invalid("pool", why));
        }
        if let Err(error) = self.grants.check() {
            return Err(RequestError::invalid("grants", error.to_string()));
        }
        let at_opt = |grant: &hearth_engine::DirectoryGrant| grant.guest_path == LAYERS_PATH;
        if !self.layers.is_empty() && self.grants.directories.iter().any(at_opt) {
            let why = format!("a directory is granted at {LAYERS_PATH}, where layers are");
            return Err(RequestError::invalid("grants", why));
        }
        check_extra(&self.extra)
    }

    /// These settings after `change`, checked.
    pub(crate) fn changed(&self, change: &FunctionChange) -> Result<Self, RequestError> {
        let mut next = self.clone();
        set(&mut next.description, change.description.as_ref());
        set(&mut next.runtime, change.runtime.as_ref());
        set(&mut next.handler, change.handler.as_ref());
        set(&mut next.memory_mb, change.memory_mb.as_ref());
        set(&mut next.timeout_s, change.timeout_s.as_ref());
        set(&mut next.initializer, change.initializer.as_ref());
        set(&mut next.initialization_timeout_s, change.initialization_timeout_s.as_ref());
        set(&mut next.environment, change.environment.as_ref());
        set(&mut next.instance_concurrency, change.instance_concurrency.as_ref());
        set(&mut next.instance_type, change.instance_type.as_ref());
        set(&mut next.pool, change.pool.as_ref());
        set(&mut next.isolation, change.isolation.as_ref());
        set(&mut next.cpu_ms, change.cpu_ms.as_ref());
        set(&mut next.grants, change.grants.as_ref());
        set(&mut next.layers, change.layers.as_ref());
        merge(&mut next.extra, &change.extra);
        next.check()?;
        Ok(next)
    }

    /// The engine's limits for these settings; what they do not speak of comes from `defaults`.
    pub(crate) fn limits(&self, defaults: &hearth_engine::Limits) -> hearth_engine::Limits {
        hearth_engine::Limits {
            memory_bytes: u64::from(self.memory_mb) * hearth_engine::MIB,
            timeout: Duration::from_secs(self.timeout_s.into()),
            cpu_time: self.cpu_ms.map(Duration::from_millis),
            initialize_timeout: Duration::from_secs(self.initialization_timeout_s.into()),
            ..defaults.clone()
        }
    }
}

fn check_range(field: &'static str, value: u32, most: u32) -> Result<(), RequestError> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    Err(RequestError::invalid(field, format!("{value} is not 1 to {most}")))
}

fn check_environment(variables: &BTreeMap<String, String>) -> Result<(), RequestError> {
    let invalid = |why: String| Err(RequestError::invalid("environment", why));
    let mut size = 0;
    for (name, value) in variables {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            let shown: String = name.chars().take(64).collect();
            return invalid(format!(
                "variable `{}` has an empty name, a `=` in it, or a zero byte",
                shown.escape_debug()
            ));
        }
        size += name.len() + value.len();
    }
    if size > ENVIRONMENT_BYTES_MAX {
        return invalid(format!(
            "the variables take {size} bytes; the limit is {ENVIRONMENT_BYTES_MAX}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl Fn(&mut FunctionSettings)) -> bool {
        let mut settings = FunctionSettings::default();
        settings.check().unwrap();
        change(&mut settings);
        settings.check().is_err()
    }

    #[test]
    fn each_bound_is_held() {
        for memory in [0, 64, 127, 129, 192 + 1, 32_769, 32_832] {
            assert!(refused(|s| s.memory_mb = memory), "{memory}");
        }
        for memory in [128, 192, 32_768] {
            assert!(!refused(|s| s.memory_mb = memory), "{memory}");
        }
        assert!(refused(|s| s.timeout_s = 0) && refused(|s| s.timeout_s = 86_401));
        assert!(!refused(|s| s.timeout_s = 86_400));
        assert!(refused(|s| s.initialization_timeout_s = 301));
        assert!(refused(|s| s.instance_concurrency = 0) && refused(|s| s.cpu_ms = Some(0)));
        assert!(refused(|s| s.description = "x".repeat(257)));
        assert!(refused(|s| s.pool.max_instances = 0) && refused(|s| s.pool.min_ready = 101));
        assert!(refused(|s| {
            s.extra.insert("a".into(), Value::String("x".repeat(64 * 1024)));
        }));
    }

    #[test]
    fn the_environment_is_bounded_to_the_byte() {
        let with = |name: &str, value: String| {
            let name = name.to_owned();
            refused(move |s| {
                s.environment.insert(name.clone(), value.clone());
            })
        };
        assert!(!with("A", "x".repeat(4095)) && with("A", "x".repeat(4096)));
        assert!(with("", String::new()) && with("A=B", String::new()) && with("A", "\0".into()));
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let before = FunctionSettings {
            description: "d".into(),
            cpu_ms: Some(5),
            environment: [("A".into(), "1".into())].into(),
            ..FunctionSettings::default()
        };
        let change = FunctionChange {
            environment: Some(BTreeMap::new()),
            cpu_ms: Some(None),
            timeout_s: Some(60),
            ..FunctionChange::default()
        };
        let after = before.changed(&change).unwrap();
        assert_eq!(after.description, "d");
        assert_eq!((after.timeout_s, after.cpu_ms, after.environment.len()), (60, None, 0));
    }

    #[test]
    fn records_survive_a_round_trip_and_miss_new_fields_gracefully() {
        let settings = FunctionSettings::default();
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<FunctionSettings>(&text).unwrap(), settings);
        let sparse: FunctionSettings = serde_json::from_str(r#"{"memory_mb":256}"#).unwrap();
        assert_eq!((sparse.memory_mb, sparse.timeout_s), (256, 3));
    }
}
