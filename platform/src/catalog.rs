//! The catalog: what exists, held in memory as a mirror of storage, so that resolving a target reads nothing and waits for nobody.
//!
//! Writers go one at a time: check against memory, commit to storage, then swap the new state in. A change runs on a task of its own:
//! a caller who goes away between commit and swap must not leave the two apart. Bounded by quotas. Engines and code are not known here.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use crate::config::Quotas;
use crate::error::{Kind, PlatformError, RequestError};
use crate::function::Function;
use crate::name::{FunctionName, ServiceName};
use crate::revision::Revision;
use crate::service::{ListRequest, Page, Service, ServiceChange, no_service, page};
use crate::storage::{Collection, Effect, Entry, Expect, Found, Op, Query, Storage, StorageError};

const SERVICES: Collection = Collection("service");
const FUNCTIONS: Collection = Collection("function");

type Names<K, V> = ArcSwap<BTreeMap<K, Arc<V>>>;

/// What exists.
#[derive(Debug)]
pub(crate) struct Catalog {
    storage: Arc<dyn Storage>,
    quotas: Quotas,
    services: Names<ServiceName, ServiceEntry>,
    functions: AtomicU64,
    /// Held by the writer from check to swap.
    writing: Mutex<()>,
}

/// A service and its functions.
#[derive(Debug)]
pub(crate) struct ServiceEntry {
    record: ArcSwap<Service>,
    functions: Names<FunctionName, ArcSwap<Revision>>,
}

impl ServiceEntry {
    fn new(service: Service) -> Arc<Self> {
        Arc::new(Self { record: ArcSwap::from_pointee(service), functions: Names::default() })
    }

    pub(crate) fn record(&self) -> Arc<Service> {
        self.record.load_full()
    }
}

