//! Keys and values in this process's memory, gone when it ends.
//!
//! One lock for each service: operations are short, and it makes quotas exact and `increment` and `replace` atomic. Services
//! never wait for one another. Memory is bounded by each writer's [`Quota`]; reading never makes anything.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use dashmap::DashMap;
use parking_lot::Mutex;

use super::{
    KeyPage, KeyValue, KeyValueError, MAX_KEY_BYTES, PAGE_BYTES, PAGE_KEYS, Quota, Scope, Versioned,
};

/// A key-value store in memory, for all services of an engine.
#[derive(Debug, Default)]
pub struct MemoryKeyValue {
    services: DashMap<String, Arc<Mutex<ServiceKeys>>>,
}

#[derive(Debug, Default)]
struct ServiceKeys {
    buckets: BTreeMap<String, BTreeMap<String, Versioned>>,
    keys: u64,
    bytes: u64,
    last_version: u64,
}

impl MemoryKeyValue {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything of one service, such as when it is deleted.
    pub fn remove_service(&self, service: &str) {
        self.services.remove(service);
    }

    /// How many keys a service holds, and how many bytes they and their values make up.
    #[must_use]
    pub fn usage(&self, service: &str) -> (u64, u64) {
        self.read(service, |held| (held.keys, held.bytes)).unwrap_or_default()
    }

    fn read<R>(&self, service: &str, read: impl FnOnce(&ServiceKeys) -> R) -> Option<R> {
        let service = self.services.get(service)?.clone();
        let held = service.lock();
        Some(read(&held))
    }

    fn write<R>(&self, service: &str, write: impl FnOnce(&mut ServiceKeys) -> R) -> R {
        let known = self.services.get(service).map(|known| known.clone());
        let service =
            known.unwrap_or_else(|| self.services.entry(service.to_owned()).or_default().clone());
        let mut held = service.lock();
        write(&mut held)
    }
}

impl ServiceKeys {
    fn entry(&self, bucket: &str, key: &str) -> Option<&Versioned> {
        self.buckets.get(bucket)?.get(key)
    }

    fn version(&self, bucket: &str, key: &str) -> u64 {
        self.entry(bucket, key).map_or(0, |entry| entry.version)
    }

    fn set(
        &mut self,
        bucket: &str,
        key: &str,
        value: Bytes,
        quota: &Quota,
    ) -> Result<(), KeyValueError> {
        let size = value.len() as u64;
        if size > quota.value_bytes {
            return Err(KeyValueError::ValueTooLarge { bytes: size, limit: quota.value_bytes });
        }
        let old = self.entry(bucket, key).map(entry_bytes);
        if old.is_none() && self.keys >= quota.keys {
            return Err(KeyValueError::TooManyKeys { limit: quota.keys });
        }
        let before = old.map_or(0, |value| value.saturating_add(key.len() as u64));
        let after = size.saturating_add(key.len() as u64);
        let bytes = self.bytes.saturating_sub(before).saturating_add(after);
        // A write that frees bytes is always let through: the way out of a quota that was lowered.
        if bytes > quota.service_bytes && after > before {
            return Err(KeyValueError::TooManyBytes { bytes, limit: quota.service_bytes });
        }
        self.last_version = self.last_version.saturating_add(1);
        let entry = Versioned { value: Some(value), version: self.last_version };
        match self.buckets.get_mut(bucket) {
            Some(keys) => drop(keys.insert(key.to_owned(), entry)),
            None => {
                self.buckets.insert(bucket.to_owned(), BTreeMap::from([(key.to_owned(), entry)]));
            }
        }
        self.bytes = bytes;
        self.keys = self.keys.saturating_add(u64::from(old.is_none()));
        Ok(())
    }

    fn delete(&mut self, bucket: &str, key: &str) {
        let Slot::Occupied(mut keys) = self.buckets.entry(bucket.to_owned()) else { return };
        let Some(removed) = keys.get_mut().remove(key) else { return };
        if keys.get().is_empty() {
            keys.remove();
        }
        let freed = entry_bytes(&removed).saturating_add(key.len() as u64);
        self.bytes = self.bytes.saturating_sub(freed);
        self.keys = self.keys.saturating_sub(1);
    }

