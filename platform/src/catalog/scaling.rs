//! Configs of functions at qualifiers in the catalog: gone with the function or the alias that they speak of.

use super::{Catalog, Table};
use crate::async_config::AsyncConfig;
use crate::audit::Change;
use crate::scaling::{OnDemandConfig, ProvisionConfig};
use crate::storage::{Collection, Expect, Op};

use super::records::Record;

/// A config that goes.
#[derive(Debug)]
pub(super) struct Gone {
    collection: Collection,
    key: String,
}

impl Gone {
    /// Configs removed at once.
    pub(super) const CHUNK: usize = 512;

    pub(super) fn op(&self) -> Op {
        Op::Delete { collection: self.collection, key: self.key.clone(), expect: Expect::Any }
    }

    /// What a batch of them is in the audit trail: the beginning of the change that they go with.
    pub(super) fn change(with: &Change, gone: &[Self]) -> Change {
        let [from, to] = [gone.first(), gone.last()].map(|end| end.map_or("", |gone| &gone.key));
        let name = format!("{from} to {to} of {} {}", with.noun, with.name);
        Change::new(with.verb, "configs", name)
    }
}

impl Catalog {
    /// The configs whose keys begin with `prefix` and are `wanted`.
    pub(super) fn scaling_of(&self, prefix: &str, wanted: impl Fn(&str) -> bool) -> Vec<Gone> {
        let mut gone = rows(&self.on_demand, prefix, &wanted);
        gone.extend(rows(&self.provisions, prefix, &wanted));
        gone.extend(rows(&self.async_configs, prefix, &wanted));
        gone
    }

    /// Lets go of configs that storage has no more. Called by a writer.
    pub(super) fn forget(&self, gone: &[Gone]) {
        let of = |collection: Collection| -> Vec<String> {
            let of_it = gone.iter().filter(|gone| gone.collection == collection);
            of_it.map(|gone| gone.key.clone()).collect()
        };
        self.on_demand.remove(&of(OnDemandConfig::COLLECTION));
        self.provisions.remove(&of(ProvisionConfig::COLLECTION));
        self.async_configs.remove(&of(AsyncConfig::COLLECTION));
    }
}

fn rows<T: Record>(table: &Table<T>, prefix: &str, wanted: impl Fn(&str) -> bool) -> Vec<Gone> {
    let rows = table.all();
    let keys = rows.range(prefix.to_owned()..).map(|(key, _)| key);
    let keys = keys.take_while(|key| key.starts_with(prefix)).filter(|key| wanted(key));
    keys.map(|key| Gone { collection: T::COLLECTION, key: key.clone() }).collect()
}
