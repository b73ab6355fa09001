//! The failures of a file system in memory, in the codes of either WASI, and its times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wasmtime_wasi::p1::types::{Errno, Error as Preview1Error};
use wasmtime_wasi::p2::FsError;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types::{ErrorCode, NewTimestamp};
use wasmtime_wasi::p3::bindings::clocks::system_clock::Instant;
use wasmtime_wasi::p3::bindings::filesystem::types as new;
use wasmtime_wasi::p3::filesystem::FilesystemError;

use crate::memory_fs::MemoryFsError;

impl From<MemoryFsError> for ErrorCode {
    fn from(error: MemoryFsError) -> Self {
        match error {
            MemoryFsError::NoEntry => Self::NoEntry,
            MemoryFsError::Exist => Self::Exist,
            MemoryFsError::NotDirectory => Self::NotDirectory,
            MemoryFsError::IsDirectory => Self::IsDirectory,
            MemoryFsError::NotEmpty => Self::NotEmpty,
            MemoryFsError::NotPermitted => Self::NotPermitted,
            MemoryFsError::InsufficientSpace => Self::InsufficientSpace,
            MemoryFsError::NameTooLong => Self::NameTooLong,
            MemoryFsError::Invalid => Self::Invalid,
            MemoryFsError::FileTooLarge => Self::FileTooLarge,
            MemoryFsError::Unsupported => Self::Unsupported,
            MemoryFsError::CrossDevice => Self::CrossDevice,
            MemoryFsError::BadDescriptor => Self::BadDescriptor,
        }
    }
}

impl From<MemoryFsError> for FsError {
    fn from(error: MemoryFsError) -> Self {
        ErrorCode::from(error).into()
    }
}

impl From<MemoryFsError> for new::ErrorCode {
    fn from(error: MemoryFsError) -> Self {
        match error {
            MemoryFsError::NoEntry => Self::NoEntry,
            MemoryFsError::Exist => Self::Exist,
            MemoryFsError::NotDirectory => Self::NotDirectory,
            MemoryFsError::IsDirectory => Self::IsDirectory,
            MemoryFsError::NotEmpty => Self::NotEmpty,
            MemoryFsError::NotPermitted => Self::NotPermitted,
            MemoryFsError::InsufficientSpace => Self::InsufficientSpace,
            MemoryFsError::NameTooLong => Self::NameTooLong,
            MemoryFsError::Invalid => Self::Invalid,
            MemoryFsError::FileTooLarge => Self::FileTooLarge,
            MemoryFsError::Unsupported => Self::Unsupported,
            MemoryFsError::CrossDevice => Self::CrossDevice,
            MemoryFsError::BadDescriptor => Self::BadDescriptor,
        }
    }
}

impl From<MemoryFsError> for FilesystemError {
    fn from(error: MemoryFsError) -> Self {
        new::ErrorCode::from(error).into()
    }
}

impl From<MemoryFsError> for Errno {
    fn from(error: MemoryFsError) -> Self {
        match error {
            MemoryFsError::NoEntry => Self::Noent,
            MemoryFsError::Exist => Self::Exist,
            MemoryFsError::NotDirectory => Self::Notdir,
            MemoryFsError::IsDirectory => Self::Isdir,
            MemoryFsError::NotEmpty => Self::Notempty,
            MemoryFsError::NotPermitted => Self::Perm,
            MemoryFsError::InsufficientSpace => Self::Nospc,
            MemoryFsError::NameTooLong => Self::Nametoolong,
            MemoryFsError::Invalid => Self::Inval,
            MemoryFsError::FileTooLarge => Self::Fbig,
            MemoryFsError::Unsupported => Self::Notsup,
            MemoryFsError::CrossDevice => Self::Xdev,
            MemoryFsError::BadDescriptor => Self::Badf,
        }
    }
}

impl From<MemoryFsError> for Preview1Error {
    fn from(error: MemoryFsError) -> Self {
        Errno::from(error).into()
    }
}

/// A time as `wasi:clocks` has it; what was before 1970 is 1970.
pub(super) fn datetime(time: SystemTime) -> Datetime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() }
}

/// A time as preview 1 has it, in nanoseconds.
pub(crate) fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The time that a guest wants set; `None` leaves it as it is.
pub(super) fn wanted(stamp: NewTimestamp) -> Result<Option<SystemTime>, ErrorCode> {
    match stamp {
        NewTimestamp::NoChange => Ok(None),
        NewTimestamp::Now => Ok(Some(SystemTime::now())),
        NewTimestamp::Timestamp(Datetime { seconds, nanoseconds }) => {
            let whole = Duration::from_secs(seconds);
            let since = whole.checked_add(Duration::from_nanos(nanoseconds.into()));
            let time = since.and_then(|since| UNIX_EPOCH.checked_add(since));
            time.map(Some).ok_or(ErrorCode::Overflow)
        }
    }
}

/// A time as `wasi:clocks` 0.3 has it; what was before 1970 is 1970.
pub(super) fn instant(time: SystemTime) -> Instant {
    let Datetime { seconds, nanoseconds } = datetime(time);
    Instant { seconds: i64::try_from(seconds).unwrap_or(i64::MAX), nanoseconds }
}

/// As [`wanted`], for a guest of WASI 0.3. What is before 1970 cannot be set.
pub(super) fn wanted_new(stamp: new::NewTimestamp) -> Result<Option<SystemTime>, new::ErrorCode> {
    let stamp = match stamp {
        new::NewTimestamp::NoChange => NewTimestamp::NoChange,
        new::NewTimestamp::Now => NewTimestamp::Now,
        new::NewTimestamp::Timestamp(Instant { seconds, nanoseconds }) => {
            let seconds = u64::try_from(seconds).map_err(|_| new::ErrorCode::Overflow)?;
            NewTimestamp::Timestamp(Datetime { seconds, nanoseconds })
        }
    };
    wanted(stamp).map_err(|_| new::ErrorCode::Overflow)
}
