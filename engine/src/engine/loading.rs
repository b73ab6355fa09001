//! The way from bytes to a revision: what they are, code that is resident, on disk or compiled now, linked and checked.
//!
//! The lock of a content's entry makes a second load of it wait for the first. What blocks is off the async worker; a small
//! artifact that is in the page cache is read in place, which takes less time than a thread.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::EngineInner;
use crate::artifact::{self, ArtifactKey, Fingerprint, Patience, WouldBlock};
use crate::code::{Code, Content, Files};
use crate::compile::CompileJob;
use crate::guest::detect;
use crate::off_thread::off_thread;
use crate::revision::Revision;
use crate::state::Surroundings;
use crate::wasmtime_config::Flavor;
use crate::{FunctionSpec, GuestKind, Isolation, LoadError, LoadReport, LoadSource, Tier};

/// Code up to this size is hashed where it is loaded, which takes less time than a thread.
const HASHED_IN_PLACE_MAX: usize = 256 << 10;

/// One load: whose code it is and where it belongs.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) function: String,
    pub(super) kind: GuestKind,
    pub(super) flavor: Flavor,
    pub(super) engine: wasmtime::Engine,
    pub(super) key: ArtifactKey,
    pub(super) tier: Tier,
    /// The key of its code of the fast tier, if that is to answer first.
    pub(super) fast: Option<ArtifactKey>,
    /// What files it was granted, which are linked differently.
    pub(super) files: Files,
    /// What the wasmtime is that compiles it.
    pub(super) fingerprint: Fingerprint,
    /// Whether other servers may have it.
    pub(super) is_shared: bool,
    /// Whether it is the code of an instance whose initializer has run.
    pub(super) is_initialised: bool,
}

impl Job {
    pub(super) fn content(&self) -> Content {
        (self.key, self.files)
    }

    /// The same in the fast tier, if it has one.
    pub(super) fn in_fast_tier(&self) -> Self {
        match self.fast {
            Some(key) => {
                Self { key, tier: Tier::Fast, fast: None, is_shared: false, ..self.clone() }
            }
            None => self.clone(),
        }
    }

    pub(super) fn compile(&self, code: &Bytes) -> CompileJob {
        CompileJob {
            function: self.function.clone(),
            engine: self.engine.clone(),
            flavor: self.flavor,
            is_component: self.kind.is_component(),
            code: code.clone(),
            tier: self.tier,
            behind: None,
        }
    }
}

impl EngineInner {
    /// From a spec to something that can be invoked.
    pub(crate) async fn revise(
        self: &Arc<Self>,
        spec: &FunctionSpec,
    ) -> Result<Arc<Revision>, LoadError> {
        let function = spec.identity.to_string();
        let size_bytes = spec.code.len() as u64;
        let limit_bytes = self.config.code_bytes;
        if size_bytes > limit_bytes {
            return Err(LoadError::TooLarge { function, size_bytes, limit_bytes });
        }
        let (code, report) = match spec.isolation {
            Isolation::Snapshot => Box::pin(self.initialised(spec)).await?,
            Isolation::Reuse | Isolation::Fresh => {
                self.code(&function, &spec.code, Files::of(&spec.grants)).await?
            }
        };
        let revision = Arc::new(Revision::new(spec, code, report, &self.surroundings())?);
        self.keeper.watch(self, &revision);
        Ok(revision)
    }

