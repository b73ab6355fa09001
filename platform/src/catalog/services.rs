//! Services in the catalog: made, changed, listed, deleted when nothing is left in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::versions::PUBLICATIONS;
use super::{Catalog, SERVICES, ServiceEntry, Writer, as_expected, detached, quota};
use crate::audit::{Change, Verb};
use crate::error::{Kind, PlatformError, RequestError};
use crate::service::{ListRequest, Page, Service, ServiceChange, page_where};
use crate::storage::{Expect, Op};

impl Catalog {
    pub(crate) fn list_services(
        &self,
        request: &ListRequest,
        tags: &[(String, String)],
    ) -> Result<Page<Service>, RequestError> {
        let keep = |entry: &Arc<ServiceEntry>| entry.tags.load().match_all(tags);
        let item = |entry: &Arc<ServiceEntry>| entry.record().as_ref().clone();
        page_where(&self.services.load(), request, keep, item)
    }
}

impl Writer {
    pub(crate) async fn create_service(
        &self,
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
            let change = Change::new(Verb::Create, Kind::Service.as_str(), &key);
            service.revision = catalog.put(change, SERVICES, key, &service, Expect::Absent).await?;
            let mut services = BTreeMap::clone(&catalog.services.load());
            services.insert(service.name.clone(), ServiceEntry::new(service.clone()));
            catalog.services.store(Arc::new(services));
            Ok(service)
        })
        .await
    }

    pub(crate) async fn update_service(
        &self,
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
            let change = Change::new(Verb::Update, Kind::Service.as_str(), &name);
            service.revision = catalog.put(change, SERVICES, name, &service, expect).await?;
            entry.record.store(Arc::new(service.clone()));
            Ok(service)
        })
        .await
    }

    pub(crate) async fn delete_service(
        &self,
        name: &str,
        expect: Option<u64>,
    ) -> Result<(), PlatformError> {
        let (catalog, name) = (self.clone(), name.to_owned());
        detached(async move {
            let _writing = catalog.writing.lock().await;
            let entry = catalog.service(&name)?;
            as_expected(Kind::Service, &name, expect, entry.record().revision)?;
            entry.holds()?;
            let gone =
                |collection| Op::Delete { collection, key: name.clone(), expect: Expect::Any };
            let change = Change::new(Verb::Delete, Kind::Service.as_str(), &name);
            catalog.commit(change, vec![gone(PUBLICATIONS), gone(SERVICES)]).await?;
            let mut services = BTreeMap::clone(&catalog.services.load());
            services.remove(name.as_str());
            catalog.services.store(Arc::new(services));
            Ok(())
        })
        .await
    }
}
