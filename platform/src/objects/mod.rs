//! Objects of object stores, read whole and used as packages: from folders of one directory, or from endpoints that speak S3.
//!
//! Each read is bounded in bytes and in time, and only so many run at once. What is read is never kept under its name: a package is
//! stored by its content like any upload. Which bucket is where, and whose services may name it, is configuration; nothing that a
//! caller sends leads to another address or directory.

mod directory;
mod endpoint;
mod error;
mod name;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

pub use endpoint::Endpoint;
pub(crate) use endpoint::Remote;
pub use error::ObjectError;
pub use name::{OBJECT_KEY_BYTES_MAX, ObjectName};

use self::directory::Directory;
use crate::error::PlatformError;

/// Where objects are, and the bounds of reading one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectConfig {
    /// The directory whose folders are buckets; `objects` in the data directory unless given. It need not exist.
    pub dir: Option<PathBuf>,
    /// Buckets that are elsewhere, or not for everybody.
    pub buckets: Vec<Bucket>,
    /// How long one read may take, waiting for its turn included. Default 30 seconds.
    pub timeout: Duration,
    /// Bytes of one object, at most as many as a package may have. Default 100 MiB.
    pub object_bytes: u64,
    /// Objects that are read, unpacked and stored at once; each may take as much memory as the largest package. Default 4.
    pub concurrent: usize,
}

impl Default for ObjectConfig {
    fn default() -> Self {
        Self {
            dir: None,
            buckets: Vec::new(),
            timeout: Duration::from_secs(30),
            object_bytes: 100 * hearth_engine::MIB,
            concurrent: 4,
        }
    }
}

/// What is configured of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// What callers name it.
    pub name: String,
    /// How names of services begin that may take code from it; empty for all services, and for layers, which belong to none.
    pub services: Vec<String>,
    /// Where it is; without one, a folder of the directory.
    pub endpoint: Option<Endpoint>,
}

/// An object that was read, and its place among those at once.
#[derive(Debug)]
pub(crate) struct ReadObject {
    pub(crate) bytes: Bytes,
    /// Held until the bytes are stored, so the memory of all of them is bounded.
    pub(crate) slot: Slot,
}

/// A place among the objects that are read at once.
pub(crate) type Slot = Arc<OwnedSemaphorePermit>;

/// Reads objects.
#[derive(Debug)]
pub(crate) struct Objects {
    directory: Directory,
    buckets: BTreeMap<String, Known>,
    timeout: Duration,
    concurrent: usize,
    slots: Arc<Semaphore>,
    limit_bytes: u64,
}

#[derive(Debug)]
struct Known {
    services: Vec<String>,
    remote: Option<Remote>,
}

impl Objects {
    /// Reads nothing yet, and connects to nobody.
    ///
    /// # Errors
    /// An endpoint's address or name is not acceptable.
    pub(crate) fn new(
        config: ObjectConfig,
        data_dir: &Path,
        package_bytes: u64,
    ) -> Result<Self, ObjectError> {
        let limit_bytes = config.object_bytes.min(package_bytes);
        let mut buckets = BTreeMap::new();
        for bucket in config.buckets {
            name::check_bucket(&bucket.name).map_err(|error| ObjectError::Misconfigured {
                bucket: bucket.name.clone(),
                why: error.to_string(),
            })?;
            let remote = bucket
                .endpoint
                .map(|endpoint| Remote::new(&bucket.name, endpoint, config.timeout, limit_bytes))
                .transpose()?;
            buckets.insert(bucket.name, Known { services: bucket.services, remote });
        }
        Ok(Self {
            directory: Directory::new(config.dir.unwrap_or_else(|| data_dir.join("objects"))),
            buckets,
            timeout: config.timeout,
            concurrent: config.concurrent,
            slots: Arc::new(Semaphore::new(config.concurrent)),
            limit_bytes,
        })
    }

