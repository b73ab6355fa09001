//! From a target to the revision that serves it: two look-ups in memory, no lock that a writer can hold, no read of storage.
//! And the one place where a revision's code gets loaded.

use std::sync::Arc;

use hearth_engine::{FunctionSpec, Identity, LoadReport};

use crate::error::{PlatformError, RequestError};
use crate::function::Function;
use crate::name::Target;
use crate::platform::{Inner, Platform};
use crate::revision::{Resolved, Revision};

impl Platform {
    /// The revision that serves a target now. An alias with weights may answer differently each time.
    ///
    /// # Errors
    /// No such service, version, alias or function.
    pub fn resolve(&self, target: Target<'_>) -> Result<Resolved, RequestError> {
        self.inner().resolve(target)
    }

    /// Loads a function and makes instances until `count` are ready; returns how many are.
    ///
    /// # Errors
    /// It does not exist or cannot be loaded; the engine declined.
    pub async fn prewarm(&self, target: Target<'_>, count: u32) -> Result<u32, PlatformError> {
        let revision = self.inner().resolve(target)?;
        let (function, _) = self.inner().load(&revision).await?;
        Ok(function.prewarm(count).await?)
    }

    /// What the engine knows of every function that is loaded, each version for itself, in no order. One that was
    /// replaced or deleted shows while an invocation still runs on it.
    pub fn loaded_stats(&self) -> Vec<hearth_engine::FunctionStats> {
        let revisions = self.inner().loaded.revisions();
        let loaded = revisions.iter().filter_map(|revision| revision.loaded.load_full());
        loaded.map(|function| function.stats()).collect()
    }

    /// The instances of a function that there are at a qualifier: each with its version and its id in the outcomes of invocations.
    ///
    /// # Errors
    /// No such service, version, alias or function.
    pub fn instances(&self, target: Target<'_>) -> Result<Vec<(String, u64)>, RequestError> {
        let entry = self.inner().catalog.service(target.service)?;
        entry.function_at(target)?;
        let mut instances = Vec::new();
        for revision in entry.revisions_at(target) {
            if let Some(function) = revision.loaded.load().as_ref() {
                let version = revision.version();
                instances
                    .extend(function.instances().into_iter().map(|id| (version.to_owned(), id)));
            }
        }
        Ok(instances)
    }

    /// What the engine knows of a function; none when it is not loaded.
    ///
    /// # Errors
    /// It does not exist.
    pub fn function_stats(
        &self,
        target: Target<'_>,
    ) -> Result<Option<hearth_engine::FunctionStats>, RequestError> {
        let revision = self.inner().resolve(target)?;
        Ok(revision.loaded.load().as_ref().map(|function| function.stats()))
    }
}

impl Inner {
    pub(crate) fn resolve(&self, target: Target<'_>) -> Result<Resolved, RequestError> {
        self.catalog.resolve(target)
    }

    /// The engine's function for a revision, and what loading took if this call did it.
    pub(crate) async fn load(
        &self,
        revision: &Arc<Revision>,
    ) -> Result<(Arc<hearth_engine::Function>, Option<LoadReport>), PlatformError> {
        if let Some(function) = revision.loaded.load_full() {
            return Ok((function, None));
        }
        // Boxed, or every call of a loaded function would carry room for loading one.
        Box::pin(self.load_now(revision)).await
    }

    async fn load_now(
        &self,
        revision: &Arc<Revision>,
    ) -> Result<(Arc<hearth_engine::Function>, Option<LoadReport>), PlatformError> {
        let _loading = revision.loading.lock().await;
        if let Some(function) = revision.loaded.load_full() {
            return Ok((function, None));
        }
        if let Some(error) = revision.broken.get() {
            return Err(error.clone().into());
        }
        let code = self.code.get(&revision.function().code.digest, revision.label()).await?;
        let loaded = self.engine.load(self.spec_of(revision, code).await?).await;
        let function = loaded.inspect_err(|error| {
            if !error.is_retryable() {
                // Already set is as good: both say that it cannot be loaded.
                let _ = revision.broken.set(error.clone());
            }
        })?;
        let report = function.load_report();
        Ok((self.keep(revision, function), Some(report)))
    }

    /// Keeps a loaded function with its revision, letting go of another if too many are held.
    pub(crate) fn keep(
        &self,
        revision: &Arc<Revision>,
        function: hearth_engine::Function,
    ) -> Arc<hearth_engine::Function> {
        let function = Arc::new(function);
        revision.touch(self.clock.now_ms());
        revision.loaded.store(Some(function.clone()));
        self.loaded.admit(revision);
        function
    }

    /// What the engine is asked to load for a revision.
    pub(crate) async fn spec_of(
        &self,
        revision: &Revision,
        code: bytes::Bytes,
    ) -> Result<FunctionSpec, PlatformError> {
        self.spec(revision.function(), revision.version(), revision.ready(), code).await
    }

    /// What the engine is asked to load for a function, with at least `ready` instances kept ready.
    pub(crate) async fn spec(
        &self,
        function: &Function,
        version: &str,
        ready: u32,
        code: bytes::Bytes,
    ) -> Result<FunctionSpec, PlatformError> {
        let settings = &function.settings;
        let mut pool = settings.pool.clone();
        pool.min_ready = pool.min_ready.max(ready);
        pool.max_instances = pool.max_instances.max(pool.min_ready);
        pool.concurrency = settings.instance_concurrency;
        let mut grants = settings.grants.clone();
        grants.directories.extend(self.mount(&settings.layers, function.name.as_str()).await?);
        let mut spec = FunctionSpec::new(function.name.as_str(), code)
            .identity(Identity {
                service: function.service.to_string(),
                function: function.name.to_string(),
                version: version.to_owned(),
            })
            .limits(settings.limits(&self.limits))
            .pool(pool)
            .isolation(settings.isolation)
            .grants(grants);
        spec.environment =
            settings.environment.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok(spec)
    }
}
