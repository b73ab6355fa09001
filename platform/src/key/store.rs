//! The keys of a platform: made, rotated, revoked, and found by their id.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::seal::{SealError, Sealer};
use super::{AccessKey, OpenKey, Role, Secret};
use crate::audit::{AuditConfig, Author, Change, Origin, Trail, Verb};
use crate::catalog::Record;
use crate::clock::SystemClock;
use crate::domain::Domain;
use crate::storage::sqlite::SqliteStorage;
use crate::storage::{Collection, Expect, Op, Storage, StorageError};

const KEYS: Collection = Collection("key");

/// Keys that there may be, revoked ones included.
pub(super) const KEYS_MAX: usize = 10_000;

/// The sealing key, unless another file is named.
const SEALING_KEY: &str = "sealing.key";

/// Characters of an id after its beginning, of a secret and of a token: about 119, 238 and 381 bits.
const ID_LENGTH: usize = 20;
const SECRET_LENGTH: usize = 40;
const TOKEN_LENGTH: usize = 64;

/// Longest account id and service prefix, in bytes.
const TEXT_BYTES_MAX: usize = 128;

/// Longest overlap of a rotation, and longest life of a temporary key.
const OVERLAP_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
const LIFE_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Why something about keys did not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is no such key.
    #[error("access key `{id}` does not exist")]
    NotFound {
        /// Its id.
        id: String,
    },
    /// A key that was revoked does not come back.
    #[error("access key `{id}` is revoked; make another")]
    Revoked {
        /// Its id.
        id: String,
    },
    /// A value is out of bounds.
    #[error("{what} is invalid: {why}")]
    Invalid {
        /// Which.
        what: &'static str,
        /// What would be right.
        why: String,
    },
    /// There are as many keys as there may be.
    #[error("there are {KEYS_MAX} access keys, as many as there may be")]
    TooMany,
    /// Secrets cannot be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Storage did not do it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A record cannot be read.
    #[error("the record of access key `{id}` is damaged: {why}")]
    Damaged {
        /// Its id.
        id: String,
        /// Why.
        why: String,
    },
}

/// What a new key shall be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewKey {
    /// What it may do.
    pub role: Role,
    /// The account that it acts for.
    pub account: String,
    /// The beginning that the names of its services have; empty for all.
    pub services: String,
    /// How long it lives. Such a key is temporary: its requests carry a security token as well.
    pub life: Option<Duration>,
}

impl NewKey {
    /// A lasting key for all services.
    pub fn new(role: Role, account: impl Into<String>) -> Self {
        Self { role, account: account.into(), services: String::new(), life: None }
    }
}

/// A key as it is stored: with its secrets sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stored {
    key: AccessKey,
    secret: String,
    previous: Option<String>,
    token: Option<String>,
}

/// Records as stored, and at which version.
type Records = BTreeMap<Arc<str>, (Stored, u64)>;

/// All keys.
#[derive(Debug)]
pub struct Keys(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    trail: Arc<Trail>,
    sealing_key: PathBuf,
    sealer: OnceLock<Sealer>,
    /// Whether something else than keys was sealed when these were read: private keys of certificates.
    has_sealed_others: bool,
    open: ArcSwap<BTreeMap<Arc<str>, Arc<OpenKey>>>,
    /// Held by the one who changes them.
    stored: Arc<Mutex<Records>>,
}

impl Keys {
    /// The keys of a data directory that no server uses at the moment.
    ///
    /// # Errors
    /// Another process has the directory; it cannot be read; the sealing key is missing or open to others.
    pub async fn of_directory(
        data_dir: &Path,
        sealing_key: Option<PathBuf>,
    ) -> Result<Self, KeyError> {
        let storage = Arc::new(SqliteStorage::open(data_dir)?);
        let trail = Trail::new(storage, Arc::new(SystemClock::default()), AuditConfig::default());
        Self::open(trail, data_dir, sealing_key).await
    }

    /// How many keys are stored, none of them opened.
    pub(crate) async fn count(storage: &Arc<dyn Storage>) -> Result<usize, KeyError> {
        let mut count = 0;
        storage
            .each(KEYS, |_| {
                count += 1;
                Ok::<_, KeyError>(())
            })
            .await?;
        Ok(count)
    }

