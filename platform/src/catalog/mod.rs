//! The catalog: what exists, held in memory as a mirror of storage, so that resolving a target reads nothing and waits for nobody.
//!
//! Writers go one at a time: check against memory, commit to storage, then swap the new state in. A change runs on a task of its own:
//! a caller who goes away between commit and swap must not leave the two apart. Bounded by quotas. Engines and code are not known here.
//!
//! One file a noun: [`service_entry`] is what is held of a service, [`table`] how simple records are, [`reading`] how all of it comes
//! back from storage.

mod functions;
#[cfg(test)]
mod model_test;
mod reading;
mod records;
mod scaling;
mod service_entry;
mod services;
mod table;
mod tags;
mod versions;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::async_config::AsyncConfig;
use crate::config::Quotas;
use crate::domain::Domain;
use crate::error::{Kind, PlatformError, RequestError};
use crate::function::Function;
use crate::layer::Layer;
use crate::name::{ServiceName, Target};
use crate::revision::Revision;
use crate::scaling::{OnDemandConfig, ProvisionConfig};
use crate::service::no_service;
use crate::storage::{
    Collection, Effect, Expect, Found, OPS_MAX, Op, Query, Storage, StorageError,
};

pub(crate) use records::Record;
pub(crate) use service_entry::ServiceEntry;
pub(crate) use table::Table;

const SERVICES: Collection = Collection("service");
const FUNCTIONS: Collection = Collection("function");

/// Things by name, replaced as a whole by whoever writes.
type Names<K, V> = ArcSwap<BTreeMap<K, Arc<V>>>;

/// What exists.
#[derive(Debug)]
pub(crate) struct Catalog {
    storage: Arc<dyn Storage>,
    quotas: Quotas,
    services: Names<ServiceName, ServiceEntry>,
    pub(crate) domains: Arc<Table<Domain>>,
    pub(crate) layers: Arc<Table<Layer>>,
    pub(crate) on_demand: Arc<Table<OnDemandConfig>>,
    pub(crate) provisions: Arc<Table<ProvisionConfig>>,
    pub(crate) async_configs: Arc<Table<AsyncConfig>>,
    functions: AtomicU64,
    /// Functions in published versions, each version's counted.
    published: AtomicU64,
    /// Held by the writer from check to swap.
    writing: Mutex<()>,
}

impl Catalog {
    pub(crate) fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    pub(crate) fn services(&self) -> u64 {
        self.services.load().len() as u64
    }

    pub(crate) fn functions(&self) -> u64 {
        self.functions.load(Ordering::Relaxed)
    }

    pub(crate) fn service(&self, name: &str) -> Result<Arc<ServiceEntry>, RequestError> {
        self.services.load().get(name).cloned().ok_or_else(|| no_service(name))
    }

    /// The newest revision of a function.
    pub(crate) fn revision(
        &self,
        service: &str,
        function: &str,
    ) -> Result<Arc<Revision>, RequestError> {
        self.resolve(Target::latest(service, function))
    }

    /// The revision that serves a target now. An alias with weights may answer differently each time.
    pub(crate) fn resolve(&self, target: Target<'_>) -> Result<Arc<Revision>, RequestError> {
        let services = self.services.load();
        let entry = services.get(target.service).ok_or_else(|| no_service(target.service))?;
        entry.resolve(target)
    }

    /// Calls `visit` with the digests of all files that anything names. Code that moves from the newest code of a function into a
    /// version meanwhile is seen at least once: the newest is looked at first. Layers come before the functions that take them over.
    pub(crate) fn each_digest(&self, mut visit: impl FnMut(&String)) {
        for layer in self.layers.all().values() {
            layer.digests().for_each(&mut visit);
        }
        self.each_function(|function| {
            [&function.code.digest, &function.code.package_digest].into_iter().for_each(&mut visit);
            function.settings.layers.iter().for_each(|layer| visit(&layer.digest));
        });
    }

    /// Calls `visit` with every function as it stands and as versions keep it.
    pub(crate) fn each_function(&self, mut visit: impl FnMut(&Function)) {
        for entry in self.services.load_full().values() {
            entry.each_function(&mut visit);
        }
    }

    /// Writes one record; returns the version it stands at.
    async fn put(
        &self,
        collection: Collection,
        key: String,
        record: &impl Serialize,
        expect: Expect,
    ) -> Result<u64, PlatformError> {
        let op = Op::Put { collection, key, value: encode(record)?, expect };
        self.commit(vec![op]).await
    }

    async fn delete(&self, collection: Collection, key: String) -> Result<(), PlatformError> {
        self.commit(vec![Op::Delete { collection, key, expect: Expect::Any }]).await?;
        Ok(())
    }

    /// Commits one batch of records; returns the version of the last one written, 0 if none was. A batch is whole or not at all, so
    /// where it is unknown whether it was written, what storage says of its last record decides, or memory would part from it.
    async fn commit(&self, ops: Vec<Op>) -> Result<u64, PlatformError> {
        debug_assert!(ops.len() <= OPS_MAX, "a batch is bounded");
        let last = ops.last().and_then(|op| match op {
            Op::Put { collection, key, value, .. } => {
                Some((*collection, key.clone(), Some(value.clone())))
            }
            Op::Delete { collection, key, .. } => Some((*collection, key.clone(), None)),
            _ => None,
        });
        match self.storage.commit(ops).await {
            Ok(effects) => Ok(version(&effects)),
            Err(error @ StorageError::Io { .. }) => {
                let Some((collection, key, value)) = last else { return Err(error.into()) };
                match self.storage.read(Query::Get { collection, key }).await {
                    Ok(Found::Entry(found))
                        if found.as_ref().map(|e| &e.value) == value.as_ref() =>
                    {
                        Ok(found.map_or(0, |entry| entry.version))
                    }
                    _ => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The version of the last record that a batch wrote.
fn version(effects: &[Effect]) -> u64 {
    let versions = effects.iter().rev().filter_map(|effect| match effect {
        Effect::Version(version) => Some(*version),
        _ => None,
    });
    versions.into_iter().next().unwrap_or_default()
}

fn encode(record: &impl Serialize) -> Result<Bytes, PlatformError> {
    serde_json::to_vec(record).map(Bytes::from).map_err(|error| PlatformError::Failure {
        what: "encoding a record",
        why: error.to_string(),
    })
}

/// Runs a change to its end even when its caller goes away.
async fn detached<T: Send + 'static>(
    change: impl Future<Output = Result<T, PlatformError>> + Send + 'static,
) -> Result<T, PlatformError> {
    tokio::spawn(change).await.unwrap_or_else(|error| {
        Err(PlatformError::Failure { what: "changing the catalog", why: error.to_string() })
    })
}

pub(crate) fn no_function(service: &str, function: &str) -> RequestError {
    RequestError::NotFound { kind: Kind::Function, name: format!("{service}/{function}") }
}

pub(crate) fn no_version(service: &str, version: u64) -> RequestError {
    RequestError::NotFound { kind: Kind::Version, name: format!("{service}.{version}") }
}

pub(crate) fn as_expected(
    kind: Kind,
    name: &str,
    expect: Option<u64>,
    found: u64,
) -> Result<(), RequestError> {
    if expect.is_none_or(|revision| revision == found) {
        return Ok(());
    }
    Err(RequestError::Conflict { kind, name: name.to_owned() })
}

fn quota(what: &'static str, held: u64, limit: u64) -> Result<(), RequestError> {
    if held < limit { Ok(()) } else { Err(RequestError::Quota { what, limit }) }
}
