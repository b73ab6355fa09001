//! Keys over a restart, through rotation and to their end.

use std::time::Duration;

use super::*;
use crate::audit::{AuditConfig, Origin, Trail};
use crate::clock::Clock;
use crate::storage::memory::MemoryStorage;
use crate::storage::{Claim, Effect, Found, Leased, Op, Query, Storage, StorageError};

#[derive(Debug, Default)]
struct Hands(std::sync::atomic::AtomicU64);

impl Clock for Hands {
    fn now_ms(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

struct World {
    storage: Arc<dyn Storage>,
    clock: Arc<Hands>,
    home: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self {
            storage: Arc::new(MemoryStorage::default()),
            clock: Arc::default(),
            home: tempfile::tempdir().unwrap(),
        }
    }

    async fn keys(&self) -> Result<Keys, KeyError> {
        let (storage, clock) = (self.storage.clone(), self.clock.clone());
        let trail = Trail::new(storage, clock, AuditConfig::default());
        Keys::open(trail, self.home.path(), None).await
    }

    fn at(&self, ms: u64) {
        self.clock.0.store(ms, std::sync::atomic::Ordering::Relaxed);
    }
}

fn secrets(keys: &Keys, id: &str, now_ms: u64) -> Vec<String> {
    let open = keys.find(id).unwrap();
    open.secrets(now_ms).map(|secret| secret.reveal().to_owned()).collect()
}

#[tokio::test]
async fn a_key_survives_a_restart_and_its_secret_is_nowhere_in_storage() {
    let world = World::new();
    let keys = world.keys().await.unwrap();
    assert!(keys.is_empty());
    let made = keys.create(NewKey::new(Role::Deploy, "42"), &Origin::local()).await.unwrap();
    let secret = secrets(&keys, &made.key.id, 0);
    assert_eq!((secret.len(), secret[0].len()), (1, 40));
    let mut stored = String::new();
    world
        .storage
        .each(crate::storage::Collection("key"), |entry| {
            stored.push_str(&String::from_utf8_lossy(&entry.value));
            Ok::<_, KeyError>(())
        })
        .await
        .unwrap();
    assert!(stored.contains(&*made.key.id) && !stored.contains(&secret[0]));
    assert!(!format!("{made:?} {keys:?}").contains(&secret[0]), "nothing prints it");
    let again = world.keys().await.unwrap();
    assert_eq!(secrets(&again, &made.key.id, 0), secret);
    assert_eq!(again.list(), [made.key]);
}

#[tokio::test]
async fn keys_without_the_file_that_opens_them_are_an_error() {
    let world = World::new();
    world
        .keys()
        .await
        .unwrap()
        .create(NewKey::new(Role::Admin, "1"), &Origin::local())
        .await
        .unwrap();
    std::fs::remove_file(world.home.path().join("sealing.key")).unwrap();
    let error = world.keys().await.unwrap_err();
    assert!(matches!(error, KeyError::Seal(SealError::Missing { .. })), "{error}");
    assert!(!world.home.path().join("sealing.key").exists(), "and no other is made");
}

#[tokio::test]
async fn a_rotated_secret_overlaps_and_a_revoked_key_signs_nothing() {
    let world = World::new();
    let keys = world.keys().await.unwrap();
    let id = keys.create(NewKey::new(Role::Admin, "1"), &Origin::local()).await.unwrap().key.id;
    let first = secrets(&keys, &id, 0);
    world.at(1000);
    keys.rotate(&id, Duration::from_secs(10), &Origin::local()).await.unwrap();
    let both = secrets(&keys, &id, 10_999);
    assert_eq!((both.len(), &both[1]), (2, &first[0]));
    assert_eq!(secrets(&keys, &id, 11_000), both[..1]);
    let again = world.keys().await.unwrap();
    assert_eq!(secrets(&again, &id, 5000), both);
    assert!(again.revoke(&id, &Origin::local()).await.unwrap().is_revoked);
    assert!(again.revoke(&id, &Origin::local()).await.unwrap().is_revoked, "twice is once");
    assert!(secrets(&again, &id, 5000).is_empty());
    assert!(matches!(
        again.rotate(&id, Duration::ZERO, &Origin::local()).await,
        Err(KeyError::Revoked { .. })
    ));
    assert!(matches!(
        again.revoke("nobody", &Origin::local()).await,
        Err(KeyError::NotFound { .. })
    ));
}

#[tokio::test]
async fn a_temporary_key_has_a_token_and_an_end() {
    let world = World::new();
    let keys = world.keys().await.unwrap();
    let new = NewKey { life: Some(Duration::from_secs(60)), ..NewKey::new(Role::Invoke, "1") };
    let made = keys.create(new, &Origin::local()).await.unwrap();
    assert!(made.key.id.starts_with("STS.") && made.token.is_some());
    assert_eq!(secrets(&keys, &made.key.id, 59_999).len(), 1);
    assert!(secrets(&keys, &made.key.id, 60_000).is_empty());
}

#[tokio::test]
async fn what_a_key_cannot_be_is_refused() {
    let world = World::new();
    let keys = world.keys().await.unwrap();
    let long = "x".repeat(129);
    for account in ["", "a b", "\u{e4}", "a/b", &long] {
        let error =
            keys.create(NewKey::new(Role::Admin, account), &Origin::local()).await.unwrap_err();
        assert!(matches!(error, KeyError::Invalid { what: "account", .. }), "{account}: {error}");
    }
    for life in [Duration::ZERO, Duration::from_secs(u64::MAX)] {
        let new = NewKey { life: Some(life), ..NewKey::new(Role::Admin, "1") };
        assert!(matches!(
            keys.create(new, &Origin::local()).await,
            Err(KeyError::Invalid { what: "life", .. })
        ));
    }
    assert!(keys.is_empty() && !world.home.path().join("sealing.key").exists());
}

#[test]
fn roles_contain_each_other_and_prefixes_bind() {
    let key = |role, services: &str| AccessKey {
        id: "k".into(),
        account: "1".into(),
        role,
        services: services.to_owned(),
        is_revoked: false,
        expire_ms: None,
        created_ms: 0,
        rotated_ms: None,
        overlap_until_ms: None,
    };
    let deploy = key(Role::Deploy, "shop-");
    assert!(deploy.may(Role::Invoke, Some("shop-a")) && deploy.may(Role::Deploy, Some("shop-a")));
    assert!(!deploy.may(Role::Deploy, Some("bank")) && !deploy.may(Role::Deploy, None));
    assert!(!deploy.may(Role::Admin, Some("shop-a")));
    let invoke = key(Role::Invoke, "");
    assert!(invoke.may(Role::Invoke, Some("bank")) && !invoke.may(Role::Deploy, Some("bank")));
    assert!(key(Role::Admin, "").may(Role::Admin, None));
}

/// Storage that answers a while after it has written.
#[derive(Debug, Default)]
struct Slow(MemoryStorage);

#[async_trait::async_trait]
impl Storage for Slow {
    async fn commit(&self, ops: Vec<Op>) -> Result<Vec<Effect>, StorageError> {
        let effects = self.0.commit(ops).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        effects
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Leased>, StorageError> {
        self.0.claim(claim).await
    }

    async fn read(&self, query: Query) -> Result<Found, StorageError> {
        self.0.read(query).await
    }

    fn wake(&self) -> Arc<tokio::sync::Notify> {
        self.0.wake()
    }
}

// What was on disk and what was in memory parted when whoever asked went away in between: a revoked key went on being served, and
// nothing could be done about it before a restart. A change runs to its end now.
#[tokio::test]
async fn a_change_whose_caller_goes_away_is_made_or_not() {
    let world = World { storage: Arc::new(Slow::default()), ..World::new() };
    let keys = world.keys().await.unwrap();
    let by = Origin::local();
    let id = keys.create(NewKey::new(Role::Admin, "1"), &by).await.unwrap().key.id;
    let before = secrets(&keys, &id, 0);
    let soon = Duration::from_millis(5);
    assert!(tokio::time::timeout(soon, keys.rotate(&id, Duration::ZERO, &by)).await.is_err());
    // The next change waits for the one that nobody waits for.
    let again = keys.rotate(&id, Duration::ZERO, &by).await.unwrap();
    assert_ne!(again.newest_secret().reveal(), before[0]);
    assert!(tokio::time::timeout(soon, keys.revoke(&id, &by)).await.is_err());
    let error = keys.rotate(&id, Duration::ZERO, &by).await.unwrap_err();
    assert!(matches!(error, KeyError::Revoked { .. }), "{error}");
    assert!(secrets(&keys, &id, 1).is_empty());
    let stored = world.keys().await.unwrap();
    assert_eq!(stored.list(), keys.list(), "memory and disk say the same");
}