    pub(super) fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            key_value: &self.key_value,
            caller: self.caller.as_ref(),
            ticker: &self.ticker,
            budget: &self.budget,
            websockets: &self.websockets,
        }
    }

    /// The code of these bytes: resident, from its artifact, or compiled now.
    pub(super) async fn code(
        self: &Arc<Self>,
        function: &str,
        bytes: &Bytes,
        files: Files,
    ) -> Result<(Arc<Code>, LoadReport), LoadError> {
        let job = Job { files, ..self.identify(function, bytes).await? };
        self.code_of(&job, ready(Ok(bytes.clone()))).await
    }

    /// The code of a job: resident, from its artifact, or compiled now from the bytes that `source` comes to, which is polled only then.
    pub(super) async fn code_of(
        self: &Arc<Self>,
        job: &Job,
        source: impl Future<Output = Result<Bytes, LoadError>>,
    ) -> Result<(Arc<Code>, LoadReport), LoadError> {
        let entry = self.codes.entry(job.content()).or_default().clone();
        let mut resident = entry.lock().await;
        let began = Instant::now();
        let mut report = LoadReport {
            source: LoadSource::Resident,
            tier: Tier::Full,
            compile: Duration::ZERO,
            load: Duration::ZERO,
        };
        if let Some(code) = resident.upgrade() {
            (report.tier, report.load) = (code.tier(), began.elapsed());
            return Ok((code, report));
        }
        let mut later = None;
        let code = match self.stored(job).await? {
            Some(code) => {
                report.source = LoadSource::Artifact;
                if let Some(fast) = &job.fast {
                    // Left by a process that was killed when it had the full one.
                    self.artifacts.remove(fast);
                }
                code?
            }
            None => {
                let bytes = source.await?;
                later =
                    job.fast.and_then(|_| self.optimising.place(&bytes)).zip(Some(bytes.clone()));
                let first = if later.is_some() { &job.in_fast_tier() } else { job };
                let code = self.made(first, &bytes, &mut report).await?;
                Code { awaits: later.is_some().then(|| job.content()), ..code }
            }
        };
        let code = Arc::new(code);
        report.tier = code.tier();
        report.load = began.elapsed() - report.compile;
        *resident = Arc::downgrade(&code);
        if let Some((place, bytes)) = later {
            self.optimise(job, bytes, place);
        }
        Ok((code, report))
    }

    /// The code from its artifact, if it is of the fast tier and an earlier process left one, or compiled now.
    async fn made(
        self: &Arc<Self>,
        job: &Job,
        bytes: &Bytes,
        report: &mut LoadReport,
    ) -> Result<Code, LoadError> {
        if job.tier == Tier::Fast
            && let Some(code) = self.stored(job).await?
        {
            report.source = LoadSource::Artifact;
            return code;
        }
        let began = Instant::now();
        let compiled = self.compilations.compile(job.compile(bytes), &self.artifacts).await?;
        report.source = LoadSource::Compiled;
        report.compile = began.elapsed();
        let compiled = Bytes::from(compiled);
        let keep = move |engine: &Self, job: &Job| {
            let kept = engine.keep_artifact(job, &compiled)?;
            engine.hand_in(job, &compiled);
            Ok(kept)
        };
        self.on_disk(job, keep).await?
    }

    /// The code from the artifact of this server or, if it has none, of another.
    async fn stored(
        self: &Arc<Self>,
        job: &Job,
    ) -> Result<Option<Result<Code, LoadError>>, LoadError> {
        let own = self.own(job).await?;
        if own.is_some() || !job.is_shared || self.sharing.is_none() {
            return Ok(own);
        }
        let fetched = self.on_disk(job, Self::fetch_shared).await?;
        Ok(fetched.map(Ok))
    }

    /// What another server compiled. Blocks.
    pub(super) fn fetch_shared(&self, job: &Job) -> Option<Code> {
        let sharing = self.sharing.as_ref().filter(|_| job.is_shared)?;
        let compiled = sharing.fetch(&job.key)?;
        let kept = self.keep_artifact(job, &compiled);
        let kept = kept.inspect_err(|why| {
            self.artifacts.remove(&job.key);
            sharing.reject(&job.key, &why.to_string());
        });
        sharing.hits.fetch_add(u64::from(kept.is_ok()), Ordering::Relaxed);
        kept.ok()
    }

    /// Lets other servers have what was compiled here.
    pub(super) fn hand_in(&self, job: &Job, compiled: &Bytes) {
        if let Some(sharing) = self.sharing.as_ref().filter(|_| job.is_shared) {
            sharing.hand_in(job.key, compiled.clone());
        }
    }

    /// The code from its artifact, if there is one.
    async fn own(
        self: &Arc<Self>,
        job: &Job,
    ) -> Result<Option<Result<Code, LoadError>>, LoadError> {
        // Waking another thread takes longer than reading a small file that is in memory.
        match self.load_artifact(job, Patience::None) {
            Ok(stored) => Ok(stored),
            Err(WouldBlock) => {
                let load = |engine: &Self, job: &Job| engine.load_artifact(job, Patience::Disk);
                Ok(self.on_disk(job, load).await?.unwrap_or_default())
            }
        }
    }

    /// Finds out what the bytes are and under which key their artifact would be.
    pub(super) async fn identify(
        self: &Arc<Self>,
        function: &str,
        bytes: &Bytes,
    ) -> Result<Job, LoadError> {
        if bytes.len() <= HASHED_IN_PLACE_MAX {
            return self.identify_here(function, bytes);
        }
        let (engine, name, bytes) = (self.clone(), function.to_owned(), bytes.clone());
        off_thread("hearth-load", move || engine.identify_here(&name, &bytes))
            .await
            .map_err(|why| LoadError::Failure { function: function.to_owned(), why })?
    }

    fn identify_here(&self, function: &str, bytes: &[u8]) -> Result<Job, LoadError> {
        let kind = detect(function, bytes)?;
        let flavor = Flavor::of(kind);
        let engine = self.wasmtime.engine(flavor).map_err(|why| LoadError::Failure {
            function: function.to_owned(),
            why: why.to_string(),
        })?;
        self.ticker.watch(engine);
        let fingerprint = *self.wasmtime.fingerprint(flavor, engine);
        let key = ArtifactKey::of(bytes, &fingerprint);
        let is_large = bytes.len() as u64 >= self.config.fast_tier_bytes;
        let fast = match is_large.then(|| self.wasmtime.fast_fingerprint(flavor)) {
            Some(Ok(fingerprint)) => Some(ArtifactKey::of(bytes, fingerprint)),
            Some(Err(why)) => {
                return Err(LoadError::Failure {
                    function: function.to_owned(),
                    why: why.to_string(),
                });
            }
            None => None,
        };
        Ok(Job {
            function: function.to_owned(),
            kind,
            flavor,
            engine: engine.clone(),
            key,
            tier: Tier::Full,
            fast,
            files: Files::None,
            fingerprint,
            is_shared: true,
            is_initialised: false,
        })
    }

    /// Runs something that reads or writes artifacts away from the async worker.
    pub(super) async fn on_disk<T: Send + 'static>(
        self: &Arc<Self>,
        job: &Job,
        work: impl FnOnce(&Self, &Job) -> T + Send + 'static,
    ) -> Result<T, LoadError> {
        let (engine, on_thread) = (self.clone(), job.clone());
        off_thread("hearth-load", move || work(&engine, &on_thread))
            .await
            .map_err(|why| LoadError::Failure { function: job.function.clone(), why })
    }

    /// Code from an artifact that was kept; none if there is none or it is not to be trusted.
    pub(super) fn load_artifact(
        &self,
        job: &Job,
        patience: Patience,
    ) -> Result<Option<Result<Code, LoadError>>, WouldBlock> {
        let Some(path) = self.artifacts.find(&job.key, patience)? else { return Ok(None) };
        Ok(match artifact::load(&job.engine, &path, job.kind.is_component()) {
            Ok(loaded) => {
                self.artifact_hits.fetch_add(1, Ordering::Relaxed);
                Some(self.link(job, &loaded))
            }
            Err(why) => {
                tracing::warn!(path = %path.display(), reason = %why, "artifact not loaded; compiling again");
                None
            }
        })
    }

    /// Keeps what was compiled and loads it from there, so that it is paged in and out with its file.
    pub(super) fn keep_artifact(&self, job: &Job, compiled: &[u8]) -> Result<Code, LoadError> {
        let stored = |why: String| LoadError::ArtifactStore { function: job.function.clone(), why };
        let path = self
            .artifacts
            .put(&job.key, compiled)
            .map_err(|why| stored(format!("writing the artifact: {why}")))?;
        let loaded = artifact::load(&job.engine, &path, job.kind.is_component());
        let loaded = loaded.map_err(|why| {
            let why = format!("{why:#}");
            if why.contains("pooling allocator") {
                // Valid code whose declared memories, tables or instances are more than a slot of the pool has.
                self.artifacts.remove(&job.key);
                let why = why.rsplit(": ").next().unwrap_or_default().to_owned();
                LoadError::Invalid { function: job.function.clone(), why }
            } else {
                stored(format!("loading the new artifact: {why}"))
            }
        })?;
        self.link(job, &loaded)
    }

    fn link(&self, job: &Job, loaded: &artifact::Loaded) -> Result<Code, LoadError> {
        let (function, linkers) = (&job.function, &self.linkers);
        let code = Code::link(function, job.kind, &job.engine, linkers, loaded, job.files)?;
        Ok(Code { is_initialised: job.is_initialised, ..code })
    }
}
