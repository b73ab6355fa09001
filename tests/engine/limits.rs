//! Bounds across invocations: concurrency, queues, payloads, the engine's memory, draining.

use std::time::Duration;

use hearth_engine::{
    Eviction, Fault, Function, FunctionSpec, Invocation, InvokeError, Limits, MIB, PoolPolicy,
    Refusal, StartKind,
};

use crate::world::{engine, engine_with, eventually, load, spec, story, timeout};

fn policy(max_instances: u32, queue: u32, wait_ms: u64) -> PoolPolicy {
    let queue_wait = Duration::from_millis(wait_ms);
    PoolPolicy { max_instances, queue, queue_wait, ..PoolPolicy::default() }
}

fn refusal(error: &InvokeError) -> &Refusal {
    match error {
        InvokeError::Refused(refusal) => refusal,
        other => panic!("{other}"),
    }
}

#[test]
fn a_thousand_at_once_against_ten_are_answered_or_refused() {
    story(async {
        let engine = engine();
        let pool = policy(10, 50, 10_000);
        let function =
            engine.load(spec("bad/sleeper").pool(pool).limits(timeout(50))).await.unwrap();
        let calls = (0..1000).map(|_| {
            let function = function.clone();
            tokio::spawn(async move { function.invoke(Invocation::new("x")).await })
        });
        let (mut ran, mut refused) = (0, 0);
        for call in calls.collect::<Vec<_>>() {
            match call.await.unwrap() {
                Ok(outcome) => {
                    assert!(matches!(outcome.result, Err(Fault::Timeout { .. })));
                    ran += 1;
                }
                Err(error) => {
                    assert!(matches!(refusal(&error), Refusal::QueueFull { limit: 10, .. }));
                    refused += 1;
                }
            }
        }
        assert_eq!((ran, refused), (60, 940));
        assert_eq!(function.stats().running, 0);
    });
}

#[test]
fn waiting_has_a_deadline() {
    story(async {
        let engine = engine();
        let pool = policy(1, 10, 30);
        let function =
            engine.load(spec("bad/sleeper").pool(pool).limits(timeout(500))).await.unwrap();
        let first = tokio::spawn({
            let function = function.clone();
            async move { function.invoke(Invocation::new("x")).await }
        });
        eventually("the first runs", || function.stats().running == 1).await;
        let error = function.invoke(Invocation::new("x")).await.unwrap_err();
        assert!(matches!(refusal(&error), Refusal::WaitedTooLong { limit: 1, .. }), "{error}");
        assert!(first.await.unwrap().is_ok());
    });
}

#[test]
fn the_engine_has_a_concurrency_too() {
    story(async {
        let engine = engine_with(|config| config.concurrency = 1);
        let sleeper = engine.load(spec("bad/sleeper").limits(timeout(300))).await.unwrap();
        let echo = load(&engine, "wat-echo").await;
        let first = tokio::spawn(async move { sleeper.invoke(Invocation::new("x")).await });
        eventually("the first runs", || engine.stats().invocations == 1).await;
        let error = echo.invoke(Invocation::new("x")).await.unwrap_err();
        assert_eq!(refusal(&error), &Refusal::EngineBusy { limit: 1 });
        first.await.unwrap().unwrap();
        assert!(echo.invoke(Invocation::new("x")).await.is_ok());
    });
}

#[test]
fn a_payload_over_the_limit_is_refused_before_the_guest_runs() {
    story(async {
        let limits = Limits { payload_bytes: 10, ..Limits::default() };
        let function = engine().load(spec("wat-echo").limits(limits)).await.unwrap();
        let error = function.invoke(Invocation::new("12345678901")).await.unwrap_err();
        let expected = Refusal::PayloadTooLarge { limit_bytes: 10, size_bytes: 11 };
        assert_eq!(refusal(&error), &expected);
        assert!(function.invoke(Invocation::new("1234567890")).await.is_ok());
    });
}

/// A kind 4 echo whose memory starts with that many pages.
fn holding(pages: u32) -> FunctionSpec {
    let text = format!(
        r#"(module (memory (export "memory") {pages})
            (func (export "alloc") (param i32) (result i32) i32.const 8)
            (func (export "handle") (param i32 i32) (result i64) i64.const 0))"#
    );
    FunctionSpec::new(format!("holding-{pages}"), wat::parse_str(text).unwrap())
}

