//! Calls that find no room in the engine: they wait for it as they would for an instance of their own function, and are told if there is none.

use std::time::Duration;

use hearth_engine::{
    Engine, Function, FunctionSpec, Invocation, InvokeError, Limits, MIB, Outcome, PoolPolicy,
    Refusal, StartKind,
};
use tokio::task::JoinHandle;

use crate::world::{engine_with, eventually, load, spec, story, timeout};

/// As long as no test goes on.
const EVER: Duration = Duration::from_secs(3600);

fn waiting(queue: u32, queue_wait: Duration) -> PoolPolicy {
    PoolPolicy { queue, queue_wait, ..PoolPolicy::default() }
}

fn begin(function: &Function) -> JoinHandle<Result<Outcome, InvokeError>> {
    let function = function.clone();
    tokio::spawn(async move { function.invoke(Invocation::new("x")).await })
}

/// A guest with that many pages of memory; a call of it ends when its time does.
fn spinning(pages: u32, limits: Limits) -> FunctionSpec {
    let text = format!(
        r#"(module (memory (export "memory") {pages})
            (func (export "alloc") (param i32) (result i32) i32.const 8)
            (func (export "handle") (param i32 i32) (result i64) (loop (br 0)) unreachable))"#
    );
    FunctionSpec::new(format!("spinning-{pages}"), wat::parse_str(text).unwrap()).limits(limits)
}

/// An engine with a single place, which somebody has for so long.
async fn taken(milliseconds: u64) -> (Engine, JoinHandle<Result<Outcome, InvokeError>>) {
    let engine = engine_with(|config| config.instances = 1);
    let sleeper = engine.load(spec("bad/sleeper").limits(timeout(milliseconds))).await.unwrap();
    let first = begin(&sleeper);
    eventually("it has the place", || sleeper.stats().running == 1).await;
    (engine, first)
}

#[test]
fn who_finds_no_place_has_the_next_that_is_free() {
    story(async {
        let (engine, first) = taken(60_000).await;
        let echo = engine.load(spec("wat-echo").pool(waiting(100, EVER))).await.unwrap();
        let second = begin(&echo);
        eventually("it waits", || echo.stats().running == 1).await;
        first.abort();
        let outcome = second.await.unwrap().unwrap();
        assert_eq!(outcome.result.unwrap(), "x");
        let phases = outcome.report.phases;
        assert!(phases.wait > Duration::ZERO, "it was a wait: {phases:?}");
    });
}

#[test]
fn many_find_a_place_one_after_the_other() {
    story(async {
        let (engine, first) = taken(50).await;
        let mut functions = Vec::new();
        for name in ["wat-echo", "rust-command", "wat-log"] {
            functions.push(engine.load(spec(name).pool(waiting(100, EVER))).await.unwrap());
        }
        // Each has instances at rest, which make room for the others, or none at all.
        let calls: Vec<_> = (0..60).map(|n| begin(&functions[n % 3])).collect();
        for call in calls {
            assert!(call.await.unwrap().unwrap().result.is_ok());
        }
        assert!(first.await.unwrap().is_ok());
    });
}

#[test]
fn the_wait_for_a_place_has_an_end() {
    story(async {
        let (engine, first) = taken(60_000).await;
        for (queue, queue_wait) in [(100, Duration::from_millis(30)), (0, EVER)] {
            let pool = waiting(queue, queue_wait);
            let echo = engine.load(spec("wat-echo").pool(pool)).await.unwrap();
            let error = echo.invoke(Invocation::new("x")).await.unwrap_err();
            let InvokeError::Refused(Refusal::InstancesFull { limit: 1, waited }) = error else {
                panic!("{error}");
            };
            assert!(waited >= Duration::from_millis(10), "{waited:?}");
            assert_eq!(echo.stats().running, 0);
        }
        first.abort();
        let echo = load(&engine, "wat-echo").await;
        assert!(echo.invoke(Invocation::new("x")).await.is_ok(), "who gave up leaves nothing");
    });
}

#[test]
fn a_deadline_ends_the_wait_for_a_place() {
    story(async {
        let (engine, first) = taken(60_000).await;
        let echo = engine.load(spec("wat-echo").pool(waiting(100, EVER))).await.unwrap();
        let soon = std::time::Instant::now() + Duration::from_millis(300);
        let mut invocation = Invocation::new("x");
        invocation.deadline = Some(soon);
        let error = echo.invoke(invocation).await.unwrap_err();
        let InvokeError::Refused(Refusal::InstancesFull { waited, .. }) = error else {
            panic!("{error}");
        };
        assert!(waited >= Duration::from_millis(10), "it was waited for until then: {waited:?}");
        first.abort();
    });
}

#[test]
fn draining_ends_the_wait_for_a_place() {
    story(async {
        let (engine, first) = taken(60_000).await;
        let echo = engine.load(spec("wat-echo").pool(waiting(100, EVER))).await.unwrap();
        let second = begin(&echo);
        eventually("it waits", || echo.stats().running == 1).await;
        assert_eq!(engine.drain(Duration::from_millis(20)).await, 2);
        let error = second.await.unwrap().unwrap_err();
        assert!(matches!(error, InvokeError::Refused(Refusal::Draining)), "{error}");
        assert!(first.await.unwrap().is_ok());
    });
}

#[test]
fn who_finds_no_memory_has_what_is_freed() {
    story(async {
        let engine = engine_with(|config| config.memory_budget_bytes = MIB);
        let pool = waiting(100, EVER);
        let first = engine.load(spinning(12, timeout(300)).pool(pool.clone())).await.unwrap();
        let second = engine.load(spinning(13, timeout(20)).pool(pool.clone())).await.unwrap();
        let running = begin(&first);
        eventually("it has the memory", || first.stats().running == 1).await;
        let report = second.invoke(Invocation::new("x")).await.unwrap().report;
        assert_eq!(report.start, StartKind::Fresh);
        assert!(running.await.unwrap().is_ok());
        // What is more than all there is does not come free.
        let huge = engine.load(spinning(17, timeout(20)).pool(pool)).await.unwrap();
        let error = huge.invoke(Invocation::new("x")).await.unwrap_err();
        assert!(matches!(error, InvokeError::Refused(Refusal::MemoryBudget { .. })), "{error}");
    });
}

#[test]
fn memory_that_is_too_little_for_the_first_goes_to_one_behind_it() {
    story(async {
        let engine = engine_with(|config| config.memory_budget_bytes = 2 * MIB);
        let load = |pages, milliseconds| {
            let spec = spinning(pages, timeout(milliseconds)).pool(waiting(100, EVER));
            engine.load(spec)
        };
        let (brief, long) = (load(8, 300).await.unwrap(), load(23, 3_600_000).await.unwrap());
        let (large, small) = (load(20, 20).await.unwrap(), load(5, 20).await.unwrap());
        let (first, stays) = (begin(&brief), begin(&long));
        eventually("they have it all but a page", || {
            brief.stats().running == 1 && long.stats().running == 1
        })
        .await;
        let too_large: Vec<_> = (0..5).map(|_| begin(&large)).collect();
        eventually("the large ones wait", || large.stats().running == 5).await;
        let fits: Vec<_> = (0..5).map(|_| begin(&small)).collect();
        assert!(first.await.unwrap().is_ok());
        for call in fits {
            assert!(call.await.unwrap().is_ok());
        }
        assert_eq!(large.stats().running, 5, "they still wait");
        stays.abort();
        for call in too_large {
            assert!(call.await.unwrap().is_ok());
        }
    });
}
