//! An alias: a name that stands for a version of a service, or splits invocations between two by weight.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalog::{Catalog, Record, Table};
use crate::error::{Kind, PlatformError, RequestError};
use crate::name::{AliasName, ServiceName};
use crate::platform::Platform;
use crate::service::{
    DESCRIPTION_CHARS_MAX, ListRequest, Page, check_extra, check_text, merge, set,
};
use crate::storage::Collection;

/// An alias as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alias {
    /// Its service.
    pub service: ServiceName,
    /// Its name.
    pub name: AliasName,
    /// The main version: it serves what no other is given.
    pub version: u64,
    /// Free text.
    pub description: String,
    /// At most one version and the share of invocations that it serves, 0 to 1. It may be the main version.
    pub weights: BTreeMap<u64, f64>,
    /// Fields of a dialect that it must echo and that have no effect.
    pub extra: Map<String, Value>,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it was last changed.
    pub modified_ms: u64,
    /// Grows with every change over the whole platform; what entity tags are made of.
    #[serde(skip)]
    pub revision: u64,
}

/// An alias to create.
#[derive(Debug, Clone)]
pub struct NewAlias {
    /// Its name.
    pub name: AliasName,
    /// The main version.
    pub version: u64,
    /// Free text.
    pub description: String,
    /// See [`Alias::weights`].
    pub weights: BTreeMap<u64, f64>,
    /// See [`Alias::extra`].
    pub extra: Map<String, Value>,
}

/// A change of an alias: fields that are none stay as they are.
#[derive(Debug, Clone, Default)]
pub struct AliasChange {
    /// Replaces the main version.
    pub version: Option<u64>,
    /// Replaces the description.
    pub description: Option<String>,
    /// Replaces all weights.
    pub weights: Option<BTreeMap<u64, f64>>,
    /// Replaces these fields of `extra`; a null removes the field.
    pub extra: Map<String, Value>,
    /// The revision that the caller has seen.
    pub expect: Option<u64>,
}

impl Alias {
    /// The version that serves one invocation. `drawn` is uniform over its range, so a version's share is off by less than one in
    /// four billion.
    pub(crate) fn draw(&self, drawn: u32) -> u64 {
        // At most one weight: a comparison, no allocation.
        match self.weights.first_key_value() {
            Some((version, share)) if f64::from(drawn) < share * 4_294_967_296.0 => *version,
            _ => self.version,
        }
    }

    /// How many of `count` instances are for which version.
    pub(crate) fn shares(&self, count: u32) -> Vec<(u64, u32)> {
        let Some((version, share)) = self.weights.first_key_value() else {
            return vec![(self.version, count)];
        };
        // In whole instances, rounded up for the one that has a weight: a share that is not nothing gets one at least.
        let other = (0..count).find(|n| f64::from(*n) >= f64::from(count) * share).unwrap_or(count);
        vec![(*version, other), (self.version, count - other)]
    }

    fn check(&self, catalog: &Catalog) -> Result<(), RequestError> {
        let entry = catalog.service(self.service.as_str())?;
        check_text("description", &self.description, DESCRIPTION_CHARS_MAX)?;
        check_extra(&self.extra)?;
        if self.weights.len() > 1 {
            let why = format!("{} versions have a weight; at most one can", self.weights.len());
            return Err(RequestError::invalid("weights", why));
        }
        for (version, share) in &self.weights {
            // Also refuses what is no number.
            if !(0.0..=1.0).contains(share) {
                let why = format!("the weight of version {version} is not 0 to 1");
                return Err(RequestError::invalid("weights", why));
            }
            entry.version(*version)?;
        }
        entry.version(self.version).map(drop)
    }
}

impl Record for Alias {
    const COLLECTION: Collection = Collection("alias");
    const KIND: Kind = Kind::Alias;
    const PLURAL: &'static str = "aliases of a service";

    fn service(&self) -> &str {
        self.service.as_str()
    }

    fn key(&self) -> String {
        self.name.to_string()
    }

    fn label(service: &str, key: &str) -> String {
        format!("{service}.{key}")
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn stamp(&mut self, revision: u64) {
        self.revision = revision;
    }

    fn scaling(&self) -> Option<String> {
        Some(crate::scaling::key(self.service.as_str(), self.name.as_str(), ""))
    }

    fn table(catalog: &Catalog, service: &str) -> Result<Arc<Table<Self>>, RequestError> {
        Ok(catalog.service(service)?.aliases.clone())
    }
}

impl Platform {
    /// Creates an alias. Durable on return.
    ///
    /// # Errors
    /// No such service or version, taken name, a weight out of bounds, quota; storage.
    pub async fn create_alias(&self, service: &str, new: NewAlias) -> Result<Alias, PlatformError> {
        let inner = self.inner();
        let now = inner.clock.now_ms();
        let alias = Alias {
            service: inner.catalog.service(service)?.record().name.clone(),
            name: new.name,
            version: new.version,
            description: new.description,
            weights: new.weights,
            extra: new.extra,
            created_ms: now,
            modified_ms: now,
            revision: 0,
        };
        let limit = inner.catalog.quotas().aliases_per_service;
        self.writer().add_record(alias, limit, |catalog, alias| alias.check(catalog)).await
    }

