//! A service: a named group of functions with shared settings. Its type, its rules, and what can be done with it.
//!
//! Bounded by quotas of the platform. It refuses to know what a dialect's fields mean: those without effect here stay in `extra`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Kind, PlatformError, RequestError};
use crate::name::ServiceName;
use crate::platform::Platform;

/// The longest description, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 256;
/// The most bytes of fields that a dialect keeps in `extra`, as JSON.
pub const EXTRA_BYTES_MAX: usize = 64 * 1024;
/// The deepest that such a value may be nested: far from what a parser takes, because it is deeper in a record than in a request.
pub const NESTING_MAX: usize = 32;
/// The most items on one page of a list.
pub const PAGE_MAX: usize = 100;

/// A service as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// Its id: a UUID that a service of the same name made later does not share.
    pub id: String,
    /// Its settings.
    #[serde(flatten)]
    pub settings: ServiceSettings,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it was last changed.
    pub modified_ms: u64,
    /// Grows with every change over the whole platform; what entity tags are made of.
    #[serde(skip)]
    pub revision: u64,
}

/// What the owner of a service sets.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceSettings {
    /// Free text.
    pub description: String,
    /// A role, free text here.
    pub role: String,
    /// Fields of a dialect that it must echo and that have no effect.
    pub extra: Map<String, Value>,
}

/// A change of a service: fields that are none stay as they are.
#[derive(Debug, Clone, Default)]
pub struct ServiceChange {
    /// Replaces the description.
    pub description: Option<String>,
    /// Replaces the role.
    pub role: Option<String>,
    /// Replaces these fields of `extra`; a null removes the field.
    pub extra: Map<String, Value>,
    /// The revision that the caller has seen; when it is another one now, the change is refused with
    /// [`RequestError::Conflict`].
    pub expect: Option<u64>,
}

/// Which part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// Only names that begin with this.
    pub prefix: String,
    /// Only this name or later ones.
    pub start: String,
    /// How many, 1 to [`PAGE_MAX`].
    pub limit: usize,
}

/// A part of a list, in order of name.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The name that the next page starts with; none when nothing follows.
    pub next: Option<String>,
}

impl Platform {
    /// Creates a service. Durable on return.
    ///
    /// # Errors
    /// Taken name, bad settings, quota; storage.
    pub async fn create_service(
        &self,
        name: ServiceName,
        settings: ServiceSettings,
    ) -> Result<Service, PlatformError> {
        settings.check()?;
        let now = self.inner().clock.now_ms();
        let service = Service {
            name,
            id: uuid::Uuid::new_v4().to_string(),
            settings,
            created_ms: now,
            modified_ms: now,
            revision: 0,
        };
        self.writer().create_service(service).await
    }

    /// A service.
    ///
    /// # Errors
    /// No such service.
    pub fn get_service(&self, name: &str) -> Result<Service, RequestError> {
        Ok(self.inner().catalog.service(name)?.record().as_ref().clone())
    }

    /// Changes a service. Durable on return.
    ///
    /// # Errors
    /// No such service, bad settings, another revision than expected; storage.
    pub async fn update_service(
        &self,
        name: &str,
        change: ServiceChange,
    ) -> Result<Service, PlatformError> {
        let now = self.inner().clock.now_ms();
        self.writer().update_service(name, change, now).await
    }

    /// Deletes an empty service. Durable on return.
    ///
    /// # Errors
    /// No such service, functions in it, another revision than expected; storage.
    pub async fn delete_service(
        &self,
        name: &str,
        expect: Option<u64>,
    ) -> Result<(), PlatformError> {
        self.writer().delete_service(name, expect).await
    }

    /// Lists services in order of name.
    ///
    /// # Errors
    /// A limit out of bounds.
    pub fn list_services(&self, request: &ListRequest) -> Result<Page<Service>, RequestError> {
        self.list_services_tagged(request, &[])
    }

    /// Lists services that have all of these tags, in order of name; an empty value stands for any.
    ///
    /// # Errors
    /// A limit out of bounds.
    pub fn list_services_tagged(
        &self,
        request: &ListRequest,
        tags: &[(String, String)],
    ) -> Result<Page<Service>, RequestError> {
        self.inner().catalog.list_services(request, tags)
    }
}

impl ServiceSettings {
    pub(crate) fn check(&self) -> Result<(), RequestError> {
        check_text("description", &self.description, DESCRIPTION_CHARS_MAX)?;
        check_text("role", &self.role, 2048)?;
        check_extra(&self.extra)
    }

    /// These settings after `change`, checked.
    pub(crate) fn changed(&self, change: &ServiceChange) -> Result<Self, RequestError> {
        let mut settings = self.clone();
        set(&mut settings.description, change.description.as_ref());
        set(&mut settings.role, change.role.as_ref());
        merge(&mut settings.extra, &change.extra);
        settings.check()?;
        Ok(settings)
    }
}

/// Replaces `field` where the change has a value.
pub(crate) fn set<T: Clone>(field: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}

pub(crate) fn merge(extra: &mut Map<String, Value>, change: &Map<String, Value>) {
    for (key, value) in change {
        if value.is_null() {
            extra.remove(key);
        } else {
            extra.insert(key.clone(), value.clone());
        }
    }
}

