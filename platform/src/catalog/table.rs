//! A table: records of one kind in order of their keys, read without a lock and replaced as a whole by the one writer.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use crate::error::RequestError;
use crate::service::{ListRequest, Page, page, page_where};

/// Records by key.
#[derive(Debug)]
pub(crate) struct Table<T> {
    rows: ArcSwap<BTreeMap<String, Arc<T>>>,
    /// Beside the rows, so that who passes by asks without holding them: each request looks into tables that are mostly empty.
    is_empty: AtomicBool,
}

/// What the keys of a group begin with.
fn beginning(group: &str) -> String {
    // Without the machinery of formats: each request looks for its trigger.
    let mut beginning = String::with_capacity(group.len() + 1);
    beginning.push_str(group);
    beginning.push('/');
    beginning
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: ArcSwap::default(), is_empty: AtomicBool::new(true) }
    }
}

impl<T> Table<T> {
    /// One with these records.
    pub(super) fn fill(&self, rows: BTreeMap<String, Arc<T>>) {
        let is_empty = rows.is_empty();
        self.rows.store(Arc::new(rows));
        self.is_empty.store(is_empty, Ordering::Release);
    }

    pub(crate) fn get(&self, key: &str) -> Option<Arc<T>> {
        self.rows.load().get(key).cloned()
    }

    /// Looks at a record without counting another reference to it.
    pub(crate) fn with<R>(&self, key: &str, look: impl FnOnce(Option<&T>) -> R) -> R {
        look(self.rows.load().get(key).map(AsRef::as_ref))
    }

    /// Looks at the first record that `wanted` wants of those whose keys begin with `group` and a slash, without counting another
    /// reference to it.
    pub(crate) fn with_first_of<R>(
        &self,
        group: &str,
        wanted: impl Fn(&T) -> bool,
        look: impl FnOnce(Option<&T>) -> R,
    ) -> R {
        let rows = self.rows.load();
        let from = beginning(group);
        let mut held = rows.range::<str, _>((Bound::Included(&*from), Bound::Unbounded));
        let first = held
            .by_ref()
            .take_while(|(key, _)| key.starts_with(&from))
            .find(|(_, row)| wanted(row));
        look(first.map(|(_, row)| row.as_ref()))
    }

    /// All records that `wanted` wants of those whose keys begin with `group` and a slash.
    pub(crate) fn all_of(&self, group: &str, wanted: impl Fn(&T) -> bool) -> Vec<Arc<T>> {
        let rows = self.rows.load();
        let from = beginning(group);
        let held = rows.range::<str, _>((Bound::Included(&*from), Bound::Unbounded));
        held.take_while(|(key, _)| key.starts_with(&from))
            .filter(|(_, row)| wanted(row))
            .map(|(_, row)| row.clone())
            .collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.is_empty.load(Ordering::Acquire)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.load().len()
    }

    /// Everything there is at this moment.
    pub(crate) fn all(&self) -> Arc<BTreeMap<String, Arc<T>>> {
        self.rows.load_full()
    }

    pub(crate) fn page<R>(
        &self,
        request: &ListRequest,
        item: impl Fn(&T) -> R,
    ) -> Result<Page<R>, RequestError> {
        page(&self.rows.load(), request, |row| item(row))
    }

    /// A page of the records that `keep` wants.
    pub(crate) fn page_where<R>(
        &self,
        request: &ListRequest,
        keep: impl Fn(&T) -> bool,
        item: impl Fn(&T) -> R,
    ) -> Result<Page<R>, RequestError> {
        page_where(&self.rows.load(), request, |row| keep(row), |row| item(row))
    }

    /// A page of the records whose keys begin with `group` and a slash; what is asked for and answered is the rest of the key.
    pub(crate) fn page_of<R>(
        &self,
        group: &str,
        request: &ListRequest,
        item: impl Fn(&T) -> R,
    ) -> Result<Page<R>, RequestError> {
        let within = ListRequest {
            prefix: format!("{group}/{}", request.prefix),
            start: format!("{group}/{}", request.start),
            limit: request.limit,
        };
        let mut page = self.page(&within, item)?;
        page.next = page.next.and_then(|key| key.get(group.len() + 1..).map(str::to_owned));
        Ok(page)
    }

    pub(super) fn insert(&self, key: String, row: Arc<T>) {
        let mut rows = BTreeMap::clone(&self.rows.load());
        rows.insert(key, row);
        self.fill(rows);
    }

    pub(super) fn remove(&self, keys: &[String]) {
        if keys.is_empty() {
            return;
        }
        let mut rows = BTreeMap::clone(&self.rows.load());
        for key in keys {
            rows.remove(key);
        }
        self.fill(rows);
    }
}
