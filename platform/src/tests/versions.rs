//! Versions and aliases over a real engine: what was published stays as it was, through changes, deletions and reopening.

use super::*;

async fn publish(platform: &Platform) -> Result<Version, PlatformError> {
    platform.publish_version("s", String::new(), None).await
}

async fn replace(platform: &Platform, function: &str, text: &str) {
    let code = Some(CodeUpload::Wasm(answering(text)));
    let change = FunctionChange { code, ..FunctionChange::default() };
    platform.update_function("s", function, change).await.unwrap();
}

async fn at(platform: &Platform, qualifier: &str) -> Bytes {
    let target = Target { service: "s", qualifier: Some(qualifier), function: "f" };
    let invoked = platform.invoke(target, Invocation::new(&b"{}"[..])).await.unwrap();
    invoked.outcome.result.unwrap()
}

fn alias(name: &str, version: u64, weights: &[(u64, f64)]) -> NewAlias {
    NewAlias {
        name: AliasName::parse(name).unwrap(),
        version,
        description: String::new(),
        weights: weights.iter().copied().collect(),
        extra: serde_json::Map::new(),
    }
}

/// A platform with service `s` and function `f` that answers `one`.
async fn begun(dir: &std::path::Path) -> Platform {
    let platform = open(dir).await;
    service(&platform, "s").await;
    platform.create_function("s", new_function("f", answering("one"))).await.unwrap();
    platform
}

#[tokio::test]
async fn a_version_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut platform = begun(dir.path()).await;
    platform.create_function("s", new_function("same", answering("same"))).await.unwrap();
    let first = platform.publish_version("s", "first".into(), None).await.unwrap();
    assert_eq!(first.id, 1);
    let error = publish(&platform).await.unwrap_err();
    assert!(is(&error, |e| matches!(e, RequestError::Unchanged { version: 1, .. })), "{error}");
    replace(&platform, "f", "two").await;
    let change = ServiceChange { role: Some("r".into()), ..ServiceChange::default() };
    platform.update_service("s", change).await.unwrap();
    assert_eq!(publish(&platform).await.unwrap().id, 2);
    platform.delete_function("s", "f", None).await.unwrap();
    for round in 0..2 {
        if round == 1 {
            drop(platform);
            platform = open(dir.path()).await;
        }
        assert_eq!(
            (at(&platform, "1").await, at(&platform, "2").await),
            ("one".into(), "two".into())
        );
        let then = platform.get_service_at("s", Some("1")).unwrap();
        assert_eq!(
            (then.settings.description.as_str(), then.settings.role.as_str()),
            ("first", "")
        );
        assert_eq!(platform.get_service_at("s", Some("2")).unwrap().settings.role, "r");
        assert_eq!(platform.list_functions_at("s", Some("1"), &list(9)).unwrap().items.len(), 2);
        assert_eq!(platform.list_functions("s", &list(9)).unwrap().items.len(), 1);
    }
}

#[tokio::test]
async fn numbers_are_never_given_again_and_code_goes_with_its_last_user() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = PlatformConfig::new(dir.path(), engine());
    config.orphan_grace = std::time::Duration::ZERO;
    let platform = Platform::open(config).await.unwrap();
    service(&platform, "s").await;
    let made = platform.create_function("s", new_function("f", answering("one"))).await.unwrap();
    let version = publish(&platform).await.unwrap();
    replace(&platform, "f", "two").await;
    platform.upkeep().await.unwrap();
    let code = dir.path().join("code");
    let is_kept = || walk(&code).iter().any(|path| path.contains(&made.code.digest));
    assert!(is_kept(), "a version is a user of its code");
    assert_eq!(at(&platform, "1").await, "one");
    let stale = platform.delete_version("s", 1, Some(version.revision + 1)).await.unwrap_err();
    assert!(is(&stale, |e| matches!(e, RequestError::Conflict { .. })));
    platform.delete_version("s", 1, Some(version.revision)).await.unwrap();
    let error = platform.delete_version("s", 1, None).await.unwrap_err();
    assert!(is(&error, |e| matches!(e, RequestError::NotFound { kind: Kind::Version, .. })));
    platform.upkeep().await.unwrap();
    assert!(!is_kept(), "nobody uses it any more");
    drop(platform);
    let platform = open(dir.path()).await;
    assert_eq!(publish(&platform).await.unwrap().id, 2);
    let held = platform.delete_service("s", None).await.unwrap_err();
    assert!(is(&held, |e| matches!(e, RequestError::NotEmpty { .. })));
}

fn walk(dir: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path.display().to_string()] })
        .collect()
}

