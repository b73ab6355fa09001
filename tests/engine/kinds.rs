//! Each kind of guest answers an event, and what it logs comes back in order.

use hearth_engine::{Fault, FunctionSpec, GuestKind, Invocation, LogType, StartKind};

use crate::world::{engine, engine_and_lines, eventually, invoke, load, story, tail};

#[test]
fn every_kind_answers() {
    story(async {
        let engine = engine();
        for (name, kind, event, answer) in [
            ("wat-echo", GuestKind::Core, "hello", "hello"),
            ("c-echo", GuestKind::Core, "hello", "hello"),
            ("assemblyscript-upper", GuestKind::Core, "hello", "HELLO"),
            (
                "rust-event",
                GuestKind::Event,
                r#"{"name":"Ann"}"#,
                r#"{"message":"hello Ann","served":1}"#,
            ),
            ("rust-http", GuestKind::HttpP2, "hello", "hello"),
            ("rust-http-p3", GuestKind::HttpP3, "hello", "hello"),
            ("rust-spin", GuestKind::HttpP2, "hello", "hello"),
            ("rust-spin-p3", GuestKind::HttpP3, "hello", "hello"),
        ] {
            let function = load(&engine, name).await;
            assert_eq!(function.kind(), kind, "{name}");
            let outcome = invoke(&function, event).await;
            assert_eq!(outcome.result.as_deref(), Ok(answer.as_bytes()), "{name}");
            assert_eq!(outcome.report.start, StartKind::Fresh, "{name}");
            let again = invoke(&function, event).await;
            assert_eq!(again.report.start, StartKind::Warm, "{name}");
        }
    });
}

#[test]
fn commands_answer_and_are_never_reused() {
    story(async {
        let engine = engine();
        for name in ["rust-command", "rust-command-component"] {
            let function = load(&engine, name).await;
            for _ in 0..2 {
                let outcome = invoke(&function, "hello").await;
                let answer = outcome.result.clone().unwrap();
                assert!(!answer.is_empty(), "{name} said nothing");
                assert!(!tail(&outcome).is_empty(), "{name} logged nothing");
                assert_eq!(outcome.report.start, StartKind::Fresh, "{name}");
            }
            assert_eq!(function.stats().idle, 0, "{name}");
        }
    });
}

#[test]
fn an_empty_event_is_an_event() {
    story(async {
        let engine = engine();
        for name in ["wat-echo", "c-echo", "rust-http", "rust-command"] {
            let outcome = invoke(&load(&engine, name).await, "").await;
            assert!(outcome.result.is_ok(), "{name}: {:?}", outcome.result);
        }
    });
}

