//! Every change of the platform and the audit trail: one record each, in the same commit, with who and what and nothing secret.

use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::storage::memory::MemoryStorage;
use crate::storage::{Claim, Effect, Found, JournalRow, Leased, Query};

const WORKS: u8 = 0;
const IS_FULL: u8 = 1;
/// Writes what it is given, and says that it does not know.
const IS_UNSURE: u8 = 2;

/// Storage that can be told to fail, and that takes no change without a record.
#[derive(Debug, Default)]
struct Watched {
    inner: MemoryStorage,
    mode: AtomicU8,
}

/// What is written without a record, because nobody sees it by itself.
const UNSEEN: [&str; 4] = ["published", "audit_head", "stateful", "stateful_time"];

#[async_trait]
impl Storage for Watched {
    async fn commit(&self, ops: Vec<Op>) -> Result<Vec<Effect>, StorageError> {
        let collection = |op: &Op| match op {
            Op::Put { collection, .. } | Op::Delete { collection, .. } => Some(collection.0),
            Op::Unpark { .. } | Op::Cancel { .. } => Some("queue"),
            _ => None,
        };
        let touched: Vec<_> = ops.iter().filter_map(collection).collect();
        let records = touched.iter().filter(|name| **name == "audit").count();
        let changes = touched.iter().any(|name| *name != "audit" && !UNSEEN.contains(name));
        assert_eq!(records, usize::from(changes), "a change and its record: {touched:?}");
        if self.mode.load(Ordering::Relaxed) == IS_FULL {
            return Err(StorageError::Full { path: "here".into() });
        }
        let effects = self.inner.commit(ops).await?;
        match self.mode.load(Ordering::Relaxed) {
            IS_UNSURE => Err(StorageError::Io { path: "here".into(), what: "lost".into() }),
            _ => Ok(effects),
        }
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Leased>, StorageError> {
        self.inner.claim(claim).await
    }

    async fn read(&self, query: Query) -> Result<Found, StorageError> {
        self.inner.read(query).await
    }

    fn wake(&self) -> Arc<Notify> {
        self.inner.wake()
    }
}

struct World {
    storage: Arc<Watched>,
    platform: Platform,
    seen: usize,
    /// How storage is while a change is to succeed.
    mode: u8,
    _dir: tempfile::TempDir,
}

impl World {
    async fn new(mode: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let storage = Arc::new(Watched::default());
        let config = PlatformConfig::new(dir.path(), engine());
        let clock = Arc::new(SystemClock::default());
        let platform = Platform::open_with(config, storage.clone(), clock).await.unwrap();
        let made = platform.keys().create(NewKey::new(Role::Deploy, "1"), &Origin::local()).await;
        let by = Origin::of_key(&made.unwrap().key).in_request("request-7".into());
        Self { storage, platform: platform.by(by), seen: 1, mode, _dir: dir }
    }

    fn set(&self, mode: u8) {
        self.storage.mode.store(mode, Ordering::Relaxed);
    }

    async fn values(&self) -> Vec<String> {
        let mut values = Vec::new();
        let take = |entry: crate::storage::Entry| {
            values.push(String::from_utf8(entry.value.to_vec()).unwrap());
            Ok::<_, StorageError>(())
        };
        let storage: &dyn Storage = &*self.storage;
        storage.each(Collection("audit"), take).await.unwrap();
        values
    }

    /// What the trail says since it was asked last.
    async fn told(&mut self) -> Vec<AuditRecord> {
        let from = Some(self.seen as u64 + 1);
        let filter = AuditFilter { from, limit: 100, ..AuditFilter::default() };
        let records = self.platform.audit(&filter).await.unwrap().records;
        self.seen += records.len();
        records
    }

