//! Compiled code that servers share: in a directory that all of them reach, or a bucket behind an endpoint that speaks S3.
//!
//! What is there is not trusted by being there; the engine seals and checks it. Each use is bounded in time, whatever disk or network do,
//! and runs on threads of its own. Nothing is ever removed here: artifacts are found by what they are of, so old ones do no harm, and the
//! place's own rules for the age of objects do that.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hearth_engine::{SharedArtifactError, SharedArtifacts};
use object_store::ObjectStoreExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use tokio::runtime::Runtime;

use crate::objects::{Endpoint, ObjectError, ObjectName, Remote};
use crate::storage::whole_file::{in_pieces, read_whole};

/// Under which name artifacts are in a bucket; in a directory they lie as they are.
const FOLDER: &str = "hearth-artifacts";

/// Largest object that is read from a bucket or written there.
const OBJECT_BYTES_MAX: u64 = 512 << 20;

/// Threads that may wait for a disk that does not answer.
const WAITING_MAX: usize = 8;

/// A place of shared artifacts.
#[derive(Debug)]
pub struct ArtifactShare {
    place: Place,
    timeout: Duration,
    runtime: Option<Runtime>,
}

#[derive(Debug, Clone)]
enum Place {
    Directory(Arc<LocalFileSystem>),
    Bucket(Arc<Remote>, String),
}

impl ArtifactShare {
    /// In a directory, which is made if it is not there. Each use takes at most `timeout`.
    ///
    /// # Errors
    /// It cannot be made or used.
    pub fn directory(path: &Path, timeout: Duration) -> Result<Self, SharedArtifactError> {
        let wrong = |why: String| failed(&format!("directory {}", path.display()), &why);
        std::fs::create_dir_all(path).map_err(|error| wrong(error.to_string()))?;
        let files =
            LocalFileSystem::new_with_prefix(path).map_err(|error| wrong(error.to_string()))?;
        Self::over(Place::Directory(Arc::new(files)), timeout)
    }

    /// In a bucket. Connects to nobody yet. To write there an access key is needed.
    ///
    /// # Errors
    /// Its address or name is not acceptable.
    pub fn bucket(endpoint: Endpoint, timeout: Duration) -> Result<Self, SharedArtifactError> {
        let name = endpoint.bucket.clone();
        let remote = Remote::new(&name, endpoint, timeout, OBJECT_BYTES_MAX)
            .map_err(|error| failed("bucket", &error.to_string()))?;
        Self::over(Place::Bucket(Arc::new(remote), name), timeout)
    }

    fn over(place: Place, timeout: Duration) -> Result<Self, SharedArtifactError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(WAITING_MAX)
            .thread_name("hearth-share")
            .enable_all()
            .build()
            .map_err(|error| failed("threads", &error.to_string()))?;
        Ok(Self { place, timeout, runtime: Some(runtime) })
    }

    fn within<T>(
        &self,
        work: impl Future<Output = Result<T, SharedArtifactError>>,
    ) -> Result<T, SharedArtifactError> {
        let Some(runtime) = &self.runtime else { return Err(failed("share", "it is closed")) };
        let bounded = async { tokio::time::timeout(self.timeout, work).await };
        runtime.block_on(bounded).unwrap_or_else(|_| {
            let why = format!("no answer within {} ms", self.timeout.as_millis());
            Err(SharedArtifactError { why })
        })
    }
}

impl Drop for ArtifactShare {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Whoever drops it may be on an async thread, and a disk may never answer.
            runtime.shutdown_background();
        }
    }
}

impl SharedArtifacts for ArtifactShare {
    fn get(&self, name: &str, bytes_max: u64) -> Result<Option<Bytes>, SharedArtifactError> {
        self.within(self.place.get(name, bytes_max))
    }

    fn put(&self, name: &str, bytes: Bytes) -> Result<(), SharedArtifactError> {
        self.within(self.place.put(name, bytes))
    }
}

impl Place {
    async fn get(&self, name: &str, bytes_max: u64) -> Result<Option<Bytes>, SharedArtifactError> {
        match self {
            Self::Directory(files) => {
                let found = match files.get(&ObjectPath::from(name)).await {
                    Ok(found) => found,
                    Err(object_store::Error::NotFound { .. }) => return Ok(None),
                    Err(error) => return Err(failed(name, &error.to_string())),
                };
                if found.meta.size > bytes_max {
                    return Err(failed(name, &format!("it has {} bytes", found.meta.size)));
                }
                let bytes = read_whole(found).await;
                bytes.map(Some).map_err(|error| failed(name, &error.to_string()))
            }
            Self::Bucket(remote, bucket) => {
                let object = object(bucket, name)?;
                match remote.read(&object, bytes_max).await {
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(ObjectError::NoObject { .. }) => Ok(None),
                    Err(error) => Err(failed(name, &said(&error))),
                }
            }
        }
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), SharedArtifactError> {
        match self {
            Self::Directory(files) => {
                let put = files.put(&ObjectPath::from(name), in_pieces(&bytes)).await;
                put.map(drop).map_err(|error| failed(name, &error.to_string()))
            }
            Self::Bucket(remote, bucket) => {
                let put = remote.write(&object(bucket, name)?, bytes).await;
                put.map_err(|error| failed(name, &said(&error)))
            }
        }
    }
}

fn object(bucket: &str, name: &str) -> Result<ObjectName, SharedArtifactError> {
    ObjectName::parse(bucket, &format!("{FOLDER}/{name}"))
        .map_err(|error| failed(name, &error.to_string()))
}

fn failed(what: &str, why: &str) -> SharedArtifactError {
    SharedArtifactError { why: format!("{what}: {why}") }
}

/// An error with what the store said, which is for the operator's log, as this is.
fn said(error: &ObjectError) -> String {
    match error {
        ObjectError::Denied { why, .. } | ObjectError::Unavailable { why, .. } => {
            format!("{error}: {why}")
        }
        other => other.to_string(),
    }
}
