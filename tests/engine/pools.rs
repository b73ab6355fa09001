//! What pools keep and what they let go; replacing code under load; secrets and memory of one tenant are not the next one's.

use std::time::Duration;

use hearth_engine::{Function, FunctionSpec, Invocation, Isolation, PoolPolicy, StartKind};

use crate::world::{engine, eventually, invoke, load, spec, story};

#[test]
fn fresh_isolation_never_reuses() {
    story(async {
        let engine = engine();
        let function = engine.load(spec("rust-event").isolation(Isolation::Fresh)).await.unwrap();
        for _ in 0..5 {
            let outcome = invoke(&function, r#"{"name":"Ann"}"#).await;
            let expected = br#"{"message":"hello Ann","served":1}"#;
            assert_eq!(outcome.result.as_deref(), Ok(&expected[..]));
            assert_eq!(outcome.report.start, StartKind::Fresh);
        }
    });
}

#[test]
fn reuse_keeps_a_guests_globals() {
    story(async {
        let function = load(&engine(), "rust-event").await;
        for served in 1..=5 {
            let answer = invoke(&function, r#"{"name":"Ann"}"#).await.result.unwrap();
            let expected = format!(r#"{{"message":"hello Ann","served":{served}}}"#);
            assert_eq!(answer, expected);
        }
    });
}

#[test]
fn an_instance_retires_after_its_uses() {
    story(async {
        let pool = PoolPolicy { uses: 2, ..PoolPolicy::default() };
        let function = engine().load(spec("wat-echo").pool(pool)).await.unwrap();
        let mut starts = Vec::new();
        for _ in 0..4 {
            starts.push(invoke(&function, "x").await.report.start);
        }
        use StartKind::{Fresh, Warm};
        assert_eq!(starts, [Fresh, Warm, Fresh, Warm]);
    });
}

#[test]
fn idle_instances_go_but_the_promised_ones_stay() {
    story(async {
        let pool = PoolPolicy {
            min_ready: 2,
            idle_time: Duration::from_millis(50),
            ..PoolPolicy::default()
        };
        let function = engine().load(spec("wat-echo").pool(pool)).await.unwrap();
        eventually("two are ready", || function.stats().idle == 2).await;
        assert_eq!(function.prewarm(8).await.unwrap(), 8);
        eventually("the others go", || function.stats().idle == 2).await;
        assert_eq!(invoke(&function, "x").await.report.start, StartKind::Fresh);
    });
}

#[test]
fn one_that_served_is_taken_before_those_that_never_did_whoever_calls() {
    let function = story(async {
        let pool = PoolPolicy { min_ready: 3, ..PoolPolicy::default() };
        let function = engine().load(spec("wat-echo").pool(pool)).await.unwrap();
        eventually("three are ready", || function.stats().idle >= 3).await;
        function
    });
    let first = story(invoke(&function, "x")).report;
    assert_eq!(first.start, StartKind::Fresh);
    story(function.prewarm(5)).unwrap();
    for _ in 0..8 {
        // Each thread looks at another one's instances first.
        let call = || story(invoke(&function, "x")).report;
        let next = std::thread::scope(|scope| scope.spawn(call).join().unwrap());
        assert_eq!(next.start, StartKind::Warm);
        assert!(next.instance == first.instance || was_restarted(&function), "{next:?}");
    }
}

/// Whether an instance was made anew for a call that ran for longer than a tick, as any call does where a busy machine holds its thread up.
fn was_restarted(function: &Function) -> bool {
    function.stats().retired.iter().any(|(why, count)| *why == "restarted" && *count > 0)
}

#[test]
fn what_rests_on_another_thread_is_had_from_there() {
    let pool = PoolPolicy { max_instances: 1, queue: 0, ..PoolPolicy::default() };
    let function = story(async { engine().load(spec("wat-echo").pool(pool)).await.unwrap() });
    let first = story(invoke(&function, "x")).report;
    for _ in 0..16 {
        // The only instance and the only right to run were left on another thread, and nobody may wait for either.
        let call = || story(invoke(&function, "x")).report;
        let next = std::thread::scope(|scope| scope.spawn(call).join().unwrap());
        assert_eq!(next.start, StartKind::Warm);
        assert!(next.instance == first.instance || was_restarted(&function), "{next:?}");
        assert_eq!((function.stats().running, function.stats().idle), (0, 1));
    }
}

#[test]
fn who_waits_is_served_though_rights_rest() {
    const THREADS: u64 = 6;
    const CALLS: u64 = 3000;
    let pool = PoolPolicy { max_instances: 2, queue: 64, ..PoolPolicy::default() };
    let function = story(async { engine().load(spec("wat-echo").pool(pool)).await.unwrap() });
    let calls = || {
        story(async {
            for _ in 0..CALLS {
                // Whose right was overlooked waits for the keeper's next round, or is refused when the queue's time is over.
                assert_eq!(invoke(&function, "x").await.result.unwrap(), "x");
            }
        })
    };
    std::thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(calls))));
    let stats = function.stats();
    assert_eq!(stats.starts.iter().sum::<u64>(), THREADS * CALLS);
    assert_eq!((stats.running, stats.waiting), (0, 0));
    assert!((1..=2).contains(&stats.idle), "{stats:?}");
}

