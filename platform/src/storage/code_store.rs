//! Code bytes by their content: a file per SHA-256, synced before it is named by a record, and verified whenever it is read.
//!
//! What no record names is removed after a grace period, never while a deployment holds a [`Pin`] on it. Bounded by the quotas of
//! functions and the size of uploads.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use parking_lot::Mutex;

use super::whole_file::{in_pieces, read_whole};
use crate::checksum::sha256;

/// Why code cannot be stored or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// The file is gone.
    #[error("code {digest} of function `{function}` is missing")]
    Missing {
        /// Which function.
        function: String,
        /// Its digest.
        digest: String,
    },
    /// The file is not what was stored.
    #[error(
        "code {digest} of function `{function}` is damaged: its {size_bytes} bytes have digest {found}"
    )]
    Corrupt {
        /// Which function.
        function: String,
        /// Its digest.
        digest: String,
        /// What the file's digest is.
        found: String,
        /// Its size.
        size_bytes: u64,
    },
    /// The operating system failed.
    #[error("code {digest} cannot be {doing}: {why}")]
    Io {
        /// Which file; empty when it is about all.
        digest: String,
        /// `stored`, `read`, `listed`, `removed`.
        doing: &'static str,
        /// What was said.
        why: String,
    },
}

impl CodeError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::Corrupt { .. } => {
                "deploy the function again, or restore the file from a backup"
            }
            Self::Io { .. } => {
                "check the disk and the permissions of the data directory; trying again may work"
            }
        }
    }
}

/// Code files under one directory.
#[derive(Debug)]
pub struct CodeStore {
    files: LocalFileSystem,
    pins: Arc<Pins>,
}

#[derive(Debug, Default)]
struct Pins {
    held: Mutex<HashMap<String, usize>>,
    /// Held while one orphan is checked and removed, and while a pin is set: so a file is pinned before, or stored anew after.
    removing: tokio::sync::Mutex<()>,
}

/// Keeps a file from being removed as an orphan until dropped.
#[derive(Debug)]
pub struct Pin {
    digest: String,
    pins: Arc<Pins>,
}

impl Pin {
    /// The file's digest.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut held = self.pins.held.lock();
        if let Some(count) = held.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.digest);
            }
        }
    }
}

impl CodeStore {
    /// Opens the directory, making it if it is not there.
    ///
    /// # Errors
    /// It cannot be made or used.
    pub fn open(dir: &Path) -> Result<Self, CodeError> {
        let io = |why: String| CodeError::Io { digest: String::new(), doing: "stored", why };
        std::fs::create_dir_all(dir).map_err(|error| io(error.to_string()))?;
        let files = LocalFileSystem::new_with_prefix(dir).map_err(|error| io(error.to_string()))?;
        // Off by default there; a record must never outlive the code it names.
        Ok(Self { files: files.with_fsync(true), pins: Arc::default() })
    }

    /// Stores bytes, unless they are there. Durable on return, and kept at least until the pin is dropped.
    ///
    /// # Errors
    /// The disk is full, or failed.
    pub async fn put(&self, bytes: Bytes) -> Result<Pin, CodeError> {
        let hashed = bytes.clone();
        let digest = tokio::task::spawn_blocking(move || sha256(&hashed))
            .await
            .map_err(|error| failed("", "stored", error.to_string()))?;
        let pin = self.pin(digest).await;
        let path = path(&pin.digest);
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.files.put_opts(&path, in_pieces(&bytes), create).await {
            Ok(_) => return Ok(pin),
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(failed(&pin.digest, "stored", error.to_string())),
        }
        // There already: good, unless it was damaged since; then this upload is what repairs it.
        if self.get(&pin.digest, "").await.is_err() {
            let overwritten = self.files.put(&path, in_pieces(&bytes)).await;
            overwritten.map_err(|error| failed(&pin.digest, "stored", error.to_string()))?;
        }
        Ok(pin)
    }

    /// Keeps a file from being removed, if it is there.
    pub(crate) async fn pin(&self, digest: String) -> Pin {
        let _removing = self.pins.removing.lock().await;
        *self.pins.held.lock().entry(digest.clone()).or_default() += 1;
        Pin { digest, pins: self.pins.clone() }
    }

