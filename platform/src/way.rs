//! The way by which a connection came to its function: a trigger, and a custom domain if one led there. Whoever holds the connection open
//! learns here when its way is gone, so that nothing stays open that could not be opened any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::Domain;
use crate::http_trigger::HttpTrigger;
use crate::name::Target;
use crate::platform::Platform;

/// Changes come in bursts; each connection looks no more often than this.
const SETTLING: Duration = Duration::from_millis(200);

/// One connection's way.
#[derive(Debug)]
pub struct Way {
    platform: Platform,
    service: Box<str>,
    qualifier: Option<Box<str>>,
    function: Box<str>,
    trigger: Arc<HttpTrigger>,
    domain: Option<Arc<Domain>>,
    changes: watch::Receiver<()>,
}

impl Platform {
    /// The way over what was found for a request: its trigger, and the domain that it came by.
    pub fn way(
        &self,
        target: Target<'_>,
        trigger: &Arc<HttpTrigger>,
        domain: Option<&Arc<Domain>>,
    ) -> Way {
        Way {
            platform: self.clone(),
            service: target.service.into(),
            qualifier: target.qualifier.map(Box::from),
            function: target.function.into(),
            trigger: trigger.clone(),
            domain: domain.cloned(),
            changes: self.inner().catalog.record_changes(),
        }
    }
}

impl Way {
    /// Waits until the way is gone: the trigger was removed or changed, the version or alias it is at was removed, or the domain was
    /// removed or sends requests elsewhere, over other protocols or within other limits. New code, and a new certificate, leave it.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn gone(&mut self) {
        loop {
            // First, so that what changes while it is looked at is looked at again.
            self.changes.mark_unchanged();
            if !self.is_open() {
                return;
            }
            if self.changes.changed().await.is_err() {
                return std::future::pending().await;
            }
            tokio::time::sleep(SETTLING).await;
        }
    }

    fn is_open(&self) -> bool {
        let (service, function) = (&*self.service, &*self.function);
        let target = Target { service, qualifier: self.qualifier.as_deref(), function };
        let trigger = self.platform.http_trigger(target);
        trigger.is_ok_and(|trigger| Arc::ptr_eq(&trigger, &self.trigger))
            && self.platform.resolve(target).is_ok()
            && self.domain.as_ref().is_none_or(|before| self.leads_as_before(before))
    }

    fn leads_as_before(&self, before: &Arc<Domain>) -> bool {
        let Some(now) = self.platform.domain_of(&before.name) else { return false };
        let (now, before) = (&now.settings, &before.settings);
        now.protocol == before.protocol && now.routes == before.routes
    }
}