#[test]
fn nobody_is_refused_for_a_right_that_rests() {
    const THREADS: u32 = 5;
    let pool = PoolPolicy { max_instances: THREADS, queue: 0, ..PoolPolicy::default() };
    let function = story(async { engine().load(spec("wat-echo").pool(pool)).await.unwrap() });
    let calls = || {
        story(async {
            for _ in 0..20_000 {
                // As many rights as callers: whoever comes finds one, on its way to a stack or not.
                assert_eq!(invoke(&function, "x").await.result.unwrap(), "x");
            }
        })
    };
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..THREADS).map(|_| scope.spawn(calls)).collect();
        // To count them, all have to be where they can be counted.
        while callers.iter().any(|caller| !caller.is_finished()) {
            let stats = function.stats();
            assert!(stats.running <= THREADS && stats.idle <= THREADS, "{stats:?}");
        }
    });
    let stats = function.stats();
    assert_eq!((stats.running, stats.idle as usize), (0, function.instances().len()));
}

#[test]
fn what_a_thread_left_that_is_gone_goes_when_its_time_is_over() {
    story(async {
        let pool = PoolPolicy { idle_time: Duration::from_millis(50), ..PoolPolicy::default() };
        let function = engine().load(spec("wat-echo").pool(pool)).await.unwrap();
        let call = || story(invoke(&function, "x")).report.instance;
        let left = std::thread::scope(|scope| scope.spawn(call).join().unwrap());
        assert_eq!(function.instances(), [left]);
        // Asking for its ids does not look where it rests.
        eventually("it goes", || function.instances().is_empty()).await;
    });
}

#[test]
fn nothing_that_rests_outlives_its_code() {
    const THREADS: u32 = 4;
    let pool = || PoolPolicy { max_instances: THREADS, queue: 0, ..PoolPolicy::default() };
    let engine = engine();
    let function = story(async { engine.load(answering(b'a').pool(pool())).await.unwrap() });
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let calls = || {
        while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
            assert!(story(invoke(&function, "x")).result.is_ok());
        }
    };
    std::thread::scope(|scope| {
        (0..THREADS).for_each(|_| drop(scope.spawn(calls)));
        for round in 0..100 {
            let spec = answering(b'a' + round % 2).pool(pool());
            story(function.replace(spec)).unwrap();
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    drop(function);
    story(async {
        let left = || (engine.stats().instances, engine.stats().memory_bytes);
        eventually("all are gone", || left() == (0, 0)).await;
    });
}

#[test]
fn prewarming_makes_the_first_call_find_an_instance() {
    story(async {
        let function = load(&engine(), "rust-event").await;
        assert_eq!(function.prewarm(3).await.unwrap(), 3);
        let before = function.stats().idle;
        invoke(&function, r#"{"name":"Ann"}"#).await;
        assert_eq!(function.stats().idle, before);
    });
}

/// A guest that answers with this one byte.
fn answering(byte: u8) -> FunctionSpec {
    let text = format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 0) "{}")
            (func (export "alloc") (param i32) (result i32) i32.const 8)
            (func (export "handle") (param i32 i32) (result i64) i64.const 1))"#,
        char::from(byte)
    );
    FunctionSpec::new("versions", wat::parse_str(text).unwrap())
}

