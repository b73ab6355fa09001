//! Everything the catalog holds, read back from storage when a platform opens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, watch};

use super::records::Record;
use super::tags::TAGS;
use super::{Catalog, FUNCTIONS, SERVICES, ServiceEntry};
use crate::alias::Alias;
use crate::async_config::AsyncConfig;
use crate::binding::Binding;
use crate::config::Quotas;
use crate::domain::Domain;
use crate::error::PlatformError;
use crate::function::Function;
use crate::layer::Layer;
use crate::name::ServiceName;
use crate::revision::Revision;
use crate::scaling::{OnDemandConfig, ProvisionConfig};
use crate::service::Service;
use crate::storage::{Collection, Entry, Storage};
use crate::tag::Tags;
use crate::trigger::Trigger;

/// Services while they are being read.
pub(super) type Services = BTreeMap<ServiceName, Arc<ServiceEntry>>;

impl Catalog {
    /// Reads everything from storage.
    pub(crate) async fn read(
        storage: Arc<dyn Storage>,
        quotas: Quotas,
    ) -> Result<Self, PlatformError> {
        let mut services = Services::new();
        storage
            .each(SERVICES, |entry| {
                let mut service: Service = decode(SERVICES, &entry)?;
                service.revision = entry.version;
                services.insert(service.name.clone(), ServiceEntry::new(service));
                Ok::<_, PlatformError>(())
            })
            .await?;
        let functions = read_functions(&*storage, &services).await?;
        let published = Self::read_versions(&*storage, &services).await?;
        read_tags(&*storage, &services).await?;
        let catalog = Self {
            storage,
            domains: Arc::default(),
            layers: Arc::default(),
            on_demand: Arc::default(),
            provisions: Arc::default(),
            async_configs: Arc::default(),
            quotas,
            services: ArcSwap::from_pointee(services),
            functions: AtomicU64::new(functions),
            published: AtomicU64::new(published),
            writing: Mutex::new(()),
            records_changed: watch::Sender::new(()),
        };
        catalog.read_table::<Alias>().await?;
        catalog.read_table::<Trigger>().await?;
        catalog.read_table::<Binding>().await?;
        catalog.read_table::<Domain>().await?;
        catalog.read_table::<Layer>().await?;
        catalog.read_table::<OnDemandConfig>().await?;
        catalog.read_table::<ProvisionConfig>().await?;
        catalog.read_table::<AsyncConfig>().await?;
        Ok(catalog)
    }

    /// Reads the rows of one table, of every service or of all.
    async fn read_table<T: Record>(&self) -> Result<(), PlatformError> {
        let mut rows: BTreeMap<String, BTreeMap<String, Arc<T>>> = BTreeMap::new();
        self.storage
            .each(T::COLLECTION, |entry| {
                let mut record: T = decode(T::COLLECTION, &entry)?;
                record.stamp(entry.version);
                let held = rows.entry(record.service().to_owned()).or_default();
                held.insert(record.key(), Arc::new(record));
                Ok::<_, PlatformError>(())
            })
            .await?;
        for (service, held) in rows {
            let table = T::table(self, &service).map_err(|_| orphaned(&service, T::PLURAL))?;
            table.fill(held);
        }
        Ok(())
    }
}

/// Reads the newest functions; returns how many there are.
async fn read_functions(storage: &dyn Storage, services: &Services) -> Result<u64, PlatformError> {
    let mut functions: BTreeMap<ServiceName, BTreeMap<_, _>> = BTreeMap::new();
    let mut count = 0;
    storage
        .each(FUNCTIONS, |entry| {
            let mut function: Function = decode(FUNCTIONS, &entry)?;
            function.revision = entry.version;
            count += 1;
            let name = function.name.clone();
            let held = functions.entry(function.service.clone()).or_default();
            held.insert(name, Arc::new(ArcSwap::from_pointee(Revision::new(function))));
            Ok::<_, PlatformError>(())
        })
        .await?;
    for (service, held) in functions {
        owner(services, service.as_str(), "functions")?.functions.store(Arc::new(held));
    }
    Ok(count)
}

/// Reads the tags of all services.
async fn read_tags(storage: &dyn Storage, services: &Services) -> Result<(), PlatformError> {
    storage
        .each(TAGS, |entry| {
            let tags: Tags = decode(TAGS, &entry)?;
            owner(services, &entry.key, "tags")?.tags.store(Arc::new(tags));
            Ok::<_, PlatformError>(())
        })
        .await
}

pub(super) fn owner<'a>(
    services: &'a Services,
    service: &str,
    what: &str,
) -> Result<&'a Arc<ServiceEntry>, PlatformError> {
    services.get(service).ok_or_else(|| orphaned(service, what))
}

fn orphaned(service: &str, what: &str) -> PlatformError {
    PlatformError::Failure {
        what: "reading the catalog",
        why: format!("{what} of service `{service}` are stored, but no such service"),
    }
}

pub(super) fn decode<T: DeserializeOwned>(
    collection: Collection,
    entry: &Entry,
) -> Result<T, PlatformError> {
    serde_json::from_slice(&entry.value).map_err(|error| PlatformError::Failure {
        what: "reading the catalog",
        why: format!("record `{}` of `{}` is damaged: {error}", entry.key, collection.0),
    })
}
