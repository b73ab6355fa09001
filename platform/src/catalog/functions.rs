//! Functions in the catalog: made, replaced, deleted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;

use super::{Catalog, FUNCTIONS, Writer, as_expected, detached, no_function, quota};
use crate::audit::{Change, Verb};
use crate::error::{Kind, PlatformError, RequestError};
use crate::function::Function;
use crate::name::{FunctionName, LATEST};
use crate::revision::Revision;
use crate::scaling;
use crate::storage::Expect;

impl Catalog {
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
}

impl Writer {
    pub(crate) async fn create_function(
        &self,
        mut function: Function,
    ) -> Result<Arc<Revision>, PlatformError> {
        let catalog = self.clone();
        detached(async move {
            let _writing = catalog.writing.lock().await;
            catalog.may_create(function.service.as_str(), &function.name)?;
            let entry = catalog.service(function.service.as_str())?;
            let key = format!("{}/{}", function.service, function.name);
            let change = Change::new(Verb::Create, Kind::Function.as_str(), &key);
            function.revision =
                catalog.put(change, FUNCTIONS, key, &function, Expect::Absent).await?;
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
        &self,
        before: Arc<Revision>,
        mut function: Function,
        expect: Option<u64>,
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
                let overtaken = RequestError::Overtaken { kind: Kind::Function, name: label };
                as_expected(
                    Kind::Function,
                    before.label(),
                    expect,
                    slot.load().function().revision,
                )?;
                return Err(overtaken.into());
            }
            let expect = Expect::Version(before.function().revision);
            let change = Change::new(Verb::Update, Kind::Function.as_str(), &label);
            function.revision = catalog.put(change, FUNCTIONS, label, &function, expect).await?;
            let revision = Arc::new(Revision::new(function));
            revision.keep_ready(before.ready());
            slot.store(revision.clone());
            Ok(revision)
        })
        .await
    }

    pub(crate) async fn delete_function(
        &self,
        service: &str,
        name: &str,
        expect: Option<u64>,
    ) -> Result<(), PlatformError> {
        let (catalog, service, name) = (self.clone(), service.to_owned(), name.to_owned());
        detached(async move {
            let _writing = catalog.writing.lock().await;
            let revision = catalog.revision(&service, &name)?;
            as_expected(Kind::Function, revision.label(), expect, revision.function().revision)?;
            let entry = catalog.service(&service)?;
            entry.has_no_triggers(&name)?;
            let configs = scaling::key(&service, LATEST, &name);
            let change =
                Change::new(Verb::Delete, Kind::Function.as_str(), revision.label().to_string());
            let gone = catalog.scaling_of(&configs, |key| key == configs);
            catalog.delete_with(change, gone, FUNCTIONS, revision.label().to_string()).await?;
            let mut functions = BTreeMap::clone(&entry.functions.load());
            functions.remove(name.as_str());
            entry.functions.store(Arc::new(functions));
            catalog.functions.fetch_sub(1, Ordering::Relaxed);
            Ok(())
        })
        .await
    }
}