    /// Reads and opens all keys.
    pub(crate) async fn open(
        trail: Arc<Trail>,
        data_dir: &Path,
        sealing_key: Option<PathBuf>,
    ) -> Result<Self, KeyError> {
        let mut stored = Records::new();
        trail
            .storage
            .each(KEYS, |entry| {
                let id = entry.key;
                let record: Stored = serde_json::from_slice(&entry.value).map_err(|error| {
                    KeyError::Damaged { id: id.clone(), why: error.to_string() }
                })?;
                stored.insert(Arc::from(id), (record, entry.version));
                Ok::<_, KeyError>(())
            })
            .await?;
        let mut has_sealed_others = false;
        trail
            .storage
            .each(Domain::COLLECTION, |entry| {
                // What cannot be read may hold a secret as well.
                has_sealed_others |= serde_json::from_slice::<Domain>(&entry.value)
                    .map_or(true, |domain| domain.settings.has_sealed_key());
                Ok::<_, KeyError>(())
            })
            .await?;
        let sealing_key = sealing_key.unwrap_or_else(|| data_dir.join(SEALING_KEY));
        let shared = Shared {
            trail,
            sealing_key,
            sealer: OnceLock::new(),
            has_sealed_others,
            open: ArcSwap::default(),
            stored: Arc::default(),
        };
        let mut open = BTreeMap::new();
        for (id, (record, _)) in &stored {
            open.insert(id.clone(), Arc::new(shared.unsealed(record)?));
        }
        shared.open.store(Arc::new(open));
        *shared.stored.lock().await = stored;
        Ok(Self(Arc::new(shared)))
    }

    /// The key of that id, in whatever state it is.
    pub fn find(&self, id: &str) -> Option<Arc<OpenKey>> {
        self.0.open.load().get(id).cloned()
    }

    /// Whether there is any key, in whatever state: then somebody wants to know who calls.
    pub fn is_empty(&self) -> bool {
        self.0.open.load().is_empty()
    }

    /// All keys in the order of their ids.
    pub fn list(&self) -> Vec<AccessKey> {
        self.0.open.load().values().map(|open| open.key.clone()).collect()
    }

    /// Seals a secret of something else than a key.
    pub(crate) fn seal_for(&self, owner: &str, secret: &str) -> Result<String, KeyError> {
        Ok(self.0.seal(owner, secret)?)
    }

    /// Opens what was sealed so.
    pub(crate) fn unseal_for(&self, owner: &str, sealed: &str) -> Result<Secret, KeyError> {
        Ok(Secret::new(self.0.sealer(false)?.unseal(owner, sealed)?))
    }

    /// Makes a key. Its secret, and its token if it is temporary, are told here and never again.
    ///
    /// # Errors
    /// A value is out of bounds, there are too many, or it cannot be kept.
    pub async fn create(&self, new: NewKey, by: &Origin) -> Result<OpenKey, KeyError> {
        check("account", &new.account, 1)?;
        check("services", &new.services, 0)?;
        if new.life.is_some_and(|life| life.is_zero() || life > LIFE_MAX) {
            let why = format!("must be between 1 s and {} days", LIFE_MAX.as_secs() / 86_400);
            return Err(KeyError::Invalid { what: "life", why });
        }
        let stored = self.0.stored.clone().lock_owned().await;
        if stored.len() >= KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let now_ms = self.0.trail.clock.now_ms();
        // One official client sends its security token only with ids that begin so.
        let beginning = if new.life.is_some() { "STS." } else { "HK" };
        let key = AccessKey {
            id: format!("{beginning}{}", random_text(ID_LENGTH)?).into(),
            account: new.account.into(),
            role: new.role,
            services: new.services,
            is_revoked: false,
            expire_ms: new.life.map(|life| now_ms.saturating_add(millis(life))),
            created_ms: now_ms,
            rotated_ms: None,
            overlap_until_ms: None,
        };
        let token = match new.life {
            Some(_) => Some(self.0.seal(&key.id, &random_text(TOKEN_LENGTH)?)?),
            None => None,
        };
        let secret = self.0.seal(&key.id, &random_text(SECRET_LENGTH)?)?;
        let record = Stored { key, secret, previous: None, token };
        self.0.write(stored, record, Expect::Absent, (Verb::Create, by)).await
    }

    /// Gives a key another secret; the one before works for `overlap` longer.
    ///
    /// # Errors
    /// There is no such key, it is revoked, the overlap is too long, or it cannot be kept.
    pub async fn rotate(
        &self,
        id: &str,
        overlap: Duration,
        by: &Origin,
    ) -> Result<OpenKey, KeyError> {
        if overlap > OVERLAP_MAX {
            let why = format!("must be at most {} days", OVERLAP_MAX.as_secs() / 86_400);
            return Err(KeyError::Invalid { what: "overlap", why });
        }
        let stored = self.0.stored.clone().lock_owned().await;
        let (mut record, version) = alive(&stored, id)?;
        let now_ms = self.0.trail.clock.now_ms();
        let secret = self.0.seal(id, &random_text(SECRET_LENGTH)?)?;
        record.previous = Some(std::mem::replace(&mut record.secret, secret));
        record.key.rotated_ms = Some(now_ms);
        record.key.overlap_until_ms = Some(now_ms.saturating_add(millis(overlap)));
        self.0.write(stored, record, Expect::Version(version), (Verb::Rotate, by)).await
    }

