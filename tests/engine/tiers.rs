//! Two tiers of compiling: large code answers from the fast one first and from the full one afterwards, and nobody notices the change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hearth_engine::{
    Compiler, CompilerChild, Engine, EngineConfig, Function, FunctionSpec, Isolation, LoadSource,
    Tier,
};

use crate::world::{engine_with, eventually, guest, invoke, load, spec, story};

/// An echo with as much code beside it as takes a compiler a while.
fn large(functions: u32) -> Vec<u8> {
    use std::fmt::Write;
    let mut body = String::new();
    for number in 0..functions {
        let _ = write!(body, "(func (param i32) (result i32) (local i32 i32) ");
        for step in 0..40 {
            let _ = write!(
                body,
                "local.get 0 i32.const {} i32.mul local.tee 1 local.get 2 i32.xor local.set 2 \
                 (if (i32.lt_u (local.get 1) (local.get 2)) \
                   (then (i32.store (i32.and (local.get 1) (i32.const 4092)) (local.get 2)))) ",
                number * 7 + step
            );
        }
        body.push_str("local.get 2)");
    }
    let text = format!(
        r#"(module (memory (export "memory") 2)
            (func (export "alloc") (param i32) (result i32) i32.const 65536)
            (func (export "handle") (param $ptr i32) (param $len i32) (result i64)
                (i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32))
                        (i64.extend_i32_u (local.get $len))))
            {body})"#
    );
    wat::parse_str(text).unwrap()
}

/// A compiler child that does `behind` instead of compiling what nobody waits for.
fn child_that(behind: &str) -> Compiler {
    let script = format!(
        r#"job=$(cat)
        case "$job" in *'"is_behind":true'*) {behind};; esac
        printf '%s' "$job" | "$0" "$@""#
    );
    let program = env!("CARGO_BIN_EXE_compile-child").to_owned();
    Compiler::Child(CompilerChild::new("/bin/sh", vec!["-c".to_owned(), script, program]))
}

fn compiled_in_child() -> Compiler {
    Compiler::Child(CompilerChild::new(env!("CARGO_BIN_EXE_compile-child"), Vec::new()))
}

fn two_tiers(directory: &Path, compiler: Compiler) -> Engine {
    let config =
        EngineConfig { instances: 64, fast_tier_bytes: 0, compiler, ..EngineConfig::default() };
    Engine::builder().config(config).artifact_dir(directory).build().unwrap()
}