    /// Reads bytes and checks them against their digest; `function` is whom an error speaks of.
    ///
    /// # Errors
    /// Missing, damaged, or the disk failed.
    pub async fn get(&self, digest: &str, function: &str) -> Result<Bytes, CodeError> {
        let missing =
            || CodeError::Missing { function: function.to_owned(), digest: digest.to_owned() };
        if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(missing());
        }
        let file = self.files.get(&path(digest)).await.map_err(|error| match error {
            object_store::Error::NotFound { .. } => missing(),
            error => failed(digest, "read", error.to_string()),
        })?;
        let bytes = read_whole(file).await;
        let bytes = bytes.map_err(|error| failed(digest, "read", error.to_string()))?;
        let hashed = bytes.clone();
        let found = tokio::task::spawn_blocking(move || sha256(&hashed))
            .await
            .map_err(|error| failed(digest, "read", error.to_string()))?;
        if found == digest {
            return Ok(bytes);
        }
        Err(CodeError::Corrupt {
            function: function.to_owned(),
            digest: digest.to_owned(),
            found,
            size_bytes: bytes.len() as u64,
        })
    }

    /// Removes files older than `grace` that are neither pinned nor named; returns how many. `named` is asked right before each is
    /// removed.
    ///
    /// # Errors
    /// The disk failed; what was removed stays so.
    pub async fn remove_orphans(
        &self,
        grace: Duration,
        named: impl Fn(&str) -> bool,
    ) -> Result<u64, CodeError> {
        let before = SystemTime::now().checked_sub(grace).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut removed = 0;
        let mut files = self.files.list(None);
        while let Some(file) = files.next().await {
            let file = file.map_err(|error| failed("", "listed", error.to_string()))?;
            let digest = file.location.filename().unwrap_or_default();
            if SystemTime::from(file.last_modified) > before || named(digest) {
                continue;
            }
            let _removing = self.pins.removing.lock().await;
            // In this order: a deployment first pins, then names, then drops its pin.
            if self.pins.held.lock().contains_key(digest) || named(digest) {
                continue;
            }
            let gone = self.files.delete(&file.location).await;
            gone.map_err(|error| failed(digest, "removed", error.to_string()))?;
            removed += 1;
        }
        Ok(removed)
    }
}

/// Two levels, so that no directory holds more than a fraction of the files.
fn path(digest: &str) -> ObjectPath {
    let shard = digest.get(..2).unwrap_or("00");
    ObjectPath::from(format!("{shard}/{digest}"))
}

fn failed(digest: &str, doing: &'static str, why: String) -> CodeError {
    CodeError::Io { digest: digest.to_owned(), doing, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &Path, digest: &str) -> std::path::PathBuf {
        dir.join(&digest[..2]).join(digest)
    }

    #[tokio::test]
    async fn bytes_come_back_and_are_stored_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = CodeStore::open(dir.path()).unwrap();
        let first = store.put(Bytes::from_static(b"abc")).await.unwrap();
        let again = store.put(Bytes::from_static(b"abc")).await.unwrap();
        assert_eq!(first.digest(), again.digest());
        assert_eq!(store.get(first.digest(), "s/f").await.unwrap(), "abc");
    }

    #[tokio::test]
    async fn damage_is_told_with_the_function_and_repaired_by_the_same_upload() {
        let dir = tempfile::tempdir().unwrap();
        let store = CodeStore::open(dir.path()).unwrap();
        let pin = store.put(Bytes::from_static(b"abc")).await.unwrap();
        std::fs::write(file(dir.path(), pin.digest()), b"abd").unwrap();
        let error = store.get(pin.digest(), "s/f").await.unwrap_err();
        assert!(matches!(&error, CodeError::Corrupt { function, .. } if function == "s/f"));
        store.put(Bytes::from_static(b"abc")).await.unwrap();
        assert_eq!(store.get(pin.digest(), "s/f").await.unwrap(), "abc");
    }

    #[tokio::test]
    async fn a_missing_file_and_a_hostile_digest_are_missing() {
        let dir = tempfile::tempdir().unwrap();
        let store = CodeStore::open(dir.path()).unwrap();
        for digest in ["../../etc/passwd", "", &"a".repeat(64), &"é".repeat(32)] {
            let error = store.get(digest, "s/f").await.unwrap_err();
            assert!(matches!(error, CodeError::Missing { .. }), "{digest}");
        }
    }

    #[tokio::test]
    async fn orphans_go_unless_young_pinned_or_named() {
        let dir = tempfile::tempdir().unwrap();
        let store = CodeStore::open(dir.path()).unwrap();
        let named = store.put(Bytes::from_static(b"named")).await.unwrap().digest().to_owned();
        let pinned = store.put(Bytes::from_static(b"pinned")).await.unwrap();
        let orphan = store.put(Bytes::from_static(b"orphan")).await.unwrap().digest().to_owned();
        let hour = Duration::from_secs(3600);
        assert_eq!(store.remove_orphans(hour, |_| false).await.unwrap(), 0);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(store.remove_orphans(Duration::ZERO, |digest| digest == named).await, Ok(1));
        assert!(store.get(&orphan, "").await.is_err());
        assert!(
            store.get(&named, "").await.is_ok() && store.get(pinned.digest(), "").await.is_ok()
        );
    }
}
