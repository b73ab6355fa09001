//! Instances kept ready for a function at a qualifier: what is wanted. What there is, and how it is reached, is in `reach.rs`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::scheduled::{ScheduledAction, check_actions};
use super::tracking::{TrackingPolicy, check_policies};
use super::{check, key, key_of};
use crate::catalog::{Catalog, Record, Table};
use crate::error::{Kind, PlatformError, RequestError};
use crate::name::{FunctionName, LATEST, ServiceName, Target};
use crate::platform::Platform;
use crate::service::{ListRequest, Page, check_extra, merge, set};
use crate::storage::Collection;

/// The largest target that can be set.
pub const PROVISION_TARGET_MAX: u32 = 10_000;

/// What is to be kept ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProvisionConfig {
    /// The service.
    pub service: ServiceName,
    /// `LATEST` or an alias.
    pub qualifier: String,
    /// The function.
    pub function: FunctionName,
    /// Instances to keep ready, 0 to [`PROVISION_TARGET_MAX`]: in what is given out those of this moment, in storage those that were set.
    pub target: u32,
    /// Other targets at certain times.
    #[serde(default)]
    pub actions: Vec<ScheduledAction>,
    /// Targets by use.
    #[serde(default)]
    pub policies: Vec<TrackingPolicy>,
    /// When the target was set; actions that fired before it are over.
    #[serde(default)]
    pub set_ms: u64,
    /// Fields of a dialect as it must echo them.
    pub extra: Map<String, Value>,
    /// Grows with every change over the whole platform; what entity tags are made of. 0 where none is set.
    #[serde(skip)]
    pub revision: u64,
    /// Instances that there are, up to the target.
    #[serde(skip)]
    pub current: u32,
    /// Why there are fewer than wanted, if that is known.
    #[serde(skip)]
    pub error: Option<String>,
}

/// A change of what is to be kept ready.
#[derive(Debug, Clone, Default)]
pub struct ProvisionChange {
    /// Replaces the target.
    pub target: u32,
    /// Replaces all actions.
    pub actions: Option<Vec<ScheduledAction>>,
    /// Replaces all policies.
    pub policies: Option<Vec<TrackingPolicy>>,
    /// Replaces these fields of `extra`; a null removes the field.
    pub extra: Map<String, Value>,
    /// The revision that the caller has seen.
    pub expect: Option<u64>,
}

/// Which configs are listed.
#[derive(Debug, Clone, Default)]
pub struct ProvisionFilter {
    /// Only of this service.
    pub service: Option<String>,
    /// Only of this qualifier.
    pub qualifier: Option<String>,
}

impl Record for ProvisionConfig {
    const COLLECTION: Collection = Collection("provision");
    const KIND: Kind = Kind::ProvisionConfig;
    const PLURAL: &'static str = "provision configs";

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
        Ok(catalog.provisions.clone())
    }
}

impl ProvisionConfig {
    fn none(target: Target<'_>) -> Result<Self, RequestError> {
        Ok(Self {
            service: ServiceName::parse(target.service)?,
            qualifier: target.qualifier.filter(|q| !q.is_empty()).unwrap_or(LATEST).to_owned(),
            function: FunctionName::parse(target.function)?,
            target: 0,
            actions: Vec::new(),
            policies: Vec::new(),
            set_ms: 0,
            extra: Map::new(),
            revision: 0,
            current: 0,
            error: None,
        })
    }

    pub(super) fn as_target(&self) -> Target<'_> {
        Target {
            service: self.service.as_str(),
            qualifier: Some(&self.qualifier),
            function: self.function.as_str(),
        }
    }
}

impl Platform {
    /// Sets how many instances of a function are kept ready for `LATEST` or an alias. Durable on return; they are made after it.
    ///
    /// # Errors
    /// No such target; a version; a target out of bounds; another revision than expected; quota; storage.
    pub async fn put_provision_config(
        &self,
        target: Target<'_>,
        change: ProvisionChange,
    ) -> Result<ProvisionConfig, PlatformError> {
        let catalog = &self.inner().catalog;
        check(catalog, target)?;
        if change.target > PROVISION_TARGET_MAX {
            let why = format!("{} is not 0 to {PROVISION_TARGET_MAX}", change.target);
            return Err(RequestError::invalid("target", why).into());
        }
        check_actions(change.actions.as_deref().unwrap_or_default())?;
        check_policies(change.policies.as_deref().unwrap_or_default())?;
        let (expect, new) = (change.expect, ProvisionConfig::none(target)?);
        let set_ms = self.inner().clock.now_ms();
        let make = move |catalog: &Catalog, before: Option<&ProvisionConfig>| {
            check(catalog, new.as_target())?;
            let mut config = before.cloned().unwrap_or(new);
            config.target = change.target;
            config.set_ms = set_ms;
            set(&mut config.actions, change.actions.as_ref());
            set(&mut config.policies, change.policies.as_ref());
            merge(&mut config.extra, &change.extra);
            check_extra(&config.extra)?;
            Ok(config)
        };
        let limit = catalog.quotas().scaling_configs;
        let config = self.writer().put_record("", &key_of(target), expect, limit, make).await?;
        self.inner().provisions.changed.notify_one();
        Ok(self.inner().reached(config))
    }

    /// What is kept ready for a function at a qualifier, and how much of it there is. Where nothing is set, that is nothing.
    ///
    /// # Errors
    /// No such target; a version.
    pub fn get_provision_config(
        &self,
        target: Target<'_>,
    ) -> Result<ProvisionConfig, RequestError> {
        let inner = self.inner();
        check(&inner.catalog, target)?;
        match inner.catalog.provisions.get(&key_of(target)) {
            Some(config) => Ok(inner.reached(config.as_ref().clone())),
            None => ProvisionConfig::none(target),
        }
    }

    /// Lists what is kept ready in order of `service.qualifier/function`. A target of 0 that no action and no policy can raise is none.
    ///
    /// Targets are those of this moment.
    ///
    /// # Errors
    /// A limit out of bounds.
    pub fn list_provision_configs(
        &self,
        request: &ListRequest,
        filter: &ProvisionFilter,
    ) -> Result<Page<ProvisionConfig>, RequestError> {
        let inner = self.inner();
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|w| w == found);
        let keep = |config: &ProvisionConfig| {
            inner.is_wanted(config)
                && is(&filter.service, config.service.as_str())
                && is(&filter.qualifier, &config.qualifier)
        };
        let item = |config: &ProvisionConfig| inner.reached(config.clone());
        inner.catalog.provisions.page_where(request, keep, item)
    }
}
