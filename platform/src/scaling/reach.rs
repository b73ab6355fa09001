//! From what is to be kept ready to instances that are: each revision is told how many it keeps, is loaded if need be, and the engine
//! makes and keeps them. Looked at again and again, because code, aliases and instances come and go.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::wanted::Wanted;
use super::{ProvisionConfig, scheduled};
use crate::error::PlatformError;
use crate::platform::Inner;
use crate::revision::Revision;

/// What was done so far.
#[derive(Debug, Default)]
pub(crate) struct Provisions {
    /// Something is to be looked at.
    pub(crate) changed: Notify,
    /// How many each config wants now.
    wanted: Wanted,
    /// Revisions that were told to keep instances ready.
    told: Mutex<Vec<Weak<Revision>>>,
}

impl Inner {
    /// Which revisions a config speaks of now, and how many instances of each: an alias with weights has them divided.
    fn shares(&self, config: &ProvisionConfig, target: u32) -> Vec<(Arc<Revision>, u32)> {
        let Ok(entry) = self.catalog.service(config.service.as_str()) else { return Vec::new() };
        let shares = entry.shares(&config.qualifier, target);
        let share = |(version, count): (Option<u64>, u32)| {
            let revision = entry.revision_at(version, config.function.as_str())?;
            Some((revision, count))
        };
        shares.into_iter().filter_map(share).collect()
    }

    /// Whether a config keeps anything ready, now or later.
    pub(super) fn is_wanted(&self, config: &ProvisionConfig) -> bool {
        let now_ms = self.clock.now_ms();
        let is_ahead = |end_ms: Option<u64>| end_ms.is_none_or(|end| now_ms < end);
        self.wanted_now(config) > 0
            || scheduled::any_is_ahead(&config.actions, now_ms)
            || config.policies.iter().any(|policy| is_ahead(policy.end_ms))
    }

    /// How many a config wants ready at this moment.
    fn wanted_now(&self, config: &ProvisionConfig) -> u32 {
        self.provisions.wanted.target(config, self.clock.now_ms())
    }

    /// Instances of a config that are busy at this moment.
    fn busy(&self, config: &ProvisionConfig) -> u32 {
        let mut revisions = self.shares(config, 0);
        // An alias may give a part to its own version.
        revisions.dedup_by_key(|(revision, _)| Arc::as_ptr(revision));
        let busy = revisions.into_iter().filter_map(|(revision, _)| {
            revision.loaded.load().as_ref().map(|function| function.stats().running)
        });
        busy.sum()
    }

    /// The config with what it wants at this moment and what there is of it.
    pub(super) fn reached(&self, mut config: ProvisionConfig) -> ProvisionConfig {
        config.target = self.wanted_now(&config);
        for (revision, count) in self.shares(&config, config.target) {
            let loaded = revision.loaded.load();
            let stats = loaded.as_ref().map(|function| function.stats());
            config.current += stats.map_or(0, |stats| (stats.idle + stats.running).min(count));
            let error = revision.provision_error.load_full();
            config.error = config.error.or_else(|| error.map(|error| error.to_string()));
        }
        config
    }

    /// Tells each revision how many instances it keeps ready; those that are told otherwise than before get it done.
    pub(crate) async fn reach_provisions(&self) {
        let mut wanted: HashMap<*const Revision, (Arc<Revision>, u32)> = HashMap::new();
        let configs = self.catalog.provisions.all();
        self.provisions.wanted.keep(|key| configs.contains_key(key));
        for config in configs.values() {
            if !config.policies.is_empty() {
                self.provisions.wanted.note_busy(config, self.busy(config), self.clock.now_ms());
            }
            for (revision, count) in self.shares(config, self.wanted_now(config)) {
                let wanted = wanted.entry(Arc::as_ptr(&revision)).or_insert((revision, 0));
                wanted.1 = wanted.1.saturating_add(count);
            }
        }
        let told = std::mem::take(&mut *self.provisions.told.lock());
        for revision in told.iter().filter_map(Weak::upgrade) {
            wanted.entry(Arc::as_ptr(&revision)).or_insert((revision, 0));
        }
        let mut told = Vec::new();
        for (revision, count) in wanted.into_values() {
            let result = self.provision(&revision, count).await;
            let error = result.err().map(|error| Arc::new(error.to_string()));
            let before = revision.provision_error.swap(error.clone());
            // Once, not at every look.
            if let Some(error) = error.filter(|error| before.as_ref() != Some(error)) {
                tracing::warn!(function = %revision.label(), version = revision.version(), %error,
                    "instances cannot be kept ready; it is tried again");
            }
            if count > 0 {
                told.push(Arc::downgrade(&revision));
            }
        }
        *self.provisions.told.lock() = told;
    }

    /// Sees to it that a revision is loaded with so many instances to keep ready.
    async fn provision(&self, revision: &Arc<Revision>, count: u32) -> Result<(), PlatformError> {
        let before = revision.keep_ready(count);
        let Some(function) = revision.loaded.load_full() else {
            if count > 0 {
                self.load(revision).await?;
            }
            return Ok(());
        };
        revision.touch(self.clock.now_ms());
        if before == count {
            return Ok(());
        }
        let spec = async {
            let code = self.code.get(&revision.function().code.digest, revision.label()).await?;
            self.spec_of(revision, code).await
        };
        let replaced = match spec.await {
            Ok(spec) => function.replace(spec).await.map(drop),
            Err(error) => {
                revision.keep_ready(before);
                return Err(error);
            }
        };
        replaced.inspect_err(|_| {
            revision.keep_ready(before);
        })?;
        Ok(())
    }
}
