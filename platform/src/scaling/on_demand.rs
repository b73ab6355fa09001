//! The most instances of a function at a qualifier. An instance serves one invocation at a time, so this is a bound on those that run;
//! who comes when it is reached is refused at once, or put off if it was queued.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hearth_engine::{Invocation, Refusal};
use serde::{Deserialize, Serialize};

use super::{check, key, key_of};
use crate::catalog::{Catalog, Record, Table};
use crate::error::{Kind, PlatformError, RequestError};
use crate::name::{FunctionName, LATEST, ServiceName, Target};
use crate::platform::Platform;
use crate::revision::Revision;
use crate::service::{ListRequest, Page};
use crate::storage::Collection;

/// The largest maximum that can be set.
pub const ON_DEMAND_MAX: u32 = 100_000;

/// A maximum as it stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OnDemandConfig {
    /// The service.
    pub service: ServiceName,
    /// `LATEST` or an alias.
    pub qualifier: String,
    /// The function.
    pub function: FunctionName,
    /// Most instances at once, 1 to [`ON_DEMAND_MAX`].
    pub maximum: u32,
    /// Grows with every change over the whole platform; what entity tags are made of.
    #[serde(skip)]
    pub revision: u64,
    /// Invocations that run now; outlives changes of the maximum.
    #[serde(skip)]
    running: Arc<AtomicU32>,
}

/// A place under a maximum, if there is one; given back when dropped.
#[derive(Debug)]
pub(crate) struct Running(Option<Arc<AtomicU32>>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(running) = &self.0 {
            running.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Record for OnDemandConfig {
    const COLLECTION: Collection = Collection("on_demand");
    const KIND: Kind = Kind::OnDemandConfig;
    const PLURAL: &'static str = "on-demand configs";

    fn key(&self) -> String {
        key(self.service.as_str(), &self.qualifier, self.function.as_str())
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn stamp(&mut self, revision: u64) {
        self.revision = revision;
    }

    fn table(catalog: &Catalog, _: &str) -> Result<Arc<Table<Self>>, RequestError> {
        Ok(catalog.on_demand.clone())
    }
}

impl Catalog {
    /// A place for one more invocation, among as many as the instances serve that its qualifier may have.
    pub(crate) fn admit(
        &self,
        revision: &Revision,
        invocation: &mut Invocation,
    ) -> Result<Running, Refusal> {
        if self.on_demand.is_empty() {
            return Ok(Running(None));
        }
        let function = revision.function();
        let qualifier = invocation.qualifier();
        let qualifier = if qualifier.is_empty() { LATEST } else { qualifier };
        let key = key(function.service.as_str(), qualifier, function.name.as_str());
        let Some(config) = self.on_demand.get(&key) else { return Ok(Running(None)) };
        let each = match function.serves_several() {
            true => function.settings.instance_concurrency,
            false => 1,
        };
        let limit = config.maximum.saturating_mul(each);
        invocation.max_instances = Some(config.maximum);
        let more = |running: u32| (running < limit).then_some(running + 1);
        match config.running.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
            Ok(_) => Ok(Running(Some(config.running.clone()))),
            Err(_) => Err(Refusal::QueueFull {
                function: revision.label().to_string(),
                limit,
                waiting: 0,
            }),
        }
    }
}

impl Platform {
    /// Sets the most instances of a function at `LATEST` or an alias. Durable on return; what runs goes on.
    ///
    /// # Errors
    /// No such target; a version; a maximum out of bounds; another revision than expected; quota; storage.
    pub async fn put_on_demand_config(
        &self,
        target: Target<'_>,
        maximum: u32,
        expect: Option<u64>,
    ) -> Result<OnDemandConfig, PlatformError> {
        let catalog = &self.inner().catalog;
        check(catalog, target)?;
        if !(1..=ON_DEMAND_MAX).contains(&maximum) {
            let why = format!("{maximum} is not 1 to {ON_DEMAND_MAX}");
            return Err(RequestError::invalid("maximum", why).into());
        }
        let config = OnDemandConfig {
            service: ServiceName::parse(target.service)?,
            qualifier: target.qualifier.filter(|q| !q.is_empty()).unwrap_or(LATEST).to_owned(),
            function: FunctionName::parse(target.function)?,
            maximum,
            revision: 0,
            running: Arc::default(),
        };
        let key = key_of(target);
        let make = move |catalog: &Catalog, before: Option<&OnDemandConfig>| {
            let qualifier = Some(config.qualifier.as_str());
            let (service, function) = (config.service.as_str(), config.function.as_str());
            check(catalog, Target { service, qualifier, function })?;
            let running = before.map_or_else(Arc::default, |before| before.running.clone());
            Ok(OnDemandConfig { running, ..config })
        };
        self.writer().put_record("", &key, expect, catalog.quotas().scaling_configs, make).await
    }

    /// The most instances of a function at a qualifier.
    ///
    /// # Errors
    /// No such target, or no maximum is set for it.
    pub fn get_on_demand_config(&self, target: Target<'_>) -> Result<OnDemandConfig, RequestError> {
        let catalog = &self.inner().catalog;
        check(catalog, target)?;
        Ok(catalog.record::<OnDemandConfig>("", &key_of(target))?.as_ref().clone())
    }

    /// Removes the maximum. Durable on return.
    ///
    /// # Errors
    /// No such target, or no maximum is set for it; another revision than expected; storage.
    pub async fn delete_on_demand_config(
        &self,
        target: Target<'_>,
        expect: Option<u64>,
    ) -> Result<(), PlatformError> {
        let catalog = &self.inner().catalog;
        check(catalog, target)?;
        self.writer().remove_record::<OnDemandConfig>("", &key_of(target), expect).await
    }

    /// Lists maxima in order of `service.qualifier/function`.
    ///
    /// # Errors
    /// A limit out of bounds.
    pub fn list_on_demand_configs(
        &self,
        request: &ListRequest,
    ) -> Result<Page<OnDemandConfig>, RequestError> {
        self.inner().catalog.on_demand.page(request, Clone::clone)
    }
}
