//! `wasi:keyvalue`: values under keys, scoped to the service a function belongs to.
//!
//! [`KeyValue`] is the port and [`MemoryKeyValue`] the store in this process's memory. Both are synchronous, because nothing
//! here may wait. A scope is two separate names, never one concatenated key, so no key or bucket name can reach another
//! service.

mod host;
mod memory;

pub use memory::MemoryKeyValue;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use host::{Bucket, Cas};

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;
/// The longest name of a bucket, in bytes.
pub const MAX_BUCKET_BYTES: usize = 128;
/// The bucket that `open("")` means.
pub const DEFAULT_BUCKET: &str = "default";
/// The most keys in one page of [`KeyValue::list_keys`].
pub const PAGE_KEYS: usize = 1000;
/// A page ends early once its keys make up this many bytes, so that listing costs a bounded copy whatever the keys are.
pub const PAGE_BYTES: usize = 64 * 1024;

/// What the writes of a function are held to. It counts everything its service holds, whichever function wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// The most keys of a service. The default is 65,536: each costs the host some hundred bytes beside its value.
    pub keys: u64,
    /// The most bytes of one value. The default is 1 MiB.
    pub value_bytes: u64,
    /// The most bytes of all keys and values of a service. The default is 64 MiB.
    pub service_bytes: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Self { keys: 65_536, value_bytes: 1024 * 1024, service_bytes: 64 * 1024 * 1024 }
    }
}

/// Whose keys are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope<'a> {
    /// The service.
    pub service: &'a str,
    /// The bucket inside the service; never empty.
    pub bucket: &'a str,
}

/// A value and the number of its change. Every change of a key in a service has a number of its own; 0 stands for absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versioned {
    /// The value; `None` when the key is absent.
    pub value: Option<Bytes>,
    /// The number of the change that set it.
    pub version: u64,
}

/// One page of keys, in the order of their bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<String>,
    /// What to pass for the next page; `None` after the last.
    pub cursor: Option<String>,
}

/// Why an operation on a key failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyValueError {
    /// The key is too long.
    #[error("key of {bytes} bytes is longer than {MAX_KEY_BYTES}")]
    KeyTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The value is larger than the quota allows.
    #[error("value of {bytes} bytes is larger than {limit}, the quota of one value")]
    ValueTooLarge {
        /// Its size.
        bytes: u64,
        /// The quota.
        limit: u64,
    },
    /// The service has as many keys as the quota allows.
    #[error("service holds {limit} keys already, its quota; delete some first")]
    TooManyKeys {
        /// The quota.
        limit: u64,
    },
    /// The service would hold more bytes than the quota allows.
    #[error("service would hold {bytes} bytes of keys and values, more than its quota of {limit}")]
    TooManyBytes {
        /// What it would hold.
        bytes: u64,
        /// The quota.
        limit: u64,
    },
    /// `increment` found something that is no decimal number of 64 bits.
    #[error("value is not a decimal number, so it cannot be incremented")]
    NotANumber,
    /// `increment` would leave the range of 64 bits.
    #[error("number would leave the range of 64 bits")]
    NumberOverflow,
}

/// Where keys and values are kept. Called on the thread that runs the guest: it must not block on anything but short locks.
pub trait KeyValue: Send + Sync {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`KeyValueError::KeyTooLong`].
    fn get(&self, scope: Scope<'_>, key: &str) -> Result<Option<Bytes>, KeyValueError>;

    /// Sets `key` to `value`.
    ///
    /// # Errors
    /// When the key is too long or a quota would be exceeded; nothing is changed then.
    fn set(
        &self,
        scope: Scope<'_>,
        key: &str,
        value: Bytes,
        quota: &Quota,
    ) -> Result<(), KeyValueError>;

    /// Removes `key`, if it is there.
    ///
    /// # Errors
    /// [`KeyValueError::KeyTooLong`].
    fn delete(&self, scope: Scope<'_>, key: &str) -> Result<(), KeyValueError>;

    /// Whether `key` is there.
    ///
    /// # Errors
    /// [`KeyValueError::KeyTooLong`].
    fn exists(&self, scope: Scope<'_>, key: &str) -> Result<bool, KeyValueError>;

    /// The keys that come after `cursor`, at most [`PAGE_KEYS`] of them. A key that is there all the while is in exactly one
    /// page.
    ///
    /// # Errors
    /// None in memory; another store may fail.
    fn list_keys(&self, scope: Scope<'_>, cursor: Option<&str>) -> Result<KeyPage, KeyValueError>;

    /// Adds `delta` to the decimal number at `key` in one step and returns the sum; an absent key counts as 0.
    ///
    /// # Errors
    /// When the value is no number, the sum overflows, or a quota would be exceeded; nothing is changed then.
    fn increment(
        &self,
        scope: Scope<'_>,
        key: &str,
        delta: i64,
        quota: &Quota,
    ) -> Result<i64, KeyValueError>;

    /// The value of `key` with the number of its last change.
    ///
    /// # Errors
    /// [`KeyValueError::KeyTooLong`].
    fn versioned(&self, scope: Scope<'_>, key: &str) -> Result<Versioned, KeyValueError>;

    /// Sets `key` to `value` if its last change is still `version`. `Ok(Err(newer))` gives the number it has instead.
    ///
    /// # Errors
    /// When the key is too long or a quota would be exceeded; nothing is changed then.
    fn replace(
        &self,
        scope: Scope<'_>,
        key: &str,
        version: u64,
        value: Bytes,
        quota: &Quota,
    ) -> Result<Result<(), u64>, KeyValueError>;
}
