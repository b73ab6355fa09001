//! Instances bounded and kept ready per qualifier, over a real engine.

use std::time::Duration;

use super::*;

fn at(qualifier: Option<&'static str>) -> Target<'static> {
    Target { service: "s", qualifier, function: "f" }
}

fn ready(target: u32) -> ProvisionChange {
    ProvisionChange { target, ..ProvisionChange::default() }
}

/// A platform with a function in version 1 and as `LATEST`, and an alias of that version.
async fn begun(dir: &std::path::Path) -> Platform {
    let platform = open(dir).await;
    service(&platform, "s").await;
    platform.create_function("s", new_function("f", answering("one"))).await.unwrap();
    platform.publish_version("s", String::new(), None).await.unwrap();
    let alias = NewAlias {
        name: AliasName::parse("prod").unwrap(),
        version: 1,
        description: String::new(),
        weights: std::collections::BTreeMap::new(),
        extra: serde_json::Map::new(),
    };
    platform.create_alias("s", alias).await.unwrap();
    platform
}

async fn current(platform: &Platform, qualifier: Option<&'static str>, wanted: u32) {
    for _ in 0..1000 {
        platform.inner().reach_provisions().await;
        if platform.get_provision_config(at(qualifier)).unwrap().current == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{wanted} were not reached");
}

#[tokio::test]
async fn provisioned_instances_are_there_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let platform = begun(dir.path()).await;
    let set = platform.put_provision_config(at(None), ready(3)).await.unwrap();
    assert_eq!((set.target, set.qualifier.as_str()), (3, "LATEST"));
    current(&platform, None, 3).await;
    assert_eq!(platform.instances(at(None)).unwrap().len(), 3);
    // New code takes the promise over.
    let code = Some(CodeUpload::Wasm(answering("two")));
    let change = FunctionChange { code, ..FunctionChange::default() };
    platform.update_function("s", "f", change).await.unwrap();
    current(&platform, None, 3).await;
    assert_eq!(answer(&platform, "f").await, "two");
    drop(platform);
    let platform = open(dir.path()).await;
    assert_eq!(
        platform.get_provision_config(at(None)).unwrap().current,
        0,
        "nothing is loaded yet"
    );
    current(&platform, None, 3).await;
    let stale = ProvisionChange { expect: Some(1), ..ready(9) };
    let error = platform.put_provision_config(at(None), stale).await.unwrap_err();
    assert!(is(&error, |e| matches!(e, RequestError::Conflict { .. })), "{error}");
    platform.put_provision_config(at(None), ready(0)).await.unwrap();
    current(&platform, None, 0).await;
    let all = platform.list_provision_configs(&list(9), &ProvisionFilter::default()).unwrap();
    assert!(all.items.is_empty());
}

#[tokio::test]
async fn an_alias_divides_what_it_keeps_ready() {
    let dir = tempfile::tempdir().unwrap();
    let platform = begun(dir.path()).await;
    let code = Some(CodeUpload::Wasm(answering("two")));
    let change = FunctionChange { code, ..FunctionChange::default() };
    platform.update_function("s", "f", change).await.unwrap();
    platform.publish_version("s", String::new(), None).await.unwrap();
    platform.put_provision_config(at(Some("prod")), ready(4)).await.unwrap();
    current(&platform, Some("prod"), 4).await;
    let of = |version| platform.instances(at(Some(version))).unwrap().len();
    assert_eq!((of("1"), of("2")), (4, 0));
    let weights = Some([(2, 0.25)].into());
    let change = AliasChange { weights, ..AliasChange::default() };
    platform.update_alias("s", "prod", change).await.unwrap();
    for _ in 0..1000 {
        platform.inner().reach_provisions().await;
        if (of("1"), of("2")) == (3, 1) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((of("1"), of("2")), (3, 1));
    assert_eq!(platform.instances(at(Some("prod"))).unwrap().len(), 4);
    let filter = ProvisionFilter { service: Some("s".into()), qualifier: Some("prod".into()) };
    assert_eq!(platform.list_provision_configs(&list(9), &filter).unwrap().items.len(), 1);
    // What is kept ready for an alias goes with it.
    platform.delete_alias("s", "prod", None).await.unwrap();
    assert!(platform.list_provision_configs(&list(9), &filter).unwrap().items.is_empty());
    let error = platform.put_provision_config(at(Some("1")), ready(1)).await.unwrap_err();
    assert!(is(&error, |e| matches!(e, RequestError::Invalid { field: "qualifier", .. })));
}

#[tokio::test]
async fn a_maximum_is_held_per_qualifier() {
    let dir = tempfile::tempdir().unwrap();
    let platform = begun(dir.path()).await;
    let set = platform.put_on_demand_config(at(Some("prod")), 1, None).await.unwrap();
    let (catalog, alias) = (&platform.inner().catalog, at(Some("prod")));
    let revision = platform.resolve(alias).unwrap();
    let admit = |qualifier: &str| {
        let mut invocation = hearth_engine::Invocation::new("");
        invocation.qualifier = Some(qualifier.into());
        catalog.admit(&revision, &mut invocation)
    };
    let first = admit("prod").unwrap();
    let refused = admit("prod").unwrap_err();
    assert!(matches!(refused, hearth_engine::Refusal::QueueFull { limit: 1, .. }), "{refused}");
    let other = admit("1");
    assert!(other.is_ok(), "the version itself has no maximum");
    let stale = platform.put_on_demand_config(alias, 5, Some(set.revision + 1)).await.unwrap_err();
    assert!(is(&stale, |e| matches!(e, RequestError::Conflict { .. })));
    platform.put_on_demand_config(alias, 2, Some(set.revision)).await.unwrap();
    // Who runs already counts under the new maximum as well.
    let second = admit("prod").unwrap();
    assert!(admit("prod").is_err());
    drop((first, second));
    assert!(admit("prod").is_ok());
    for maximum in [0, ON_DEMAND_MAX + 1] {
        let error = platform.put_on_demand_config(at(None), maximum, None).await.unwrap_err();
        assert!(is(&error, |e| matches!(e, RequestError::Invalid { field: "maximum", .. })));
    }
    platform.put_on_demand_config(at(None), 7, None).await.unwrap();
    drop(platform);
    let platform = open(dir.path()).await;
    let all = platform.list_on_demand_configs(&list(9)).unwrap().items;
    let shown: Vec<_> = all.iter().map(|c| (c.qualifier.as_str(), c.maximum)).collect();
    assert_eq!(shown, [("LATEST", 7), ("prod", 2)]);
    platform.delete_function("s", "f", None).await.unwrap();
    assert_eq!(platform.list_on_demand_configs(&list(9)).unwrap().items.len(), 1);
    platform.delete_on_demand_config(alias, None).await.unwrap();
    let error = platform.get_on_demand_config(alias).unwrap_err();
    assert!(matches!(error, RequestError::NotFound { kind: Kind::OnDemandConfig, .. }));
}
