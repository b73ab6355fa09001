//! Buckets as folders of one directory on this machine.
//!
//! Links inside a bucket's folder are followed; what leads out of it is not used, whoever exchanges what while it is read: of the file
//! that was opened, the system says where it is, however it was reached.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use hearth_engine::pieces;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{GetResultPayload, ObjectStoreExt};

use super::{ObjectError, ObjectName, Slot};
use crate::deploy::aside;
use crate::error::PlatformError;

/// The directory.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    /// It need not exist.
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Reads an object whole.
    ///
    /// # Errors
    /// No such folder or file, no plain file, too large, or the disk failed.
    pub(super) async fn read(
        &self,
        object: &ObjectName,
        limit_bytes: u64,
        slot: &Slot,
    ) -> Result<Bytes, PlatformError> {
        let (root, wanted, held) = (self.root.clone(), object.clone(), slot.clone());
        let find = move || {
            // A disk that does not answer keeps this thread; its place is not given away meanwhile, so such threads stay few.
            let _held = held;
            find(&root, &wanted)
        };
        let (files, folder) = aside("finding an object", find).await??;
        let path = ObjectPath::parse(object.key())
            .map_err(|_| ObjectError::NoObject { object: object.to_string() })?;
        let opened = files.get(&path).await.map_err(|error| match error {
            object_store::Error::NotFound { .. } => {
                ObjectError::NoObject { object: object.to_string() }
            }
            error => unavailable(object, error.to_string()),
        })?;
        let GetResultPayload::File(file, _) = opened.payload else {
            return Err(unavailable(object, "it is no file".to_owned()).into());
        };
        let (wanted, held) = (object.clone(), slot.clone());
        let read = move || {
            let _held = held;
            read_within(file, &folder, &wanted, limit_bytes)
        };
        Ok(aside("reading an object", read).await??)
    }
}

/// The folder of the bucket, by its path without links, once the object seems to be in it.
fn find(root: &Path, object: &ObjectName) -> Result<(LocalFileSystem, PathBuf), ObjectError> {
    let no_bucket = || ObjectError::NoBucket { bucket: object.bucket().to_owned() };
    let root = root.canonicalize().map_err(|_| no_bucket())?;
    let folder = root.join(object.bucket());
    // The folder itself may be no link: it would make anything a bucket.
    if !folder.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return Err(no_bucket());
    }
    let real = folder.join(object.key()).canonicalize();
    let real = real.map_err(|error| io_error(object, &error))?;
    let found = real.symlink_metadata().map_err(|error| io_error(object, &error))?;
    // A pipe would never end, a device is no package.
    if !real.starts_with(&folder) || !found.is_file() {
        return Err(ObjectError::NotPlain { object: object.to_string() });
    }
    let files = LocalFileSystem::new_with_prefix(&folder);
    Ok((files.map_err(|error| unavailable(object, error.to_string()))?, folder))
}

/// Reads a file if it is in the folder.
fn read_within(
    file: File,
    folder: &Path,
    object: &ObjectName,
    limit_bytes: u64,
) -> Result<Bytes, ObjectError> {
    let opened = file.metadata().map_err(|error| io_error(object, &error))?;
    let place = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let place = place.map_err(|error| unavailable(object, error.to_string()))?;
    if !place.starts_with(folder) || !opened.is_file() {
        return Err(ObjectError::NotPlain { object: object.to_string() });
    }
    let too_large =
        |size_bytes| ObjectError::TooLarge { object: object.to_string(), size_bytes, limit_bytes };
    if opened.len() > limit_bytes {
        return Err(too_large(opened.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(opened.len()).unwrap_or(0));
    // It may grow while it is read.
    let read = pieces::read_to_end(&mut file.take(limit_bytes.saturating_add(1)), &mut bytes);
    read.map_err(|error| io_error(object, &error))?;
    if bytes.len() as u64 > limit_bytes {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes.into())
}

fn io_error(object: &ObjectName, error: &std::io::Error) -> ObjectError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => {
            ObjectError::NoObject { object: object.to_string() }
        }
        ErrorKind::PermissionDenied => {
            ObjectError::Denied { bucket: object.bucket().to_owned(), why: error.to_string() }
        }
        _ => unavailable(object, error.to_string()),
    }
}

