//! Functions that run long run on threads of their own, behind those who serve callers; nothing else about them changes.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use hearth_engine::{Engine, Fault, Function, FunctionSpec, Invocation, LogType, Served};
use http_body_util::BodyExt;

use crate::serving::{nobody, request};
use crate::world::{engine, engine_with, eventually, invoke, load, spec, story, timeout};

/// Echoes its event, after as many times ten million steps as the event is long.
const WORKS: &str = r#"(module (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) i32.const 1024)
    (func (export "handle") (param $ptr i32) (param $len i32) (result i64)
        (local $left i64)
        (local.set $left (i64.mul (i64.extend_i32_u (local.get $len)) (i64.const 10000000)))
        (block $done (loop $again
            (br_if $done (i64.eqz (local.get $left)))
            (local.set $left (i64.sub (local.get $left) (i64.const 1)))
            (br $again)))
        (i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32))
                (i64.extend_i32_u (local.get $len)))))"#;

async fn works(engine: &Engine) -> Function {
    engine.load(FunctionSpec::new("works", wat::parse_str(WORKS).unwrap())).await.unwrap()
}

fn taken(engine: &Engine) -> u64 {
    engine.stats().in_background
}

/// Calls until the function is known to run long.
async fn until_it_is_known(engine: &Engine, function: &Function, event: &str) {
    let before = taken(engine);
    while taken(engine) == before {
        let _ = function.invoke(Invocation::new(event.to_owned())).await.unwrap();
    }
}

#[test]
fn a_long_call_leaves_its_callers_thread_alone() {
    story(async {
        let engine = engine();
        let function = works(&engine).await;
        until_it_is_known(&engine, &function, "xx").await;
        // At each tick on this thread it would have to be polled again: some twenty times for so many steps.
        let before = taken(&engine);
        let event = "x".repeat(8);
        let mut polls = 0;
        let mut long = pin!(function.invoke(Invocation::new(event.clone())));
        let outcome = poll_fn(|context| {
            polls += 1;
            long.as_mut().poll(context)
        });
        let outcome = outcome.await.unwrap();
        assert_eq!(outcome.result.unwrap(), event);
        assert!(polls <= 3, "it was polled {polls} times");
        assert_eq!(taken(&engine), before + 1);
        assert!(outcome.report.cpu_time >= Duration::from_millis(1), "{:?}", outcome.report);
    });
}

#[test]
fn a_function_comes_back_when_its_calls_are_short_again() {
    story(async {
        let engine = engine();
        let function = works(&engine).await;
        until_it_is_known(&engine, &function, "xx").await;
        for _ in 0..50 {
            assert!(invoke(&function, "").await.result.is_ok());
        }
        let before = taken(&engine);
        for _ in 0..50 {
            assert!(invoke(&function, "").await.result.is_ok());
        }
        // A tick that comes amid a short call on a busy machine makes it no long one, but now and then the machine stands still.
        assert!(taken(&engine) - before < 25, "{} of 50", taken(&engine) - before);
    });
}

#[test]
fn short_functions_stay_where_they_are_called() {
    story(async {
        let engine = engine();
        let function = load(&engine, "wat-echo").await;
        for _ in 0..1000 {
            assert_eq!(invoke(&function, "x").await.result.unwrap(), "x");
        }
        assert!(taken(&engine) < 100, "{}", taken(&engine));
    });
}

#[test]
fn with_no_threads_for_them_all_run_where_they_are_called() {
    story(async {
        let engine = engine_with(|config| config.background_threads = 0);
        let function = works(&engine).await;
        for _ in 0..5 {
            assert_eq!(invoke(&function, "xx").await.result.unwrap(), "xx");
        }
        assert_eq!(taken(&engine), 0);
    });
}

