//! Versions in the catalog: published, deleted, read back.
//!
//! A version's record names its functions and the revisions they stood at; each such revision is one record of its own, written when
//! a version names it first and shared by all versions that follow without a change of it. So publishing writes what changed, and a
//! version is there when its own record is, which is written last. What an interrupted change leaves behind is removed on opening.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::reading::{Services, decode, owner};
use super::service_entry::{PublishedFunction, ServiceEntry, VersionEntry};
use super::{Catalog, Writer, as_expected, detached, encode, quota};
use crate::audit::{Change, Verb};
use crate::error::{Kind, PlatformError, RequestError};
use crate::function::Function;
use crate::name::FunctionName;
use crate::storage::{Collection, Expect, Op, Storage};
use crate::version::{Publication, Version, fingerprint};

const VERSIONS: Collection = Collection("version");
/// Functions as versions hold them, by `service/function/revision`.
pub(super) const PUBLISHED: Collection = Collection("published");
/// What a service remembers of its versions.
pub(super) const PUBLICATIONS: Collection = Collection("publication");

/// Records written or removed at once; fewer than a batch may have, to leave room for those that belong to them.
const CHUNK: usize = 512;

fn published_key(service: &str, function: &str, revision: u64) -> String {
    format!("{service}/{function}/{revision}")
}

/// In order of number, also as text.
fn version_key(service: &str, id: u64) -> String {
    format!("{service}/{id:020}")
}

impl Writer {
    pub(crate) async fn publish(
        &self,
        service: &str,
        description: String,
        expect: Option<u64>,
        now_ms: u64,
    ) -> Result<Version, PlatformError> {
        let (catalog, service) = (self.clone(), service.to_owned());
        detached(async move {
            let _writing = catalog.writing.lock().await;
            let entry = catalog.service(&service)?;
            let record = entry.record();
            as_expected(Kind::Service, &service, expect, record.revision)?;
            let now = newest(&entry);
            let stands: Vec<_> =
                now.iter().map(|(name, function)| (name.clone(), function.revision)).collect();
            let (held, publication) = (entry.versions(), entry.publication.load_full());
            let fingerprint = fingerprint(&record, &stands);
            if publication.fingerprint == fingerprint {
                return Err(RequestError::Unchanged { service, version: publication.last }.into());
            }
            let quotas = &catalog.quotas;
            quota("versions of a service", held.len() as u64, quotas.versions_per_service)?;
            let published = catalog.published.load(Ordering::Relaxed) + now.len() as u64;
            quota(
                "functions in versions",
                published.saturating_sub(1),
                quotas.published_functions,
            )?;
            // Revisions never come back, so what an older version has and the newest has not cannot be needed.
            let newest = held.last_key_value().map(|(_, version)| version.clone());
            let shared = |name: &FunctionName, function: &Function| {
                let before = newest.as_ref()?.functions.get(name)?;
                (before.function.revision == function.revision).then_some(())
            };
            let fresh = now.iter().filter(|(name, function)| shared(name, function).is_none());
            let fresh: Vec<_> = fresh.map(|(_, function)| function.clone()).collect();
            let id = publication.last + 1;
            let publication = Publication { service: service.clone(), last: id, fingerprint };
            let mut version = Version {
                id,
                description,
                service: record.as_ref().clone(),
                created_ms: now_ms,
                revision: 0,
                functions: stands.into(),
            };
            version.revision = catalog.write_version(&version, &publication, &fresh).await?;
            catalog.published.fetch_add(now.len() as u64, Ordering::Relaxed);
            let functions = now.into_iter().map(|(name, f)| (name, PublishedFunction::new(f)));
            let mut versions = BTreeMap::clone(&held);
            let made = VersionEntry { version: version.clone(), functions: functions.collect() };
            versions.insert(id, Arc::new(made));
            entry.versions.store(Arc::new(versions));
            entry.publication.store(Arc::new(publication));
            Ok(version)
        })
        .await
    }

    /// Writes what is new, the version last; returns what it stands at.
    async fn write_version(
        &self,
        version: &Version,
        publication: &Publication,
        fresh: &[Arc<Function>],
    ) -> Result<u64, PlatformError> {
        let service = version.service.name.as_str();
        let mut ops = Vec::new();
        for function in fresh {
            let key = published_key(service, function.name.as_str(), function.revision);
            let value = encode(&**function)?;
            ops.push(Op::Put { collection: PUBLISHED, key, value, expect: Expect::Any });
            if ops.len() >= CHUNK {
                self.commit_unseen(std::mem::take(&mut ops)).await?;
            }
        }
        ops.push(Op::Put {
            collection: PUBLICATIONS,
            key: service.to_owned(),
            value: encode(publication)?,
            expect: Expect::Any,
        });
        let value = encode(version)?;
        let label = format!("{service}.{}", version.id);
        let change = Change::new(Verb::Publish, Kind::Version.as_str(), label).stored_as(&value);
        ops.push(Op::Put {
            collection: VERSIONS,
            key: version_key(service, version.id),
            value,
            expect: Expect::Absent,
        });
        self.commit(change, ops).await
    }

