//! From bytes to a function: what is refused and how it is told, one compilation for many, artifacts that survive and those that
//! must not be trusted.

use std::time::Duration;

use hearth_engine::{
    Engine, EngineConfig, FunctionSpec, Invocation, Limits, LoadError, LoadSource, MIB,
};

use crate::world::{engine, engine_with, guest, invoke, load, spec, story};

async fn refused(spec: FunctionSpec) -> LoadError {
    engine().load(spec).await.unwrap_err()
}

#[test]
fn what_is_no_guest_is_refused_by_name() {
    story(async {
        let text = FunctionSpec::new("f", &b"(module)"[..]);
        assert!(matches!(refused(text).await, LoadError::NotWasm { .. }));
        let whole = guest("rust-event");
        let cut = FunctionSpec::new("f", whole[..whole.len() / 2].to_vec());
        assert!(matches!(refused(cut).await, LoadError::Invalid { .. }));
        assert!(matches!(refused(spec("bad/no-kind")).await, LoadError::NoAcceptedKind { .. }));
        let LoadError::UnknownImports { imports, .. } = refused(spec("bad/unknown-import")).await
        else {
            panic!("accepted")
        };
        assert_eq!(imports, ["hearth::open_sesame"]);
        let wrong = refused(spec("bad/wrong-type")).await.to_string();
        assert!(wrong.contains("`alloc`"), "{wrong}");
        assert!(matches!(refused(spec("bad/memory64-abi")).await, LoadError::Invalid { .. }));
        let many = refused(spec("bad/many-memories")).await;
        assert!(matches!(many, LoadError::OverLimit { .. } | LoadError::Invalid { .. }), "{many}");
    });
}

#[test]
fn a_component_that_imports_the_unknown_is_told_which() {
    story(async {
        let text = r#"(component (import "acme:door/open@1.0.0" (instance (export "knock" (func))))
            (instance $i) (export "hearth:function/handler@0.1.0" (instance $i)))"#;
        let component = FunctionSpec::new("f", wat::parse_str(text).unwrap());
        let LoadError::UnknownImports { imports, .. } = refused(component).await else {
            panic!("accepted")
        };
        assert_eq!(imports, ["acme:door/open@1.0.0"]);
    });
}

#[test]
fn precompiled_code_is_never_accepted() {
    story(async {
        let home = tempfile::tempdir().unwrap();
        let engine = Engine::builder().artifact_dir(home.path()).build().unwrap();
        load(&engine, "wat-echo").await;
        let artifact = std::fs::read_dir(home.path())
            .unwrap()
            .map(|file| file.unwrap().path())
            .find(|path| path.extension().is_some_and(|ending| ending == "cwasm"))
            .unwrap();
        let native = FunctionSpec::new("f", std::fs::read(artifact).unwrap());
        assert!(matches!(engine.load(native).await.unwrap_err(), LoadError::Precompiled { .. }));
    });
}

#[test]
fn code_over_the_limit_and_needs_over_the_limits_are_refused() {
    story(async {
        let engine = engine_with(|config| config.code_bytes = 100);
        let error = engine.load(spec("wat-echo")).await.unwrap_err();
        assert!(matches!(error, LoadError::TooLarge { limit_bytes: 100, .. }));
        let limits = Limits { memory_bytes: MIB / 32, ..Limits::default() };
        let error = refused(spec("rust-command").limits(limits)).await;
        assert!(matches!(error, LoadError::OverLimit { what: "memory bytes", .. }), "{error}");
    });
}

#[test]
fn a_hundred_loads_at_once_compile_once() {
    story(async {
        let engine = engine();
        let loads = (0..100).map(|_| {
            let engine = engine.clone();
            tokio::spawn(async move { engine.load(spec("rust-command")).await.map(|_| ()) })
        });
        for load in loads.collect::<Vec<_>>() {
            load.await.unwrap().unwrap();
        }
        assert_eq!(engine.stats().compilations, 1);
    });
}

#[test]
fn an_artifact_survives_its_engine_and_a_damaged_one_is_compiled_again() {
    story(async {
        let home = tempfile::tempdir().unwrap();
        let open = || Engine::builder().artifact_dir(home.path()).build().unwrap();
        let first = load(&open(), "wat-echo").await.load_report();
        assert_eq!(first.source, LoadSource::Compiled);
        let engine = open();
        assert_eq!(load(&engine, "wat-echo").await.load_report().source, LoadSource::Artifact);
        drop(engine);
        for file in std::fs::read_dir(home.path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "cwasm") {
                let mut bytes = std::fs::read(&path).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x40;
                std::fs::write(&path, bytes).unwrap();
            }
        }
        let engine = open();
        let function = load(&engine, "wat-echo").await;
        assert_eq!(function.load_report().source, LoadSource::Compiled);
        assert_eq!(engine.stats().artifacts_rejected, 1);
        assert_eq!(invoke(&function, "hi").await.result.as_deref(), Ok(&b"hi"[..]));
    });
}

#[test]
fn too_many_waiting_for_the_compiler_are_told_so() {
    story(async {
        let engine = engine_with(|config| (config.compile_slots, config.compile_queue) = (1, 2));
        let loads = (0..20).map(|number| {
            let engine = engine.clone();
            let text = format!("(module (func (export \"_start\")) (func (export \"f{number}\")))");
            let spec = FunctionSpec::new("f", wat::parse_str(text).unwrap());
            tokio::spawn(async move { engine.load(spec).await.map(|_| ()) })
        });
        let mut busy = 0;
        for load in loads.collect::<Vec<_>>() {
            match load.await.unwrap() {
                Ok(()) => {}
                Err(error @ LoadError::CompilerBusy { .. }) => {
                    assert!(error.is_retryable());
                    busy += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert!((1..20).contains(&busy), "{busy} were told to come back");
        load(&engine, "wat-echo").await;
    });
}

#[test]
fn settings_out_of_bounds_are_named() {
    story(async {
        let mut bad = spec("wat-echo");
        bad.pool.max_instances = 0;
        let LoadError::Setting { setting, .. } = refused(bad).await else { panic!("accepted") };
        assert_eq!(setting, "max_instances");
        let bad = spec("wat-echo").variable("A=B", "c");
        assert!(matches!(refused(bad).await, LoadError::Setting { setting: "environment", .. }));
        let bad = EngineConfig { instances: 0, ..EngineConfig::default() };
        let error = Engine::builder().config(bad).build().unwrap_err();
        assert!(error.to_string().contains("`instances`"), "{error}");
    });
}

#[test]
fn an_engine_without_a_pool_answers_too() {
    story(async {
        let engine = engine_with(|config| config.allocator = hearth_engine::Allocator::OnDemand);
        assert_eq!(engine.stats().allocator, "on-demand");
        for name in ["wat-echo", "rust-http"] {
            let function = load(&engine, name).await;
            assert_eq!(invoke(&function, "hi").await.result.as_deref(), Ok(&b"hi"[..]), "{name}");
        }
    });
}

#[test]
fn a_function_outlives_other_handles_to_its_engine() {
    story(async {
        let function = load(&engine(), "wat-echo").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let outcome = function.invoke(Invocation::new("hi")).await.unwrap();
        assert_eq!(outcome.result.as_deref(), Ok(&b"hi"[..]));
    });
}