#[test]
fn deadlines_faults_and_logs_are_the_same_there() {
    story(async {
        let engine = engine();
        let function = engine.load(spec("bad/infinite-loop").limits(timeout(50))).await.unwrap();
        for _ in 0..4 {
            let outcome = invoke(&function, "").await;
            assert!(matches!(outcome.result, Err(Fault::Timeout { .. })), "{:?}", outcome.result);
            assert!(outcome.tail_log.is_some());
        }
        assert!(taken(&engine) >= 3);
        let flood = engine.load(spec("bad/log-flood").limits(timeout(50))).await.unwrap();
        until_it_is_known(&engine, &flood, "").await;
        let outcome = invoke(&flood, "").await;
        assert!(!outcome.tail_log.unwrap().is_empty());
        assert!(outcome.report.log_bytes > 0);
    });
}

#[test]
fn who_goes_away_ends_what_runs_in_the_background() {
    story(async {
        let engine = engine();
        let function = engine.load(spec("bad/infinite-loop").limits(timeout(20))).await.unwrap();
        until_it_is_known(&engine, &function, "").await;
        let forever = timeout(600_000);
        function.replace(spec("bad/infinite-loop").limits(forever.clone())).await.unwrap();
        let before = taken(&engine);
        // What is new is not known to run long, so it is shown once more.
        for _ in 0..2 {
            let call = function.invoke(Invocation::new(""));
            assert!(tokio::time::timeout(Duration::from_millis(50), call).await.is_err());
        }
        assert!(taken(&engine) > before);
        eventually("the guest ends", || function.stats().running == 0).await;
        eventually("it is no longer inside", || engine.stats().invocations == 0).await;
    });
}

#[test]
fn draining_ends_what_runs_in_the_background() {
    story(async {
        let engine = engine();
        let limits = timeout(600_000);
        let function = engine.load(spec("bad/infinite-loop").limits(limits)).await.unwrap();
        let call = function.invoke(Invocation::new(""));
        assert!(tokio::time::timeout(Duration::from_millis(50), call).await.is_err());
        let running = tokio::spawn({
            let function = function.clone();
            async move { function.invoke(Invocation::new("").log(LogType::Tail)).await }
        });
        eventually("it runs there", || taken(&engine) == 1 && function.stats().running == 1).await;
        assert_eq!(engine.drain(Duration::from_millis(10)).await, 1);
        let outcome = running.await.unwrap().unwrap();
        assert!(matches!(outcome.result, Err(Fault::Cancelled)), "{:?}", outcome.result);
    });
}

#[test]
fn a_response_is_read_while_its_guest_writes_it_in_the_background() {
    story(async {
        let engine = engine();
        let function = load(&engine, "rust-http-stream").await;
        let path = "/big?bytes=33554432";
        let whole = async || {
            let invocation = Invocation::new(Bytes::new());
            let served = function.serve(request(path, ""), invocation, || nobody).await.unwrap();
            let Served::Answering { response, .. } = served else {
                panic!("no answer: {served:?}")
            };
            response.into_body().collect().await.unwrap().to_bytes().len()
        };
        let before = taken(&engine);
        while taken(&engine) < before + 3 {
            assert_eq!(whole().await, 33_554_432);
        }
        let invocation = Invocation::new(Bytes::new());
        let served = function.serve(request(path, ""), invocation, || nobody).await.unwrap();
        let Served::Answering { response, .. } = served else { panic!("no answer: {served:?}") };
        let mut body = response.into_body();
        assert!(body.frame().await.is_some());
        drop(body);
        eventually("the guest ends", || function.stats().running == 0).await;
    });
}

#[test]
fn an_engine_may_go_with_its_last_call_in_the_background() {
    story(async {
        let engine = engine();
        let function = works(&engine).await;
        until_it_is_known(&engine, &function, "xx").await;
        let mut call =
            Box::pin(async move { function.invoke(Invocation::new("x".repeat(50))).await });
        assert!((&mut call).now_or_never().is_none());
        drop(engine);
        drop(call);
        tokio::time::sleep(Duration::from_millis(20)).await;
    });
}
