//! Route tables and rewriting: the documented examples, the order of rules, and patterns that would be dear.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::DomainSettings;
use crate::name::{FunctionName, ServiceName};

fn domain(routes: &[(&str, &[&str], Value)]) -> Domain {
    let route = |(path, methods, rewrite): &(&str, &[&str], Value)| DomainRoute {
        path: (*path).to_owned(),
        service: ServiceName::parse("s").unwrap(),
        function: FunctionName::parse("f").unwrap(),
        qualifier: None,
        methods: methods.iter().map(|&method| method.to_owned()).collect(),
        rewrite: (!rewrite.is_null()).then(|| rewrite.clone()),
        limits: None,
    };
    let settings =
        DomainSettings { routes: routes.iter().map(route).collect(), ..DomainSettings::default() };
    Domain::of_settings("a.example", settings)
}

fn rewritten(rules: &Value, path: &str, query: Option<&str>) -> Option<String> {
    Rewrite::read(Some(rules)).unwrap().apply(path, query)
}

#[test]
fn the_exact_path_wins_then_the_longest_beginning() {
    let none = &Value::Null;
    let domain = domain(&[
        ("/*", &[], none.clone()),
        ("/a/*", &[], none.clone()),
        ("/a/b*", &[], none.clone()),
        ("/a/b", &["GET"], none.clone()),
    ]);
    let to = |method: &str, path: &str| {
        domain.route(method, path, None).map(|routed| routed.route.path.clone())
    };
    for (path, route) in [
        ("/", "/*"),
        ("/a", "/*"),
        ("/a/", "/a/*"),
        ("/a/x/b", "/a/*"),
        ("/a/b", "/a/b"),
        ("/a/bc", "/a/b*"),
        ("/a/b/", "/a/b*"),
        ("/A/b", "/*"),
    ] {
        assert_eq!(to("GET", path).unwrap(), route, "{path}");
    }
    assert_eq!(to("POST", "/a/b"), Err(NoRoute::Method), "the exact one wins, also to refuse");
}

#[test]
fn without_a_route_there_is_none() {
    let domain = domain(&[("/a/*", &[], Value::Null)]);
    assert_eq!(domain.route("GET", "/b", None).unwrap_err(), NoRoute::Path);
    assert_eq!(domain.route("GET", "*", None).unwrap_err(), NoRoute::Path);
}

#[test]
fn documented_examples() {
    let equal = json!({"equalRules": [{"match": "/old", "replacement": "/new"}]});
    assert_eq!(rewritten(&equal, "/old", None).as_deref(), Some("/new"));
    assert_eq!(rewritten(&equal, "/test/old", None), None);
    assert_eq!(rewritten(&equal, "/old", Some("a=1")).as_deref(), Some("/new?a=1"));
    let wild = |pattern: &str, replacement: &str| json!({"wildcardRules": [{"match": pattern, "replacement": replacement}]});
    for (pattern, replacement, from, to) in [
        ("/old", "/new", "/old", Some("/new")),
        ("/old", "/new", "/test/old", Some("/new")),
        ("^/old", "/new", "/test/old", None),
        ("/api/*", "/$1", "/api/getFunctionName", Some("/getFunctionName")),
        ("/api/*", "/$1", "/api/getFunctionName&Version=1", Some("/getFunctionName&Version=1")),
        ("/css/*", "/public/static/css/$1", "/css/style.css", Some("/public/static/css/style.css")),
        (
            "/ServiceName/*/FunctionName/*/Qualifier/*",
            "/$1.$3/$2",
            "/ServiceName/svc-a/FunctionName/func-a/Qualifier/1",
            Some("/svc-a.1/func-a"),
        ),
        ("/a.b", "/x", "/aXb", None),
        ("/v*", "/$1a", "/v7", Some("/7a")),
        ("/v*", "/$9/$x/$", "/v7", Some("//$x/$")),
    ] {
        assert_eq!(
            rewritten(&wild(pattern, replacement), from, None).as_deref(),
            to,
            "{pattern} {from}"
        );
    }
    let regex = json!({"regexRules": [{"match": "^/api/.+?/(.*)", "replacement": "/api/v2/$1"}]});
    assert_eq!(rewritten(&regex, "/api/v1/x/y", Some("q=1")).as_deref(), Some("/api/v2/x/y?q=1"));
}

