//! All files out of a zip archive from a stranger, one after the other: checked as those with code are, and bounded together.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;

use super::{PackageError, PackageLimits, zip};

/// The longest path of a file, and the longest name in one, in bytes; file systems refuse more.
const PATH_BYTES_MAX: usize = 1024;
const NAME_BYTES_MAX: usize = 255;

/// Calls `visit` with every file of an archive and its bytes. Paths are relative, plain and used once, and none is the directory of
/// another.
///
/// # Errors
/// The archive is not acceptable; some files may have been visited by then.
pub(crate) fn each_file<E: From<PackageError>>(
    archive: &Bytes,
    limits: &PackageLimits,
    mut visit: impl FnMut(&str, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut zip = zip::open_checked(archive, limits)?;
    let mut names = zip::file_names(&zip)?;
    for (_, name) in &mut names {
        if let Some(plain) = name.strip_prefix("./") {
            *name = plain.to_owned();
        }
    }
    check_tree(names.iter().map(|(_, name)| name.as_str()))?;
    let mut left = limits.files_bytes;
    for (index, name) in &names {
        let bounds = PackageLimits { code_bytes: left, ..limits.clone() };
        let bytes = zip::inflate(&mut zip, *index, &zip::shown(name.as_bytes()), &bounds)?;
        left = left.saturating_sub(bytes.len() as u64);
        visit(name, &bytes)?;
    }
    Ok(())
}

fn check_tree<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Result<(), PackageError> {
    for name in names.clone() {
        let is_long =
            name.len() > PATH_BYTES_MAX || name.split('/').any(|part| part.len() > NAME_BYTES_MAX);
        if is_long {
            let why = format!("the path `{}…` is too long", zip::shown(name.as_bytes()));
            return Err(PackageError::Malformed { why });
        }
    }
    let mut files = BTreeSet::new();
    if !names.clone().all(|name| files.insert(name)) {
        return Err(PackageError::DuplicateNames);
    }
    for name in names {
        let within = Path::new(name).ancestors().skip(1).filter_map(Path::to_str);
        if within.into_iter().any(|parent| files.contains(parent)) {
            return Err(PackageError::DuplicateNames);
        }
    }
    Ok(())
}
