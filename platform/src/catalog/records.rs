//! Simple records: made, replaced and removed under one set of rules, whatever they are of.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Catalog, Table, Writer, as_expected, detached, quota};
use crate::audit::{Change, Verb};
use crate::error::{Kind, PlatformError, RequestError};
use crate::storage::{Collection, Expect};

/// A record that is a row of a table: one of a service's, or one of the whole catalog.
pub(crate) trait Record:
    Serialize + DeserializeOwned + Clone + Send + Sync + std::fmt::Debug + 'static
{
    /// Where storage keeps it.
    const COLLECTION: Collection;
    /// What an error calls it.
    const KIND: Kind;
    /// What a quota calls it.
    const PLURAL: &'static str;

    /// Its service; empty where it belongs to none.
    fn service(&self) -> &str {
        ""
    }
    /// Its key in the table.
    fn key(&self) -> String;
    /// What its name is in an error, from the service and the key.
    fn label(service: &str, key: &str) -> String {
        stored_key(service, key)
    }
    /// The revision it stands at.
    fn revision(&self) -> u64;
    /// Sets that.
    fn stamp(&mut self, revision: u64);
    /// The beginning of the keys of the scaling configs that go when it goes.
    fn scaling(&self) -> Option<String> {
        None
    }
    /// What the audit trail says when it becomes this, from what it was.
    fn change(&self, before: Option<&Self>) -> Change {
        let verb = if before.is_some() { Verb::Update } else { Verb::Create };
        Change::new(verb, Self::KIND.as_str(), Self::label(self.service(), &self.key()))
    }
    /// The table of a service, or of all.
    fn table(catalog: &Catalog, service: &str) -> Result<Arc<Table<Self>>, RequestError>;
}

/// Where storage keeps a record.
pub(super) fn stored_key(service: &str, key: &str) -> String {
    if service.is_empty() { key.to_owned() } else { format!("{service}/{key}") }
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
        T::table(self, service)?.get(key).ok_or_else(|| absent::<T>(service, key))
    }
}

impl Writer {
    /// Adds a record that `check` finds fit for the service as it stands, unless its key is taken.
    pub(crate) async fn add_record<T: Record>(
        &self,
        record: T,
        limit: u64,
        check: impl FnOnce(&Catalog, &T) -> Result<(), RequestError> + Send + 'static,
    ) -> Result<T, PlatformError> {
        let catalog = self.clone();
        detached(async move {
            let _writing = catalog.writing.lock().await;
            let table = T::table(&catalog, record.service())?;
            if table.get(&record.key()).is_some() {
                let name = T::label(record.service(), &record.key());
                return Err(RequestError::AlreadyExists { kind: T::KIND, name }.into());
            }
            quota(T::PLURAL, table.len() as u64, limit)?;
            check(&catalog, &record)?;
            catalog.write_record(&table, record, None).await
        })
        .await
    }

    /// Replaces a record by what `change` makes of it.
    pub(crate) async fn change_record<T: Record>(
        &self,
        service: &str,
        key: &str,
        expect: Option<u64>,
        change: impl FnOnce(&Catalog, &T) -> Result<T, RequestError> + Send + 'static,
    ) -> Result<T, PlatformError> {
        let (catalog, service, key) = (self.clone(), service.to_owned(), key.to_owned());
        detached(async move {
            let _writing = catalog.writing.lock().await;
            let table = T::table(&catalog, &service)?;
            let before = table.get(&key).ok_or_else(|| absent::<T>(&service, &key))?;
            as_expected(T::KIND, &T::label(&service, &key), expect, before.revision())?;
            let after = change(&catalog, &before)?;
            catalog.write_record(&table, after, Some(&before)).await
        })
        .await
    }

    /// Writes a record, whether or not there was one, as `make` makes it of what there was.
    pub(crate) async fn put_record<T: Record>(
        &self,
        service: &str,
        key: &str,
        expect: Option<u64>,
        limit: u64,
        make: impl FnOnce(&Catalog, Option<&T>) -> Result<T, RequestError> + Send + 'static,
    ) -> Result<T, PlatformError> {
        let (catalog, service, key) = (self.clone(), service.to_owned(), key.to_owned());
        detached(async move {
            let _writing = catalog.writing.lock().await;
            let table = T::table(&catalog, &service)?;
            let before = table.get(&key);
            let found = before.as_ref().map_or(0, |before| before.revision());
            as_expected(T::KIND, &T::label(&service, &key), expect, found)?;
            if before.is_none() {
                quota(T::PLURAL, table.len() as u64, limit)?;
            }
            let after = make(&catalog, before.as_deref())?;
            catalog.write_record(&table, after, before.as_deref()).await
        })
        .await
    }

    /// Removes a record; nothing else of the service may be in its way by then.
    pub(crate) async fn remove_record<T: Record>(
        &self,
        service: &str,
        key: &str,
        expect: Option<u64>,
    ) -> Result<(), PlatformError> {
        let (catalog, service, key) = (self.clone(), service.to_owned(), key.to_owned());
        detached(async move {
            let _writing = catalog.writing.lock().await;
            let table = T::table(&catalog, &service)?;
            let before = table.get(&key).ok_or_else(|| absent::<T>(&service, &key))?;
            as_expected(T::KIND, &T::label(&service, &key), expect, before.revision())?;
            let change = Change::new(Verb::Delete, T::KIND.as_str(), T::label(&service, &key));
            let gone = before.scaling().map(|prefix| catalog.scaling_of(&prefix, |_| true));
            let (gone, at) = (gone.unwrap_or_default(), stored_key(&service, &key));
            catalog.delete_with(change, gone, T::COLLECTION, at).await?;
            table.remove(&[key]);
            catalog.records_changed.send_replace(());
            Ok(())
        })
        .await
    }

    /// Writes a record where there was none, or where `before` stands, and swaps it in.
    async fn write_record<T: Record>(
        &self,
        table: &Table<T>,
        mut record: T,
        before: Option<&T>,
    ) -> Result<T, PlatformError> {
        let key = stored_key(record.service(), &record.key());
        let expect = before.map_or(Expect::Absent, |before| Expect::Version(before.revision()));
        let change = record.change(before);
        let revision = self.put(change, T::COLLECTION, key, &record, expect).await?;
        record.stamp(revision);
        table.insert(record.key(), Arc::new(record.clone()));
        self.records_changed.send_replace(());
        Ok(record)
    }
}