impl Catalog {
    /// Reads everything from storage.
    pub(crate) async fn read(
        storage: Arc<dyn Storage>,
        quotas: Quotas,
    ) -> Result<Self, PlatformError> {
        let mut services: BTreeMap<ServiceName, Arc<ServiceEntry>> = BTreeMap::new();
        storage
            .each(SERVICES, |entry| {
                let mut service: Service = decode(SERVICES, &entry)?;
                service.revision = entry.version;
                services.insert(service.name.clone(), ServiceEntry::new(service));
                Ok::<_, PlatformError>(())
            })
            .await?;
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
            let entry = services.get(&service).ok_or_else(|| PlatformError::Failure {
                what: "reading the catalog",
                why: format!("functions of service `{service}` are stored, but no such service"),
            })?;
            entry.functions.store(Arc::new(held));
        }
        Ok(Self {
            storage,
            quotas,
            services: ArcSwap::from_pointee(services),
            functions: AtomicU64::new(count),
            writing: Mutex::new(()),
        })
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
        let services = self.services.load();
        let entry = services.get(service).ok_or_else(|| no_service(service))?;
        let functions = entry.functions.load();
        let slot = functions.get(function).ok_or_else(|| no_function(service, function))?;
        Ok(slot.load_full())
    }

    pub(crate) fn list_services(
        &self,
        request: &ListRequest,
    ) -> Result<Page<Service>, RequestError> {
        page(&self.services.load(), request, |entry| entry.record().as_ref().clone())
    }

    pub(crate) fn list_functions(
        &self,
        service: &str,
        request: &ListRequest,
    ) -> Result<Page<Function>, RequestError> {
        let functions = self.service(service)?.functions.load_full();
        page(&functions, request, |slot| slot.load().function().clone())
    }

    /// Every revision that a function stands at now.
    pub(crate) fn revisions(&self) -> Vec<Arc<Revision>> {
        let services = self.services.load();
        let mut all = Vec::new();
        for entry in services.values() {
            all.extend(entry.functions.load().values().map(|slot| slot.load_full()));
        }
        all
    }

    pub(crate) async fn create_service(
        self: &Arc<Self>,
        mut service: Service,
    ) -> Result<Service, PlatformError> {
        let catalog = self.clone();
        detached(async move {
            let _writing = catalog.writing.lock().await;
            if catalog.service(service.name.as_str()).is_ok() {
                let name = service.name.to_string();
                return Err(RequestError::AlreadyExists { kind: Kind::Service, name }.into());
            }
            quota("services", catalog.services(), catalog.quotas.services)?;
            let key = service.name.to_string();
            service.revision = catalog.put(SERVICES, key, &service, Expect::Absent).await?;
            let mut services = BTreeMap::clone(&catalog.services.load());
            services.insert(service.name.clone(), ServiceEntry::new(service.clone()));
            catalog.services.store(Arc::new(services));
            Ok(service)
        })
        .await
    }

    pub(crate) async fn update_service(
        self: &Arc<Self>,
        name: &str,
        change: ServiceChange,
        now_ms: u64,
    ) -> Result<Service, PlatformError> {
        let (catalog, name) = (self.clone(), name.to_owned());
        detached(async move {
            let _writing = catalog.writing.lock().await;
            let entry = catalog.service(&name)?;
            let before = entry.record();
            as_expected(Kind::Service, &name, change.expect, before.revision)?;
            let mut service = Service::clone(&before);
            service.settings = before.settings.changed(&change)?;
            service.modified_ms = now_ms;
            let expect = Expect::Version(before.revision);
            service.revision = catalog.put(SERVICES, name, &service, expect).await?;
            entry.record.store(Arc::new(service.clone()));
            Ok(service)
        })
        .await
    }

    pub(crate) async fn delete_service(
        self: &Arc<Self>,
        name: &str,
        expect: Option<u64>,
    ) -> Result<(), PlatformError> {
        let (catalog, name) = (self.clone(), name.to_owned());
        detached(async move {
            let _writing = catalog.writing.lock().await;
            let entry = catalog.service(&name)?;
            as_expected(Kind::Service, &name, expect, entry.record().revision)?;
            let held = entry.functions.load().len();
            if held > 0 {
                let holds = format!("{held} {}", if held == 1 { "function" } else { "functions" });
                return Err(RequestError::NotEmpty { kind: Kind::Service, name, holds }.into());
            }
            catalog.delete(SERVICES, name.clone()).await?;
            let mut services = BTreeMap::clone(&catalog.services.load());
            services.remove(name.as_str());
            catalog.services.store(Arc::new(services));
            Ok(())
        })
        .await
    }

    /// Whether a function could be created; asked before its code is stored and compiled, and again when it is.
    pub(crate) fn may_create(
        &self,
        service: &str,
        name: &FunctionName,
    ) -> Result<(), RequestError> {
        let entry = self.service(service)?;
        let functions = entry.functions.load();
        if functions.contains_key(name) {
            let name = format!("{service}/{name}");
            return Err(RequestError::AlreadyExists { kind: Kind::Function, name });
        }
        let held = functions.len() as u64;
        quota("functions of a service", held, self.quotas.functions_per_service)?;
        quota("functions", self.functions(), self.quotas.functions)
    }

    pub(crate) async fn create_function(
        self: &Arc<Self>,
        mut function: Function,
    ) -> Result<Arc<Revision>, PlatformError> {
        let catalog = self.clone();
        detached(async move {
            let _writing = catalog.writing.lock().await;
            catalog.may_create(function.service.as_str(), &function.name)?;
            let entry = catalog.service(function.service.as_str())?;
            let key = key(&function);
            function.revision = catalog.put(FUNCTIONS, key, &function, Expect::Absent).await?;
            let name = function.name.clone();
            let revision = Arc::new(Revision::new(function));
            let mut functions = BTreeMap::clone(&entry.functions.load());
            functions.insert(name, Arc::new(ArcSwap::new(revision.clone())));
            entry.functions.store(Arc::new(functions));
            catalog.functions.fetch_add(1, Ordering::Relaxed);
            Ok(revision)
        })
        .await
    }

    /// Replaces a function that stands at `before` by `function`.
    pub(crate) async fn update_function(
        self: &Arc<Self>,
        before: Arc<Revision>,
        mut function: Function,
    ) -> Result<Arc<Revision>, PlatformError> {
        let catalog = self.clone();
        detached(async move {
            let _writing = catalog.writing.lock().await;
            let entry = catalog.service(function.service.as_str())?;
            let functions = entry.functions.load();
            let label = before.label().to_string();
            let slot = functions
                .get(&function.name)
                .ok_or_else(|| no_function(function.service.as_str(), function.name.as_str()))?;
            if !Arc::ptr_eq(&slot.load(), &before) {
                return Err(RequestError::Conflict { kind: Kind::Function, name: label }.into());
            }
            let expect = Expect::Version(before.function().revision);
            function.revision = catalog.put(FUNCTIONS, label, &function, expect).await?;
            let revision = Arc::new(Revision::new(function));
            slot.store(revision.clone());
            Ok(revision)
        })
        .await
    }

    pub(crate) async fn delete_function(
        self: &Arc<Self>,
        service: &str,
        name: &str,
        expect: Option<u64>,
    ) -> Result<(), PlatformError> {
        let (catalog, service, name) = (self.clone(), service.to_owned(), name.to_owned());
        detached(async move {
            let _writing = catalog.writing.lock().await;
            let revision = catalog.revision(&service, &name)?;
            as_expected(Kind::Function, revision.label(), expect, revision.function().revision)?;
            catalog.delete(FUNCTIONS, revision.label().to_string()).await?;
            let entry = catalog.service(&service)?;
            let mut functions = BTreeMap::clone(&entry.functions.load());
            functions.remove(name.as_str());
            entry.functions.store(Arc::new(functions));
            catalog.functions.fetch_sub(1, Ordering::Relaxed);
            Ok(())
        })
        .await
    }

    async fn put(
        &self,
        collection: Collection,
        key: String,
        record: &impl Serialize,
        expect: Expect,
    ) -> Result<u64, PlatformError> {
        let value = serde_json::to_vec(record).map_err(|error| PlatformError::Failure {
            what: "encoding a record",
            why: error.to_string(),
        })?;
        let value = Bytes::from(value);
        let op = Op::Put { collection, key: key.clone(), value: value.clone(), expect };
        match self.storage.commit(vec![op]).await {
            Ok(effects) => match effects.first() {
                Some(Effect::Version(version)) => Ok(*version),
                _ => Err(StorageError::Closed.into()),
            },
            Err(error @ StorageError::Io { .. }) => {
                // Whether it was written is unknown: what storage says now decides, or memory would part from it.
                match self.storage.read(Query::Get { collection, key }).await {
                    Ok(Found::Entry(Some(entry))) if entry.value == value => Ok(entry.version),
                    _ => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn delete(&self, collection: Collection, key: String) -> Result<(), PlatformError> {
        let op = Op::Delete { collection, key, expect: Expect::Any };
        self.storage.commit(vec![op]).await?;
        Ok(())
    }
}

/// Runs a change to its end even when its caller goes away.
async fn detached<T: Send + 'static>(
    change: impl Future<Output = Result<T, PlatformError>> + Send + 'static,
) -> Result<T, PlatformError> {
    tokio::spawn(change).await.unwrap_or_else(|error| {
        Err(PlatformError::Failure { what: "changing the catalog", why: error.to_string() })
    })
}

fn decode<T: DeserializeOwned>(collection: Collection, entry: &Entry) -> Result<T, PlatformError> {
    serde_json::from_slice(&entry.value).map_err(|error| PlatformError::Failure {
        what: "reading the catalog",
        why: format!("record `{}` of `{}` is damaged: {error}", entry.key, collection.0),
    })
}

fn key(function: &Function) -> String {
    format!("{}/{}", function.service, function.name)
}

pub(crate) fn no_function(service: &str, function: &str) -> RequestError {
    RequestError::NotFound { kind: Kind::Function, name: format!("{service}/{function}") }
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
