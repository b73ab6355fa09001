//! What an embedder sets when it opens a platform. The library reads no file and no environment variable for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hearth_engine::{Engine, Limits};

use crate::audit::AuditConfig;
use crate::caller::PlatformCaller;
use crate::journal::JournalConfig;
use crate::objects::ObjectConfig;
use crate::package::PackageLimits;
use crate::queue::{Deliver, QueueConfig, Replay};

/// How much of everything there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas {
    /// Services. Default 10,000.
    pub services: u64,
    /// Functions of one service. Default 10,000.
    pub functions_per_service: u64,
    /// Functions over all services. Default 100,000.
    pub functions: u64,
    /// Versions of one service. Default 1,000.
    pub versions_per_service: u64,
    /// Functions in versions over all services, each version's counted. Default 1,000,000.
    pub published_functions: u64,
    /// Aliases of one service. Default 1,000.
    pub aliases_per_service: u64,
    /// Triggers of one function. Default 50.
    pub triggers_per_function: u64,
    /// Custom domains. Default 10,000.
    pub domains: u64,
    /// Layers. Default 1,000.
    pub layers: u64,
    /// On-demand configs, and as many provision configs. Default 10,000.
    pub scaling_configs: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            services: 10_000,
            functions_per_service: 10_000,
            functions: 100_000,
            versions_per_service: 1000,
            published_functions: 1_000_000,
            aliases_per_service: 1000,
            triggers_per_function: 50,
            domains: 10_000,
            layers: 1000,
            scaling_configs: 10_000,
        }
    }
}

/// Settings of a platform.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlatformConfig {
    /// Where everything is kept. One process at a time.
    pub data_dir: PathBuf,
    /// What runs functions.
    pub engine: Engine,
    /// The caller given to that engine, so that guests can call functions of this platform.
    pub caller: Option<Arc<PlatformCaller>>,
    /// Limits of functions that their settings do not speak of, such as the sizes of events and answers.
    pub limits: Limits,
    /// How much of everything there may be.
    pub quotas: Quotas,
    /// Bounds of uploads.
    pub package: PackageLimits,
    /// Where objects are that are named as code.
    pub objects: ObjectConfig,
    /// Functions held loaded; the least recently used are let go. Default 4,096.
    pub loaded_functions: usize,
    /// Async invocations.
    pub queue: QueueConfig,
    /// Tells destinations of async invocations; without it none is told.
    pub deliver: Option<Arc<dyn Deliver>>,
    /// Serves requests that were queued; without it they wait.
    pub replay: Option<Arc<dyn Replay>>,
    /// What is remembered of invocations.
    pub journal: JournalConfig,
    /// How much of the audit trail is kept.
    pub audit: AuditConfig,
    /// How long code that no function names is kept. Default 1 hour.
    pub orphan_grace: Duration,
    /// The file that opens the secrets of access keys; `sealing.key` in the data directory unless given.
    pub sealing_key: Option<PathBuf>,
}

impl PlatformConfig {
    /// Defaults for a data directory and an engine.
    pub fn new(data_dir: impl Into<PathBuf>, engine: Engine) -> Self {
        Self {
            data_dir: data_dir.into(),
            engine,
            caller: None,
            limits: Limits::default(),
            quotas: Quotas::default(),
            package: PackageLimits::default(),
            objects: ObjectConfig::default(),
            loaded_functions: 4096,
            queue: QueueConfig::default(),
            deliver: None,
            replay: None,
            journal: JournalConfig::default(),
            audit: AuditConfig::default(),
            orphan_grace: Duration::from_secs(3600),
            sealing_key: None,
        }
    }
}
