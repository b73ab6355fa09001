//! What an embedder asks the engine to load: code, limits, pool policy, isolation, settings and grants of one function.
//!
//! A spec is data. It is checked when it is loaded and turned into an immutable revision; changing a function means
//! loading another spec under the same handle.

use bytes::Bytes;
use hearth_host_api::Grants;
use serde::{Deserialize, Serialize};

use crate::{Limits, PoolPolicy};

/// How invocations of one function are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// One instance serves many invocations one after another, so a guest's globals survive between them. It is dropped after
    /// a trap, a timeout, a limit hit, a cancellation, its use bound or its idle time. The default; WASI commands cannot be
    /// reused and always run [`Fresh`](Isolation::Fresh).
    #[default]
    Reuse,
    /// Every invocation gets an instance that served nobody; ready ones are made ahead of need.
    Fresh,
    /// As [`Fresh`](Isolation::Fresh), and instances begin where the guest's initializer ended: it runs once, when the function is
    /// loaded, and its memories and globals are carried over into the code of all instances. They are kept as an artifact; the
    /// initializer runs again only when code, environment, settings, grants, identity or memory limit change, or the artifact is gone.
    ///
    /// For event components and core modules (kind 4) that export an initializer. Random numbers, times and variables that it read
    /// are the same in every instance. Handles of the host, as of open files, cannot be carried over: with those the function is
    /// refused ([`LoadError::NoSnapshot`](crate::LoadError::NoSnapshot)), as with code that changes its tables.
    Snapshot,
}

/// Who the function is, as its guest and its log lines are told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The service, or empty when there is none.
    pub service: String,
    /// The name of the function.
    pub function: String,
    /// The published version this code belongs to, or `LATEST`.
    pub version: String,
}

impl Identity {
    /// An identity without a service, at `LATEST`.
    pub fn new(function: impl Into<String>) -> Self {
        Self { service: String::new(), function: function.into(), version: "LATEST".to_owned() }
    }
}

impl std::fmt::Display for Identity {
    /// `service/function`, or only the function where there is no service.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.service.is_empty() {
            f.write_str(&self.function)
        } else {
            write!(f, "{}/{}", self.service, self.function)
        }
    }
}

/// A function to load.
///
/// ```
/// use hearth_engine::{FunctionSpec, Isolation};
///
/// let spec = FunctionSpec::new("hello", b"\0asm\x01\0\0\0".to_vec())
///     .isolation(Isolation::Fresh)
///     .variable("GREETING", "hi");
/// assert_eq!(spec.identity.function, "hello");
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FunctionSpec {
    /// Who the function is.
    pub identity: Identity,
    /// The WebAssembly binary: a component or a core module. Text format is refused.
    pub code: Bytes,
    /// Bounds of each invocation and instance.
    pub limits: Limits,
    /// How instances are kept.
    pub pool: PoolPolicy,
    /// How invocations are kept apart.
    pub isolation: Isolation,
    /// Environment variables of the guest.
    pub environment: Vec<(String, String)>,
    /// What `wasi:config` answers.
    pub settings: Vec<(String, String)>,
    /// What the guest may reach outside its instance; nothing by default.
    pub grants: Grants,
}

impl FunctionSpec {
    /// A function named `name` with default limits, policy and no grants.
    pub fn new(name: impl Into<String>, code: impl Into<Bytes>) -> Self {
        Self {
            identity: Identity::new(name),
            code: code.into(),
            limits: Limits::default(),
            pool: PoolPolicy::default(),
            isolation: Isolation::default(),
            environment: Vec::new(),
            settings: Vec::new(),
            grants: Grants::default(),
        }
    }

    /// Replaces the identity.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = identity;
        self
    }

    /// Replaces the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Replaces the pool policy.
    #[must_use]
    pub fn pool(mut self, pool: PoolPolicy) -> Self {
        self.pool = pool;
        self
    }

    /// Replaces the isolation.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// Adds one environment variable.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Replaces the grants.
    #[must_use]
    pub fn grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }
}