#[test]
fn replacing_code_fails_no_request() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let function = engine().load(answering(b'a')).await.unwrap();
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let function = function.clone();
                tokio::spawn(async move {
                    let mut last = b'a';
                    while last < b'j' {
                        let outcome = function.invoke(Invocation::new("x")).await.unwrap();
                        let answer = outcome.result.unwrap()[0];
                        assert!(answer >= last, "an older version answered after a newer one");
                        last = answer;
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for byte in b'b'..=b'j' {
            tokio::time::sleep(Duration::from_millis(10)).await;
            function.replace(answering(byte)).await.unwrap();
        }
        for caller in callers {
            caller.await.unwrap();
        }
    });
}

/// Fills its memory with a canary, or says whether any byte of it is not zero.
const CANARY: &str = r#"(module (memory (export "memory") 4)
    (func (export "alloc") (param i32) (result i32) i32.const 16)
    (func (export "handle") (param i32 i32) (result i64)
        (local $at i32)
        (i32.eq (i32.load8_u (i32.const 16)) (i32.const 102))
        if
            (memory.fill (i32.const 64) (i32.const 170) (i32.const 262080))
            (return (i64.const 0))
        end
        (local.set $at (i32.const 64))
        loop $next
            (i32.load8_u (local.get $at))
            if (return (i64.const 0x1000000001)) end
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $at) (i32.const 262144)))
        end
        (i64.const 0)))"#;

#[test]
fn a_recycled_slot_is_clean() {
    story(async {
        let engine = engine();
        let code = wat::parse_str(CANARY).unwrap();
        let spec = FunctionSpec::new("canary", code).isolation(Isolation::Fresh);
        let function = engine.load(spec).await.unwrap();
        for _ in 0..200 {
            assert!(invoke(&function, "fill").await.result.is_ok());
            let looked = invoke(&function, "look").await.result.unwrap();
            assert!(looked.is_empty(), "the next tenant read the last one's memory");
        }
    });
}

#[test]
fn secrets_in_the_environment_do_not_outlive_a_replacement() {
    story(async {
        let engine = engine();
        let with = |value: &str| spec("bad/secret-panic").variable("API_TOKEN", value);
        let function = engine.load(with("first-canary")).await.unwrap();
        let outcome = invoke(&function, "x").await;
        assert!(!format!("{:?} {:?}", outcome.result, outcome.report).contains("first-canary"));
        function.replace(with("second-canary")).await.unwrap();
        let tail = crate::world::tail(&invoke(&function, "x").await);
        assert!(tail.contains("second-canary") && !tail.contains("first-canary"), "{tail}");
    });
}

#[test]
fn a_hundred_thousand_calls_leak_nothing() {
    story(async {
        let engine = engine();
        let pool = PoolPolicy { uses: 0, ..PoolPolicy::default() };
        let function = engine.load(spec("wat-log").pool(pool)).await.unwrap();
        invoke(&function, "x").await;
        // What tests beside this one hold grows and shrinks; what leaks grows each time.
        let mut grown = u64::MAX;
        let mut rounds = 0;
        while grown >= 8 << 20 && rounds < 5 {
            rounds += 1;
            let before = resident_bytes();
            for _ in 0..100_000 {
                assert!(function.invoke(Invocation::new("x")).await.unwrap().result.is_ok());
            }
            grown = resident_bytes().saturating_sub(before);
        }
        assert!(grown < 8 << 20, "grew by {grown} bytes again and again");
        assert_eq!(function.stats().starts[StartKind::Warm as usize], rounds * 100_000);
    });
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
