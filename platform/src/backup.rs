//! Backups: a copy of a data directory of one moment, taken while a server works with it; and the check whether a directory is whole.
//!
//! Records are copied first, in one snapshot, then the code that they name, which is immutable and not removed sooner than its grace
//! period. The sealing key is not copied: a backup alone must not give secrets away.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::audit::{self, AuditConfig, Trail};
use crate::catalog::Catalog;
use crate::config::Quotas;
use crate::error::PlatformError;
use crate::key::Keys;
use crate::storage::code_store::CodeStore;
use crate::storage::sqlite::SqliteStorage;
use crate::storage::{Storage, StorageError, sqlite};

/// Where code is in a data directory.
pub(crate) const CODE: &str = "code";

/// Stands in a copy until it is all there.
const UNFINISHED: &str = "backup.unfinished";

/// Problems that are told one by one.
const PROBLEMS_MAX: usize = 100;

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct BackupReport {
    /// Functions, versions' not counted.
    pub functions: u64,
    /// Code files, and their bytes.
    pub code_files: u64,
    /// Bytes of them.
    pub code_bytes: u64,
    /// Whether there are access keys, whose sealing key must be kept elsewhere.
    pub has_keys: bool,
}

/// What was looked at, and what is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct CheckReport {
    /// Services.
    pub services: u64,
    /// Functions, versions' not counted.
    pub functions: u64,
    /// Code files that records name and that are what they should be.
    pub code_files: u64,
    /// Access keys that open.
    pub keys: u64,
    /// Records of the audit trail that fit.
    pub audit_records: u64,
    /// A sentence each, at most 100.
    pub problems: Vec<String>,
}

/// Copies the data directory `from` to `to`, which is made and must not be there. A server may work with `from` meanwhile.
///
/// # Errors
/// `to` exists; something cannot be read or written; a code file that a record names is missing or damaged.
pub async fn backup(from: &Path, to: &Path) -> Result<BackupReport, PlatformError> {
    let failed = |why: std::io::Error| PlatformError::Failure {
        what: "making the directory of the backup",
        why: format!("{}: {why}", to.display()),
    };
    std::fs::create_dir(to).map_err(failed)?;
    let unfinished = to.join(UNFINISHED);
    std::fs::File::create(&unfinished).and_then(|file| file.sync_all()).map_err(failed)?;
    let (source, target) = (from.to_owned(), to.to_owned());
    blocking(move || sqlite::copy(&source, &target)).await??;
    let storage = open(to).await?;
    let keys = Keys::count(&storage).await?;
    let catalog = Catalog::read(storage, Quotas::default()).await?;
    let (here, there) = (CodeStore::open(&from.join(CODE))?, CodeStore::open(&to.join(CODE))?);
    let mut report = BackupReport {
        functions: catalog.functions(),
        has_keys: keys > 0,
        ..BackupReport::default()
    };
    for (digest, function) in digests(&catalog) {
        let bytes = here.get(&digest, &function).await?;
        report.code_files += 1;
        report.code_bytes += bytes.len() as u64;
        drop(there.put(bytes).await?);
    }
    // All that was copied is synced by now.
    std::fs::remove_file(&unfinished).map_err(failed)?;
    std::fs::File::open(to).and_then(|directory| directory.sync_all()).map_err(failed)?;
    Ok(report)
}

/// Refuses a directory that a backup was interrupted in: records may be there whose code is not.
pub(crate) fn refuse_unfinished(dir: &Path) -> Result<(), StorageError> {
    if !dir.join(UNFINISHED).exists() {
        return Ok(());
    }
    let what = "the backup that made it was interrupted".to_owned();
    Err(StorageError::Corrupt { path: dir.to_owned(), what })
}

/// Looks whether a data directory is whole: its file page by page, every record, every code file that one names by its digest, every
/// access key, every private key of a domain, the audit trail. No server may work with it; to look at a running one's data, check a backup of it.
///
/// # Errors
/// It cannot be looked at: it is in use, or not there. What is wrong with it is in the report.
pub async fn check(
    data_dir: &Path,
    sealing_key: Option<PathBuf>,
) -> Result<CheckReport, PlatformError> {
    refuse_unfinished(data_dir)?;
    let dir = data_dir.to_owned();
    let mut report = CheckReport {
        problems: blocking(move || sqlite::problems(&dir)).await??,
        ..Default::default()
    };
    let storage = open(data_dir).await?;
    let clock = Arc::new(crate::clock::SystemClock::default());
    let trail = Trail::new(storage.clone(), clock, AuditConfig::default());
    let keys = match Keys::open(trail, data_dir, sealing_key).await {
        Ok(keys) => Some(keys),
        Err(error) => {
            report.problems.push(error.to_string());
            None
        }
    };
    report.keys = keys.as_ref().map_or(0, |keys| keys.list().len() as u64);
    let trail = audit::verify(&*storage, None).await?;
    report.audit_records = trail.records;
    report.problems.extend(trail.problem);
    let catalog = match Catalog::read(storage, Quotas::default()).await {
        Ok(catalog) => catalog,
        Err(error) => {
            report.problems.push(error.to_string());
            return Ok(report);
        }
    };
    (report.services, report.functions) = (catalog.services(), catalog.functions());
    // Without the sealing key there is nothing more to say of them.
    if let Some(keys) = &keys {
        report.problems.extend(wrong_certificates(&catalog, keys));
    }
    let code = CodeStore::open(&data_dir.join(CODE))?;
    for (digest, function) in digests(&catalog) {
        match code.get(&digest, &function).await {
            Ok(_) => report.code_files += 1,
            Err(error) if report.problems.len() < PROBLEMS_MAX => {
                report.problems.push(error.to_string());
            }
            Err(_) => {}
        }
    }
    Ok(report)
}

/// The domains whose private keys do not open, or are of other certificates.
fn wrong_certificates(catalog: &Catalog, keys: &Keys) -> Vec<String> {
    let domains = catalog.domains.all();
    let wrong = domains.values().filter_map(|domain| {
        domain.settings.certificate.as_ref()?.verify(&domain.name, keys).err()
    });
    wrong.take(PROBLEMS_MAX).collect()
}

/// The digests that records name, each with whom an error speaks of.
fn digests(catalog: &Catalog) -> BTreeMap<String, String> {
    let mut digests = BTreeMap::new();
    catalog.each_function(|function| {
        let owner = format!("{}/{}", function.service, function.name);
        for digest in [&function.code.digest, &function.code.package_digest] {
            digests.entry(digest.clone()).or_insert_with(|| owner.clone());
        }
    });
    catalog.each_digest(|digest| {
        digests.entry(digest.clone()).or_insert_with(|| "of a layer".to_owned());
    });
    digests
}

async fn open(dir: &Path) -> Result<Arc<dyn Storage>, PlatformError> {
    let dir = dir.to_owned();
    Ok(Arc::new(blocking(move || SqliteStorage::open(&dir)).await??))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PlatformError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| PlatformError::Failure {
        what: "looking at the storage",
        why: error.to_string(),
    })
}