#[tokio::test]
async fn versions_share_what_did_not_change_and_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let platform = begun(dir.path()).await;
    platform.create_function("s", new_function("g", answering("g"))).await.unwrap();
    for text in ["two", "three", "four"] {
        publish(&platform).await.unwrap();
        replace(&platform, "f", text).await;
    }
    let published = || async {
        let query = crate::storage::Query::List {
            collection: Collection("published"),
            prefix: String::new(),
            start: String::new(),
            limit: 100,
        };
        match platform.inner().storage.read(query).await.unwrap() {
            crate::storage::Found::Entries(entries) => entries.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(published().await, 4, "three of f, one of g");
    for (id, left) in [(2, 3), (1, 2), (3, 0)] {
        platform.delete_version("s", id, None).await.unwrap();
        assert_eq!(published().await, left, "after {id}");
    }
}

#[tokio::test]
async fn what_an_interrupted_publication_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let platform = begun(dir.path()).await;
    publish(&platform).await.unwrap();
    let storage = platform.inner().storage.clone();
    let function = platform.get_function("s", "f").unwrap();
    let value = serde_json::to_vec(&function).unwrap().into();
    let (collection, key) = (Collection("published"), "s/f/999".to_owned());
    let left = Op::Put { collection, key: key.clone(), value, expect: Expect::Absent };
    storage.commit(vec![left]).await.unwrap();
    drop((platform, storage));
    let platform = open(dir.path()).await;
    let query = crate::storage::Query::Get { collection, key };
    let found = platform.inner().storage.read(query).await.unwrap();
    assert_eq!(found, crate::storage::Found::Entry(None));
    assert_eq!(at(&platform, "1").await, "one");
}

#[tokio::test]
async fn versions_are_listed_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let platform = begun(dir.path()).await;
    for role in ["a", "b", "c"] {
        let change = ServiceChange { role: Some(role.into()), ..ServiceChange::default() };
        platform.update_service("s", change).await.unwrap();
        publish(&platform).await.unwrap();
    }
    let ids = |start, direction, limit| {
        let page = platform.list_versions("s", VersionListRequest { start, direction, limit });
        let page = page.unwrap();
        (page.items.iter().map(|version| version.id).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(ids(None, Direction::Backward, 2), (vec![3, 2], Some(1)));
    assert_eq!(ids(Some(1), Direction::Backward, 2), (vec![1], None));
    assert_eq!(ids(Some(2), Direction::Forward, 9), (vec![2, 3], None));
    let too_many = VersionListRequest { limit: 101, ..VersionListRequest::default() };
    assert!(platform.list_versions("s", too_many).is_err());
}

#[tokio::test]
async fn aliases_lead_to_versions() {
    let dir = tempfile::tempdir().unwrap();
    let platform = begun(dir.path()).await;
    publish(&platform).await.unwrap();
    replace(&platform, "f", "two").await;
    publish(&platform).await.unwrap();
    let missing = platform.create_alias("s", alias("prod", 9, &[])).await.unwrap_err();
    assert!(is(&missing, |e| matches!(e, RequestError::NotFound { kind: Kind::Version, .. })));
    for weights in [&[(2, 1.5)][..], &[(2, -0.1)], &[(2, f64::NAN)], &[(1, 0.1), (2, 0.1)]] {
        let error = platform.create_alias("s", alias("prod", 1, weights)).await.unwrap_err();
        assert!(is(&error, |e| matches!(e, RequestError::Invalid { .. })), "{weights:?}");
    }
    let made = platform.create_alias("s", alias("prod", 1, &[])).await.unwrap();
    assert_eq!(at(&platform, "prod").await, "one");
    let weights = Some([(2, 1.0)].into());
    let change = AliasChange { weights, expect: Some(made.revision), ..AliasChange::default() };
    let changed = platform.update_alias("s", "prod", change.clone()).await.unwrap();
    let stale = platform.update_alias("s", "prod", change).await.unwrap_err();
    assert!(is(&stale, |e| matches!(e, RequestError::Conflict { kind: Kind::Alias, .. })));
    assert_eq!((changed.version, at(&platform, "prod").await), (1, "two".into()));
    drop(platform);
    let platform = open(dir.path()).await;
    assert_eq!(platform.get_alias("s", "prod").unwrap(), changed);
    platform.delete_version("s", 2, None).await.unwrap();
    let target = Target { service: "s", qualifier: Some("prod"), function: "f" };
    let gone = platform.resolve(target).unwrap_err();
    assert!(matches!(gone, RequestError::NotFound { kind: Kind::Version, .. }), "{gone}");
    platform.delete_alias("s", "prod", None).await.unwrap();
    assert!(platform.list_aliases("s", &list(9)).unwrap().items.is_empty());
}

#[tokio::test]
async fn two_writers_of_one_alias_do_not_both_win() {
    let dir = tempfile::tempdir().unwrap();
    let platform = begun(dir.path()).await;
    publish(&platform).await.unwrap();
    let made = platform.create_alias("s", alias("prod", 1, &[])).await.unwrap();
    let change = |text: &str| {
        let description = Some(text.to_owned());
        AliasChange { description, expect: Some(made.revision), ..AliasChange::default() }
    };
    let (one, two) = tokio::join!(
        platform.update_alias("s", "prod", change("one")),
        platform.update_alias("s", "prod", change("two"))
    );
    assert_eq!(u8::from(one.is_ok()) + u8::from(two.is_ok()), 1);
    let (one, two) = tokio::join!(
        platform.create_alias("s", alias("beta", 1, &[])),
        platform.create_alias("s", alias("beta", 1, &[]))
    );
    assert_eq!(u8::from(one.is_ok()) + u8::from(two.is_ok()), 1);
}
