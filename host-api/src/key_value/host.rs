//! The import traits of `wasi:keyvalue` over the [`KeyValue`](super::KeyValue) port.
//!
//! The grant is checked on `open`, and a bucket handle cannot be had otherwise. Handles hold names and version numbers,
//! never values, so that a guest that hoards them holds little of the host's memory; how many it may hold is the resource
//! table's bound.

use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::Resource;
use wasmtime_wasi::WasiView;

use super::{DEFAULT_BUCKET, KeyValue, KeyValueError, MAX_BUCKET_BYTES, Quota, Scope};
use crate::bindings::generated::wasi::keyvalue::{atomics, store};
use crate::view::{HostCall, HostView};

/// A bucket that a guest has open.
#[derive(Debug, Clone)]
pub struct Bucket {
    name: Arc<str>,
}

/// A key whose state a guest remembers for a swap.
#[derive(Debug, Clone)]
pub struct Cas {
    bucket: Bucket,
    key: Arc<str>,
    version: u64,
}

impl From<KeyValueError> for store::Error {
    fn from(error: KeyValueError) -> Self {
        Self::Other(error.to_string())
    }
}

/// The store of a function that has it granted, bound to its service.
struct Granted<'a> {
    keys: &'a dyn KeyValue,
    service: &'a str,
    quota: &'a Quota,
}

impl<'a> Granted<'a> {
    fn of(view: &'a impl HostView) -> Result<Self, store::Error> {
        let quota = view.grants().key_value.as_ref().ok_or(store::Error::AccessDenied)?;
        let (keys, service) = view.key_value().ok_or(store::Error::NoSuchStore)?;
        Ok(Self { keys, service, quota })
    }

    fn scope(&self, bucket: &'a Bucket) -> Scope<'a> {
        Scope { service: self.service, bucket: &bucket.name }
    }
}

impl<T: HostView + WasiView> HostCall<'_, T> {
    fn bucket(&mut self, bucket: &Resource<Bucket>) -> Result<Bucket> {
        Ok(self.0.ctx().table.get(bucket)?.clone())
    }

    fn in_bucket<R>(
        &mut self,
        bucket: &Resource<Bucket>,
        run: impl FnOnce(&Granted<'_>, Scope<'_>) -> Result<R, KeyValueError>,
    ) -> Result<Result<R, store::Error>> {
        let bucket = self.bucket(bucket)?;
        Ok(Granted::of(&*self.0).and_then(|granted| {
            let scope = granted.scope(&bucket);
            run(&granted, scope).map_err(Into::into)
        }))
    }
}

impl<T: HostView + WasiView> store::Host for HostCall<'_, T> {
    fn open(&mut self, identifier: String) -> Result<Result<Resource<Bucket>, store::Error>> {
        if let Err(error) = Granted::of(&*self.0) {
            return Ok(Err(error));
        }
        if identifier.len() > MAX_BUCKET_BYTES {
            return Ok(Err(store::Error::NoSuchStore));
        }
        let name = if identifier.is_empty() { DEFAULT_BUCKET } else { &identifier };
        Ok(Ok(self.0.ctx().table.push(Bucket { name: name.into() })?))
    }
}

impl<T: HostView + WasiView> store::HostBucket for HostCall<'_, T> {
    fn get(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> Result<Result<Option<Vec<u8>>, store::Error>> {
        self.in_bucket(&bucket, |granted, scope| {
            Ok(granted.keys.get(scope, &key)?.map(|value| value.to_vec()))
        })
    }

    fn set(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
    ) -> Result<Result<(), store::Error>> {
        self.in_bucket(&bucket, |granted, scope| {
            granted.keys.set(scope, &key, value.into(), granted.quota)
        })
    }

    fn delete(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> Result<Result<(), store::Error>> {
        self.in_bucket(&bucket, |granted, scope| granted.keys.delete(scope, &key))
    }

    fn exists(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> Result<Result<bool, store::Error>> {
        self.in_bucket(&bucket, |granted, scope| granted.keys.exists(scope, &key))
    }

    fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<String>,
    ) -> Result<Result<store::KeyResponse, store::Error>> {
        self.in_bucket(&bucket, |granted, scope| {
            let page = granted.keys.list_keys(scope, cursor.as_deref())?;
            Ok(store::KeyResponse { keys: page.keys, cursor: page.cursor })
        })
    }

    fn drop(&mut self, bucket: Resource<Bucket>) -> Result<()> {
        self.0.ctx().table.delete(bucket)?;
        Ok(())
    }
}

impl<T: HostView + WasiView> atomics::Host for HostCall<'_, T> {
    fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: i64,
    ) -> Result<Result<i64, store::Error>> {
        self.in_bucket(&bucket, |granted, scope| {
            granted.keys.increment(scope, &key, delta, granted.quota)
        })
    }

    fn swap(
        &mut self,
        cas: Resource<Cas>,
        value: Vec<u8>,
    ) -> Result<Result<(), atomics::CasError>> {
        let mut cas = self.0.ctx().table.delete(cas)?;
        let swapped = Granted::of(&*self.0).and_then(|granted| {
            let scope = granted.scope(&cas.bucket);
            granted
                .keys
                .replace(scope, &cas.key, cas.version, value.into(), granted.quota)
                .map_err(Into::into)
        });
        match swapped {
            Ok(Ok(())) => Ok(Ok(())),
            Ok(Err(newer)) => {
                cas.version = newer;
                Ok(Err(atomics::CasError::CasFailed(self.0.ctx().table.push(cas)?)))
            }
            Err(error) => Ok(Err(atomics::CasError::StoreError(error))),
        }
    }
}

impl<T: HostView + WasiView> atomics::HostCas for HostCall<'_, T> {
    fn new(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> Result<Result<Resource<Cas>, store::Error>> {
        let found =
            self.in_bucket(&bucket, |granted, scope| granted.keys.versioned(scope, &key))?;
        let version = match found {
            Ok(found) => found.version,
            Err(error) => return Ok(Err(error)),
        };
        let bucket = self.bucket(&bucket)?;
        Ok(Ok(self.0.ctx().table.push(Cas { bucket, key: key.into(), version })?))
    }

    /// Reads the key and remembers the state it read, so a later swap is against exactly what the guest saw.
    fn current(&mut self, cas: Resource<Cas>) -> Result<Result<Option<Vec<u8>>, store::Error>> {
        let held = self.0.ctx().table.get(&cas)?.clone();
        let found = Granted::of(&*self.0).and_then(|granted| {
            granted.keys.versioned(granted.scope(&held.bucket), &held.key).map_err(Into::into)
        });
        match found {
            Ok(found) => {
                self.0.ctx().table.get_mut(&cas)?.version = found.version;
                Ok(Ok(found.value.map(|value| value.to_vec())))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    fn drop(&mut self, cas: Resource<Cas>) -> Result<()> {
        self.0.ctx().table.delete(cas)?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