#[test]
fn idle_instances_make_room_for_others() {
    story(async {
        let engine = engine_with(|config| config.memory_budget_bytes = 4 * MIB);
        let (first, second) = (engine.load(holding(40)).await, engine.load(holding(41)).await);
        for function in [first.unwrap(), second.unwrap()] {
            for _ in 0..3 {
                let outcome = function.invoke(Invocation::new("x")).await.unwrap();
                assert!(outcome.result.is_ok(), "{:?}", outcome.result);
            }
        }
        assert!(engine.stats().memory_bytes <= 4 * MIB);
        let huge = engine.load(holding(65)).await.unwrap();
        let error = huge.invoke(Invocation::new("x")).await.unwrap_err();
        assert!(matches!(refusal(&error), Refusal::MemoryBudget { .. }), "{error}");
    });
}

/// Whether a function's instance was still there, and not made for this call.
async fn is_warm(function: &Function) -> bool {
    let outcome = function.invoke(Invocation::new("x")).await.unwrap();
    outcome.report.start == StartKind::Warm
}

#[test]
fn the_least_useful_instance_goes_first() {
    story(async {
        for (eviction, keeps) in [(Eviction::LeastUseful, true), (Eviction::LeastRecent, false)] {
            // Room for two of them.
            let engine = engine_with(|config| {
                (config.memory_budget_bytes, config.eviction) = (MIB, eviction);
            });
            let busy = engine.load(holding(6)).await.unwrap();
            for _ in 0..50 {
                busy.invoke(Invocation::new("x")).await.unwrap();
            }
            let quiet = engine.load(holding(7)).await.unwrap();
            assert!(!is_warm(&quiet).await);
            let third = engine.load(holding(8)).await.unwrap();
            assert!(!is_warm(&third).await, "one of the others went for it");
            assert_eq!(is_warm(&busy).await, keeps, "{eviction:?}");
        }
    });
}

#[test]
fn what_holds_less_is_worth_more() {
    story(async {
        let engine = engine_with(|config| config.memory_budget_bytes = MIB);
        let small = engine.load(holding(2)).await.unwrap();
        let large = engine.load(holding(9)).await.unwrap();
        // Called as often; the small one has rested longer.
        assert!(!is_warm(&small).await && !is_warm(&large).await);
        assert!(!is_warm(&engine.load(holding(7)).await.unwrap()).await);
        assert!(is_warm(&small).await);
        assert!(!is_warm(&large).await);
    });
}

#[test]
fn the_pool_of_slots_is_shared_by_eviction() {
    story(async {
        let engine = engine_with(|config| config.instances = 4);
        let mut functions = Vec::new();
        for pages in 1..=12 {
            functions.push(engine.load(holding(pages)).await.unwrap());
        }
        for function in functions.iter().chain(&functions) {
            assert!(function.invoke(Invocation::new("x")).await.unwrap().result.is_ok());
        }
        let evicted: u64 = functions
            .iter()
            .flat_map(|function| function.stats().retired)
            .filter(|(why, _)| *why == "evicted")
            .map(|(_, count)| count)
            .sum();
        assert!(evicted > 0);
    });
}

#[test]
fn draining_waits_then_ends_what_is_left() {
    story(async {
        let engine = engine();
        let function = engine.load(spec("bad/sleeper").limits(timeout(60_000))).await.unwrap();
        let running = tokio::spawn({
            let function = function.clone();
            async move { function.invoke(Invocation::new("x")).await }
        });
        eventually("it runs", || function.stats().running == 1).await;
        assert_eq!(engine.drain(Duration::from_millis(50)).await, 1);
        let outcome = running.await.unwrap().unwrap();
        assert_eq!(outcome.result, Err(Fault::Cancelled));
        let error = function.invoke(Invocation::new("x")).await.unwrap_err();
        assert_eq!(refusal(&error), &Refusal::Draining);
    });
}

#[test]
fn draining_an_idle_engine_ends_nothing() {
    story(async {
        let engine = engine();
        load(&engine, "wat-echo").await.invoke(Invocation::new("x")).await.unwrap();
        assert_eq!(engine.drain(Duration::from_secs(1)).await, 0);
    });
}
