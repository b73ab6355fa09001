//! Isolation `snapshot`: the initializer runs once, every instance begins where it ended, and what cannot be carried over is refused.

use std::time::Duration;

use hearth_engine::{
    Engine, Fault, FunctionSpec, Identity, Isolation, Limits, LoadError, LoadSource, StartKind,
};

use crate::world::{engine, invoke, spec, story};

/// A core module: `initialize` adds 1 to a global and to a byte of memory and grows the memory; an event answers the global, the byte,
/// the memory's pages and how many events came before, each as one byte, and counts.
fn counter(imports: &str, initialize: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module {imports}
            (memory (export "memory") 1)
            (global $ran (mut i32) (i32.const 0))
            (global $served (mut i64) (i64.const 0))
            (func (export "alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "initialize") (result i32)
                (global.set $ran (i32.add (global.get $ran) (i32.const 1)))
                (i32.store8 (i32.const 100) (i32.add (i32.load8_u (i32.const 100)) (i32.const 1)))
                (drop (memory.grow (i32.const 2)))
                {initialize})
            (func (export "handle") (param i32 i32) (result i64)
                (i32.store8 (i32.const 16) (global.get $ran))
                (i32.store8 (i32.const 17) (i32.load8_u (i32.const 100)))
                (i32.store8 (i32.const 18) (memory.size))
                (i64.store8 (i32.const 19) (global.get $served))
                (global.set $served (i64.add (global.get $served) (i64.const 1)))
                (i32.store8 (i32.const 100) (i32.const 77))
                (i64.const 0x1000000004)))"#
    ))
    .unwrap()
}

fn snapshot(code: Vec<u8>) -> FunctionSpec {
    FunctionSpec::new("f", code).isolation(Isolation::Snapshot)
}

async fn refused(engine: &Engine, spec: FunctionSpec) -> LoadError {
    let error = engine.load(spec).await.unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    error
}

#[test]
fn the_initializer_ran_once_and_every_instance_is_new() {
    story(async {
        let engine = engine();
        let function = engine.load(snapshot(counter("", "(i32.const 0)"))).await.unwrap();
        for _ in 0..5 {
            let outcome = invoke(&function, "x").await;
            assert_eq!(outcome.result.unwrap()[..], [1, 1, 3, 0]);
            assert_ne!(outcome.report.start, StartKind::Warm);
        }
    });
}

#[test]
fn a_component_begins_with_what_its_initializer_built() {
    story(async {
        let engine = engine();
        let table = || spec("rust-table").variable("TABLE_NAME", "squares");
        let function = engine.load(table().isolation(Isolation::Snapshot)).await.unwrap();
        let reused = engine.load(table()).await.unwrap();
        for index in ["0", "7", "4194303"] {
            let from_snapshot = invoke(&function, index).await;
            let plain = invoke(&reused, index).await;
            let text = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
            let (found, expected) =
                (text(&from_snapshot.result.unwrap()), text(&plain.result.unwrap()));
            assert_eq!((&found["value"], &found["name"]), (&expected["value"], &"squares".into()));
            assert_eq!(found["served"], 1, "nobody's instance was used before");
            // It logged when the function was loaded, and not again.
            assert_eq!(from_snapshot.tail_log.unwrap(), "");
        }
        assert!(matches!(
            invoke(&function, "4194304").await.result,
            Err(Fault::Returned { kind: Some(kind), .. }) if kind == "NoSuchIndex"
        ));
    });
}

#[test]
fn a_restart_finds_what_was_initialised() {
    story(async {
        let directory = tempfile::tempdir().unwrap();
        let engine = || Engine::builder().artifact_dir(directory.path()).build().unwrap();
        let spec = || spec("rust-table").isolation(Isolation::Snapshot);
        let first = engine();
        let function = first.load(spec()).await.unwrap();
        assert_eq!(function.load_report().source, LoadSource::Compiled);
        assert_eq!(first.load(spec()).await.unwrap().load_report().source, LoadSource::Resident);
        let answer = invoke(&function, "7").await.result.unwrap();
        drop((function, first));

        let second = engine();
        let function = second.load(spec()).await.unwrap();
        assert_eq!(function.load_report().source, LoadSource::Artifact);
        assert_eq!(invoke(&function, "7").await.result.unwrap(), answer);
        assert_eq!(second.stats().compilations, 0);
        // Whatever the initializer could see makes it another one.
        let other = second.load(spec().variable("TABLE_NAME", "other")).await.unwrap();
        assert_eq!(other.load_report().source, LoadSource::Compiled);
        let version = Identity { version: "3".to_owned(), ..Identity::new("rust-table") };
        let other = second.load(spec().identity(version)).await.unwrap();
        assert_eq!(other.load_report().source, LoadSource::Compiled);
        drop((function, other, second));

        // Damaged artifacts are not run but made again.
        for file in std::fs::read_dir(directory.path()).unwrap() {
            let path = file.unwrap().path();
            if path.is_file() && path.extension().is_some_and(|ending| ending != "key") {
                let mut bytes = std::fs::read(&path).unwrap();
                let middle = bytes.len() / 2;
                if let Some(byte) = bytes.get_mut(middle) {
                    *byte ^= 1;
                }
                std::fs::write(&path, bytes).unwrap();
            }
        }
        let third = engine();
        let function = third.load(spec()).await.unwrap();
        assert_eq!(function.load_report().source, LoadSource::Compiled);
        assert_eq!(invoke(&function, "7").await.result.unwrap(), answer);
    });
}