    async fn expect(&mut self, told: &str) {
        let key = self.platform.keys().list().first().unwrap().id.to_string();
        let [record] = &self.told().await[..] else { panic!("one record of `{told}`") };
        let deed = &record.deed;
        assert_eq!(deed.what(), told);
        assert_eq!(
            (deed.role, deed.request_id.as_deref()),
            (Some(Role::Deploy), Some("request-7"))
        );
        // Keys come in the order of their ids, and there may be two by now.
        assert!(deed.who == key || self.platform.keys().find(&deed.who).is_some(), "{told}");
        assert_eq!(deed.became.is_none(), matches!(&*deed.verb, "delete" | "stop"), "{told}");
    }
}

/// A change, first with a disk that is full: neither it nor a record of it; then once more, with one record that tells it.
macro_rules! tell {
    ($world:ident, $told:expr, $call:expr) => {{
        $world.set(IS_FULL);
        assert!($call.await.is_err(), "{}", $told);
        assert_eq!($world.values().await.len(), $world.seen, "nothing of `{}`", $told);
        $world.set($world.mode);
        let done = $call.await.unwrap();
        $world.set(WORKS);
        $world.expect(&$told).await;
        done
    }};
}

fn target(qualifier: Option<&'static str>) -> Target<'static> {
    Target { service: "s", qualifier, function: "f" }
}

async fn services_and_functions(world: &mut World) {
    let platform = world.platform.clone();
    let name = || ServiceName::parse("s").unwrap();
    let none = ServiceSettings::default;
    tell!(world, "create service s", platform.create_service(name(), none()));
    let change = || ServiceChange { role: Some("r".into()), ..ServiceChange::default() };
    tell!(world, "update service s", platform.update_service("s", change()));
    let new = || {
        let mut new = new_function("f", answering("hi"));
        new.settings.environment.insert("PASSWORD".into(), "hunter2".into());
        new
    };
    tell!(world, "create function s/f", platform.create_function("s", new()));
    let change = || FunctionChange { timeout_s: Some(9), ..FunctionChange::default() };
    tell!(world, "update function s/f", platform.update_function("s", "f", change()));
    tell!(world, "publish version s.1", platform.publish_version("s", String::new(), None));
    let alias = || NewAlias {
        name: AliasName::parse("prod").unwrap(),
        version: 1,
        description: String::new(),
        weights: std::collections::BTreeMap::new(),
        extra: serde_json::Map::new(),
    };
    tell!(world, "create alias s.prod", platform.create_alias("s", alias()));
    let change = || AliasChange { description: Some("d".into()), ..AliasChange::default() };
    tell!(world, "update alias s.prod", platform.update_alias("s", "prod", change()));
}

async fn what_belongs_to_them(world: &mut World) {
    let platform = world.platform.clone();
    let new = || NewTrigger {
        name: TriggerName::parse("t").unwrap(),
        kind: TriggerKind::Timer,
        settings: TriggerSettings {
            config: serde_json::from_str(r#"{"cronExpression":"@every 1h"}"#).unwrap(),
            ..TriggerSettings::default()
        },
    };
    tell!(world, "create trigger s/f/t", platform.create_trigger("s", "f", new()));
    let change = || TriggerChange { description: Some("d".into()), ..TriggerChange::default() };
    tell!(world, "update trigger s/f/t", platform.update_trigger("s", "f", "t", change()));
    tell!(world, "delete trigger s/f/t", platform.delete_trigger("s", "f", "t", None));
    let at = target(Some("prod"));
    tell!(world, "create on-demand config s.prod/f", platform.put_on_demand_config(at, 2, None));
    tell!(world, "update on-demand config s.prod/f", platform.put_on_demand_config(at, 3, None));
    tell!(world, "delete on-demand config s.prod/f", platform.delete_on_demand_config(at, None));
    let ready = || ProvisionChange { target: 1, ..ProvisionChange::default() };
    tell!(world, "create provision config s.prod/f", platform.put_provision_config(at, ready()));
    tell!(world, "update provision config s.prod/f", platform.put_provision_config(at, ready()));
    let none = AsyncSettings::default;
    tell!(world, "create async invoke config s.prod/f", platform.put_async_config(at, none()));
    tell!(world, "delete async invoke config s.prod/f", platform.delete_async_config(at));
    tell!(world, "create binding s/vpc", platform.bind_network("s", "vpc"));
    tell!(world, "delete binding s/vpc", platform.unbind_network("s", "vpc"));
    let tags = || [("team".to_owned(), "a".to_owned())].into();
    tell!(world, "update tags s", platform.tag_service("s", tags()));
    platform.untag_service("s", None).await.unwrap();
    assert_eq!(world.told().await[0].deed.name, "s");
}

async fn what_belongs_to_no_service(world: &mut World) {
    let platform = world.platform.clone();
    let none = DomainSettings::default;
    tell!(world, "create domain a.example.com", platform.create_domain("a.example.com", none()));
    let none = DomainChange::default;
    tell!(world, "update domain a.example.com", platform.update_domain("a.example.com", none()));
    tell!(world, "delete domain a.example.com", platform.delete_domain("a.example.com", None));
    let archive: Bytes = {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file("a", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"a").unwrap();
        zip.finish().unwrap().into_inner().into()
    };
    let new = || NewLayerVersion {
        description: String::new(),
        runtimes: Vec::new(),
        archive: layer::Archive::Bytes(archive.clone()),
        checksum: None,
    };
    tell!(world, "publish layer version l/1", platform.publish_layer_version("l", new()));
    tell!(world, "update layer l", platform.set_layer_public("l", true));
    tell!(world, "delete layer version l/1", platform.delete_layer_version("l", 1));
    let by = platform.origin();
    let made = platform.keys().create(NewKey::new(Role::Admin, "1"), by).await.unwrap();
    let id = &made.key.id;
    world.expect(&format!("create access key {id}")).await;
    let no_time = std::time::Duration::ZERO;
    tell!(world, format!("rotate access key {id}"), platform.keys().rotate(id, no_time, by));
    tell!(world, format!("revoke access key {id}"), platform.keys().revoke(id, by));
    let secret = made.newest_secret().reveal();
    let all = world.values().await.concat();
    assert!(!all.contains("hunter2") && !all.contains(secret), "no secret in it");
}

async fn invocations(world: &mut World) {
    let platform = world.platform.clone();
    let id = |text: &str| InvocationId::parse(text).unwrap();
    let options = EnqueueOptions { stateful_id: Some(id("mine")), ..EnqueueOptions::default() };
    let accepted = platform.enqueue(target(None), "{}".into(), options).await.unwrap();
    let told = format!("stop invocation s/f {}", accepted.id);
    tell!(world, told, platform.stop_stateful(target(None), "mine"));
    let options = EnqueueOptions { id: Some(id("dead")), ..EnqueueOptions::default() };
    platform.enqueue(target(None), "{}".into(), options).await.unwrap();
    let far = u64::MAX / 4;
    let claim = Claim { now_ms: far, limit: 1, until_ms: far, ..Claim::default() };
    let token = world.storage.claim(claim).await.unwrap()[0].token;
    let text = String::new;
    let record = JournalRow {
        id: "dead".into(),
        lane: "s/f".into(),
        status: text(),
        time_ms: 1,
        body: Bytes::new(),
    };
    let park = Op::Park { id: "dead".into(), token, attempts: 1, reason: text(), record };
    world.storage.commit(vec![park]).await.unwrap();
    assert!(world.told().await.is_empty(), "invocations themselves leave none");
    tell!(world, "redrive dead letter dead", platform.redrive("dead"));
}

#[tokio::test]
async fn every_change_leaves_one_record_in_its_commit() {
    for mode in [WORKS, IS_UNSURE] {
        let mut story = World::new(mode).await;
        let world = &mut story;
        services_and_functions(world).await;
        what_belongs_to_them(world).await;
        what_belongs_to_no_service(world).await;
        invocations(world).await;
        let platform = world.platform.clone();
        // What is kept ready for it goes in the same commit.
        tell!(world, "delete alias s.prod", platform.delete_alias("s", "prod", None));
        assert!(platform.get_provision_config(target(Some("prod"))).is_err());
        tell!(world, "delete version s.1", platform.delete_version("s", 1, None));
        tell!(world, "delete function s/f", platform.delete_function("s", "f", None));
        tell!(world, "delete service s", platform.delete_service("s", None));
        let report = platform.verify_audit(None).await.unwrap();
        assert_eq!((report.records, report.problem), (world.seen as u64, None));
    }
}

#[tokio::test]
async fn the_trail_is_looked_through_from_both_ends() {
    let world = World::new(WORKS).await;
    for name in ["a", "b", "c"] {
        service(&world.platform, name).await;
    }
    let page = async |filter: AuditFilter| {
        let page = world.platform.audit(&filter).await.unwrap();
        (page.records.iter().map(|record| record.number).collect::<Vec<_>>(), page.next)
    };
    let all = AuditFilter { limit: 3, ..AuditFilter::default() };
    assert_eq!(page(all.clone()).await, (vec![1, 2, 3], Some(4)));
    assert_eq!(page(AuditFilter { from: Some(4), ..all.clone() }).await, (vec![4], None));
    let down = AuditFilter { newest_first: true, ..all.clone() };
    assert_eq!(page(down.clone()).await, (vec![4, 3, 2], Some(1)));
    assert_eq!(page(AuditFilter { from: Some(1), ..down }).await, (vec![1], None));
    let what = AuditFilter { what: Some("service b".into()), ..all.clone() };
    assert_eq!(page(what).await, (vec![3], None));
    let who = AuditFilter { who: Some("local".into()), ..all.clone() };
    assert_eq!(page(who).await, (vec![1], None), "the key itself");
    let until = AuditFilter { until_ms: Some(1), ..all.clone() };
    assert_eq!(page(until).await, (vec![], None));
    assert!(world.platform.audit(&AuditFilter { limit: 0, ..all }).await.is_err());
}
