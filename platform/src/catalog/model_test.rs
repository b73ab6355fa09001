//! Random sequences of changes against a plain model: the catalog holds what the model holds, versions never change, numbers never come
//! back, what is read back from storage is what is in memory, and the audit trail holds one record of each change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::{Catalog, Writer};
use crate::alias::Alias;
use crate::audit::{AuditConfig, Author, Origin, Trail, verify};
use crate::clock::SystemClock;
use crate::config::Quotas;
use crate::error::PlatformError;
use crate::function::{Code, Function, FunctionSettings};
use crate::name::{AliasName, FunctionName, ServiceName, Target};
use crate::service::{Service, ServiceSettings};
use crate::storage::memory::MemoryStorage;
use crate::storage::{Storage, StorageError};

const FUNCTIONS: [&str; 3] = ["f", "g", "h"];
const ALIASES: [&str; 2] = ["prod", "beta"];

/// One change. What it names need not exist.
#[derive(Debug, Clone)]
enum Step {
    Deploy(&'static str),
    Delete(&'static str),
    Publish,
    Unpublish(u64),
    Point(&'static str, u64),
    Drop(&'static str),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let function = || prop::sample::select(FUNCTIONS.to_vec());
    let alias = || prop::sample::select(ALIASES.to_vec());
    prop_oneof![
        4 => function().prop_map(Step::Deploy),
        1 => function().prop_map(Step::Delete),
        4 => Just(Step::Publish),
        2 => (1..6_u64).prop_map(Step::Unpublish),
        2 => (alias(), 1..6_u64).prop_map(|(name, version)| Step::Point(name, version)),
        1 => alias().prop_map(Step::Drop),
        1 => Just(Step::Reopen),
    ]
}

/// What there should be: functions by the number of their deployment, versions as they were, aliases.
#[derive(Debug, Default, Clone, PartialEq)]
struct Model {
    newest: BTreeMap<&'static str, u64>,
    versions: BTreeMap<u64, BTreeMap<&'static str, u64>>,
    aliases: BTreeMap<&'static str, u64>,
    last: u64,
    deployed: u64,
    /// Changes, each of which the audit trail tells once.
    changes: u64,
    /// What was published last, also when that version is gone.
    published: Option<BTreeMap<&'static str, u64>>,
}

fn name() -> ServiceName {
    ServiceName::parse("s").unwrap()
}

/// A function whose code tells which deployment it is of.
fn function(name: &str, number: u64) -> Function {
    Function {
        service: ServiceName::parse("s").unwrap(),
        name: FunctionName::parse(name).unwrap(),
        id: name.to_owned(),
        settings: FunctionSettings::default(),
        code: Code {
            digest: format!("{number}"),
            wasm_bytes: 0,
            package_digest: String::new(),
            package_bytes: 0,
            checksum: number,
            guest: None,
        },
        created_ms: 0,
        modified_ms: 0,
        revision: 0,
    }
}

async fn read(storage: &Arc<dyn Storage>) -> Writer {
    let catalog = Catalog::read(storage.clone(), Quotas::default()).await.unwrap();
    let clock = Arc::new(SystemClock::default());
    let trail = Trail::new(storage.clone(), clock, AuditConfig::default());
    Writer::new(Arc::new(catalog), Author::new(trail, Origin::local()))
}

/// What the catalog answers at a qualifier.
fn at(catalog: &Catalog, qualifier: Option<&str>) -> BTreeMap<&'static str, u64> {
    let number = |function| {
        let target = Target { service: "s", qualifier, function };
        catalog.resolve(target).ok().map(|revision| (function, revision.function().code.checksum))
    };
    FUNCTIONS.into_iter().filter_map(number).collect()
}

fn compare(catalog: &Catalog, model: &Model) {
    assert_eq!(at(catalog, None), model.newest);
    for id in 1..=model.last + 1 {
        let held = model.versions.get(&id).cloned().unwrap_or_default();
        assert_eq!(at(catalog, Some(&id.to_string())), held, "version {id}");
    }
    for alias in ALIASES {
        let version = model.aliases.get(alias).and_then(|id| model.versions.get(id));
        assert_eq!(at(catalog, Some(alias)), version.cloned().unwrap_or_default(), "{alias}");
    }
    let published: usize = model.versions.values().map(BTreeMap::len).sum();
    let counted = catalog.published.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(counted, published as u64);
}

async fn apply(catalog: &Writer, step: &Step, model: &mut Model) {
    match step {
        Step::Deploy(name) => {
            model.deployed += 1;
            let new = function(name, model.deployed);
            match catalog.revision("s", name) {
                Ok(before) => catalog.update_function(before, new, None).await.map(drop).unwrap(),
                Err(_) => catalog.create_function(new).await.map(drop).unwrap(),
            }
            model.newest.insert(name, model.deployed);
            model.changes += 1;
        }
        Step::Delete(name) => {
            let was = model.newest.remove(name).is_some();
            assert_eq!(catalog.delete_function("s", name, None).await.is_ok(), was);
            model.changes += u64::from(was);
        }
        Step::Publish => {
            let made = catalog.publish("s", String::new(), None, 0).await;
            let is_changed = model.published.as_ref() != Some(&model.newest);
            assert_eq!(made.is_ok(), is_changed, "{made:?}");
            if let Ok(version) = made {
                model.last += 1;
                model.changes += 1;
                assert_eq!(version.id, model.last);
                model.versions.insert(version.id, model.newest.clone());
                model.published = Some(model.newest.clone());
            }
        }
        Step::Unpublish(id) => {
            let was = model.versions.remove(id).is_some();
            assert_eq!(catalog.delete_version("s", *id, None).await.is_ok(), was);
            model.changes += u64::from(was);
        }
        Step::Point(name, version) => {
            let done = point(catalog, name, *version).await.is_ok();
            assert_eq!(done, model.versions.contains_key(version), "{name} to {version}");
            if done {
                model.aliases.insert(name, *version);
                model.changes += 1;
            }
        }
        Step::Drop(name) => {
            let was = model.aliases.remove(name).is_some();
            assert_eq!(catalog.remove_record::<Alias>("s", name, None).await.is_ok(), was);
            model.changes += u64::from(was);
        }
        Step::Reopen => {}
    }
}

/// Makes an alias or moves it.
async fn point(catalog: &Writer, alias: &str, version: u64) -> Result<(), PlatformError> {
    let new = Alias {
        service: name(),
        name: AliasName::parse(alias).unwrap(),
        version,
        description: String::new(),
        weights: BTreeMap::new(),
        extra: serde_json::Map::new(),
        created_ms: 0,
        modified_ms: 0,
        revision: 0,
    };
    let make = move |catalog: &Catalog, _: Option<&Alias>| {
        catalog.service("s")?.version(version)?;
        Ok(new)
    };
    catalog.put_record("s", alias, None, u64::MAX, make).await.map(drop)
}

async fn run(steps: Vec<Step>) {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    let mut catalog = read(&storage).await;
    let service = Service {
        name: name(),
        id: "id".to_owned(),
        settings: ServiceSettings::default(),
        created_ms: 0,
        modified_ms: 0,
        revision: 0,
    };
    catalog.create_service(service).await.unwrap();
    let mut model = Model { changes: 1, ..Model::default() };
    for step in steps {
        apply(&catalog, &step, &mut model).await;
        if matches!(step, Step::Reopen) {
            catalog = read(&storage).await;
        }
        compare(&catalog, &model);
    }
    let again = read(&storage).await;
    compare(&again, &model);
    let report = verify(&*storage, None).await.unwrap();
    assert_eq!((report.records, report.problem), (model.changes, None), "one record a change");
    let held = model.versions.values().flatten().collect::<BTreeSet<_>>();
    let mut stored = 0;
    let count = |_| {
        stored += 1;
        Ok::<_, StorageError>(())
    };
    storage.each(super::versions::PUBLISHED, count).await.unwrap();
    assert_eq!(
        stored,
        held.len(),
        "each function that a version holds is stored once, and no other"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_catalog_does_as_the_model(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(steps));
    }
}