/// Waits for the full tier, which is compiled behind whatever else this machine does.
async fn full_tier(function: &Function) {
    for _ in 0..6000 {
        if function.stats().tier == Tier::Full {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it was not compiled fully within a minute");
}

fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
}

#[test]
fn large_code_answers_from_the_fast_tier_and_then_from_the_full_one() {
    for compiler in [Compiler::InProcess, compiled_in_child()] {
        story(async {
            let home = tempfile::tempdir().unwrap();
            let engine = two_tiers(home.path(), compiler.clone());
            let function = engine.load(FunctionSpec::new("large", large(200))).await.unwrap();
            assert_eq!(function.load_report().source, LoadSource::Compiled);
            let first = invoke(&function, "first").await;
            assert_eq!(first.result.as_deref(), Ok(&b"first"[..]));
            assert_eq!((first.report.tier, function.stats().tier), (Tier::Fast, Tier::Fast));
            full_tier(&function).await;
            let then = invoke(&function, "then").await;
            assert_eq!(then.result.as_deref(), Ok(&b"then"[..]));
            assert_eq!((then.report.tier, function.load_report().tier), (Tier::Full, Tier::Full));
            assert_ne!(then.report.instance, first.report.instance, "instances do not go over");
            // An instance was there before, so one is made ahead.
            assert_eq!(function.stats().starts, [0, 0, 2, 0]);
            eventually("nothing pending", || engine.stats().optimisations_pending == 0).await;
            let stats = engine.stats();
            assert_eq!((stats.compilations, stats.optimised), (2, 1));
            assert_eq!(stats.optimisations_failed, 0);
            assert_eq!(files(home.path(), "cwasm").len(), 1, "the fast tier's is gone");
            drop((function, engine));
            let engine = two_tiers(home.path(), compiler);
            let function = engine.load(FunctionSpec::new("large", large(200))).await.unwrap();
            assert_eq!(function.load_report().source, LoadSource::Artifact);
            assert_eq!(invoke(&function, "x").await.report.tier, Tier::Full);
            assert_eq!(engine.stats().compilations, 0);
        });
    }
}

#[test]
fn every_kind_of_guest_goes_over() {
    story(async {
        let home = tempfile::tempdir().unwrap();
        let engine = two_tiers(home.path(), Compiler::InProcess);
        for name in ["wat-echo", "rust-command", "rust-http", "rust-http-p3"] {
            let function = load(&engine, name).await;
            assert!(invoke(&function, "x").await.result.is_ok(), "{name}");
            full_tier(&function).await;
            let outcome = invoke(&function, "x").await;
            assert!(outcome.result.is_ok(), "{name}");
            assert_eq!(outcome.report.tier, Tier::Full, "{name}");
        }
        assert_eq!(engine.stats().optimised, 4);
    });
}

#[test]
fn no_request_notices_the_change() {
    story(async {
        let home = tempfile::tempdir().unwrap();
        let engine = two_tiers(home.path(), compiled_in_child());
        let function = engine.load(FunctionSpec::new("large", large(200))).await.unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let callers = (0..8).map(|caller| {
            let (function, is_over) = (function.clone(), is_over.clone());
            tokio::spawn(async move {
                let (mut fast, mut full) = (0_u64, 0_u64);
                while !is_over.load(Ordering::Relaxed) {
                    let event = format!("{caller}:{}", fast + full);
                    let outcome = invoke(&function, &event).await;
                    assert_eq!(outcome.result.as_deref(), Ok(event.as_bytes()));
                    match outcome.report.tier {
                        Tier::Full => full += 1,
                        Tier::Fast => {
                            fast += 1;
                            assert_eq!(full, 0, "nobody goes back");
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                (fast, full)
            })
        });
        let callers: Vec<_> = callers.collect();
        full_tier(&function).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        is_over.store(true, Ordering::Relaxed);
        for caller in callers {
            let (fast, full) = caller.await.unwrap();
            assert!(fast > 0 && full > 0, "{fast} calls before and {full} after");
        }
        assert_eq!(function.stats().running, 0);
    });
}

#[test]
fn all_functions_of_a_content_go_over_and_it_is_compiled_once() {
    story(async {
        let home = tempfile::tempdir().unwrap();
        let engine = two_tiers(home.path(), compiled_in_child());
        let code = large(200);
        let mut functions = Vec::new();
        for name in ["a", "b", "c"] {
            let spec = FunctionSpec::new(name, code.clone());
            functions.push(engine.load(spec.isolation(Isolation::Fresh)).await.unwrap());
        }
        // One that is replaced by other code meanwhile keeps that.
        functions[2].replace(spec("wat-echo")).await.unwrap();
        for function in &functions {
            full_tier(function).await;
            assert_eq!(invoke(function, "x").await.result.as_deref(), Ok(&b"x"[..]));
        }
        eventually("all", || engine.stats().optimisations_pending == 0).await;
        assert_eq!((engine.stats().compilations, engine.stats().optimised), (4, 2));
    });
}

#[test]
fn what_cannot_be_compiled_fully_goes_on_in_the_fast_tier() {
    story(async {
        let home = tempfile::tempdir().unwrap();
        let engine = two_tiers(home.path(), child_that("exit 1"));
        let function = load(&engine, "wat-echo").await;
        eventually("the failure", || engine.stats().optimisations_failed == 1).await;
        assert_eq!(invoke(&function, "x").await.result.as_deref(), Ok(&b"x"[..]));
        assert_eq!((function.stats().tier, engine.stats().optimised), (Tier::Fast, 0));
        drop((function, engine));
        // Whoever comes next finds what is there, and tries again.
        let engine = two_tiers(home.path(), compiled_in_child());
        let function = load(&engine, "wat-echo").await;
        assert_eq!(function.load_report().source, LoadSource::Artifact);
        full_tier(&function).await;
        assert_eq!((engine.stats().compilations, engine.stats().optimised), (1, 1));
    });
}

#[test]
fn an_engine_that_ends_leaves_no_compiler_and_no_file_behind() {
    story(async {
        let home = tempfile::tempdir().unwrap();
        let told = home.path().join("told");
        let behind = format!("echo $$ > {}; exec sleep 100", told.display());
        let engine = two_tiers(home.path(), child_that(&behind));
        let function = load(&engine, "wat-echo").await;
        let process = || std::fs::read_to_string(&told).ok()?.trim().parse::<u32>().ok();
        eventually("the compiler", || process().is_some()).await;
        let process = PathBuf::from(format!("/proc/{}", process().unwrap()));
        assert!(process.exists());
        assert_eq!(engine.stats().optimisations_pending, 1);
        drop((function, engine));
        eventually("the compiler's end", || !process.exists()).await;
        for ending in ["wasm", "tmp"] {
            eventually("its files' end", || files(home.path(), ending).is_empty()).await;
        }
    });
}

#[test]
fn what_finds_no_place_is_compiled_fully_at_once() {
    story(async {
        let home = tempfile::tempdir().unwrap();
        let config = EngineConfig {
            fast_tier_bytes: 0,
            compile_queue: 1,
            compiler: child_that("exec sleep 100"),
            ..EngineConfig::default()
        };
        let engine = Engine::builder().config(config).artifact_dir(home.path()).build().unwrap();
        assert_eq!(load(&engine, "wat-echo").await.stats().tier, Tier::Fast);
        assert_eq!(load(&engine, "c-echo").await.stats().tier, Tier::Full);
    });
}

#[test]
fn small_code_has_one_tier() {
    story(async {
        let size = guest("wat-echo").len() as u64;
        for (from, tier) in [(size + 1, Tier::Full), (size, Tier::Fast)] {
            let engine = engine_with(|config| {
                (config.fast_tier_bytes, config.compiler) = (from, child_that("exec sleep 100"));
            });
            assert_eq!(load(&engine, "wat-echo").await.load_report().tier, tier);
        }
        let engine = engine_with(|_| {});
        assert_eq!(load(&engine, "rust-http").await.load_report().tier, Tier::Full);
        assert_eq!(engine.stats().compilations, 1);
    });
}

#[test]
fn a_snapshot_is_compiled_fully() {
    story(async {
        let home = tempfile::tempdir().unwrap();
        let engine = two_tiers(home.path(), Compiler::InProcess);
        let spec = spec("rust-table").isolation(Isolation::Snapshot);
        let function = engine.load(spec).await.unwrap();
        assert_eq!(function.stats().tier, Tier::Full);
        assert_eq!(engine.stats().optimisations_pending, 0);
    });
}