#[test]
fn the_first_rule_of_the_first_kind_that_fits_ends_it() {
    let rules = json!({
        "regexRules": [{"match": "^/a", "replacement": "/regex"}],
        "wildcardRules": [{"match": "^/a/*", "replacement": "/first/$1"}, {"match": "/a", "replacement": "/second"}],
        "equalRules": [{"match": "/a", "replacement": "/equal"}],
    });
    assert_eq!(rewritten(&rules, "/a", None).as_deref(), Some("/equal"));
    assert_eq!(rewritten(&rules, "/a/b", None).as_deref(), Some("/first/b"));
    assert_eq!(rewritten(&rules, "/ab", None).as_deref(), Some("/second"));
    assert_eq!(rewritten(&rules, "/b", None), None);
}

#[test]
fn a_query_stays_unless_the_pattern_speaks_of_it() {
    let rules = json!({"regexRules": [
        {"match": "^/x\\?id=(\\d+)", "replacement": "/items/$1"},
        {"match": "^/y$", "replacement": "/never"},
        {"match": "^/y", "replacement": "/z?v=2"},
    ]});
    assert_eq!(rewritten(&rules, "/x", Some("id=7&b=1")).as_deref(), Some("/items/7"));
    assert_eq!(rewritten(&rules, "/y", Some("b=1")).as_deref(), Some("/z?v=2&b=1"));
}

#[test]
fn rules_that_cannot_be_used_are_refused() {
    let long = "x".repeat(RULE_BYTES_MAX + 1);
    for rules in [
        json!({"regexRules": [{"match": "(", "replacement": "/"}]}),
        json!({"regexRules": [{"match": "(a{1000}){1000}", "replacement": "/"}]}),
        json!({"regexRules": [{"match": "(".repeat(40) + &")".repeat(40), "replacement": "/"}]}),
        json!({"regexRules": [{"match": "", "replacement": "/"}]}),
        json!({"regexRules": [{"match": long, "replacement": "/"}]}),
        json!({"equalRules": [{"match": "/a", "replacement": "http://evil/"}]}),
        json!({"equalRules": [{"match": "/a", "replacement": "/a b"}]}),
        json!({"equalRules": [{"match": "/a", "replacement": "/a\r\nx: y"}]}),
        json!({"equalRules": [{"match": "/a", "replacement": "/#x"}]}),
        json!({"equalRules": [{"match": "/a"}]}),
        json!({"equalRules": "all"}),
        json!([]),
    ] {
        assert!(Rewrite::read(Some(&rules)).is_err(), "{rules}");
    }
}

#[test]
fn what_grows_beyond_bounds_goes_nowhere() {
    let rules = json!({"regexRules": [{"match": "^/(.*)$", "replacement": format!("/{}", "$1".repeat(20))}]});
    let domain = domain(&[("/*", &[], rules)]);
    let path = format!("/{}", "x".repeat(1000));
    assert_eq!(domain.route("GET", &path, None).unwrap_err(), NoRoute::TooLong);
}

proptest! {
    #[test]
    fn no_pattern_and_no_path_panics(pattern in ".{1,40}", to in "/[ -~]{0,20}", path in "/[ -~]{0,40}", query in prop::option::of("[!-~]{0,20}")) {
        for kind in ["equalRules", "wildcardRules", "regexRules"] {
            let rules = json!({kind: [{"match": &pattern, "replacement": &to}]});
            if let Ok(rules) = Rewrite::read(Some(&rules))
                && let Some(text) = rules.apply(&path, query.as_deref())
            {
                prop_assert!(text.starts_with('/'));
            }
        }
    }

    #[test]
    fn a_wildcard_takes_what_is_between(a in "[a-z]{1,5}", b in "[a-z0-9/]{0,9}") {
        let rules = json!({"wildcardRules": [{"match": format!("^/{a}/*/end"), "replacement": "/$1"}]});
        let path = format!("/{a}/{b}/end");
        prop_assert_eq!(rewritten(&rules, &path, None), Some(format!("/{b}")));
    }
}
