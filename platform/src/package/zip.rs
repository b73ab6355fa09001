//! The wasm binary out of a zip archive from a stranger. All entries are looked at, only one is inflated, and that one against a
//! bound while it inflates; what its header says of its size is not believed.

use std::io::{Cursor, Read};

use ::zip::result::ZipError;
use ::zip::{CompressionMethod, ZipArchive};
use bytes::Bytes;

use super::{PackageError, PackageLimits};

/// An archive in memory.
pub(super) type Archive<'a> = ZipArchive<Cursor<&'a Bytes>>;

/// Names that say which of several binaries is meant, best first.
const PREFERRED: [&str; 3] = ["bootstrap.wasm", "main.wasm", "index.wasm"];
/// End of central directory: its signature, its size, and the longest comment after it.
const END_SIGNATURE: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const COMMENT_BYTES_MAX: usize = 65_535;
/// Below this an inflated binary may be as many times its compressed size as it likes.
const RATIO_FROM_BYTES: u64 = 1 << 20;

pub(super) fn wasm_of(archive: &Bytes, limits: &PackageLimits) -> Result<Bytes, PackageError> {
    let mut zip = open_checked(archive, limits)?;
    let mut candidates = file_names(&zip)?;
    candidates.retain(|(_, name)| name.ends_with(".wasm"));
    let (index, name) = choose(&candidates)?;
    inflate(&mut zip, index, &shown(name.as_bytes()), limits)
}

/// Opens an archive whose number of entries and whose names are acceptable.
pub(super) fn open_checked<'a>(
    archive: &'a Bytes,
    limits: &PackageLimits,
) -> Result<Archive<'a>, PackageError> {
    check_count(archive, limits.entries)?;
    let mut zip = ZipArchive::new(Cursor::new(archive)).map_err(malformed)?;
    if zip.len() as u64 > limits.entries {
        return Err(PackageError::TooManyEntries {
            count: zip.len() as u64,
            limit: limits.entries,
        });
    }
    if zip.has_duplicate_names() {
        return Err(PackageError::DuplicateNames);
    }
    if zip.has_overlapping_entries().map_err(malformed)? {
        return Err(PackageError::Overlapping);
    }
    Ok(zip)
}

/// Refuses archives that claim many entries before anything is allocated for them.
fn check_count(archive: &[u8], limit: u64) -> Result<(), PackageError> {
    let tail_at = archive.len().saturating_sub(END_BYTES + COMMENT_BYTES_MAX);
    let tail = archive.get(tail_at..).unwrap_or_default();
    let mut count = None;
    for window in tail.windows(END_BYTES) {
        if let Some([.., low, high]) =
            window.strip_prefix(END_SIGNATURE).and_then(|end| end.get(..8))
        {
            // The reader may take any of the ends it finds, so the largest claim counts.
            count = count.max(Some(u64::from(u16::from_le_bytes([*low, *high]))));
        }
    }
    match count {
        None => Err(PackageError::Malformed { why: "it has no end of central directory".into() }),
        // 65,535 stands for "see the 64-bit record", which may claim anything.
        Some(count) if count > limit || count == u64::from(u16::MAX) => {
            Err(PackageError::TooManyEntries { count, limit })
        }
        Some(_) => Ok(()),
    }
}

/// Checks every entry; returns the files by their place and name.
pub(super) fn file_names(zip: &Archive<'_>) -> Result<Vec<(usize, String)>, PackageError> {
    let mut files = Vec::new();
    for index in 0..zip.len() {
        let entry = zip.by_index_data(index).map_err(malformed)?;
        let raw = entry.name_raw();
        let name = || shown(raw);
        let plain = std::str::from_utf8(raw).ok().filter(|name| is_plain(name));
        let Some(path) = plain else { return Err(PackageError::UnsafePath { name: name() }) };
        if entry.is_symlink() || !(entry.is_file() || entry.is_dir()) {
            return Err(PackageError::NotPlain { name: name() });
        }
        if entry.encrypted() {
            return Err(PackageError::Encrypted { name: name() });
        }
        if entry.is_file() {
            files.push((index, path.to_owned()));
        }
    }
    Ok(files)
}

/// Whether a path stays in the archive on every system: relative, forward slashes, no `.`, `..`, drive or control character.
fn is_plain(path: &str) -> bool {
    let inner = path.strip_suffix('/').unwrap_or(path);
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let relative = inner.strip_prefix("./").unwrap_or(inner);
    relative.split('/').all(plain)
        && !path.contains(['\\', ':'])
        && !path.contains(char::is_control)
}

fn choose(candidates: &[(usize, String)]) -> Result<(usize, &str), PackageError> {
    if let [(index, name)] = candidates {
        return Ok((*index, name));
    }
    for preferred in PREFERRED {
        let at_top = |name: &str| name.strip_prefix("./").unwrap_or(name) == preferred;
        if let Some((index, name)) = candidates.iter().find(|(_, name)| at_top(name)) {
            return Ok((*index, name));
        }
    }
    if candidates.is_empty() {
        return Err(PackageError::NoWasm);
    }
    let names = candidates.iter().take(5).map(|(_, name)| shown(name.as_bytes())).collect();
    Err(PackageError::Ambiguous { names })
}

/// One file's bytes, checked against its CRC.
pub(super) fn inflate(
    zip: &mut Archive<'_>,
    index: usize,
    name: &str,
    limits: &PackageLimits,
) -> Result<Bytes, PackageError> {
    let name = || name.to_owned();
    let damaged = |why: String| PackageError::Damaged { name: name(), why };
    let entry = zip.by_index_data(index).map_err(|error| damaged(error.to_string()))?;
    let method = entry.compression();
    if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
        return Err(PackageError::Compression { name: name(), method: format!("{method:?}") });
    }
    let compressed = entry.compressed_size();
    let bound =
        limits.code_bytes.min(compressed.saturating_mul(limits.ratio).max(RATIO_FROM_BYTES));
    let file = zip.by_index(index).map_err(|error| damaged(error.to_string()))?;
    let mut wasm = Vec::new();
    // The reader checks the CRC when it meets the end, so one byte beyond the bound tells both cases apart.
    let read = file.take(bound.saturating_add(1)).read_to_end(&mut wasm);
    read.map_err(|error| damaged(error.to_string()))?;
    match wasm.len() as u64 {
        size if size <= bound => Ok(wasm.into()),
        size if size > limits.code_bytes => {
            Err(PackageError::TooLarge { name: name(), limit_bytes: limits.code_bytes })
        }
        _ => Err(PackageError::Ratio { name: name(), limit: limits.ratio }),
    }
}

/// A stranger's name, fit to be shown.
pub(super) fn shown(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).chars().take(100).flat_map(char::escape_debug).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn malformed(error: ZipError) -> PackageError {
    PackageError::Malformed { why: error.to_string() }
}

#[cfg(test)]
#[path = "zip_tests.rs"]
mod tests;
