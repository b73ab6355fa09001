//! The store in memory: scopes that hold, quotas that are exact, steps that are whole.

use super::*;
use proptest::prelude::*;

const HERE: Scope<'static> = Scope { service: "shop", bucket: "default" };
const BIG: Quota = Quota { keys: u64::MAX, value_bytes: u64::MAX, service_bytes: u64::MAX };

fn text(store: &MemoryKeyValue, scope: Scope<'_>, key: &str) -> Option<String> {
    store.get(scope, key).unwrap().map(|value| String::from_utf8(value.to_vec()).unwrap())
}

/// Names and keys chosen to break a store that glues them together.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "",
            "/",
            "\0",
            "a",
            "a/b",
            "b",
            "..",
            "/../",
            "../b",
            "a\0b",
            "default",
            "a/default",
            ":",
            "a:b",
            "*",
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ]
}

proptest! {
    #[test]
    fn a_service_never_sees_anothers_keys(
        mine in hostile(), other in hostile(), buckets in (hostile(), hostile()), keys in (hostile(), hostile()),
    ) {
        prop_assume!(mine != other);
        let store = MemoryKeyValue::new();
        let theirs = Scope { service: &other, bucket: &buckets.0 };
        store.set(theirs, &keys.0, Bytes::from_static(b"secret"), &BIG).unwrap();
        for bucket in [&buckets.0, &buckets.1] {
            let scope = Scope { service: &mine, bucket };
            prop_assert_eq!(store.list_keys(scope, None).unwrap(), KeyPage::default());
            for key in [&keys.0, &keys.1] {
                prop_assert_eq!(store.get(scope, key).unwrap(), None);
                prop_assert!(!store.exists(scope, key).unwrap());
                prop_assert_eq!(store.increment(scope, key, 1, &BIG), Ok(1));
                store.delete(scope, key).unwrap();
            }
        }
        store.set(Scope { service: &mine, bucket: &buckets.0 }, &keys.0, "mine".into(), &BIG).unwrap();
        prop_assert_eq!(store.get(theirs, &keys.0).unwrap(), Some(Bytes::from_static(b"secret")));
        prop_assert_eq!(store.list_keys(theirs, None).unwrap().keys, vec![keys.0.clone()]);
    }

    #[test]
    fn the_usage_is_what_is_there(steps in prop::collection::vec((0u8..4, 0u8..3, 0u8..2, 0usize..9), 0..60)) {
        let store = MemoryKeyValue::new();
        let quota = Quota { keys: 4, value_bytes: 6, service_bytes: 20 };
        for (what, key, bucket, size) in steps {
            let key = "k".repeat(usize::from(key) + 1);
            let bucket = ["x", "y"][usize::from(bucket)];
            let scope = Scope { service: "s", bucket };
            let before = store.usage("s");
            let done = match what {
                0 => store.delete(scope, &key).is_ok(),
                1 => store.increment(scope, &key, 7, &quota).is_ok(),
                _ => store.set(scope, &key, vec![b'1'; size].into(), &quota).is_ok(),
            };
            prop_assert!(done || store.usage("s") == before);
        }
        let (mut keys, mut bytes) = (0, 0);
        for bucket in ["x", "y"] {
            let scope = Scope { service: "s", bucket };
            for key in store.list_keys(scope, None).unwrap().keys {
                keys += 1;
                bytes += (key.len() + store.get(scope, &key).unwrap().unwrap().len()) as u64;
            }
        }
        prop_assert_eq!(store.usage("s"), (keys, bytes));
        prop_assert!(keys <= quota.keys && bytes <= quota.service_bytes);
    }
}

#[test]
fn buckets_of_one_service_are_apart() {
    let store = MemoryKeyValue::new();
    let other = Scope { bucket: "other", ..HERE };
    store.set(HERE, "k", "1".into(), &BIG).unwrap();
    store.set(other, "k", "2".into(), &BIG).unwrap();
    assert_eq!(text(&store, HERE, "k").as_deref(), Some("1"));
    store.delete(HERE, "k").unwrap();
    assert_eq!(text(&store, HERE, "k"), None);
    assert_eq!(text(&store, other, "k").as_deref(), Some("2"));
    store.remove_service("shop");
    assert_eq!(text(&store, other, "k"), None);
    assert_eq!(store.usage("shop"), (0, 0));
}

