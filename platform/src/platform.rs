//! The handle on a platform: opening it, and what holds for all of it. Each noun's operations are in the noun's own file.

use std::path::Path;
use std::sync::Arc;

use hearth_engine::{Engine, Limits};

use crate::audit::{Author, Origin, Trail};
use crate::catalog::{Catalog, Writer};
use crate::clock::{Clock, SystemClock};
use crate::config::PlatformConfig;
use crate::error::PlatformError;
use crate::journal::Journal;
use crate::key::Keys;
use crate::loaded::Loaded;
use crate::mounted::Mounts;
use crate::objects::Objects;
use crate::package::PackageLimits;
use crate::queue::{Deliver, Queue, Replay};
use crate::scaling::Provisions;
use crate::storage::code_store::CodeStore;
use crate::storage::sqlite::SqliteStorage;
use crate::storage::{Collection, Query, Storage, StorageError};

/// A platform, in the hand of whoever uses it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Platform {
    inner: Arc<Inner>,
    by: Origin,
}

/// What all operations share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) code: CodeStore,
    pub(crate) objects: Objects,
    pub(crate) mounts: Mounts,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) loaded: Loaded,
    pub(crate) provisions: Provisions,
    pub(crate) journal: Journal,
    pub(crate) queue: Queue,
    pub(crate) deliver: Option<Arc<dyn Deliver>>,
    pub(crate) replay: Option<Arc<dyn Replay>>,
    pub(crate) limits: Limits,
    pub(crate) package: PackageLimits,
    pub(crate) orphan_grace: std::time::Duration,
    pub(crate) keys: Keys,
    pub(crate) trail: Arc<Trail>,
}

/// Figures about a platform at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlatformStats {
    /// Services.
    pub services: u64,
    /// Functions.
    pub functions: u64,
    /// Functions held loaded.
    pub loaded_functions: u64,
    /// Queued invocations that run now.
    pub queue_running: u64,
    /// Invocations in the queue: waiting and running.
    pub queue_depth: u64,
    /// Invocations accepted into the queue since start.
    pub enqueued: u64,
    /// Queued invocations that ended since start, parked ones included.
    pub settled: u64,
    /// Attempts that were put off or repeated since start.
    pub retried: u64,
    /// Results dropped since start because their lease was lost.
    pub leases_lost: u64,
}

/// A record that cannot be read is damage of the directory: that is what the operator has to hear of.
fn damaged(dir: &Path, error: PlatformError) -> PlatformError {
    match error {
        PlatformError::Failure { why, .. } => {
            StorageError::Corrupt { path: dir.to_owned(), what: why }.into()
        }
        other => other,
    }
}

impl Platform {
    /// Opens the data directory, makes it if it is not there, and reads the catalog. Leases of an earlier process are taken back.
    ///
    /// Call it inside a tokio runtime. No code is loaded: that happens on first use.
    ///
    /// # Errors
    /// Another process has the directory; it cannot be read or written; a newer program wrote it; a record in it is damaged.
    pub async fn open(config: PlatformConfig) -> Result<Self, PlatformError> {
        let dir = config.data_dir.clone();
        let open = move || {
            crate::backup::refuse_unfinished(&dir)?;
            SqliteStorage::open(&dir)
        };
        let opened = tokio::task::spawn_blocking(open).await;
        let storage = opened.map_err(|error| PlatformError::Failure {
            what: "opening storage",
            why: error.to_string(),
        })??;
        Self::open_with(config, Arc::new(storage), Arc::new(SystemClock::default())).await
    }

    /// The same over storage and a clock of the embedder's.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(
        config: PlatformConfig,
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PlatformError> {
        let code = CodeStore::open(&config.data_dir.join("code"))?;
        let limit = config.package.package_bytes;
        let objects = Objects::new(config.objects, &config.data_dir, limit)?;
        let mounts = Mounts::open(&config.data_dir)?;
        let catalog = Catalog::read(storage.clone(), config.quotas.clone()).await;
        let catalog = catalog.map_err(|error| damaged(&config.data_dir, error))?;
        let sealing_key = config.sealing_key;
        let trail = Trail::new(storage.clone(), clock.clone(), config.audit);
        let keys = Keys::open(trail.clone(), &config.data_dir, sealing_key).await?;
        let queue = Queue::open(storage.clone(), clock.clone(), config.queue).await?;
        let inner = Arc::new(Inner {
            engine: config.engine,
            journal: Journal::new(config.journal, storage.clone(), clock.clone()),
            clock,
            storage,
            code,
            objects,
            mounts,
            catalog: Arc::new(catalog),
            loaded: Loaded::new(config.loaded_functions),
            provisions: Provisions::default(),
            queue,
            deliver: config.deliver,
            replay: config.replay,
            limits: config.limits,
            package: config.package,
            orphan_grace: config.orphan_grace,
            keys,
            trail,
        });
        if let Some(caller) = config.caller {
            caller.bind(&inner);
        }
        Ok(Self { inner, by: Origin::local() })
    }

    /// Whether storage answers.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn check(&self) -> Result<(), PlatformError> {
        let query = Query::Get { collection: Collection("check"), key: String::new() };
        self.inner.storage.read(query).await?;
        Ok(())
    }

    /// Figures about it.
    pub fn stats(&self) -> PlatformStats {
        let mut stats = PlatformStats {
            services: self.inner.catalog.services(),
            functions: self.inner.catalog.functions(),
            loaded_functions: self.inner.loaded.count(),
            ..PlatformStats::default()
        };
        self.inner.queue.count_into(&mut stats);
        stats
    }

    /// Who may call.
    pub fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    /// The engine that runs the functions.
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// The same platform in the hand of somebody else: what is changed through it, the audit trail says of them. What is opened is
    /// [`Origin::local`]'s.
    #[must_use]
    pub fn by(&self, by: Origin) -> Self {
        Self { inner: self.inner.clone(), by }
    }

    /// On whose behalf it is used.
    pub fn origin(&self) -> &Origin {
        &self.by
    }

    pub(crate) fn author(&self) -> Author {
        Author::new(self.inner.trail.clone(), self.by.clone())
    }

    pub(crate) fn writer(&self) -> Writer {
        Writer::new(self.inner.catalog.clone(), self.author())
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}
