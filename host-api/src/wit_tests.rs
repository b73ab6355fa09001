//! The WIT package resolves by itself, and components made from its worlds link and load.

use crate::bindings::{Context, EventExports, HANDLER_EXPORT, find_websocket};
use crate::test_state::TestState;
use crate::view::add_component_imports;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

fn resolve() -> (Resolve, wit_parser::PackageId) {
    let mut resolve = Resolve::default();
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/wit");
    let (package, _) = resolve.push_path(directory).unwrap();
    (resolve, package)
}

/// A component with the imports and exports of a world, whose functions all trap.
fn component(extra: &str, world: &str) -> Vec<u8> {
    let (mut resolve, mut package) = resolve();
    if !extra.is_empty() {
        package = resolve.push_str("extra.wit", extra).unwrap();
    }
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// As the engine loads event functions: no component concurrency.
fn engine() -> Engine {
    Engine::new(wasmtime::Config::new().concurrency_support(false)).unwrap()
}

fn linker(engine: &Engine) -> Linker<TestState> {
    let mut linker = Linker::new(engine);
    add_component_imports(&mut linker).unwrap();
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).unwrap();
    linker
}

fn find(bytes: &[u8]) -> wasmtime::Result<Option<EventExports>> {
    let engine = engine();
    let component = Component::new(&engine, bytes)?;
    EventExports::find(&linker(&engine).instantiate_pre(&component)?)
}

fn context() -> Context<'static> {
    Context {
        request_id: "1",
        service: "",
        function: "f",
        qualifier: "LATEST",
        version: "LATEST",
        memory_limit_bytes: 0,
        deadline_ms: 0,
        trigger_name: None,
        trigger_type: None,
        trace_parent: None,
        attempt: 1,
    }
}

#[test]
fn the_package_resolves_with_all_its_worlds() {
    let (resolve, package) = resolve();
    let worlds: Vec<_> = resolve.packages[package].worlds.keys().map(String::as_str).collect();
    assert_eq!(
        worlds,
        ["event-imports", "event-function", "event-function-with-lifecycle", "websocket-function"]
    );
}

#[test]
fn an_export_that_is_absent_is_no_event_function() {
    assert!(find(&wat::parse_str("(component)").unwrap()).unwrap().is_none());
    let hook = "package t:t; world w { export hearth:function/pre-stop@0.1.0; }";
    assert!(find(&component(hook, "w")).unwrap().is_none());
    let wrong = format!(r#"(component (instance $i) (export "{HANDLER_EXPORT}" (instance $i)))"#);
    assert!(find(&wat::parse_str(wrong).unwrap()).is_err());
}

#[tokio::test]
async fn a_component_may_export_any_subset_of_the_hooks() {
    let smallest = "package t:t; world w { export hearth:function/handler@0.1.0; }";
    let some = "package t:t; world w {
        import wasi:logging/logging@0.1.0-draft;
        import wasi:config/store@0.2.0-rc.1;
        import wasi:keyvalue/store@0.2.0-draft2;
        import wasi:keyvalue/atomics@0.2.0-draft2;
        import hearth:function/caller@0.1.0;
        export hearth:function/handler@0.1.0;
        export hearth:function/pre-freeze@0.1.0;
    }";
    let guests = [
        (smallest, "w", [false; 3]),
        (some, "w", [false, true, false]),
        ("", "event-function", [false; 3]),
        ("", "event-function-with-lifecycle", [true; 3]),
    ];
    for (text, world, hooks) in guests {
        let engine = engine();
        let component = Component::new(&engine, component(text, world)).unwrap();
        let pre = linker(&engine).instantiate_pre(&component).unwrap();
        let exports = EventExports::find(&pre).unwrap().unwrap();
        let mut store = Store::new(&engine, TestState::default());
        let instance = pre.instantiate_async(&mut store).await.unwrap();
        let guest = exports.load(&mut store, &instance).unwrap();
        let found =
            [guest.initializer.is_some(), guest.pre_freeze.is_some(), guest.pre_stop.is_some()];
        assert_eq!(found, hooks);
        // The body of a dummy is `unreachable`: the call got there.
        let error = guest.handler.call_handle(&mut store, b"event", context()).await.unwrap_err();
        assert!(error.downcast_ref::<wasmtime::Trap>().is_some(), "{error:?}");
    }
}

#[tokio::test]
async fn a_websocket_handler_stands_beside_another_one() {
    let engine = engine();
    let websocket = Component::new(&engine, component("", "websocket-function")).unwrap();
    let pre = linker(&engine).instantiate_pre(&websocket).unwrap();
    assert!(EventExports::find(&pre).unwrap().is_some());
    let indices = find_websocket(&pre).unwrap().unwrap();
    let mut store = Store::new(&engine, TestState::default());
    let instance = pre.instantiate_async(&mut store).await.unwrap();
    let guest = indices.load(&mut store, &instance).unwrap();
    let error = guest.call_close(&mut store, "1", 1000, "", context()).await.unwrap_err();
    assert!(error.downcast_ref::<wasmtime::Trap>().is_some(), "{error:?}");
    let other = Component::new(&engine, wat::parse_str("(component)").unwrap()).unwrap();
    assert!(find_websocket(&linker(&engine).instantiate_pre(&other).unwrap()).unwrap().is_none());
}