#[test]
fn each_quota_is_an_error_of_its_own() {
    let store = MemoryKeyValue::new();
    let quota = Quota { keys: 2, value_bytes: 4, service_bytes: 10 };
    let set = |key: &str, value: &'static str| store.set(HERE, key, value.into(), &quota);
    set("a", "1234").unwrap();
    assert_eq!(set("a", "12345"), Err(KeyValueError::ValueTooLarge { bytes: 5, limit: 4 }));
    set("b", "1234").unwrap();
    assert_eq!(set("c", ""), Err(KeyValueError::TooManyKeys { limit: 2 }));
    set("a", "").unwrap();
    store.delete(HERE, "b").unwrap();
    set("bbbbb", "1").unwrap();
    assert_eq!(set("a", "1234"), Err(KeyValueError::TooManyBytes { bytes: 11, limit: 10 }));
    let long = "k".repeat(MAX_KEY_BYTES + 1);
    assert_eq!(set(&long, ""), Err(KeyValueError::KeyTooLong { bytes: 1025 }));
    assert!(store.get(HERE, &long).is_err() && store.exists(HERE, &long).is_err());
}

#[test]
fn a_lowered_quota_still_lets_a_service_shrink() {
    let store = MemoryKeyValue::new();
    store.set(HERE, "k", "0123456789".into(), &BIG).unwrap();
    let small = Quota { keys: 1, value_bytes: 100, service_bytes: 5 };
    assert!(store.set(HERE, "k", "01234567890".into(), &small).is_err());
    store.set(HERE, "k", "01234567".into(), &small).unwrap();
    store.set(HERE, "k", "0".into(), &small).unwrap();
}

#[test]
fn increments_from_many_threads_all_count() {
    let store = MemoryKeyValue::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| drop(store.increment(HERE, "n", 1, &BIG))));
        }
    });
    assert_eq!(text(&store, HERE, "n").as_deref(), Some("4000"));
    assert_eq!(store.increment(HERE, "n", -4001, &BIG), Ok(-1));
    store.set(HERE, "n", "x".into(), &BIG).unwrap();
    assert_eq!(store.increment(HERE, "n", 1, &BIG), Err(KeyValueError::NotANumber));
    store.set(HERE, "n", i64::MAX.to_string().into(), &BIG).unwrap();
    assert_eq!(store.increment(HERE, "n", 1, &BIG), Err(KeyValueError::NumberOverflow));
}

#[test]
fn a_replace_happens_only_if_nothing_came_between() {
    let store = MemoryKeyValue::new();
    let absent = store.versioned(HERE, "k").unwrap();
    assert_eq!(absent, Versioned::default());
    assert_eq!(store.replace(HERE, "k", absent.version, "1".into(), &BIG), Ok(Ok(())));
    assert!(matches!(store.replace(HERE, "k", 0, "2".into(), &BIG), Ok(Err(1))));
    let seen = store.versioned(HERE, "k").unwrap();
    // The same value again is a change all the same.
    store.delete(HERE, "k").unwrap();
    store.set(HERE, "k", "1".into(), &BIG).unwrap();
    assert!(store.replace(HERE, "k", seen.version, "2".into(), &BIG).unwrap().is_err());
    assert_eq!(text(&store, HERE, "k").as_deref(), Some("1"));
}

#[test]
fn pages_hold_every_key_once() {
    let store = MemoryKeyValue::new();
    let names: Vec<String> = (0..2500).map(|n| format!("{n:05}")).collect();
    for name in &names {
        store.set(HERE, name, Bytes::new(), &BIG).unwrap();
    }
    let (mut found, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = store.list_keys(HERE, cursor.as_deref()).unwrap();
        assert!(page.keys.len() <= PAGE_KEYS);
        found.extend(page.keys);
        pages += 1;
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
        // A cursor stays good when its key goes away.
        store.delete(HERE, cursor.as_deref().unwrap()).unwrap();
    }
    assert_eq!((found, pages), (names, 3));
    let long = Scope { bucket: "long", ..HERE };
    for n in 0..100 {
        store.set(long, &format!("{n:01000}"), Bytes::new(), &BIG).unwrap();
    }
    let page = store.list_keys(long, None).unwrap();
    assert!(page.cursor.is_some() && page.keys.len() < 100);
    assert_eq!(store.list_keys(long, Some("\u{10ffff}")).unwrap(), KeyPage::default());
}