    /// Ends a key for good; it works for nobody from now on.
    ///
    /// # Errors
    /// There is no such key, or that cannot be written.
    pub async fn revoke(&self, id: &str, by: &Origin) -> Result<AccessKey, KeyError> {
        let stored = self.0.stored.clone().lock_owned().await;
        let (mut record, version) = match alive(&stored, id) {
            // Saying it twice changes nothing.
            Err(KeyError::Revoked { .. }) => {
                let open = self.find(id).ok_or_else(|| absent(id))?;
                return Ok(open.key.clone());
            }
            found => found?,
        };
        record.key.is_revoked = true;
        record.previous = None;
        let done = (Verb::Revoke, by);
        Ok(self.0.write(stored, record, Expect::Version(version), done).await?.key)
    }
}

impl Shared {
    /// Writes a record and swaps it in, to the end even when its caller goes away: between the two, disk and memory differ.
    async fn write(
        self: &Arc<Self>,
        mut stored: OwnedMutexGuard<Records>,
        record: Stored,
        expect: Expect,
        (verb, by): (Verb, &Origin),
    ) -> Result<OpenKey, KeyError> {
        let shared = self.clone();
        let author = Author::new(self.trail.clone(), by.clone());
        let writing = tokio::spawn(async move {
            let id = record.key.id.clone();
            let open = shared.unsealed(&record)?;
            let value = serde_json::to_vec(&record).map_err(|error| KeyError::Damaged {
                id: id.to_string(),
                why: error.to_string(),
            })?;
            let change = Change::new(verb, "access key", &*id).stored_as(&value);
            let value = Bytes::from(value);
            let op = Op::Put { collection: KEYS, key: id.to_string(), value, expect };
            let version = author.commit(change, vec![op]).await?.version();
            stored.insert(id.clone(), (record, version));
            let mut all = BTreeMap::clone(&shared.open.load());
            all.insert(id, Arc::new(open.clone()));
            shared.open.store(Arc::new(all));
            Ok(open)
        });
        writing.await.unwrap_or_else(|_| Err(StorageError::Closed.into()))
    }

    fn unsealed(&self, record: &Stored) -> Result<OpenKey, KeyError> {
        let id = &record.key.id;
        let open = |sealed: &String| -> Result<Secret, KeyError> {
            Ok(Secret::new(self.sealer(false)?.unseal(id, sealed)?))
        };
        Ok(OpenKey {
            key: record.key.clone(),
            secret: open(&record.secret)?,
            previous: record.previous.as_ref().map(open).transpose()?,
            token: record.token.as_ref().map(open).transpose()?,
        })
    }

    fn seal(&self, owner: &str, secret: &str) -> Result<String, SealError> {
        // A new sealing key is made only where nothing is sealed with an old one.
        let may_make = !self.has_sealed_others && self.open.load().is_empty();
        self.sealer(may_make)?.seal(owner, secret)
    }

    fn sealer(&self, may_make: bool) -> Result<&Sealer, SealError> {
        if let Some(sealer) = self.sealer.get() {
            return Ok(sealer);
        }
        let sealer = Sealer::open(&self.sealing_key, may_make)?;
        Ok(self.sealer.get_or_init(|| sealer))
    }
}

fn absent(id: &str) -> KeyError {
    KeyError::NotFound { id: id.to_owned() }
}

fn alive(stored: &Records, id: &str) -> Result<(Stored, u64), KeyError> {
    let (record, version) = stored.get(id).ok_or_else(|| absent(id))?;
    if record.key.is_revoked {
        return Err(KeyError::Revoked { id: id.to_owned() });
    }
    Ok((record.clone(), *version))
}

fn check(what: &'static str, text: &str, shortest: usize) -> Result<(), KeyError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if is_plain && (shortest..=TEXT_BYTES_MAX).contains(&text.len()) {
        return Ok(());
    }
    let why = format!("must be {shortest} to {TEXT_BYTES_MAX} letters, digits, `-`, `_` or `.`");
    Err(KeyError::Invalid { what, why })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Random letters and digits, each as likely as the other.
fn random_text(length: usize) -> Result<String, SealError> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let random = SystemRandom::new();
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 64];
    while text.len() < length {
        random.fill(&mut bytes).map_err(|_| SealError::System)?;
        // What is above the largest multiple of 62 would favour the first letters.
        let fair = bytes.iter().filter(|byte| usize::from(**byte) < 4 * LETTERS.len());
        let letters = fair.filter_map(|byte| LETTERS.get(usize::from(*byte) % LETTERS.len()));
        text.extend(letters.take(length - text.len()).map(|letter| char::from(*letter)));
    }
    Ok(text)
}
