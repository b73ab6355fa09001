//! A version: a service and all its functions as they were when it was published. Immutable; its number is never given again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{PlatformError, RequestError};
use crate::name::FunctionName;
use crate::platform::Platform;
use crate::service::{DESCRIPTION_CHARS_MAX, PAGE_MAX, Service, check_text};

/// A published version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Its number, from 1 in each service.
    pub id: u64,
    /// Free text.
    pub description: String,
    /// The service as it was.
    pub service: Service,
    /// When it was published, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Grows with every change over the whole platform; what entity tags are made of.
    #[serde(skip)]
    pub revision: u64,
    /// The functions and the revisions that they stood at.
    pub(crate) functions: Arc<[(FunctionName, u64)]>,
}

/// What a service remembers of its versions even when they are gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Publication {
    /// The service.
    pub(crate) service: String,
    /// The number given last.
    pub(crate) last: u64,
    /// What was published last.
    pub(crate) fingerprint: String,
}

/// In which order versions are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Direction {
    /// The newest first.
    #[default]
    Backward,
    /// The oldest first.
    Forward,
}

/// Which part of a list of versions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VersionListRequest {
    /// From this number on, in the direction asked for; none begins at the beginning.
    pub start: Option<u64>,
    /// In which order.
    pub direction: Direction,
    /// How many, 1 to [`PAGE_MAX`].
    pub limit: usize,
}

/// A part of a list of versions.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionPage {
    /// The versions.
    pub items: Vec<Version>,
    /// The number that the next page starts with; none when nothing follows.
    pub next: Option<u64>,
}

/// What a service and its functions stand at, as a short text: equal only if nothing was changed in between.
pub(crate) fn fingerprint(service: &Service, functions: &[(FunctionName, u64)]) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{}\n{}\n", service.id, service.revision));
    for (name, revision) in functions {
        hash.update(format!("{name}\n{revision}\n"));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Platform {
    /// Publishes a service: its settings and all its functions as they stand. Durable on return.
    ///
    /// # Errors
    /// No such service, another revision of it than expected, [`RequestError::Unchanged`] since the last version, quota; storage.
    pub async fn publish_version(
        &self,
        service: &str,
        description: String,
        expect: Option<u64>,
    ) -> Result<Version, PlatformError> {
        check_text("description", &description, DESCRIPTION_CHARS_MAX)?;
        let now_ms = self.inner().clock.now_ms();
        self.writer().publish(service, description, expect, now_ms).await
    }

    /// Lists the versions of a service.
    ///
    /// # Errors
    /// No such service; a limit out of bounds.
    pub fn list_versions(
        &self,
        service: &str,
        request: VersionListRequest,
    ) -> Result<VersionPage, RequestError> {
        let VersionListRequest { start, direction, limit } = request;
        if !(1..=PAGE_MAX).contains(&limit) {
            let why = format!("{limit} is not 1 to {PAGE_MAX}");
            return Err(RequestError::invalid("limit", why));
        }
        let versions = self.inner().catalog.service(service)?.versions();
        let mut page = match direction {
            Direction::Forward => {
                let from = versions.range(start.unwrap_or_default()..);
                from.take(limit + 1).map(|(_, entry)| entry.clone()).collect::<Vec<_>>()
            }
            Direction::Backward => {
                let upto = versions.range(..=start.unwrap_or(u64::MAX)).rev();
                upto.take(limit + 1).map(|(_, entry)| entry.clone()).collect()
            }
        };
        let next = page.get(limit).map(|entry| entry.version.id);
        page.truncate(limit);
        Ok(VersionPage { items: page.iter().map(|entry| entry.version.clone()).collect(), next })
    }

    /// Deletes a version and what only it holds. Durable on return; its running invocations go on. An alias that points to it leads
    /// nowhere from then on.
    ///
    /// # Errors
    /// No such service or version, another revision than expected; storage.
    pub async fn delete_version(
        &self,
        service: &str,
        id: u64,
        expect: Option<u64>,
    ) -> Result<(), PlatformError> {
        self.writer().delete_version(service, id, expect).await
    }

    /// A service as it stands at a version, with the version's description; an alias stands for its main version.
    ///
    /// # Errors
    /// No such service, version or alias.
    pub fn get_service_at(
        &self,
        service: &str,
        qualifier: Option<&str>,
    ) -> Result<Service, RequestError> {
        let entry = self.inner().catalog.service(service)?;
        Ok(match entry.version_at(qualifier)? {
            None => entry.record().as_ref().clone(),
            Some(version) => version.service(),
        })
    }
}
