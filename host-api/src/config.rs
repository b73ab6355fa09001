//! `wasi:config/store`: a function's own settings, read-only and in memory.
//!
//! The settings are sorted once when the function is loaded and shared by all its instances; an invocation copies nothing of
//! them except what the guest asks for.

use std::sync::Arc;

use crate::bindings::generated::wasi::config::store as wit;
use crate::view::{HostCall, HostView};

/// The settings of one function. Clones share the same list.
#[derive(Debug, Clone, Default)]
pub struct Settings(Arc<[(String, String)]>);

impl Settings {
    /// Settings from names and values; where a name comes twice, its last value counts.
    #[must_use]
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let sorted: std::collections::BTreeMap<_, _> = pairs.into_iter().collect();
        Self(sorted.into_iter().collect())
    }

    /// The value of the setting called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| value.as_str())
    }

    /// Every setting, sorted by name.
    #[must_use]
    pub fn all(&self) -> &[(String, String)] {
        &self.0
    }
}

impl<T: HostView> wit::Host for HostCall<'_, T> {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, wit::Error>> {
        Ok(Ok(self.0.settings().get(&key).map(str::to_owned)))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, wit::Error>> {
        Ok(Ok(self.0.settings().all().to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_setting_and_keeps_the_last_of_a_name() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let settings =
            Settings::new([pair("b", "1"), pair("a", "2"), pair("b", "3"), pair("", "4")]);
        assert_eq!(settings.get("b"), Some("3"));
        assert_eq!(settings.get("a"), Some("2"));
        assert_eq!(settings.get(""), Some("4"));
        assert_eq!(settings.get("c"), None);
        assert_eq!(settings.all(), [pair("", "4"), pair("a", "2"), pair("b", "3")]);
        assert_eq!(Settings::default().get("a"), None);
    }
}
