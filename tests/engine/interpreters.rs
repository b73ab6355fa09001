//! Isolation `snapshot` for guests in JavaScript and Python, where an interpreter and its heap are carried over. They are too large to be
//! kept: CI builds them, and these tests run where `GUEST_EXAMPLES_DIR` names a folder or `guest-examples/build.sh NAME` made them.

use std::time::Duration;

use hearth_engine::{Engine, FunctionSpec, Isolation, Limits, StartKind};
use serde_json::{Value, json};

use crate::world::{engine, guest_if_built, invoke, story, tail};

/// A catalogue of 50,000 items takes an interpreter some seconds in a development build, and some tens of MiB.
fn costly(name: &str, code: Vec<u8>) -> FunctionSpec {
    let initialize_timeout = Duration::from_secs(60);
    let limits = Limits { initialize_timeout, memory_bytes: 512 << 20, ..Limits::default() };
    FunctionSpec::new(name, code).limits(limits)
}

/// Loads it, and calls two instances that nobody used.
async fn two_new_instances(engine: &Engine, spec: FunctionSpec) {
    let function = engine.load(spec.clone().isolation(Isolation::Snapshot)).await.unwrap();
    let mut prices = Vec::new();
    for _ in 0..2 {
        let outcome = invoke(&function, r#""item-49999""#).await;
        assert_ne!(outcome.report.start, StartKind::Warm);
        assert!(!tail(&outcome).contains("building the catalogue"), "it ran once, before");
        let answer: Value = serde_json::from_slice(&outcome.result.unwrap()).unwrap();
        assert_eq!(answer["served"], 1, "nobody's instance was used before");
        assert_eq!(answer["builtFor"], json!(function.identity().function));
        prices.push(answer["price"].clone());
    }
    // What was carried over is what an instance builds for itself.
    let plain = engine.load(spec.isolation(Isolation::Reuse)).await.unwrap();
    let outcome = invoke(&plain, r#""item-49999""#).await;
    assert!(tail(&outcome).contains("building the catalogue"));
    let answer: Value = serde_json::from_slice(&outcome.result.unwrap()).unwrap();
    assert_eq!(prices, [answer["price"].clone(), answer["price"].clone()]);
}

#[test]
fn a_component_in_javascript_begins_with_what_its_initializer_built() {
    let Some(code) = guest_if_built("js-table") else { return };
    story(two_new_instances(&engine(), costly("js-table", code)));
}

#[test]
fn a_component_in_python_begins_with_what_its_initializer_built() {
    let Some(code) = guest_if_built("python-table") else { return };
    story(two_new_instances(&engine(), costly("python-table", code)));
}
