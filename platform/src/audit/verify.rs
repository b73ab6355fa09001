//! Whether the trail is what was written: no record altered, none missing, and its beginning where pruning left it.

use serde::{Deserialize, Serialize};

use super::prune::pruned_to;
use super::record::{AuditRecord, Head, key_of};
use super::trail::{HEAD_KEY, HEADS, RECORDS};
use crate::error::PlatformError;
use crate::platform::Platform;
use crate::storage::{Entry, Found, Query, ROWS_MAX, Storage, StorageError};

/// Where the trail stood when somebody noted it; as text `NUMBER:HASH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditHead {
    /// The number of the last record.
    pub number: u64,
    /// Its hash, or at least the first 16 digits of it.
    pub hash: String,
}

impl std::str::FromStr for AuditHead {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not NUMBER:HASH, as verifying prints it");
        let (number, hash) = text.split_once(':').ok_or_else(wrong)?;
        let is_hash =
            (16..=64).contains(&hash.len()) && hash.bytes().all(|b| b.is_ascii_hexdigit());
        let number = number.parse().ok().filter(|number| *number > 0 && is_hash);
        Ok(Self { number: number.ok_or_else(wrong)?, hash: hash.to_ascii_lowercase() })
    }
}

/// What verifying found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditReport {
    /// Records that were looked at and fit.
    pub records: u64,
    /// The number of the first that is kept; 0 if there is none.
    pub first: u64,
    /// The number of the last; 0 if there is none.
    pub last: u64,
    /// The hash of the last. Noted elsewhere with its number, it proves later that nothing before it was rewritten.
    pub hash: String,
    /// The first thing that does not fit.
    pub problem: Option<String>,
}

/// What a walk along the trail has seen.
#[derive(Default)]
struct Walk<'a> {
    report: AuditReport,
    noted: Option<&'a AuditHead>,
    /// The hash that the first record kept says was before it.
    anchor: String,
    /// Up to where records were pruned, and the last one's hash.
    pruned: Option<(u64, String)>,
    has_met_noted: bool,
}

/// Looks at the whole trail as it stands; at what is written meanwhile it does not.
pub(crate) async fn verify(
    storage: &dyn Storage,
    noted: Option<&AuditHead>,
) -> Result<AuditReport, StorageError> {
    let get = Query::Get { collection: HEADS, key: HEAD_KEY.to_owned() };
    let Found::Entry(head) = storage.read(get).await? else { return Err(StorageError::Closed) };
    let is_there = head.is_some();
    let head = head.and_then(|entry| serde_json::from_slice::<Head>(&entry.value).ok());
    // Without a head everything there is.
    let last = head.as_ref().map_or(u64::MAX, |head| head.number);
    let mut walk = Walk { noted, ..Walk::default() };
    let mut start = String::new();
    while walk.report.problem.is_none() {
        let (collection, prefix) = (RECORDS, String::new());
        let query = Query::List { collection, prefix, start, limit: ROWS_MAX };
        let Found::Entries(entries) = storage.read(query).await? else { break };
        let is_full = entries.len() == ROWS_MAX;
        start = entries.last().map(|entry| format!("{}\0", entry.key)).unwrap_or_default();
        let until = key_of(last);
        let kept = entries.iter().take_while(|entry| entry.key <= until);
        walk.report.problem = kept.into_iter().find_map(|entry| walk.step(entry).err());
        if !is_full || entries.last().is_some_and(|entry| entry.key >= until) {
            break;
        }
    }
    let problem = walk.report.problem.take();
    let problem = problem.or_else(|| walk.end(head.as_ref(), is_there).err());
    Ok(AuditReport { problem, ..walk.report })
}

impl Walk<'_> {
    fn step(&mut self, entry: &Entry) -> Result<(), String> {
        let label = entry.key.trim_start_matches('0');
        let record = AuditRecord::read(entry)
            .ok_or_else(|| format!("audit record {label} is not what was written"))?;
        let report = &mut self.report;
        if report.records == 0 {
            report.first = record.number;
            self.anchor.clone_from(&record.previous);
        } else if record.number != report.last + 1 {
            return Err(missing(report.last + 1, record.number - 1));
        } else if record.previous != report.hash {
            let before = report.last;
            return Err(format!(
                "audit record {} does not follow record {before} as that is now",
                record.number
            ));
        }
        if let Some(noted) = self.noted.filter(|noted| noted.number == record.number) {
            if !record.hash.starts_with(&noted.hash) {
                return Err(format!(
                    "audit record {} is another than the noted one",
                    record.number
                ));
            }
            self.has_met_noted = true;
        }
        if let Some(to) = pruned_to(&record) {
            self.pruned = Some((to, record.deed.became.unwrap_or_default()));
        }
        (report.last, report.hash) = (record.number, record.hash);
        report.records += 1;
        Ok(())
    }

    fn end(&self, head: Option<&Head>, is_there: bool) -> Result<(), String> {
        let report = &self.report;
        match head {
            Some(head) if head.number > report.last => {
                return Err(missing(report.last + 1, head.number));
            }
            Some(head) if head.hash != report.hash => {
                return Err(format!(
                    "audit record {} is not the one that was the last",
                    head.number
                ));
            }
            None if is_there => return Err("the head of the audit trail cannot be read".to_owned()),
            None if report.records > 0 => {
                return Err("the head of the audit trail is missing".to_owned());
            }
            _ => {}
        }
        if report.first > 1 {
            let anchor = (report.first - 1, self.anchor.clone());
            if self.pruned.as_ref() != Some(&anchor) {
                let gone = missing(1, report.first - 1);
                return Err(format!("{gone}, and no record says that they were pruned"));
            }
        }
        if let Some(noted) = self.noted.filter(|_| !self.has_met_noted) {
            let number = noted.number;
            return Err(if number < report.first {
                format!("audit record {number} was pruned; note a later one")
            } else {
                missing(report.last + 1, number)
            });
        }
        Ok(())
    }
}

fn missing(from: u64, to: u64) -> String {
    if from == to {
        format!("audit record {from} is missing")
    } else {
        format!("audit records {from} to {to} are missing")
    }
}

impl Platform {
    /// Whether the trail is what was written, and holds the head that somebody noted. What is wrong is in the report.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn verify_audit(
        &self,
        noted: Option<&AuditHead>,
    ) -> Result<AuditReport, PlatformError> {
        let trail = &self.inner().trail;
        let _pruning = trail.pruning.lock().await;
        Ok(verify(&*trail.storage, noted).await?)
    }
}
