//! Tags of services: small labels to find them by.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{PlatformError, RequestError};
use crate::platform::Platform;
use crate::service::check_text;

/// Most tags of a service.
pub const TAGS_MAX: usize = 20;
/// The longest key of a tag, in characters.
pub const TAG_KEY_CHARS_MAX: usize = 128;
/// The longest value of a tag, in characters.
pub const TAG_VALUE_CHARS_MAX: usize = 256;

/// The tags of one service.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tags {
    pub(crate) tags: BTreeMap<String, String>,
}

impl Tags {
    /// Whether each of `wanted` is here; an empty value stands for any.
    pub(crate) fn match_all(&self, wanted: &[(String, String)]) -> bool {
        wanted.iter().all(|(key, value)| {
            self.tags.get(key).is_some_and(|found| value.is_empty() || value == found)
        })
    }

    fn with(&self, more: BTreeMap<String, String>) -> Result<Self, RequestError> {
        let mut tags = self.clone();
        for (key, value) in more {
            if key.is_empty() {
                return Err(RequestError::invalid("tags", "a key is empty"));
            }
            check_text("tags", &key, TAG_KEY_CHARS_MAX)?;
            check_text("tags", &value, TAG_VALUE_CHARS_MAX)?;
            tags.tags.insert(key, value);
        }
        if tags.tags.len() > TAGS_MAX {
            return Err(RequestError::Quota { what: "tags of a service", limit: TAGS_MAX as u64 });
        }
        Ok(tags)
    }
}

impl Platform {
    /// Adds tags to a service; those that are there get their new values. Durable on return.
    ///
    /// # Errors
    /// No such service, a key or value out of bounds, too many; storage.
    pub async fn tag_service(
        &self,
        service: &str,
        tags: BTreeMap<String, String>,
    ) -> Result<(), PlatformError> {
        self.writer().change_tags(service, move |before| before.with(tags)).await
    }

    /// Removes tags of a service, all of them if none are named. Keys that it has not are ignored. Durable on return.
    ///
    /// # Errors
    /// No such service; storage.
    pub async fn untag_service(
        &self,
        service: &str,
        keys: Option<Vec<String>>,
    ) -> Result<(), PlatformError> {
        let change = move |before: &Tags| {
            let mut tags = before.clone();
            match keys {
                Some(keys) => tags.tags.retain(|key, _| !keys.contains(key)),
                None => tags.tags.clear(),
            }
            Ok(tags)
        };
        self.writer().change_tags(service, change).await
    }

    /// The tags of a service.
    ///
    /// # Errors
    /// No such service.
    pub fn service_tags(&self, service: &str) -> Result<BTreeMap<String, String>, RequestError> {
        Ok(self.inner().catalog.service(service)?.tags.load().tags.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn bounds_and_matches() {
        let some = Tags::default().with(tags(&[("a", "1"), ("b", "2")])).unwrap();
        let wanted =
            |pairs: &[(&str, &str)]| some.match_all(&tags(pairs).into_iter().collect::<Vec<_>>());
        assert!(wanted(&[]) && wanted(&[("a", "1")]) && wanted(&[("a", ""), ("b", "2")]));
        assert!(!wanted(&[("a", "2")]) && !wanted(&[("c", "")]));
        assert!(some.with(tags(&[("", "x")])).is_err());
        assert!(some.with(tags(&[(&"k".repeat(129), "x")])).is_err());
        assert!(some.with(tags(&[("k", &"x".repeat(257))])).is_err());
        let many: BTreeMap<_, _> = (0..19).map(|n| (n.to_string(), String::new())).collect();
        assert!(some.with(many).is_err() && some.with(tags(&[("a", "9")])).is_ok());
    }
}
