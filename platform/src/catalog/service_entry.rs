//! What the catalog holds of a service, and how a qualifier finds its way in it: no lock that a writer can hold, no heap.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use super::{Names, Table, no_function, no_version};
use crate::alias::Alias;
use crate::binding::Binding;
use crate::error::{Kind, RequestError};
use crate::function::Function;
use crate::name::{FunctionName, LATEST, Qualifier, Target};
use crate::revision::{Resolved, Revision};
use crate::service::{ListRequest, Page, Service, page};
use crate::tag::Tags;
use crate::trigger::Trigger;
use crate::version::{Publication, Version};

/// A service and what belongs to it.
#[derive(Debug)]
pub(crate) struct ServiceEntry {
    pub(super) record: ArcSwap<Service>,
    pub(super) functions: Names<FunctionName, ArcSwap<Revision>>,
    pub(super) versions: ArcSwap<BTreeMap<u64, Arc<VersionEntry>>>,
    pub(super) publication: ArcSwap<Publication>,
    pub(crate) aliases: Arc<Table<Alias>>,
    pub(crate) triggers: Arc<Table<Trigger>>,
    pub(crate) bindings: Arc<Table<Binding>>,
    pub(crate) tags: ArcSwap<Tags>,
}

/// A published version: its record, and its functions as they were.
#[derive(Debug)]
pub(crate) struct VersionEntry {
    pub(crate) version: Version,
    pub(super) functions: BTreeMap<FunctionName, PublishedFunction>,
}

/// A function of a version. What did not change from one version to the next is shared; the revision that runs it is made when it is
/// called first.
#[derive(Debug)]
pub(super) struct PublishedFunction {
    pub(super) function: Arc<Function>,
    revision: OnceLock<Arc<Revision>>,
}

impl PublishedFunction {
    pub(super) fn new(function: Arc<Function>) -> Self {
        Self { function, revision: OnceLock::new() }
    }
}

impl VersionEntry {
    fn revision(&self, function: &str) -> Option<Arc<Revision>> {
        let published = self.functions.get(function)?;
        let make = || Arc::new(Revision::published(published.function.clone(), self.version.id));
        Some(published.revision.get_or_init(make).clone())
    }

    /// The service as it was; its description is the version's.
    pub(crate) fn service(&self) -> Service {
        let mut service = self.version.service.clone();
        service.settings.description.clone_from(&self.version.description);
        service.revision = self.version.revision;
        service
    }
}

impl ServiceEntry {
    pub(super) fn new(service: Service) -> Arc<Self> {
        Arc::new(Self {
            record: ArcSwap::from_pointee(service),
            functions: Names::default(),
            versions: ArcSwap::default(),
            publication: ArcSwap::default(),
            aliases: Arc::default(),
            triggers: Arc::default(),
            bindings: Arc::default(),
            tags: ArcSwap::default(),
        })
    }

    pub(crate) fn record(&self) -> Arc<Service> {
        self.record.load_full()
    }

    fn name(&self) -> String {
        self.record.load().name.to_string()
    }

    /// The revision that serves a target of this service now.
    pub(super) fn resolve(&self, target: Target<'_>) -> Result<Resolved, RequestError> {
        let missing = || no_function(target.service, target.function);
        let Some(qualifier) = target.qualifier.filter(|text| !matches!(*text, "" | LATEST)) else {
            let functions = self.functions.load();
            return Ok(functions.get(target.function).ok_or_else(missing)?.load().into());
        };
        let version = match version_number(qualifier) {
            Some(version) => version,
            None => self.aliases.with(qualifier, |alias| match alias {
                Some(alias) => Ok(alias.draw(rand::random())),
                None => Err(self.unknown(qualifier)),
            })?,
        };
        let versions = self.versions.load();
        let entry = versions.get(&version).ok_or_else(|| no_version(target.service, version))?;
        Ok(entry.revision(target.function).ok_or_else(missing)?.into())
    }

    /// The version that a qualifier stands for when nothing is drawn: an alias stands for its main version. None is the newest.
    pub(crate) fn version_at(
        &self,
        qualifier: Option<&str>,
    ) -> Result<Option<Arc<VersionEntry>>, RequestError> {
        let id = match Qualifier::parse(qualifier)? {
            Qualifier::Latest => return Ok(None),
            Qualifier::Version(id) => id,
            Qualifier::Alias(name) => {
                self.aliases.get(&name).ok_or_else(|| self.unknown(&name))?.version
            }
        };
        self.version(id).map(Some)
    }

    pub(crate) fn version(&self, id: u64) -> Result<Arc<VersionEntry>, RequestError> {
        self.versions.load().get(&id).cloned().ok_or_else(|| no_version(&self.name(), id))
    }