fn unavailable(object: &ObjectName, why: String) -> ObjectError {
    ObjectError::Unavailable { bucket: object.bucket().to_owned(), why }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    async fn read(root: &Path, bucket: &str, key: &str) -> Result<Bytes, ObjectError> {
        let object = ObjectName::parse(bucket, key).unwrap();
        let slots = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
        let slot = Slot::new(slots.acquire_owned().await.unwrap());
        let read = Directory::new(root.to_owned()).read(&object, 10, &slot).await;
        read.map_err(|error| match error {
            PlatformError::Object(error) => error,
            other => panic!("{other}"),
        })
    }

    #[tokio::test]
    async fn a_file_is_read_whole_and_what_is_not_there_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("code/a b")).unwrap();
        std::fs::write(dir.path().join("code/a b/ä%2f.zip"), b"0123456789").unwrap();
        std::fs::write(dir.path().join("code/large"), b"0123456789a").unwrap();
        assert_eq!(read(dir.path(), "code", "a b/ä%2f.zip").await.unwrap(), "0123456789");
        let nothing = |object: &str| ObjectError::NoObject { object: object.to_owned() };
        let long = "x".repeat(300);
        for key in ["b", "a b/ä/.zip", "large/b", long.as_str()] {
            let told = read(dir.path(), "code", key).await.unwrap_err();
            assert_eq!(told, nothing(&format!("code/{key}")));
        }
        let no_bucket = ObjectError::NoBucket { bucket: "other".to_owned() };
        assert_eq!(read(dir.path(), "other", "b").await.unwrap_err(), no_bucket);
        let nowhere = dir.path().join("nowhere");
        assert_eq!(read(&nowhere, "other", "b").await.unwrap_err(), no_bucket);
        let too_large = ObjectError::TooLarge {
            object: "code/large".to_owned(),
            size_bytes: 11,
            limit_bytes: 10,
        };
        assert_eq!(read(dir.path(), "code", "large").await.unwrap_err(), too_large);
    }

    #[tokio::test]
    async fn links_lead_around_the_bucket_and_not_out_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("objects");
        std::fs::create_dir_all(root.join("code/v1")).unwrap();
        std::fs::create_dir_all(root.join("other")).unwrap();
        std::fs::write(root.join("code/v1/f"), b"inside").unwrap();
        std::fs::write(root.join("other/f"), b"other").unwrap();
        std::fs::write(dir.path().join("secret"), b"secret").unwrap();
        symlink("v1/f", root.join("code/newest")).unwrap();
        symlink("../../secret", root.join("code/out")).unwrap();
        symlink("../other", root.join("code/sideways")).unwrap();
        symlink("code", root.join("linked")).unwrap();
        assert_eq!(read(&root, "code", "newest").await.unwrap(), "inside");
        for key in ["out", "sideways/f", "v1"] {
            let told = read(&root, "code", key).await.unwrap_err();
            assert_eq!(told, ObjectError::NotPlain { object: format!("code/{key}") });
        }
        let told = read(&root, "linked", "v1/f").await.unwrap_err();
        assert_eq!(told, ObjectError::NoBucket { bucket: "linked".to_owned() });
    }

    #[test]
    fn what_was_exchanged_before_it_was_opened_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let folder = root.join("code");
        std::fs::create_dir_all(folder.join("v1")).unwrap();
        std::fs::write(folder.join("v1/f"), b"code").unwrap();
        std::fs::create_dir(root.join("code-of-others")).unwrap();
        std::fs::write(root.join("code-of-others/f"), b"others").unwrap();
        let object = ObjectName::parse("code", "v1/f").unwrap();
        let read = || read_within(File::open(folder.join("v1/f")).unwrap(), &folder, &object, 10);
        assert_eq!(read().unwrap(), "code");
        std::fs::rename(folder.join("v1"), folder.join("v0")).unwrap();
        symlink("../code-of-others", folder.join("v1")).unwrap();
        assert_eq!(read().unwrap_err(), ObjectError::NotPlain { object: "code/v1/f".to_owned() });
    }
}
