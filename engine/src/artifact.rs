//! Compiled code on disk: found by content, checked before it is trusted, bounded in bytes.
//!
//! wasmtime runs whatever it deserialises, so a file is loaded only if a keyed hash over its bytes and its identity fits; the key
//! lives beside the artifacts, readable by the owner alone. The hash is part of the file's name: writing is one rename, and no
//! second file can be out of step. What does not fit is set aside under another name and compiled again. Uploaded bytes
//! never get here without having been through the compiler.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::pieces;

mod load;
mod read;
mod shared;

pub(crate) use load::{Loaded, load};
pub(crate) use read::Patience;
pub(crate) use shared::Sharing;
pub use shared::{SharedArtifactError, SharedArtifactKey, SharedArtifacts};

/// Ending of an artifact's file name.
const ENDING: &str = "cwasm";

/// Ending given to a file that failed its check, kept for the operator until the next start.
const REJECTED: &str = "rejected";

/// Artifacts up to this size may be read on the thread that asks, if they are in memory: it takes less time than waking another.
const READ_IN_PLACE_MAX: u64 = 1 << 20;

/// How much older the file's own time may be than its last use.
const TOUCH_AFTER: Duration = Duration::from_secs(60);

/// The disk has to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WouldBlock;

/// What an artifact is of: the code, the wasmtime that compiled it and the settings it used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ArtifactKey([u8; 32]);

impl ArtifactKey {
    /// The key of `code` compiled with `settings`.
    pub(crate) fn of(code: &[u8], settings: &Fingerprint) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("hearth artifact key v1");
        hasher.update(&settings.0);
        hasher.update(blake3::hash(code).as_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    pub(crate) fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

/// wasmtime's version and all its settings that change compiled code. Made once per engine: there are hundreds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn of(engine: &wasmtime::Engine) -> Self {
        let mut settings = Collected(blake3::Hasher::new());
        std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut settings);
        Self(*settings.0.finalize().as_bytes())
    }
}

/// Collects wasmtime's hashed settings with all their bits, where a `Hasher` would keep 64.
struct Collected(blake3::Hasher);

impl std::hash::Hasher for Collected {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// The directory of artifacts.
#[derive(Debug)]
pub(crate) struct ArtifactStore {
    directory: PathBuf,
    mac_key: [u8; 32],
    budget: u64,
    index: Mutex<HashMap<String, Entry>>,
    pub(crate) rejected: AtomicU64,
    next_temporary: AtomicU64,
    /// Removes the directory when the engine made it for itself.
    _temporary: Option<TemporaryDirectory>,
}

#[derive(Debug, Clone)]
struct Entry {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

/// A directory that goes when this goes.
#[derive(Debug)]
struct TemporaryDirectory(PathBuf);

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        // What is left behind in the system's temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl ArtifactStore {
    /// Opens the directory, making it if need be, and looks at what is there. Leftovers of a crash are removed.
    pub(crate) fn open(directory: Option<PathBuf>, budget: u64) -> std::io::Result<Self> {
        let (directory, temporary) = match directory {
            Some(directory) => (directory, None),
            None => {
                let name = format!("hearth-artifacts-{}", uuid::Uuid::new_v4());
                let made = std::env::temp_dir().join(name);
                (made.clone(), Some(TemporaryDirectory(made)))
            }
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let store = Self {
            mac_key: mac_key(&directory.join("key"))?,
            budget,
            index: Mutex::default(),
            rejected: AtomicU64::new(0),
            next_temporary: AtomicU64::new(0),
            directory,
            _temporary: temporary,
        };
        store.scan()?;
        Ok(store)
    }

    fn scan(&self) -> std::io::Result<()> {
        let mut index = self.index.lock();
        for file in std::fs::read_dir(&self.directory)? {
            let path = file?.path();
            let is_leftover = path
                .extension()
                .is_some_and(|ending| ending == "tmp" || ending == "wasm" || ending == REJECTED);
            if is_leftover {
                std::fs::remove_file(&path)?;
                continue;
            }
            let Some((key, _)) = parts_of(&path) else { continue };
            let about = path.symlink_metadata()?;
            let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            index.insert(key.to_owned(), Entry { path: path.clone(), bytes: about.len(), used });
        }
        Ok(())
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.index.lock().values().map(|entry| entry.bytes).sum()
    }

    /// The file of that key, if it is there and passes its check. A file that does not pass is set aside.
    ///
    /// # Errors
    /// [`WouldBlock`] when the disk has to be asked and `patience` does not allow it.
    pub(crate) fn find(
        &self,
        key: &ArtifactKey,
        patience: Patience,
    ) -> Result<Option<PathBuf>, WouldBlock> {
        let name = key.hex();
        let known = self.index.lock().get(&name).cloned();
        let Some(Entry { path, bytes, used }) = known else { return Ok(None) };
        if patience == Patience::None && bytes > READ_IN_PLACE_MAX {
            return Err(WouldBlock);
        }
        match self.verify(key, &path, patience) {
            Ok(Some(file)) => {
                self.touch(&name, &file, used);
                return Ok(Some(path));
            }
            Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => return Err(WouldBlock),
            Ok(None) => self.reject(&name, &path, "its contents do not fit its seal"),
            Err(why) => self.reject(&name, &path, &why.to_string()),
        }
        Ok(None)
    }

    /// Notes that an artifact is in use; now and then on disk too, where only the order of eviction after a restart depends on it.
    fn touch(&self, name: &str, file: &File, used: SystemTime) {
        let now = SystemTime::now();
        if let Some(entry) = self.index.lock().get_mut(name) {
            entry.used = now;
        }
        if now.duration_since(used).is_ok_and(|since| since >= TOUCH_AFTER) {
            let _ = file.set_modified(now);
        }
    }

    /// Writes an artifact so that it is whole or absent, whatever happens, and returns its file.
    pub(crate) fn put(&self, key: &ArtifactKey, bytes: &[u8]) -> std::io::Result<PathBuf> {
        let name = key.hex();
        let mac = self.hasher(key).update(bytes).finalize().to_hex();
        let path = self.directory.join(format!("{name}-{mac}.{ENDING}"));
        let temporary = self.temporary_path("tmp");
        let written = write_new(&temporary, bytes).and_then(|()| {
            std::fs::rename(&temporary, &path)?;
            File::open(&self.directory)?.sync_all()
        });
        if let Err(why) = written {
            // On a full disk the half-written file must not stay.
            let _ = std::fs::remove_file(&temporary);
            return Err(why);
        }
        let entry =
            Entry { path: path.clone(), bytes: bytes.len() as u64, used: SystemTime::now() };
        self.index.lock().insert(name.clone(), entry);
        self.evict(&name);
        Ok(path)
    }

    /// Forgets an artifact that is of no use.
    pub(crate) fn remove(&self, key: &ArtifactKey) {
        if let Some(entry) = self.index.lock().remove(&key.hex()) {
            // What stays behind is found at the next start and evicted in its turn.
            let _ = std::fs::remove_file(entry.path);
        }
    }

    /// A path in the directory that nothing uses.
    pub(crate) fn temporary_path(&self, ending: &str) -> PathBuf {
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        self.directory.join(format!("{}-{number}.{ending}", std::process::id()))
    }

    /// The open file, if its contents fit its seal.
    fn verify(
        &self,
        key: &ArtifactKey,
        path: &Path,
        patience: Patience,
    ) -> std::io::Result<Option<File>> {
        let Some((_, sealed)) = parts_of(path) else { return Ok(None) };
        let Ok(sealed) = blake3::Hash::from_hex(sealed) else { return Ok(None) };
        // A symbolic link could point at a file that somebody else can change.
        let nofollow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let file = OpenOptions::new().read(true).custom_flags(nofollow).open(path)?;
        let mut hasher = self.hasher(key);
        read::each_chunk(&file, patience, |chunk| {
            hasher.update(chunk);
        })?;
        // blake3::Hash compares in constant time.
        Ok((hasher.finalize() == sealed).then_some(file))
    }

    fn hasher(&self, key: &ArtifactKey) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_keyed(&self.mac_key);
        hasher.update(&key.0);
        hasher
    }

