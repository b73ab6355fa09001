//! The files of layers as functions see them: each combination of layers unpacked once into a directory of its own, which functions
//! are granted read-only under `/opt`.
//!
//! A cache under the data directory: emptied when a platform opens, since it is not synced, and made from the code store whenever a
//! function is loaded. A directory is whole when it has its name. What no function needs goes after a grace period.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hearth_engine::{Access, DirectoryGrant, pieces};
use tokio::sync::Mutex;

use crate::checksum::sha256;
use crate::deploy::aside;
use crate::error::PlatformError;
use crate::layer::LayerRef;
use crate::package::{self, PackageError, PackageLimits};
use crate::platform::Inner;
use crate::storage::code_store::CodeError;

/// Where guests see the files of layers.
pub const LAYERS_PATH: &str = "/opt";

/// What a directory that is not whole yet begins with.
const UNFINISHED: &str = "new-";

/// Unpacked layers.
#[derive(Debug)]
pub(crate) struct Mounts {
    dir: PathBuf,
    /// Since when nothing needs which directory. Held while one is made or removed.
    idle: Mutex<HashMap<String, Instant>>,
}

/// Why layers cannot be unpacked.
#[derive(Debug, thiserror::Error)]
enum UnpackError {
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn failed(doing: &'static str) -> impl Fn(UnpackError) -> CodeError {
    move |error| CodeError::Io { digest: "of layers".to_owned(), doing, why: error.to_string() }
}

/// The directory of a combination; the order counts.
fn key(layers: &[LayerRef]) -> String {
    let digests: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
    sha256(digests.join("\n").as_bytes())
}

impl Mounts {
    /// With an empty directory under this one.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, CodeError> {
        let open = || {
            let dir = data_dir.canonicalize()?.join("layers");
            if dir.exists() {
                std::fs::remove_dir_all(&dir)?;
            }
            std::fs::create_dir(&dir)?;
            Ok(dir)
        };
        let dir = open().map_err(|error: std::io::Error| CodeError::Io {
            digest: "of layers".to_owned(),
            doing: "unpacked",
            why: format!("{}: {error}", data_dir.join("layers").display()),
        })?;
        Ok(Self { dir, idle: Mutex::default() })
    }

    /// Removes directories that have not been `needed` for `grace`; returns how many.
    pub(crate) async fn remove_idle(
        &self,
        grace: Duration,
        needed: impl Fn() -> HashSet<String>,
    ) -> Result<u64, PlatformError> {
        let mut idle = self.idle.lock().await;
        let (needed, now) = (needed(), Instant::now());
        let found = names(&self.dir).map_err(|error| failed("listed")(error.into()))?;
        idle.retain(|name, _| found.contains(name) && !needed.contains(name));
        let mut removed = 0;
        for name in found.into_iter().filter(|name| !needed.contains(name)) {
            if now.duration_since(*idle.entry(name.clone()).or_insert(now)) < grace {
                continue;
            }
            let path = self.dir.join(&name);
            let gone = aside("removing layers", || std::fs::remove_dir_all(path)).await?;
            gone.map_err(|error| failed("removed")(error.into()))?;
            idle.remove(&name);
            removed += 1;
        }
        Ok(removed)
    }
}

fn names(dir: &Path) -> std::io::Result<Vec<String>> {
    let entries = std::fs::read_dir(dir)?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

impl Inner {
    /// The grant that shows layers to a function, unpacking them if need be; none if there are none.
    pub(crate) async fn mount(
        &self,
        layers: &[LayerRef],
        function: &str,
    ) -> Result<Option<DirectoryGrant>, PlatformError> {
        if layers.is_empty() {
            return Ok(None);
        }
        let mut idle = self.mounts.idle.lock().await;
        let key = key(layers);
        // Its time begins anew: it may be needed before any record says so.
        idle.remove(&key);
        let dir = self.mounts.dir.join(&key);
        if !dir.is_dir() {
            let mut archives = Vec::new();
            for layer in layers {
                archives.push(self.code.get(&layer.digest, function).await?);
            }
            let (to, limits) = (dir.clone(), self.package.clone());
            // Of this attempt alone: one whose caller went away may still be at work. What it leaves goes as idle.
            let attempt = uuid::Uuid::new_v4();
            let unfinished = self.mounts.dir.join(format!("{UNFINISHED}{attempt}"));
            let make = move || make(&archives, &limits, &unfinished, &to);
            aside("unpacking layers", make).await?.map_err(failed("unpacked"))?;
        }
        Ok(Some(DirectoryGrant {
            host_path: dir,
            guest_path: LAYERS_PATH.to_owned(),
            access: Access::ReadOnly,
        }))
    }

    /// Removes unpacked layers that no function needs.
    pub(crate) async fn remove_idle_mounts(&self) -> Result<u64, PlatformError> {
        let needed = || {
            let mut needed = HashSet::new();
            self.catalog.each_function(|function| {
                if !function.settings.layers.is_empty() {
                    needed.insert(key(&function.settings.layers));
                }
            });
            needed
        };
        self.mounts.remove_idle(self.orphan_grace, needed).await
    }
}

/// Unpacks archives into a new directory that gets its name when it is whole. Of files with one path, the first counts.
fn make(
    archives: &[Bytes],
    limits: &PackageLimits,
    unfinished: &Path,
    to: &Path,
) -> Result<(), UnpackError> {
    std::fs::create_dir(unfinished)?;
    let (mut files, mut directories) = (BTreeSet::new(), BTreeSet::new());
    for archive in archives {
        package::each_file(archive, limits, |name, bytes| {
            let path = Path::new(name);
            let above: Vec<&Path> =
                path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
            let is_taken = files.contains(path)
                || directories.contains(path)
                || above.iter().any(|above| files.contains(*above));
            if is_taken {
                return Ok::<_, UnpackError>(());
            }
            if let Some(parent) = above.first() {
                std::fs::create_dir_all(unfinished.join(parent))?;
            }
            directories.extend(above.into_iter().map(Path::to_path_buf));
            let mut file = std::fs::File::create_new(unfinished.join(path))?;
            pieces::write_all(&mut file, bytes)?;
            files.insert(path.to_path_buf());
            Ok(())
        })?;
    }
    match std::fs::rename(unfinished, to) {
        // Another attempt was first; both made the same.
        Err(_) if to.is_dir() => Ok(std::fs::remove_dir_all(unfinished)?),
        renamed => Ok(renamed?),
    }
}

#[cfg(test)]
#[path = "mounted_tests.rs"]
mod tests;
