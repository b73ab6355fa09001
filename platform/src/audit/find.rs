//! Looking at the trail: a page of the records that fit, from either end.

use super::record::{AuditRecord, key_of};
use super::trail::RECORDS;
use crate::error::{PlatformError, RequestError};
use crate::platform::Platform;
use crate::service::PAGE_MAX;
use crate::storage::{Found, Query, ROWS_MAX};

/// Most records that are looked at for one page; what is left is on the next.
const LOOKED_AT_MAX: usize = 10_000;

/// Which records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only of this time or later, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// Only of before this time.
    pub until_ms: Option<u64>,
    /// Only of this access key, or `local`.
    pub who: Option<String>,
    /// Only those in whose verb, noun and name, with a space between, this text is.
    pub what: Option<String>,
    /// From the last to the first.
    pub newest_first: bool,
    /// Only from this number on, in the direction of the walk.
    pub from: Option<u64>,
    /// Most records, 1 to 100.
    pub limit: usize,
}

/// Some records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// In the order that was asked for.
    pub records: Vec<AuditRecord>,
    /// Where the next page begins, if more may follow.
    pub next: Option<u64>,
}

impl AuditFilter {
    fn takes(&self, record: &AuditRecord) -> bool {
        let says = |what: &String| record.deed.what().contains(what.as_str());
        self.since_ms.is_none_or(|since| record.time_ms >= since)
            && self.until_ms.is_none_or(|until| record.time_ms < until)
            && self.who.as_ref().is_none_or(|who| *who == record.deed.who)
            && self.what.as_ref().is_none_or(says)
    }

    /// The records after the place `at` in the direction of the walk.
    fn query(&self, at: &str, limit: usize) -> Query {
        let (collection, prefix) = (RECORDS, String::new());
        let at = at.to_owned();
        if self.newest_first {
            Query::ListDown { collection, prefix, before: at, limit }
        } else {
            Query::List { collection, prefix, start: at, limit }
        }
    }

    fn begin(&self) -> String {
        match self.from {
            Some(from) if self.newest_first => format!("{}\0", key_of(from)),
            Some(from) => key_of(from),
            // After all digits.
            None if self.newest_first => "~".to_owned(),
            None => String::new(),
        }
    }
}

impl Platform {
    /// Records of the audit trail. Damaged ones are left out; verifying names them.
    ///
    /// # Errors
    /// A limit out of bounds; storage.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<AuditPage, PlatformError> {
        if !(1..=PAGE_MAX).contains(&filter.limit) {
            let why = format!("{} is not 1 to {PAGE_MAX}", filter.limit);
            return Err(RequestError::invalid("limit", why).into());
        }
        let (mut page, mut looked_at, mut at) = (AuditPage::default(), 0, filter.begin());
        loop {
            let query = filter.query(&at, ROWS_MAX);
            let Found::Entries(entries) = self.inner().storage.read(query).await? else {
                return Ok(page);
            };
            let is_full = entries.len() == ROWS_MAX;
            for entry in entries {
                if page.records.len() == filter.limit || looked_at == LOOKED_AT_MAX {
                    page.next = entry.key.parse().ok();
                    return Ok(page);
                }
                looked_at += 1;
                page.records.extend(AuditRecord::read(&entry).filter(|found| filter.takes(found)));
                at = if filter.newest_first { entry.key } else { format!("{}\0", entry.key) };
            }
            if !is_full {
                return Ok(page);
            }
        }
    }
}
