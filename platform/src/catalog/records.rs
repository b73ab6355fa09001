//! Simple records of a service: made, replaced and removed under one set of rules, whatever they are of.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Catalog, ServiceEntry, Table, as_expected, detached, quota};
use crate::error::{Kind, PlatformError, RequestError};
use crate::storage::{Collection, Expect};

/// A record that belongs to a service and is a row of one of its tables.
pub(crate) trait Record:
    Serialize + DeserializeOwned + Clone + Send + Sync + std::fmt::Debug + 'static
{
    /// Where storage keeps it.
    const COLLECTION: Collection;
    /// What an error calls it.
    const KIND: Kind;
    /// What a quota calls it.
    const PLURAL: &'static str;

    /// Its service.
    fn service(&self) -> &str;
    /// Its key in the service's table.
    fn key(&self) -> String;
    /// What its name is in an error, from the service and the key.
    fn label(service: &str, key: &str) -> String {
        format!("{service}/{key}")
    }
    /// The revision it stands at.
    fn revision(&self) -> u64;
    /// Sets that.
    fn stamp(&mut self, revision: u64);
    /// Where a service holds it.
    fn table(entry: &ServiceEntry) -> &Table<Self>;
}

fn absent<T: Record>(service: &str, key: &str) -> RequestError {
    RequestError::NotFound { kind: T::KIND, name: T::label(service, key) }
}

impl Catalog {
    /// A record.
    pub(crate) fn record<T: Record>(
        &self,
        service: &str,
        key: &str,
    ) -> Result<Arc<T>, RequestError> {
        T::table(&*self.service(service)?).get(key).ok_or_else(|| absent::<T>(service, key))
    }

    /// Adds a record that `check` finds fit for the service as it stands, unless its key is taken.
    pub(crate) async fn add_record<T: Record>(
        self: &Arc<Self>,
        record: T,
        limit: u64,
        check: impl FnOnce(&ServiceEntry, &T) -> Result<(), RequestError> + Send + 'static,
    ) -> Result<T, PlatformError> {
        let catalog = self.clone();
        detached(async move {
            let _writing = catalog.writing.lock().await;
            let entry = catalog.service(record.service())?;
            let table = T::table(&entry);
            if table.get(&record.key()).is_some() {
                let name = T::label(record.service(), &record.key());
                return Err(RequestError::AlreadyExists { kind: T::KIND, name }.into());
            }
            quota(T::PLURAL, table.len() as u64, limit)?;
            check(&entry, &record)?;
            catalog.write_record(&entry, record, Expect::Absent).await
        })
        .await
    }

    /// Replaces a record by what `change` makes of it.
    pub(crate) async fn change_record<T: Record>(
        self: &Arc<Self>,
        service: &str,
        key: &str,
        expect: Option<u64>,
        change: impl FnOnce(&ServiceEntry, &T) -> Result<T, RequestError> + Send + 'static,
    ) -> Result<T, PlatformError> {
        let (catalog, service, key) = (self.clone(), service.to_owned(), key.to_owned());
        detached(async move {
            let _writing = catalog.writing.lock().await;
            let entry = catalog.service(&service)?;
            let before = T::table(&entry).get(&key).ok_or_else(|| absent::<T>(&service, &key))?;
            as_expected(T::KIND, &T::label(&service, &key), expect, before.revision())?;
            let after = change(&entry, &before)?;
            catalog.write_record(&entry, after, Expect::Version(before.revision())).await
        })
        .await
    }

    /// Removes a record; nothing else of the service may be in its way by then.
    pub(crate) async fn remove_record<T: Record>(
        self: &Arc<Self>,
        service: &str,
        key: &str,
        expect: Option<u64>,
    ) -> Result<(), PlatformError> {
        let (catalog, service, key) = (self.clone(), service.to_owned(), key.to_owned());
        detached(async move {
            let _writing = catalog.writing.lock().await;
            let entry = catalog.service(&service)?;
            let before = T::table(&entry).get(&key).ok_or_else(|| absent::<T>(&service, &key))?;
            as_expected(T::KIND, &T::label(&service, &key), expect, before.revision())?;
            catalog.delete(T::COLLECTION, format!("{service}/{key}")).await?;
            T::table(&entry).remove(&[key]);
            Ok(())
        })
        .await
    }

    /// Writes a record and swaps it in.
    async fn write_record<T: Record>(
        &self,
        entry: &ServiceEntry,
        mut record: T,
        expect: Expect,
    ) -> Result<T, PlatformError> {
        let key = format!("{}/{}", record.service(), record.key());
        let revision = self.put(T::COLLECTION, key, &record, expect).await?;
        record.stamp(revision);
        T::table(entry).insert(record.key(), Arc::new(record.clone()));
        Ok(record)
    }
}