    pub(crate) async fn delete_version(
        &self,
        service: &str,
        id: u64,
        expect: Option<u64>,
    ) -> Result<(), PlatformError> {
        let (catalog, service) = (self.clone(), service.to_owned());
        detached(async move {
            let _writing = catalog.writing.lock().await;
            let entry = catalog.service(&service)?;
            let version = entry.version(id)?;
            let label = format!("{service}.{id}");
            as_expected(Kind::Version, &label, expect, version.version.revision)?;
            let gone = catalog.scaling_of(&format!("{label}/"), |_| true);
            let change = Change::new(Verb::Delete, Kind::Version.as_str(), label);
            catalog.delete_with(change, gone, VERSIONS, version_key(&service, id)).await?;
            let held = entry.versions();
            let mut left = BTreeMap::clone(&held);
            left.remove(&id);
            entry.versions.store(Arc::new(left));
            catalog.published.fetch_sub(version.functions.len() as u64, Ordering::Relaxed);
            // A revision is in versions that follow one another, so the neighbours tell whether another one holds it.
            let before = held.range(..id).next_back().map(|(_, entry)| entry);
            let after = held.range(id + 1..).next().map(|(_, entry)| entry);
            let is_held = |name: &FunctionName, revision: u64| {
                [before, after].into_iter().flatten().any(|version| {
                    version.functions.get(name).is_some_and(|f| f.function.revision == revision)
                })
            };
            let alone = version.functions.iter().map(|(name, f)| (name, f.function.revision));
            let alone = alone.filter(|(name, revision)| !is_held(name, *revision));
            let keys = alone.map(|(name, revision)| published_key(&service, name.as_str(), revision));
            if let Err(error) = catalog.drop_published(keys.collect()).await {
                // Nothing names them any more; the next opening removes them.
                tracing::warn!(service, id, %error, "functions of a deleted version are left behind");
            }
            Ok(())
        })
        .await
    }

    async fn drop_published(&self, keys: Vec<String>) -> Result<(), PlatformError> {
        for chunk in keys.chunks(CHUNK) {
            self.commit_unseen(dropping(chunk)).await?;
        }
        Ok(())
    }
}

impl Catalog {
    /// Reads the versions of all services; returns how many functions they hold.
    pub(super) async fn read_versions(
        storage: &dyn Storage,
        services: &Services,
    ) -> Result<u64, PlatformError> {
        let (functions, mut unnamed) = read_published(storage, services).await?;
        let mut versions: BTreeMap<String, BTreeMap<u64, Arc<VersionEntry>>> = BTreeMap::new();
        let mut count = 0;
        storage
            .each(VERSIONS, |entry| {
                let mut version: Version = decode(VERSIONS, &entry)?;
                version.revision = entry.version;
                let service = version.service.name.to_string();
                let mut held = BTreeMap::new();
                for (name, revision) in version.functions.iter() {
                    let key = published_key(&service, name.as_str(), *revision);
                    let function = functions.get(&key).cloned();
                    let function = function.ok_or_else(|| PlatformError::Failure {
                        what: "reading the catalog",
                        why: format!("version {} of `{service}` lacks `{key}`", version.id),
                    })?;
                    unnamed.remove(&key);
                    held.insert(name.clone(), PublishedFunction::new(function));
                    count += 1;
                }
                let id = version.id;
                let entry = Arc::new(VersionEntry { version, functions: held });
                versions.entry(service).or_default().insert(id, entry);
                Ok::<_, PlatformError>(())
            })
            .await?;
        for (service, held) in versions {
            owner(services, &service, "versions")?.versions.store(Arc::new(held));
        }
        storage
            .each(PUBLICATIONS, |entry| {
                let publication: Publication = decode(PUBLICATIONS, &entry)?;
                let owner = owner(services, &publication.service, "publications")?;
                owner.publication.store(Arc::new(publication));
                Ok::<_, PlatformError>(())
            })
            .await?;
        let unnamed: Vec<String> = unnamed.into_iter().collect();
        for chunk in unnamed.chunks(CHUNK) {
            storage.commit(dropping(chunk)).await?;
        }
        Ok(count)
    }
}

fn dropping(keys: &[String]) -> Vec<Op> {
    let gone =
        |key: &String| Op::Delete { collection: PUBLISHED, key: key.clone(), expect: Expect::Any };
    keys.iter().map(gone).collect()
}

/// The functions of a service as they stand.
fn newest(entry: &ServiceEntry) -> BTreeMap<FunctionName, Arc<Function>> {
    let functions = entry.functions.load();
    let stands = functions.iter();
    stands.map(|(name, slot)| (name.clone(), slot.load().function_arc().clone())).collect()
}

type Published = (BTreeMap<String, Arc<Function>>, BTreeSet<String>);

/// All published functions by key, and the keys again. One that the service still stands at is shared with it.
async fn read_published(
    storage: &dyn Storage,
    services: &Services,
) -> Result<Published, PlatformError> {
    let (mut functions, mut keys) = (BTreeMap::new(), BTreeSet::new());
    storage
        .each(PUBLISHED, |entry| {
            let mut function: Function = decode(PUBLISHED, &entry)?;
            let revision = entry.key.rsplit_once('/').and_then(|(_, text)| text.parse().ok());
            function.revision = revision.ok_or_else(|| PlatformError::Failure {
                what: "reading the catalog",
                why: format!("`{}` names no revision of a published function", entry.key),
            })?;
            let stands = services.get(&function.service).and_then(|service| {
                let slot = service.functions.load().get(&function.name).cloned()?;
                Some(slot.load().function_arc().clone())
            });
            let shared = stands.filter(|stands| stands.revision == function.revision);
            keys.insert(entry.key.clone());
            functions.insert(entry.key, shared.unwrap_or_else(|| Arc::new(function)));
            Ok::<_, PlatformError>(())
        })
        .await?;
    Ok((functions, keys))
}
