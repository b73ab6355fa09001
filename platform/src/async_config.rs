//! How the async invocations of a function at a qualifier are run: how often they are tried, how old they may become, and who is told
//! how they ended. An invocation keeps what stood when it was accepted.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Record, Table};
use crate::error::{Kind, PlatformError, RequestError};
use crate::name::{FunctionName, LATEST, ServiceName, Target};
use crate::platform::Platform;
use crate::queue::{Destination, DestinationKind, RETRIES_MAX};
use crate::scaling::{key, key_of};
use crate::service::{ListRequest, PAGE_MAX, Page};
use crate::storage::Collection;

/// The oldest that async invocations may be let become, in seconds: 7 days.
pub const EVENT_AGE_S_MAX: u64 = 604_800;

/// What can be set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsyncSettings {
    /// Attempts after the first, at most [`RETRIES_MAX`]; the platform's default unless set.
    pub retries: Option<u32>,
    /// How old an invocation may become, in seconds, 1 to [`EVENT_AGE_S_MAX`]; the platform's default unless set.
    pub age_s: Option<u64>,
    /// Who is told of invocations that succeeded.
    pub on_success: Option<Destination>,
    /// Who is told of those that did not.
    pub on_failure: Option<Destination>,
    /// Whether each invocation can be looked up and stopped by an id of the caller's choice.
    pub stateful: Option<bool>,
}

/// A config as it stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AsyncConfig {
    /// The service.
    pub service: ServiceName,
    /// `LATEST`, a version or an alias.
    pub qualifier: String,
    /// The function.
    pub function: FunctionName,
    /// What is set.
    pub settings: AsyncSettings,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it last changed.
    pub modified_ms: u64,
    /// Grows with every change over the whole platform.
    #[serde(skip)]
    pub revision: u64,
}

impl Record for AsyncConfig {
    const COLLECTION: Collection = Collection("async_config");
    const KIND: Kind = Kind::AsyncConfig;
    const PLURAL: &'static str = "async invoke configs";

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
        Ok(catalog.async_configs.clone())
    }
}

impl AsyncSettings {
    fn check(&self, target: Target<'_>) -> Result<(), RequestError> {
        if let Some(retries) = self.retries.filter(|retries| *retries > RETRIES_MAX) {
            let why = format!("{retries} is not 0 to {RETRIES_MAX}");
            return Err(RequestError::invalid("retries", why));
        }
        if let Some(age) = self.age_s.filter(|age| !(1..=EVENT_AGE_S_MAX).contains(age)) {
            let why = format!("{age} is not 1 to {EVENT_AGE_S_MAX}");
            return Err(RequestError::invalid("age", why));
        }
        for destination in [&self.on_success, &self.on_failure].into_iter().flatten() {
            let DestinationKind::Function { service, function, .. } = &destination.kind else {
                continue;
            };
            if service == target.service && function == target.function {
                let why = "a function cannot be its own destination";
                return Err(RequestError::invalid("destination", why));
            }
        }
        Ok(())
    }
}

impl Catalog {
    /// What holds for async invocations of a target that are accepted now.
    pub(crate) fn async_settings(&self, target: Target<'_>) -> AsyncSettings {
        if self.async_configs.is_empty() {
            return AsyncSettings::default();
        }
        let of = |config: Option<&AsyncConfig>| config.map(|config| config.settings.clone());
        self.async_configs.with(&key_of(target), of).unwrap_or_default()
    }
}

impl Platform {
    /// Sets how async invocations of a function at a qualifier are run, in place of what was set. Durable on return; what was accepted
    /// before stays as it was.
    ///
    /// # Errors
    /// No such target; a value out of bounds; the function as its own destination; quota; storage.
    pub async fn put_async_config(
        &self,
        target: Target<'_>,
        settings: AsyncSettings,
    ) -> Result<AsyncConfig, PlatformError> {
        let inner = self.inner();
        inner.catalog.service(target.service)?.function_at(target)?;
        settings.check(target)?;
        let now_ms = inner.clock.now_ms();
        let config = AsyncConfig {
            service: ServiceName::parse(target.service)?,
            qualifier: target.qualifier.filter(|q| !q.is_empty()).unwrap_or(LATEST).to_owned(),
            function: FunctionName::parse(target.function)?,
            settings,
            created_ms: now_ms,
            modified_ms: now_ms,
            revision: 0,
        };
        let make = move |catalog: &Catalog, before: Option<&AsyncConfig>| {
            let qualifier = Some(config.qualifier.as_str());
            let (service, function) = (config.service.as_str(), config.function.as_str());
            catalog.service(service)?.function_at(Target { service, qualifier, function })?;
            let created_ms = before.map_or(config.created_ms, |before| before.created_ms);
            Ok(AsyncConfig { created_ms, ..config })
        };
        let limit = inner.catalog.quotas().scaling_configs;
        self.writer().put_record("", &key_of(target), None, limit, make).await
    }

    /// How async invocations of a function at a qualifier are run.
    ///
    /// # Errors
    /// No such target, or nothing is set for it.
    pub fn get_async_config(&self, target: Target<'_>) -> Result<AsyncConfig, RequestError> {
        let catalog = &self.inner().catalog;
        catalog.service(target.service)?.function_at(target)?;
        Ok(catalog.record::<AsyncConfig>("", &key_of(target))?.as_ref().clone())
    }

    /// Removes what is set. Durable on return.
    ///
    /// # Errors
    /// No such target, or nothing is set for it; storage.
    pub async fn delete_async_config(&self, target: Target<'_>) -> Result<(), PlatformError> {
        let catalog = &self.inner().catalog;
        catalog.service(target.service)?.function_at(target)?;
        self.writer().remove_record::<AsyncConfig>("", &key_of(target), None).await
    }

    /// Lists what is set for a function, in order of its qualifiers; `start` and `next` are qualifiers, `prefix` is not looked at.
    ///
    /// # Errors
    /// No such service; a limit out of bounds.
    pub fn list_async_configs(
        &self,
        service: &str,
        function: &str,
        request: &ListRequest,
    ) -> Result<Page<AsyncConfig>, RequestError> {
        let catalog = &self.inner().catalog;
        // A function that is gone from the newest may still be in a version, which has its own configs.
        let is_there = catalog.revision(service, function);
        // Keys are of a service, then a qualifier, then a function. Those of one function are few: they are asked for in full.
        let configs = catalog.async_configs.all();
        let prefix = format!("{service}.");
        let of_function = configs
            .range(prefix.clone()..)
            .take_while(|(key, _)| key.starts_with(&prefix))
            .map(|(_, config)| config)
            .filter(|config| config.function.as_str() == function);
        let mut found: Vec<_> =
            of_function.filter(|config| config.qualifier >= request.start).collect();
        if !(1..=PAGE_MAX).contains(&request.limit) {
            let why = format!("{} is not 1 to {PAGE_MAX}", request.limit);
            return Err(RequestError::invalid("limit", why));
        }
        if found.is_empty() {
            is_there?;
        }
        found.sort_by(|one, other| one.qualifier.cmp(&other.qualifier));
        let next = found.get(request.limit).map(|config| config.qualifier.clone());
        let items = found.into_iter().take(request.limit).map(|config| config.as_ref().clone());
        Ok(Page { items: items.collect(), next })
    }
}
