//! Sealing: secrets that must be read back are kept encrypted under a key that is in a file of its own, so that a copy of the storage
//! alone gives none of them away.
//!
//! ChaCha20-Poly1305 (RFC 8439) with a random nonce for each secret; whose secret it is is authenticated with it, so that a sealed
//! secret moved to another record does not open.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

/// Bytes of the sealing key.
const KEY_BYTES: usize = 32;

/// Why secrets cannot be sealed or opened. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The file cannot be read or written.
    #[error("sealing key {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There are sealed secrets, and the file that opens them is gone.
    #[error(
        "sealing key {path} is not there, and secrets are sealed with it; put it back, or name it in the settings"
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// Others than its owner may use the file.
    #[error(
        "sealing key {path} has mode {mode:03o}, which lets others use it; say: chmod 600 {path}"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file is not a sealing key.
    #[error("sealing key {path} has {found} bytes; one has {KEY_BYTES}")]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: usize,
    },
    /// The secret was sealed with another key, for somebody else, or was changed.
    #[error("the secret of `{owner}` does not open with this sealing key")]
    Damaged {
        /// Whose secret.
        owner: String,
    },
    /// The system gives no random bytes, or refuses to encrypt.
    #[error("the system's cryptography failed")]
    System,
}

/// Seals and opens.
pub(super) struct Sealer {
    key: LessSafeKey,
    random: SystemRandom,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// Reads the key, or makes one if `may_make`: not where secrets exist that another key sealed.
    pub(super) fn open(path: &Path, may_make: bool) -> Result<Self, SealError> {
        let failed = |source| SealError::File { path: path.to_owned(), source };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound && may_make => {
                make(path).map_err(failed)?;
                File::open(path).map_err(failed)?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(SealError::Missing { path: path.to_owned() });
            }
            Err(error) => return Err(failed(error)),
        };
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SealError::Open { path: path.to_owned(), mode });
        }
        let mut bytes = Vec::with_capacity(KEY_BYTES + 1);
        let read = (&mut file).take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes);
        let found = read.map_err(failed)?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes)
            .map_err(|_| SealError::Size { path: path.to_owned(), found })?;
        Ok(Self { key: LessSafeKey::new(key), random: SystemRandom::new() })
    }

    /// Seals a secret for its owner.
    pub(super) fn seal(&self, owner: &str, secret: &str) -> Result<String, SealError> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| SealError::System)?;
        let mut sealed = secret.as_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(owner.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| SealError::System)?;
        let all = [nonce.as_slice(), &sealed].concat();
        Ok(STANDARD.encode(all))
    }

    /// Opens what was sealed for that owner.
    pub(super) fn unseal(&self, owner: &str, sealed: &str) -> Result<String, SealError> {
        let damaged = || SealError::Damaged { owner: owner.to_owned() };
        let all = STANDARD.decode(sealed).map_err(|_| damaged())?;
        let (nonce, sealed) = all.split_first_chunk::<NONCE_LEN>().ok_or_else(damaged)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(owner.as_bytes()), &mut sealed)
            .map_err(|_| damaged())?;
        String::from_utf8(opened.to_vec()).map_err(|_| damaged())
    }
}

/// Writes a new key so that it is whole or absent, and on disk when this returns.
fn make(path: &Path) -> std::io::Result<()> {
    let mut key = [0; KEY_BYTES];
    let failed = |_| std::io::Error::other("no random bytes");
    SystemRandom::new().fill(&mut key).map_err(failed)?;
    let temporary = path.with_extension("tmp");
    // A leftover of a crash is of no use to anybody.
    let _ = std::fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(&key)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_owner_with_its_key_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        let sealer = Sealer::open(&path, true).unwrap();
        let sealed = sealer.seal("a", "secret").unwrap();
        assert!(!sealed.contains("secret"));
        assert_ne!(sealer.seal("a", "secret").unwrap(), sealed, "each has a nonce of its own");
        let again = Sealer::open(&path, false).unwrap();
        assert_eq!(again.unseal("a", &sealed).unwrap(), "secret");
        let other = Sealer::open(&home.path().join("other"), true).unwrap();
        let first = if sealed.starts_with('A') { 'B' } else { 'A' };
        let damaged = format!("{first}{}", &sealed[1..]);
        for (sealer, owner, sealed) in
            [(&again, "b", &sealed), (&other, "a", &sealed), (&again, "a", &damaged)]
        {
            assert!(matches!(sealer.unseal(owner, sealed), Err(SealError::Damaged { .. })));
        }
        for short in ["", "AAAA", "no base64!"] {
            assert!(again.unseal("a", short).is_err());
        }
    }

    #[test]
    fn a_key_that_others_can_use_or_that_is_none_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        assert!(matches!(Sealer::open(&path, false), Err(SealError::Missing { .. })));
        Sealer::open(&path, true).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = Sealer::open(&path, true).unwrap_err();
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        for size in [0, 31, 33, 4096] {
            std::fs::write(&path, vec![7; size]).unwrap();
            assert!(matches!(Sealer::open(&path, true), Err(SealError::Size { .. })), "{size}");
        }
    }
}
