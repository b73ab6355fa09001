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
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, watch};

use crate::async_config::AsyncConfig;
use crate::config::Quotas;
use crate::domain::Domain;
use crate::error::{Kind, RequestError};
use crate::function::Function;
use crate::layer::Layer;
use crate::name::{ServiceName, Target};
use crate::revision::{Resolved, Revision};
use crate::scaling::{OnDemandConfig, ProvisionConfig};
use crate::service::no_service;
use crate::storage::{Collection, Storage};

pub(crate) use records::Record;
pub(crate) use service_entry::ServiceEntry;
pub(crate) use table::Table;
use writer::encode;
pub(crate) use writer::{Writer, detached};

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
    /// Told after every change of a simple record, once it can be seen.
    records_changed: watch::Sender<()>,
}

impl Catalog {
    pub(crate) fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Is told of every change of a trigger, a domain or another simple record from now on.
    pub(crate) fn record_changes(&self) -> watch::Receiver<()> {
        self.records_changed.subscribe()
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

    /// Looks at a service without counting another reference to it, which all cores would write to.
    pub(crate) fn with_service<R>(
        &self,
        name: &str,
        look: impl FnOnce(&ServiceEntry) -> R,
    ) -> Result<R, RequestError> {
        let services = self.services.load();
        services.get(name).map(|entry| look(entry)).ok_or_else(|| no_service(name))
    }

    /// The newest revision of a function.
    pub(crate) fn revision(
        &self,
        service: &str,
        function: &str,
    ) -> Result<Arc<Revision>, RequestError> {
        self.resolve(Target::latest(service, function)).map(Resolved::into_arc)
    }

    /// The revision that serves a target now. An alias with weights may answer differently each time.
    pub(crate) fn resolve(&self, target: Target<'_>) -> Result<Resolved, RequestError> {
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
