//! What is uploaded as code, and the wasm binary in it.
//!
//! A raw binary is taken as it is. In an archive, the binary is the one entry whose name ends in `.wasm`; where there are several it is
//! `bootstrap.wasm`, `main.wasm` or `index.wasm` at the top, in this order. Nothing is ever written to disk from here. Whether the
//! bytes are wasm is the engine's to say.

mod error;
mod files;
mod zip;

use bytes::Bytes;

pub use error::PackageError;
pub(crate) use files::each_file;

use crate::error::RequestError;

/// Bounds of uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageLimits {
    /// Bytes of one upload. Default 100 MiB.
    pub package_bytes: u64,
    /// Bytes of the wasm binary in it. Default 64 MiB.
    pub code_bytes: u64,
    /// Bytes of all files of a layer together, inflated. Default 256 MiB.
    pub files_bytes: u64,
    /// Entries of an archive. Default 10,000.
    pub entries: u64,
    /// How many times larger than its compressed form a binary above 1 MiB may be. Default 200.
    pub ratio: u64,
}

impl Default for PackageLimits {
    fn default() -> Self {
        Self {
            package_bytes: 100 * hearth_engine::MIB,
            code_bytes: 64 * hearth_engine::MIB,
            files_bytes: 256 * hearth_engine::MIB,
            entries: 10_000,
            ratio: 200,
        }
    }
}

/// What a package is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A zip archive.
    Zip,
    /// A wasm binary.
    Wasm,
}

impl Form {
    /// What these bytes can only be.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        if bytes.starts_with(b"\0asm") { Self::Wasm } else { Self::Zip }
    }
}

/// The wasm binary of a package.
pub(crate) fn open(
    bytes: &Bytes,
    form: Form,
    limits: &PackageLimits,
) -> Result<Bytes, RequestError> {
    let within = |size: usize, limit_bytes: u64| {
        let size_bytes = size as u64;
        if size_bytes <= limit_bytes {
            return Ok(());
        }
        Err(RequestError::TooLarge { what: "code", size_bytes, limit_bytes })
    };
    match form {
        Form::Wasm => {
            within(bytes.len(), limits.code_bytes)?;
            Ok(bytes.clone())
        }
        Form::Zip => {
            within(bytes.len(), limits.package_bytes)?;
            Ok(zip::wasm_of(bytes, limits)?)
        }
    }
}

/// Refuses an archive whose files cannot all be unpacked.
pub(crate) fn check_files(archive: &Bytes, limits: &PackageLimits) -> Result<(), RequestError> {
    if archive.len() as u64 > limits.package_bytes {
        let (size_bytes, limit_bytes) = (archive.len() as u64, limits.package_bytes);
        return Err(RequestError::TooLarge { what: "layer", size_bytes, limit_bytes });
    }
    Ok(each_file::<PackageError>(archive, limits, |_, _| Ok(()))?)
}
