//! Artifacts that several servers share, so that one compiles and the others only load.
//!
//! Where they are kept is the embedder's: [`SharedArtifacts`]. What comes from there is trusted no more than a file: it begins with a keyed
//! hash over its identity and its bytes, under a key that all servers of the place are given; what does not fit is counted and compiled
//! here. What fits is written to the own directory, under the own seal, and mapped from there. A place that fails is left alone for a
//! while, so nobody waits for it again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use super::ArtifactKey;

/// Bytes of the seal before the code.
const SEAL_BYTES: usize = 32;

/// The fewest bytes that a secret may have which servers share.
const SECRET_BYTES_MIN: usize = 32;

/// Largest artifact that is shared.
const SHARED_BYTES_MAX: u64 = 256 << 20;

/// How long a place is left alone that failed.
const PAUSE: Duration = Duration::from_secs(30);

/// Artifacts that are handed in at once; more are not shared.
const UPLOADS_MAX: usize = 4;

/// A place that several servers keep artifacts in. Its methods block, on threads that serve nobody, and return within a bound of their own:
/// whoever loads a function waits for [`get`](Self::get).
pub trait SharedArtifacts: Send + Sync + std::fmt::Debug + 'static {
    /// What is there under a name, at most so many bytes; none if nothing is.
    ///
    /// # Errors
    /// Why it cannot be told: the place is down, slow or denies access, or there is more.
    fn get(&self, name: &str, bytes_max: u64) -> Result<Option<Bytes>, SharedArtifactError>;

    /// Puts something there as a whole: a reader finds all of it or none.
    ///
    /// # Errors
    /// Why it could not be put.
    fn put(&self, name: &str, bytes: Bytes) -> Result<(), SharedArtifactError>;
}

/// Why a place of shared artifacts could not be used. It costs a compilation, never an invocation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("shared artifacts: {why}")]
pub struct SharedArtifactError {
    /// What happened, for the operator.
    pub why: String,
}

/// What seals shared artifacts. Whoever has it can make every server of the place run native code.
#[derive(Clone)]
pub struct SharedArtifactKey([u8; 32]);

impl std::fmt::Debug for SharedArtifactKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedArtifactKey")
    }
}

impl SharedArtifactKey {
    /// The key of a secret that all servers of a place have, at least 32 bytes; none if it is shorter.
    pub fn new(secret: &[u8]) -> Option<Self> {
        let key = || blake3::derive_key("hearth shared artifacts v1", secret);
        (secret.len() >= SECRET_BYTES_MIN).then(|| Self(key()))
    }

    fn seal(&self, key: &ArtifactKey, code: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&key.0).update(code);
        hasher.finalize()
    }
}

/// The place, the key, and what came of using it.
#[derive(Debug)]
pub(crate) struct Sharing {
    place: Arc<dyn SharedArtifacts>,
    key: SharedArtifactKey,
    paused_until: Mutex<Option<Instant>>,
    uploads: AtomicUsize,
    pub(crate) hits: AtomicU64,
    pub(crate) stored: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) rejected: AtomicU64,
}

impl Sharing {
    pub(crate) fn new(place: Arc<dyn SharedArtifacts>, key: SharedArtifactKey) -> Self {
        Self {
            place,
            key,
            paused_until: Mutex::new(None),
            uploads: AtomicUsize::new(0),
            hits: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
        }
    }

    /// What another server compiled, if it is there and its seal fits. Blocks.
    pub(crate) fn fetch(&self, key: &ArtifactKey) -> Option<Bytes> {
        if self.is_paused() {
            return None;
        }
        let found = self.place.get(&name_of(key), SHARED_BYTES_MAX + SEAL_BYTES as u64);
        let mut sealed = self.told("reading", found)??;
        let seal = <[u8; SEAL_BYTES]>::try_from(sealed.get(..SEAL_BYTES).unwrap_or_default());
        let code = sealed.split_off(sealed.len().min(SEAL_BYTES));
        // blake3::Hash compares in constant time.
        if seal.is_ok_and(|seal| self.key.seal(key, &code) == blake3::Hash::from_bytes(seal)) {
            return Some(code);
        }
        self.reject(key, "its contents do not fit its seal");
        None
    }

    /// What was fetched is of no use.
    pub(crate) fn reject(&self, key: &ArtifactKey, why: &str) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(artifact = key.hex(), why, "shared artifact rejected; compiling it here");
    }

    /// Hands in what was compiled here, on a thread that nobody waits for. Not when many are on their way already, or the place failed
    /// lately: another server then compiles it once more.
    pub(crate) fn hand_in(self: &Arc<Self>, key: ArtifactKey, code: Bytes) {
        if self.is_paused() || code.len() as u64 > SHARED_BYTES_MAX {
            return;
        }
        if self.uploads.fetch_add(1, Ordering::Relaxed) >= UPLOADS_MAX {
            self.uploads.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let sharing = self.clone();
        let started =
            std::thread::Builder::new().name("hearth-share".to_owned()).spawn(move || {
                let mut sealed = Vec::with_capacity(SEAL_BYTES + code.len());
                sealed.extend_from_slice(sharing.key.seal(&key, &code).as_bytes());
                sealed.extend_from_slice(&code);
                let put = sharing.place.put(&name_of(&key), sealed.into());
                if sharing.told("writing", put).is_some() {
                    sharing.stored.fetch_add(1, Ordering::Relaxed);
                }
                sharing.uploads.fetch_sub(1, Ordering::Relaxed);
            });
        if started.is_err() {
            self.uploads.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn is_paused(&self) -> bool {
        self.paused_until.lock().is_some_and(|until| Instant::now() < until)
    }

    fn told<T>(&self, doing: &str, done: Result<T, SharedArtifactError>) -> Option<T> {
        done.inspect_err(|error| {
            self.failed.fetch_add(1, Ordering::Relaxed);
            *self.paused_until.lock() = Some(Instant::now() + PAUSE);
            tracing::warn!(
                doing,
                why = error.why,
                "shared artifacts are left alone for {} s",
                PAUSE.as_secs()
            );
        })
        .ok()
    }
}

fn name_of(key: &ArtifactKey) -> String {
    format!("{}.cwasm", key.hex())
}