    /// An alias.
    ///
    /// # Errors
    /// No such service or alias.
    pub fn get_alias(&self, service: &str, name: &str) -> Result<Alias, RequestError> {
        Ok(self.inner().catalog.record::<Alias>(service, name)?.as_ref().clone())
    }

    /// Changes an alias. Durable on return; whoever calls next goes where it points now.
    ///
    /// # Errors
    /// No such service, alias or version, a weight out of bounds, another revision than expected; storage.
    pub async fn update_alias(
        &self,
        service: &str,
        name: &str,
        change: AliasChange,
    ) -> Result<Alias, PlatformError> {
        let now = self.inner().clock.now_ms();
        let expect = change.expect;
        let apply = move |catalog: &Catalog, before: &Alias| {
            let mut alias = before.clone();
            set(&mut alias.version, change.version.as_ref());
            set(&mut alias.description, change.description.as_ref());
            set(&mut alias.weights, change.weights.as_ref());
            merge(&mut alias.extra, &change.extra);
            alias.modified_ms = now;
            alias.check(catalog)?;
            Ok(alias)
        };
        self.writer().change_record(service, name, expect, apply).await
    }

    /// Deletes an alias. Durable on return.
    ///
    /// # Errors
    /// No such service or alias, another revision than expected; storage.
    pub async fn delete_alias(
        &self,
        service: &str,
        name: &str,
        expect: Option<u64>,
    ) -> Result<(), PlatformError> {
        self.writer().remove_record::<Alias>(service, name, expect).await
    }

    /// Lists aliases of a service in order of name.
    ///
    /// # Errors
    /// No such service; a limit out of bounds.
    pub fn list_aliases(
        &self,
        service: &str,
        request: &ListRequest,
    ) -> Result<Page<Alias>, RequestError> {
        self.inner().catalog.service(service)?.aliases.page(request, Clone::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(version: u64, weights: &[(u64, f64)]) -> Alias {
        Alias {
            service: ServiceName::parse("s").unwrap(),
            name: AliasName::parse("a").unwrap(),
            version,
            description: String::new(),
            weights: weights.iter().copied().collect(),
            extra: Map::new(),
            created_ms: 0,
            modified_ms: 0,
            revision: 0,
        }
    }

    #[test]
    fn the_ends_of_the_range_are_exact() {
        for drawn in [0, 1, u32::MAX / 2, u32::MAX] {
            assert_eq!(alias(1, &[]).draw(drawn), 1);
            assert_eq!(alias(1, &[(2, 0.0)]).draw(drawn), 1);
            assert_eq!(alias(1, &[(2, 1.0)]).draw(drawn), 2);
            assert_eq!(alias(1, &[(1, 0.5)]).draw(drawn), 1);
        }
        let half = alias(1, &[(2, 0.5)]);
        assert_eq!((half.draw((1 << 31) - 1), half.draw(1 << 31)), (2, 1));
    }

    #[test]
    fn instances_are_divided_by_weight() {
        assert_eq!(alias(1, &[]).shares(5), [(1, 5)]);
        for (share, parts) in
            [(0.0, [0, 5]), (0.01, [1, 4]), (0.4, [2, 3]), (0.5, [3, 2]), (1.0, [5, 0])]
        {
            assert_eq!(
                alias(1, &[(2, share)]).shares(5),
                [(2, parts[0]), (1, parts[1])],
                "{share}"
            );
        }
        assert_eq!(alias(1, &[(2, 0.5)]).shares(0), [(2, 0), (1, 0)]);
    }

    #[test]
    fn draws_come_out_by_weight() {
        // Six standard deviations: a right program fails once in half a billion runs.
        for share in [0.01, 0.1, 0.25, 0.5, 0.9] {
            let (draws, split) = (200_000_u32, alias(1, &[(2, share)]));
            let hits = (0..draws).filter(|_| split.draw(rand::random()) == 2).count();
            let expected = f64::from(draws) * share;
            let bound = 6.0 * (expected * (1.0 - share)).sqrt();
            assert!((hits as f64 - expected).abs() < bound, "{share}: {hits} of {draws}");
        }
    }
}
