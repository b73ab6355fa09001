//! Everything the catalog holds, read back from storage when a platform opens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::records::Record;
use super::{Catalog, FUNCTIONS, SERVICES, ServiceEntry};
use crate::alias::Alias;
use crate::config::Quotas;
use crate::error::PlatformError;
use crate::function::Function;
use crate::name::ServiceName;
use crate::revision::Revision;
use crate::service::Service;
use crate::storage::{Collection, Entry, Storage};

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
        read_table::<Alias>(&*storage, &services).await?;
        Ok(Self {
            storage,
            quotas,
            services: ArcSwap::from_pointee(services),
            functions: AtomicU64::new(functions),
            published: AtomicU64::new(published),
            writing: Mutex::new(()),
        })
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

/// Reads the rows of one table of every service.
async fn read_table<T: Record>(
    storage: &dyn Storage,
    services: &Services,
) -> Result<(), PlatformError> {
    let mut rows: BTreeMap<String, BTreeMap<String, Arc<T>>> = BTreeMap::new();
    storage
        .each(T::COLLECTION, |entry| {
            let mut record: T = decode(T::COLLECTION, &entry)?;
            record.stamp(entry.version);
            let held = rows.entry(record.service().to_owned()).or_default();
            held.insert(record.key(), Arc::new(record));
            Ok::<_, PlatformError>(())
        })
        .await?;
    for (service, held) in rows {
        T::table(owner(services, &service, T::PLURAL)?).fill(held);
    }
    Ok(())
}

pub(super) fn owner<'a>(
    services: &'a Services,
    service: &str,
    what: &str,
) -> Result<&'a Arc<ServiceEntry>, PlatformError> {
    services.get(service).ok_or_else(|| PlatformError::Failure {
        what: "reading the catalog",
        why: format!("{what} of service `{service}` are stored, but no such service"),
    })
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
