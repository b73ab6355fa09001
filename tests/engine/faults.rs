//! Each bad guest ends as the fault it is, with its figures, while a healthy neighbour on the same thread keeps answering.

use std::time::Duration;

use hearth_engine::{Fault, FunctionSpec, Invocation, Limits, LogType, MIB, Outcome};

use crate::world::{engine, engine_with, eventually, invoke, load, spec, story, tail, timeout};

/// Invokes a bad guest beside a healthy one.
async fn suffer(spec: FunctionSpec) -> Outcome {
    let engine = engine();
    let healthy = load(&engine, "wat-echo").await;
    let bad = engine.load(spec).await.unwrap();
    let suffering = {
        let bad = bad.clone();
        tokio::spawn(async move { bad.invoke(Invocation::new("event").log(LogType::Tail)).await })
    };
    while !suffering.is_finished() {
        let answer = invoke(&healthy, "still here").await;
        assert_eq!(answer.result.as_deref(), Ok(&b"still here"[..]));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let outcome = suffering.await.unwrap().unwrap();
    let stats = bad.stats();
    assert_eq!(stats.running, 0, "the slot is free");
    outcome
}

#[test]
fn loops_end_at_their_deadline() {
    for name in ["infinite-loop", "spin-with-clock", "sleeper", "sleeper-component"] {
        let limits = timeout(100);
        let outcome = story(suffer(spec(&format!("bad/{name}")).limits(limits)));
        assert_eq!(
            outcome.result,
            Err(Fault::Timeout { limit: Duration::from_millis(100) }),
            "{name}"
        );
        assert!(outcome.report.phases.run >= Duration::from_millis(100), "{name}");
    }
}

#[test]
fn a_spinning_guest_is_billed_cpu_and_a_sleeping_one_is_not() {
    let spinning = story(suffer(spec("bad/infinite-loop").limits(timeout(200))));
    let sleeping = story(suffer(spec("bad/sleeper").limits(timeout(200))));
    assert!(spinning.report.cpu_time > sleeping.report.cpu_time * 2);
}

#[test]
fn cpu_time_is_a_limit_of_its_own() {
    let cpu_time = Some(Duration::from_millis(30));
    let limits = Limits { cpu_time, ..timeout(60_000) };
    let outcome = story(suffer(spec("bad/infinite-loop").limits(limits)));
    let Err(Fault::CpuLimit { limit, used }) = outcome.result else {
        panic!("{:?}", outcome.result)
    };
    assert!(Some(limit) == cpu_time && used >= limit);
}

#[test]
fn a_start_function_that_loops_ends_too() {
    let initialize_timeout = Duration::from_millis(100);
    let limits = Limits { initialize_timeout, ..Limits::default() };
    let outcome = story(suffer(spec("bad/start-loop").limits(limits)));
    assert_eq!(outcome.result, Err(Fault::InitializeTimeout { limit: initialize_timeout }));
}

#[test]
fn memory_is_one_limit_over_all_memories() {
    for name in ["memory-hog", "two-memories-hog", "grow-memory64", "gc-hog", "gc-cycles"] {
        let limits = Limits { memory_bytes: 16 * MIB, ..timeout(20_000) };
        let outcome = story(suffer(spec(&format!("bad/{name}")).limits(limits)));
        let Err(Fault::MemoryLimit { limit_bytes, held_bytes, wanted_bytes }) = outcome.result
        else {
            panic!("{name}: {:?}", outcome.result)
        };
        assert_eq!(limit_bytes, 16 * MIB, "{name}");
        assert!(held_bytes + wanted_bytes > limit_bytes, "{name}");
        assert!(outcome.report.memory_peak_bytes <= limit_bytes, "{name}");
    }
}

#[test]
fn a_guest_that_survives_a_denial_answers_but_never_serves_again() {
    story(async {
        let engine = engine();
        let limits = Limits { memory_bytes: 4 * MIB, ..timeout(20_000) };
        let function = engine.load(spec("bad/memory-hog-survivor").limits(limits)).await.unwrap();
        let outcome = invoke(&function, "x").await;
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        let stats = function.stats();
        assert_eq!(stats.idle, 0);
        assert!(stats.retired.contains(&("memory_limit", 1)), "{:?}", stats.retired);
    });
}

#[test]
fn tables_are_limited() {
    let limits = Limits { table_elements: 1000, ..timeout(20_000) };
    let outcome = story(suffer(spec("bad/table-grow").limits(limits)));
    assert!(outcome.result.is_err(), "{:?}", outcome.result);
}

#[test]
fn the_stack_is_limited() {
    let outcome = story(suffer(spec("bad/stack-overflow")));
    let Err(Fault::StackOverflow { backtrace }) = outcome.result else {
        panic!("{:?}", outcome.result)
    };
    assert!(!backtrace.is_empty() && backtrace.len() <= 32);
}

#[test]
fn a_trap_says_where() {
    let outcome = story(suffer(spec("bad/trap")));
    let Err(Fault::Trap { message, backtrace }) = outcome.result else {
        panic!("{:?}", outcome.result)
    };
    assert!(message.contains("unreachable"), "{message}");
    assert!(backtrace.iter().any(|frame| frame.function.contains("handle")), "{backtrace:?}");
}

#[test]
fn a_panic_leaves_its_message_in_the_tail() {
    let outcome = story(suffer(spec("bad/rust-panic")));
    assert!(matches!(outcome.result, Err(Fault::Trap { .. })), "{:?}", outcome.result);
    assert!(tail(&outcome).contains("panicked"), "{}", tail(&outcome));
}

#[test]
fn answers_are_limited() {
    for name in ["huge-answer", "huge-answer-stdout"] {
        let outcome = story(suffer(spec(&format!("bad/{name}"))));
        let Err(Fault::AnswerTooLarge { limit_bytes, size_bytes }) = outcome.result else {
            panic!("{name}: {:?}", outcome.result)
        };
        assert!(size_bytes > limit_bytes && limit_bytes == 6 * MIB, "{name}");
    }
}

#[test]
fn a_flood_of_logs_costs_bounded_memory() {
    for name in ["log-flood", "log-flood-stderr"] {
        let outcome = story(suffer(spec(&format!("bad/{name}")).limits(timeout(60_000))));
        // One entry of the logging import is cut at 64 KiB; bytes on stderr all count.
        assert!(outcome.report.log_bytes >= 100 * MIB, "{name}: {:?}", outcome.report);
        assert_eq!(outcome.tail_log.map(|tail| tail.len()), Some(4096), "{name}");
    }
}

#[test]
fn every_broken_pointer_is_a_bad_abi() {
    for name in [
        "bad-pointers-alloc-beyond",
        "bad-pointers-alloc-negative",
        "bad-pointers-alloc-zero",
        "bad-pointers-handle-beyond",
        "bad-pointers-handle-length-negative",
        "bad-pointers-handle-negative",
        "bad-imports",
    ] {
        let outcome = story(suffer(spec(&format!("bad/{name}"))));
        assert!(
            matches!(outcome.result, Err(Fault::BadAbi { .. })),
            "{name}: {:?}",
            outcome.result
        );
    }
}

#[test]
fn exits_are_told_with_their_code() {
    let outcome = story(suffer(spec("bad/exit-code")));
    assert_eq!(outcome.result, Err(Fault::Exited { code: 3 }));
}

#[test]
fn errors_that_guests_return_are_theirs() {
    for name in ["fail", "returned-error", "initialize-fails"] {
        let outcome = story(suffer(spec(&format!("bad/{name}"))));
        let is_theirs =
            matches!(outcome.result, Err(Fault::Returned { .. } | Fault::BadAbi { .. }));
        assert!(is_theirs, "{name}: {:?}", outcome.result);
    }
}

#[test]
fn a_giant_wish_for_random_bytes_harms_nobody() {
    let component = story(suffer(spec("bad/random-huge-component")));
    assert!(component.result.is_err(), "{:?}", component.result);
    let command = story(suffer(spec("bad/random-huge")));
    let is_told = command.result.as_deref() == Ok(b"alive") || command.result.is_err();
    assert!(is_told && command.report.memory_peak_bytes <= 128 * MIB, "{:?}", command.result);
}

#[test]
fn a_faulty_instance_never_serves_again() {
    story(async {
        let engine = engine();
        for name in ["bad/trap", "bad/infinite-loop", "bad/bad-pointers-handle-beyond"] {
            let function = engine.load(spec(name).limits(timeout(50))).await.unwrap();
            for _ in 0..3 {
                assert!(invoke(&function, "x").await.result.is_err());
                assert_eq!(function.stats().idle, 0, "{name}");
            }
        }
    });
}

#[test]
fn dropping_the_future_ends_the_guest() {
    story(async {
        let engine = engine_with(|_| {});
        let limits = timeout(60_000);
        for name in ["bad/sleeper", "bad/infinite-loop", "bad/sleeper-component"] {
            let function = engine.load(spec(name).limits(limits.clone())).await.unwrap();
            let call = function.invoke(Invocation::new("x"));
            let waited = tokio::time::timeout(Duration::from_millis(30), call).await;
            assert!(waited.is_err(), "{name} ended by itself");
            let stats = function.stats();
            assert_eq!((stats.running, stats.idle), (0, 0), "{name}");
            assert!(stats.retired.contains(&("cancelled", 1)), "{name}: {:?}", stats.retired);
        }
        eventually("all memory given back", || engine.stats().memory_bytes == 0).await;
    });
}

#[test]
fn a_future_may_be_dropped_at_any_poll() {
    story(async {
        let engine = engine();
        let function =
            engine.load(spec("bad/spin-with-clock").limits(timeout(60_000))).await.unwrap();
        for polls in 0..200_u32 {
            let mut call = Box::pin(function.invoke(Invocation::new("x")));
            for _ in 0..polls % 7 {
                let pending = std::future::poll_fn(|context| {
                    std::task::Poll::Ready(call.as_mut().poll(context).is_pending())
                });
                assert!(pending.await);
            }
            drop(call);
        }
        // It runs long, so that most of its calls ran in the background, where they end at their next tick.
        eventually("every place given back", || function.stats().running == 0).await;
        eventually("all memory given back", || engine.stats().memory_bytes == 0).await;
    });
}