    /// What to say of a qualifier that is no version and no alias here.
    fn unknown(&self, qualifier: &str) -> RequestError {
        match Qualifier::parse(Some(qualifier)) {
            Ok(_) => RequestError::NotFound {
                kind: Kind::Alias,
                name: format!("{}.{qualifier}", self.name()),
            },
            Err(error) => error,
        }
    }

    /// How many of `count` instances are for which version; none is the newest.
    pub(crate) fn shares(&self, qualifier: &str, count: u32) -> Vec<(Option<u64>, u32)> {
        if qualifier == LATEST {
            return vec![(None, count)];
        }
        self.aliases.with(qualifier, |alias| {
            let shares = alias.map(|alias| alias.shares(count)).unwrap_or_default();
            shares.into_iter().map(|(version, count)| (Some(version), count)).collect()
        })
    }

    /// The revisions that may serve a target: of an alias with weights, both.
    pub(crate) fn revisions_at(&self, target: Target<'_>) -> Vec<Arc<Revision>> {
        let versions = match Qualifier::parse(target.qualifier) {
            Ok(Qualifier::Latest) => vec![None],
            Ok(Qualifier::Version(version)) => vec![Some(version)],
            Ok(Qualifier::Alias(name)) => {
                let mut versions: Vec<_> =
                    self.shares(&name, 0).into_iter().map(|(version, _)| version).collect();
                versions.sort_unstable();
                versions.dedup();
                versions
            }
            Err(_) => Vec::new(),
        };
        let revision = |version| self.revision_at(version, target.function);
        versions.into_iter().filter_map(revision).collect()
    }

    /// The revision of a function at a version; none is the newest.
    pub(crate) fn revision_at(
        &self,
        version: Option<u64>,
        function: &str,
    ) -> Option<Arc<Revision>> {
        match version {
            None => self.functions.load().get(function).map(|slot| slot.load_full()),
            Some(version) => self.version(version).ok()?.revision(function),
        }
    }

    /// A function as it stands at a qualifier.
    pub(crate) fn function_at(&self, target: Target<'_>) -> Result<Arc<Function>, RequestError> {
        let missing = || no_function(target.service, target.function);
        match self.version_at(target.qualifier)? {
            None => Ok(self.resolve(target)?.function_arc().clone()),
            Some(version) => {
                let published = version.functions.get(target.function).ok_or_else(missing)?;
                Ok(published.function.clone())
            }
        }
    }

    pub(crate) fn functions_at(
        &self,
        qualifier: Option<&str>,
        request: &ListRequest,
    ) -> Result<Page<Function>, RequestError> {
        match self.version_at(qualifier)? {
            None => page(&self.functions.load(), request, |slot| slot.load().function().clone()),
            Some(version) => {
                page(&version.functions, request, |published| published.function.as_ref().clone())
            }
        }
    }

    /// Versions as they are listed: from `start` on, in the order asked for.
    pub(crate) fn versions(&self) -> Arc<BTreeMap<u64, Arc<VersionEntry>>> {
        self.versions.load_full()
    }

    /// That a function of the newest code has no triggers.
    pub(super) fn has_no_triggers(&self, function: &str) -> Result<(), RequestError> {
        let triggers = self.triggers.all();
        let group = format!("{function}/");
        let held = triggers.range(group.clone()..).take_while(|(key, _)| key.starts_with(&group));
        match held.count() {
            0 => Ok(()),
            held => Err(RequestError::NotEmpty {
                kind: Kind::Function,
                name: format!("{}/{function}", self.name()),
                holds: format!("{held} {}", if held == 1 { "trigger" } else { "triggers" }),
            }),
        }
    }

    pub(super) fn each_function(&self, visit: &mut impl FnMut(&Function)) {
        for slot in self.functions.load().values() {
            visit(slot.load().function());
        }
        for version in self.versions.load().values() {
            for published in version.functions.values() {
                visit(&published.function);
            }
        }
    }

    /// What keeps the service from being deleted, if anything does.
    pub(super) fn holds(&self) -> Result<(), RequestError> {
        let counted = [
            (self.functions.load().len(), "function", "functions"),
            (self.versions.load().len(), "version", "versions"),
            (self.aliases.len(), "alias", "aliases"),
            (self.tags.load().tags.len(), "tag", "tags"),
            (self.bindings.len(), "binding", "bindings"),
        ];
        let held = counted.iter().find(|(count, _, _)| *count > 0);
        held.map_or(Ok(()), |(count, one, many)| {
            let holds = format!("{count} {}", if *count == 1 { one } else { many });
            Err(RequestError::NotEmpty { kind: Kind::Service, name: self.name(), holds })
        })
    }
}

/// The number of a version, if the text is one.
fn version_number(text: &str) -> Option<u64> {
    // `parse` takes a leading plus; a version has none, nor a leading zero.
    text.bytes().next().filter(|byte| (b'1'..=b'9').contains(byte)).and_then(|_| text.parse().ok())
}