    /// Reads an object for a service, or for a layer.
    ///
    /// # Errors
    /// No such bucket or object, not for that service, too large, too slow, unreachable.
    pub(crate) async fn read(
        &self,
        object: &ObjectName,
        service: Option<&str>,
    ) -> Result<ReadObject, PlatformError> {
        let bucket = self.buckets.get(object.bucket());
        if bucket.is_some_and(|bucket| !bucket.is_for(service)) {
            let (bucket, service) = (object.bucket().to_owned(), service.map(str::to_owned));
            return Err(ObjectError::NotGranted { bucket, service }.into());
        }
        let deadline = Instant::now() + self.timeout;
        let slot = tokio::time::timeout_at(deadline, self.slots.clone().acquire_owned()).await;
        let Ok(Ok(slot)) = slot else {
            return Err(ObjectError::Busy { limit: self.concurrent }.into());
        };
        let slot = Slot::new(slot);
        let reading = async {
            match bucket.and_then(|bucket| bucket.remote.as_ref()) {
                Some(remote) => Ok(remote.read(object, self.limit_bytes).await?),
                None => self.directory.read(object, self.limit_bytes, &slot).await,
            }
        };
        match tokio::time::timeout_at(deadline, reading).await {
            Ok(read) => {
                let bytes = read?;
                tracing::info!(%object, bytes = bytes.len(), service, "read an object as code");
                Ok(ReadObject { bytes, slot })
            }
            Err(_) => {
                let bucket = object.bucket().to_owned();
                Err(ObjectError::TooSlow { bucket, limit: self.timeout }.into())
            }
        }
    }
}

impl Known {
    fn is_for(&self, service: Option<&str>) -> bool {
        let named = |service: &str| self.services.iter().any(|start| service.starts_with(start));
        self.services.is_empty() || service.is_some_and(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(dir: &Path, concurrent: usize, services: &[&str]) -> Objects {
        let services = services.iter().map(|&start| start.to_owned()).collect();
        let bucket = Bucket { name: "theirs".to_owned(), services, endpoint: None };
        let timeout = Duration::from_millis(100);
        let (dir, buckets) = (Some(dir.to_owned()), vec![bucket]);
        let config = ObjectConfig { dir, buckets, timeout, concurrent, ..ObjectConfig::default() };
        Objects::new(config, Path::new(""), 10).unwrap()
    }

    #[tokio::test]
    async fn a_bucket_is_for_the_services_it_was_given_to() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("theirs")).unwrap();
        std::fs::write(dir.path().join("theirs/k"), b"abc").unwrap();
        let object = ObjectName::parse("theirs", "k").unwrap();
        let open = objects(dir.path(), 1, &[]);
        for service in [Some("shop"), None] {
            assert_eq!(open.read(&object, service).await.unwrap().bytes, "abc");
        }
        let theirs = objects(dir.path(), 1, &["team-", "shop"]);
        for service in ["team-a", "shop", "shopping"] {
            assert_eq!(theirs.read(&object, Some(service)).await.unwrap().bytes, "abc");
        }
        for service in [Some("team"), Some("a-team-a"), None] {
            let refused = theirs.read(&object, service).await.unwrap_err();
            let refused = matches!(refused, PlatformError::Object(ObjectError::NotGranted { .. }));
            assert!(refused, "{service:?}");
        }
    }

    #[tokio::test]
    async fn who_comes_when_all_places_are_taken_waits_and_is_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("theirs")).unwrap();
        std::fs::write(dir.path().join("theirs/k"), b"abc").unwrap();
        let objects = objects(dir.path(), 1, &[]);
        let object = ObjectName::parse("theirs", "k").unwrap();
        let held = objects.read(&object, None).await.unwrap();
        let refused = objects.read(&object, None).await.unwrap_err();
        assert!(matches!(refused, PlatformError::Object(ObjectError::Busy { limit: 1 })));
        drop(held.slot);
        objects.read(&object, None).await.unwrap();
    }
}