    fn page(&self, bucket: &str, cursor: Option<&str>) -> KeyPage {
        let Some(keys) = self.buckets.get(bucket) else { return KeyPage::default() };
        let from = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let mut page = KeyPage::default();
        let mut bytes = 0usize;
        for (key, _) in keys.range::<str, _>((from, Bound::Unbounded)) {
            if page.keys.len() == PAGE_KEYS || bytes >= PAGE_BYTES {
                page.cursor = page.keys.last().cloned();
                break;
            }
            bytes = bytes.saturating_add(key.len());
            page.keys.push(key.clone());
        }
        page
    }
}

fn entry_bytes(entry: &Versioned) -> u64 {
    entry.value.as_ref().map_or(0, |value| value.len() as u64)
}

fn checked_key(key: &str) -> Result<(), KeyValueError> {
    if key.len() > MAX_KEY_BYTES {
        return Err(KeyValueError::KeyTooLong { bytes: key.len() });
    }
    Ok(())
}

impl KeyValue for MemoryKeyValue {
    fn get(&self, scope: Scope<'_>, key: &str) -> Result<Option<Bytes>, KeyValueError> {
        Ok(self.versioned(scope, key)?.value)
    }

    fn set(
        &self,
        scope: Scope<'_>,
        key: &str,
        value: Bytes,
        quota: &Quota,
    ) -> Result<(), KeyValueError> {
        checked_key(key)?;
        self.write(scope.service, |held| held.set(scope.bucket, key, value, quota))
    }

    fn delete(&self, scope: Scope<'_>, key: &str) -> Result<(), KeyValueError> {
        checked_key(key)?;
        if self.services.contains_key(scope.service) {
            self.write(scope.service, |held| held.delete(scope.bucket, key));
        }
        Ok(())
    }

    fn exists(&self, scope: Scope<'_>, key: &str) -> Result<bool, KeyValueError> {
        checked_key(key)?;
        let found = self.read(scope.service, |held| held.entry(scope.bucket, key).is_some());
        Ok(found.unwrap_or(false))
    }

    fn list_keys(&self, scope: Scope<'_>, cursor: Option<&str>) -> Result<KeyPage, KeyValueError> {
        Ok(self.read(scope.service, |held| held.page(scope.bucket, cursor)).unwrap_or_default())
    }

    fn increment(
        &self,
        scope: Scope<'_>,
        key: &str,
        delta: i64,
        quota: &Quota,
    ) -> Result<i64, KeyValueError> {
        checked_key(key)?;
        self.write(scope.service, |held| {
            let present = held.entry(scope.bucket, key).and_then(|entry| entry.value.as_ref());
            let present: i64 = match present {
                None => 0,
                Some(value) => std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .ok_or(KeyValueError::NotANumber)?,
            };
            let sum = present.checked_add(delta).ok_or(KeyValueError::NumberOverflow)?;
            held.set(scope.bucket, key, sum.to_string().into(), quota)?;
            Ok(sum)
        })
    }

    fn versioned(&self, scope: Scope<'_>, key: &str) -> Result<Versioned, KeyValueError> {
        checked_key(key)?;
        let found = self.read(scope.service, |held| held.entry(scope.bucket, key).cloned());
        Ok(found.flatten().unwrap_or_default())
    }

    fn replace(
        &self,
        scope: Scope<'_>,
        key: &str,
        version: u64,
        value: Bytes,
        quota: &Quota,
    ) -> Result<Result<(), u64>, KeyValueError> {
        checked_key(key)?;
        self.write(scope.service, |held| {
            let present = held.version(scope.bucket, key);
            if present != version {
                return Ok(Err(present));
            }
            held.set(scope.bucket, key, value, quota).map(Ok)
        })
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