    fn reject(&self, name: &str, path: &Path, why: &str) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
        self.index.lock().remove(name);
        let aside = path.with_extension(REJECTED);
        if std::fs::rename(path, &aside).is_err() {
            // Gone already, or not ours to move: the next put replaces it.
            let _ = std::fs::remove_file(path);
        }
        tracing::warn!(artifact = name, why, "artifact rejected; compiling again");
    }

    /// Deletes the least recently used artifacts until the rest fits, but never `keep`. Code that is mapped stays usable.
    fn evict(&self, keep: &str) {
        let mut index = self.index.lock();
        let mut total: u64 = index.values().map(|entry| entry.bytes).sum();
        while total > self.budget {
            let oldest = index
                .iter()
                .filter(|(name, _)| *name != keep)
                .min_by_key(|(_, entry)| entry.used)
                .map(|(name, _)| name.clone());
            let Some(entry) = oldest.and_then(|name| index.remove(&name)) else { return };
            total -= entry.bytes;
            if let Err(why) = std::fs::remove_file(&entry.path) {
                tracing::warn!(path = %entry.path.display(), %why, "old artifact not removed");
            }
        }
    }
}

/// Key and seal of an artifact's file name.
fn parts_of(path: &Path) -> Option<(&str, &str)> {
    let is_artifact = path.extension().is_some_and(|ending| ending == ENDING);
    let (key, seal) = path.file_stem()?.to_str()?.split_once('-')?;
    (is_artifact && key.len() == 64 && seal.len() == 64).then_some((key, seal))
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    pieces::write_all(&mut file, bytes)?;
    file.sync_all()
}

/// Reads the secret of this directory, or makes one.
fn mac_key(path: &Path) -> std::io::Result<[u8; 32]> {
    match std::fs::read(path) {
        Ok(bytes) => {
            if let Ok(key) = bytes.try_into() {
                return Ok(key);
            }
            // A damaged key only means that every artifact is compiled again.
            std::fs::remove_file(path)?;
        }
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
        Err(why) => return Err(why),
    }
    let mut key = [0; 32];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut key);
    write_new(path, &key)?;
    Ok(key)
}

#[cfg(test)]
mod tests;