#[test]
fn what_a_guest_logs_comes_back_in_order() {
    story(async {
        let (engine, lines) = engine_and_lines();
        let function = load(&engine, "rust-event").await;
        let outcome = invoke(&function, r#"{"name":"Ann"}"#).await;
        let tail = tail(&outcome);
        let (import, stdout) = (tail.find("greeting Ann").unwrap(), tail.find("request ").unwrap());
        assert!(import < stdout, "{tail}");
        eventually("both lines at the sink", || lines.0.lock().unwrap().len() == 2).await;
        let lines = lines.0.lock().unwrap();
        assert_eq!(lines[0].text, "greeting Ann from rust-event");
        assert!(lines.iter().all(|line| line.request_id == lines[0].request_id));
    });
}

#[test]
fn a_line_belongs_to_the_invocation_that_wrote_it() {
    story(async {
        let (engine, lines) = engine_and_lines();
        let function = load(&engine, "rust-event").await;
        let calls = (0..20).map(|number| {
            let event = format!(r#"{{"name":"n{number}"}}"#);
            let function = function.clone();
            tokio::spawn(async move {
                function.invoke(Invocation::new(event).request_id(format!("r{number}"))).await
            })
        });
        for call in calls.collect::<Vec<_>>() {
            assert!(call.await.unwrap().unwrap().result.is_ok());
        }
        eventually("all lines at the sink", || lines.0.lock().unwrap().len() == 40).await;
        for line in &*lines.0.lock().unwrap() {
            let number = &line.request_id[1..];
            let belongs = line.text == format!("greeting n{number} from rust-event")
                || line.text == format!("request r{number} is attempt 1");
            assert!(belongs, "{} logged {}", line.request_id, line.text);
        }
    });
}

#[test]
fn a_guest_reports_an_error_of_its_own_and_stays() {
    story(async {
        let engine = engine();
        let function = load(&engine, "rust-event").await;
        let outcome = invoke(&function, r#"{"name":""}"#).await;
        let Err(Fault::Returned { kind, message, .. }) = outcome.result else {
            panic!("{:?}", outcome.result)
        };
        assert_eq!((kind.as_deref(), message.as_str()), (Some("NoName"), "a visitor needs a name"));
        let next = invoke(&function, r#"{"name":"Ann"}"#).await;
        assert_eq!(next.report.start, StartKind::Warm, "the guest is in good order");
    });
}

#[test]
fn a_thread_without_a_runtime_can_invoke() {
    let engine = engine();
    let function = story(load(&engine, "rust-event"));
    let outcome = function.invoke_blocking(Invocation::new(r#"{"name":"Bo"}"#)).unwrap();
    assert!(outcome.result.is_ok());
    let nested = story(async { function.invoke_blocking(Invocation::new("{}")) });
    assert!(nested.unwrap_err().to_string().contains("inside an async runtime"));
}

#[test]
fn a_line_is_of_the_call_that_wrote_it_and_who_writes_none_has_none() {
    let guest = r#"(module
        (import "hearth" "log" (func $log (param i32 i32 i32)))
        (memory (export "memory") 1) (data (i32.const 0) "line")
        (func (export "alloc") (param i32) (result i32) i32.const 8)
        (func (export "handle") (param i32 i32) (result i64)
            (if (i32.eq (local.get 1) (i32.const 2))
                (then (call $log (i32.const 2) (i32.const 0) (i32.const 4))))
            i64.const 0))"#;
    story(async {
        let (engine, seen) = engine_and_lines();
        let spec = FunctionSpec::new("sometimes", wat::parse_str(guest).unwrap());
        let function = engine.load(spec).await.unwrap();
        for (id, event, wanted) in
            [("a", "x", ""), ("b", "xx", "INFO line\n"), ("c", "x", ""), ("d", "xx", "INFO line\n")]
        {
            let invocation = Invocation::new(event).request_id(id).log(LogType::Tail);
            let outcome = function.invoke(invocation).await.unwrap();
            assert_eq!((id, tail(&outcome).as_str()), (id, wanted));
            assert_eq!(outcome.report.log_bytes, wanted.len() as u64);
        }
        let silent = function.invoke(Invocation::new("x")).await.unwrap();
        assert_eq!(silent.tail_log, None);
        let lines = || {
            seen.0
                .lock()
                .unwrap()
                .iter()
                .map(|line| line.request_id.to_string())
                .collect::<Vec<_>>()
        };
        eventually("both lines are there", || lines() == ["b", "d"]).await;
    });
}

#[test]
fn a_warm_call_that_takes_too_long_without_a_fiber_begins_anew_on_one() {
    // A byte more is a loop of some ten milliseconds, two more one without an end.
    let guest = r#"(module
        (memory (export "memory") 1) (global $served (mut i32) (i32.const 0))
        (func (export "alloc") (param i32) (result i32) i32.const 8)
        (func (export "handle") (param i32 i32) (result i64)
            (local $left i32)
            (global.set $served (i32.add (global.get $served) (i32.const 1)))
            (local.set $left (i32.const 30000000))
            (if (i32.gt_u (local.get 1) (i32.const 1)) (then (loop $again
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br_if $again (i32.or (local.get $left) (i32.eq (local.get 1) (i32.const 3)))))))
            (i32.store8 (i32.const 0) (i32.add (global.get $served) (i32.const 48)))
            i64.const 1))"#;
    story(async {
        let limits = crate::world::timeout(1000);
        let spec = FunctionSpec::new("slow", wat::parse_str(guest).unwrap()).limits(limits);
        let engine = engine();
        let function = engine.load(spec.clone()).await.unwrap();
        assert_eq!(invoke(&function, "x").await.result.unwrap(), "1");
        let warm = invoke(&function, "x").await;
        assert_eq!((warm.report.start, &warm.result.unwrap()[..]), (StartKind::Warm, &b"2"[..]));
        let slow = invoke(&function, "xx").await;
        // What it did before it was too long is unseen, and its instance is another.
        assert_eq!(slow.result.unwrap(), "1");
        assert_ne!(slow.report.instance, warm.report.instance);
        let stats = function.stats();
        assert!(stats.retired.contains(&("restarted", 1)), "{:?}", stats.retired);
        assert_eq!((stats.running, stats.idle), (0, 1));
        assert_eq!(invoke(&function, "x").await.result.unwrap(), "2");

        let function = engine.load(spec).await.unwrap();
        assert_eq!(invoke(&function, "x").await.result.unwrap(), "1");
        let endless = invoke(&function, "xxx").await;
        assert!(matches!(endless.result, Err(Fault::Timeout { .. })), "{:?}", endless.result);
        assert_eq!((function.stats().running, function.stats().idle), (0, 0));
    });
}
