//! Compilation in a child process: its artifacts fit, its limits hold, its death harms nobody.

use std::time::Duration;

use hearth_engine::{Compiler, CompilerChild, Engine, FunctionSpec, LoadError};

use crate::world::{engine_with, invoke, load, spec, story};

fn engine_with_child(change: impl FnOnce(&mut CompilerChild)) -> Engine {
    let mut child = CompilerChild::new(env!("CARGO_BIN_EXE_compile-child"), Vec::new());
    change(&mut child);
    engine_with(|config| config.compiler = Compiler::Child(child))
}

/// Code that keeps a compiler busy: one function of many nested blocks with a large table of branches in each.
fn bomb() -> FunctionSpec {
    use std::fmt::Write;
    let mut body = String::new();
    for number in 0..3000 {
        let _ = write!(body, "(func (param i32) (result i32) local.get 0 ");
        for step in 0..200 {
            let _ = write!(body, "i32.const {} i32.mul local.get 0 i32.add ", number * 7 + step);
        }
        body.push(')');
    }
    let text = format!("(module (func (export \"_start\")) {body})");
    FunctionSpec::new("bomb", wat::parse_str(text).unwrap())
}

#[test]
fn what_a_child_compiled_runs_here() {
    story(async {
        let engine = engine_with_child(|_| {});
        for (name, event) in [("wat-echo", "hi"), ("rust-http", "hi"), ("rust-http-p3", "hi")] {
            let function = load(&engine, name).await;
            assert_eq!(invoke(&function, event).await.result.as_deref(), Ok(&b"hi"[..]), "{name}");
        }
        assert_eq!(engine.stats().compilations, 3);
    });
}

#[test]
fn invalid_code_is_told_as_such() {
    story(async {
        let engine = engine_with_child(|_| {});
        // Well formed, but its function adds what is not there.
        let code = wat::parse_str(r#"(module (func (export "_start") i32.add drop))"#).unwrap();
        let error = engine.load(FunctionSpec::new("f", code)).await.unwrap_err();
        assert!(matches!(error, LoadError::Invalid { .. }), "{error}");
    });
}

#[test]
fn each_limit_of_the_child_is_told() {
    story(async {
        type Change = fn(&mut CompilerChild);
        let cases: [(&str, Change); 3] = [
            ("s of time", |child| child.timeout = Duration::from_millis(20)),
            ("s of CPU time", |child| child.cpu_time = Duration::from_secs(1)),
            ("bytes of memory", |child| child.memory_bytes = 48 << 20),
        ];
        for (limit, change) in cases {
            let engine = engine_with_child(change);
            let error = engine.load(bomb()).await.unwrap_err();
            assert!(matches!(error, LoadError::CompileLimit { .. }), "{limit}: {error}");
            assert!(error.to_string().contains(limit), "{limit}: {error}");
        }
    });
}

#[test]
fn a_compiler_that_does_not_start_is_the_hosts_fault() {
    story(async {
        let engine = engine_with_child(|child| child.program = "/nowhere/compiler".into());
        let error = engine.load(spec("wat-echo")).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        let engine = engine_with_child(|child| child.program = "/bin/false".into());
        let error = engine.load(spec("wat-echo")).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
    });
}

#[test]
fn a_bomb_does_not_keep_others_from_running() {
    story(async {
        let engine = engine_with_child(|child| child.cpu_time = Duration::from_secs(2));
        let healthy = load(&engine, "wat-echo").await;
        let compiling = tokio::spawn({
            let engine = engine.clone();
            async move { engine.load(bomb()).await.map(|_| ()) }
        });
        let mut answers = 0;
        while !compiling.is_finished() {
            assert!(invoke(&healthy, "x").await.result.is_ok());
            answers += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(answers > 10, "{answers}");
    });
}