pub(crate) fn check_text(
    field: &'static str,
    text: &str,
    chars_max: usize,
) -> Result<(), RequestError> {
    let count = text.chars().count();
    if count > chars_max {
        return Err(RequestError::invalid(
            field,
            format!("it has {count} characters; the limit is {chars_max}"),
        ));
    }
    Ok(())
}

/// Holds values that are only kept to their bounds.
pub(crate) fn check_extra(extra: &Map<String, Value>) -> Result<(), RequestError> {
    check_nesting("extra", extra)?;
    let size = serde_json::to_vec(extra).map_or(usize::MAX, |text| text.len());
    if size > EXTRA_BYTES_MAX {
        return Err(RequestError::invalid(
            "extra",
            format!("fields that are only kept take {size} bytes; the limit is {EXTRA_BYTES_MAX}"),
        ));
    }
    Ok(())
}

/// Holds values to a depth at which a record that holds them is read back, also from within a version.
pub(crate) fn check_nesting(
    field: &'static str,
    values: &Map<String, Value>,
) -> Result<(), RequestError> {
    // What was parsed is bounded, so this is.
    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or_default(),
            Value::Object(values) => 1 + values.values().map(depth).max().unwrap_or_default(),
            _ => 0,
        }
    }
    if values.values().any(|value| depth(value) > NESTING_MAX) {
        let why = format!("it is nested deeper than {NESTING_MAX} objects and lists");
        return Err(RequestError::invalid(field, why));
    }
    Ok(())
}

/// One page out of an ordered map of names.
pub(crate) fn page<K, V, T>(
    names: &BTreeMap<K, V>,
    request: &ListRequest,
    item: impl Fn(&V) -> T,
) -> Result<Page<T>, RequestError>
where
    K: Ord + std::borrow::Borrow<str>,
{
    page_where(names, request, |_| true, item)
}

/// The same of those that `keep` wants.
pub(crate) fn page_where<K, V, T>(
    names: &BTreeMap<K, V>,
    request: &ListRequest,
    keep: impl Fn(&V) -> bool,
    item: impl Fn(&V) -> T,
) -> Result<Page<T>, RequestError>
where
    K: Ord + std::borrow::Borrow<str>,
{
    if !(1..=PAGE_MAX).contains(&request.limit) {
        return Err(RequestError::invalid(
            "limit",
            format!("{} is not 1 to {PAGE_MAX}", request.limit),
        ));
    }
    // Names that begin with the prefix stand together, so the page begins at whichever comes later.
    let start = request.start.as_str().max(request.prefix.as_str());
    let bounds = (std::ops::Bound::Included(start), std::ops::Bound::Unbounded);
    let mut rest = names
        .range::<str, _>(bounds)
        .take_while(|(name, _)| (*name).borrow().starts_with(&request.prefix))
        .filter(|(_, value)| keep(value));
    let items = rest.by_ref().take(request.limit).map(|(_, value)| item(value)).collect();
    let next = rest.next().map(|(name, _)| name.borrow().to_owned());
    Ok(Page { items, next })
}

pub(crate) fn no_service(name: &str) -> RequestError {
    RequestError::NotFound { kind: Kind::Service, name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeMap<String, String> {
        names.iter().map(|name| ((*name).to_owned(), (*name).to_owned())).collect()
    }

    fn list(prefix: &str, start: &str, limit: usize) -> ListRequest {
        ListRequest { prefix: prefix.into(), start: start.into(), limit }
    }

    #[test]
    fn pages_join_into_the_whole_list() {
        let all = names(&["a", "ab", "ab1", "ab2", "b", "c"]);
        let mut seen = Vec::new();
        let mut start = String::new();
        loop {
            let found = page(&all, &list("a", &start, 3), Clone::clone).unwrap();
            seen.extend(found.items);
            let Some(next) = found.next else { break };
            start = next;
        }
        assert_eq!(seen, ["a", "ab", "ab1", "ab2"]);
    }

    #[test]
    fn a_full_last_page_has_no_next() {
        let found = page(&names(&["a", "b"]), &list("", "", 2), Clone::clone).unwrap();
        assert_eq!(found.next, None);
    }

    #[test]
    fn a_start_before_the_prefix_does_not_end_the_list() {
        let found = page(&names(&["a", "b1", "b2"]), &list("b", "a", 9), Clone::clone).unwrap();
        assert_eq!(found.items, ["b1", "b2"]);
    }

    #[test]
    fn limits_are_bounded() {
        for limit in [0, PAGE_MAX + 1] {
            assert!(page(&names(&[]), &list("", "", limit), Clone::clone).is_err());
        }
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let before = ServiceSettings {
            description: "d".into(),
            role: "r".into(),
            extra: serde_json::from_str(r#"{"a":1,"b":2}"#).unwrap(),
        };
        let change = ServiceChange {
            role: Some("q".into()),
            extra: serde_json::from_str(r#"{"a":null,"c":3}"#).unwrap(),
            ..ServiceChange::default()
        };
        let after = before.changed(&change).unwrap();
        assert_eq!((after.description.as_str(), after.role.as_str()), ("d", "q"));
        assert_eq!(serde_json::to_string(&after.extra).unwrap(), r#"{"b":2,"c":3}"#);
        let long = ServiceChange { description: Some("é".repeat(257)), ..Default::default() };
        assert!(before.changed(&long).is_err());
    }
}
