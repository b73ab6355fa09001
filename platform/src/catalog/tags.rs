//! The tags of a service in the catalog: one record beside the service's own, whose entity tag they do not touch.

use std::sync::Arc;

use super::{Writer, detached};
use crate::audit::{Change, Verb};
use crate::error::{PlatformError, RequestError};
use crate::storage::{Collection, Expect};
use crate::tag::Tags;

/// By the name of the service.
pub(super) const TAGS: Collection = Collection("tag");

impl Writer {
    /// Replaces the tags of a service by what `change` makes of them.
    pub(crate) async fn change_tags(
        &self,
        service: &str,
        change: impl FnOnce(&Tags) -> Result<Tags, RequestError> + Send + 'static,
    ) -> Result<(), PlatformError> {
        let (catalog, service) = (self.clone(), service.to_owned());
        detached(async move {
            let _writing = catalog.writing.lock().await;
            let entry = catalog.service(&service)?;
            let tags = change(&entry.tags.load())?;
            let change = Change::new(Verb::Update, "tags", &service);
            if tags.tags.is_empty() {
                // So that a service that has none leaves nothing behind when it is deleted.
                catalog.delete(change, TAGS, service).await?;
            } else {
                catalog.put(change, TAGS, service, &tags, Expect::Any).await?;
            }
            entry.tags.store(Arc::new(tags));
            Ok(())
        })
        .await
    }
}