#[test]
fn an_initializer_that_fails_is_told_with_its_log() {
    story(async {
        let engine = engine();
        let log = r#"(import "hearth" "log" (func $log (param i32 i32 i32)))"#;
        let said = "(call $log (i32.const 2) (i32.const 100) (i32.const 1)) (i32.const 9)";
        let failed = refused(&engine, snapshot(counter(log, said))).await;
        let LoadError::Initializer { fault, log, .. } = &failed else { panic!("{failed:?}") };
        let Fault::BadAbi { why } = &**fault else { panic!("{failed:?}") };
        assert!(why.contains("returned 9"), "{why}");
        assert!(log.contains('\u{1}') || !log.is_empty(), "{log:?}");
        assert!(failed.to_string().contains("initializer of function `f` failed"), "{failed}");
        let trapped = refused(&engine, snapshot(counter("", "unreachable"))).await;
        assert!(matches!(fault_of(&trapped), Fault::Trap { .. }));
        let limits = Limits { initialize_timeout: Duration::from_millis(30), ..Limits::default() };
        let endless = snapshot(counter("", "(loop $l (br $l)) unreachable")).limits(limits);
        let late = refused(&engine, endless).await;
        assert!(matches!(fault_of(&late), Fault::InitializeTimeout { .. }), "{late:?}");
        let greedy = "(drop (memory.grow (i32.const 2000))) (i32.load (i32.const 70000000))";
        let denied = refused(&engine, snapshot(counter("", greedy)).limits(small())).await;
        assert!(matches!(&denied, LoadError::Initializer { .. }), "{denied:?}");
        assert_eq!(engine.stats().instances, 0);
    });
}

fn fault_of(error: &LoadError) -> &Fault {
    let LoadError::Initializer { fault, .. } = error else { panic!("{error:?}") };
    fault
}

fn small() -> Limits {
    Limits { memory_bytes: 1 << 20, ..Limits::default() }
}

#[test]
fn what_cannot_be_carried_over_is_refused_by_name() {
    story(async {
        let engine = engine();
        let table =
            counter("(table 1 funcref)", "(table.set (i32.const 0) (ref.null func)) (i32.const 0)");
        let tag = counter(r#"(import "m" "t" (tag (param i32)))"#, "(i32.const 0)");
        let shifted = r#"(module (memory (export "memory") 1)
            (func (export "alloc") (param i32) (result i32) (i32.const 16))
            (func (export "handle") (param i32 i32) (result i64) (i64.const 0)))"#;
        let cases = [
            (snapshot(table), "table.set"),
            (snapshot(tag), "imported tag"),
            (snapshot(wat::parse_str(shifted).unwrap()), "it exports no initializer"),
            (spec("rust-event").isolation(Isolation::Snapshot), "it exports no initializer"),
            (spec("rust-command").isolation(Isolation::Snapshot), "a command begins anew"),
            (spec("rust-http").isolation(Isolation::Snapshot), "has no initializer"),
        ];
        for (spec, expected) in cases {
            let error = refused(&engine, spec).await;
            let LoadError::NoSnapshot { why, .. } = &error else { panic!("{error:?}") };
            assert!(why.contains(expected), "{why}");
            assert!(error.hint().contains("reuse"), "{}", error.hint());
        }
    });
}

#[test]
fn memory_that_was_grown_stays_within_its_limit() {
    story(async {
        let engine = engine();
        let limits = Limits { memory_bytes: 16 << 20, ..Limits::default() };
        // The table alone takes 16 MiB.
        let error =
            refused(&engine, spec("rust-table").isolation(Isolation::Snapshot).limits(limits))
                .await;
        assert!(matches!(&error, LoadError::Initializer { .. }), "{error:?}");
        let limits = Limits { memory_bytes: 3 << 16, ..Limits::default() };
        let exact = snapshot(counter("", "(i32.const 0)")).limits(limits);
        let function = engine.load(exact).await.unwrap();
        assert_eq!(invoke(&function, "x").await.result.unwrap()[..], [1, 1, 3, 0]);
    });
}
