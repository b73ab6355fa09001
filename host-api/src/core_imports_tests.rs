//! The imports of core modules, called by modules written in the text format.

use super::*;
use wasmtime::{Engine, Instance, Module, Store, Trap, TypedFunc};

#[derive(Default)]
struct State {
    logged: Vec<(Level, String)>,
    failed: Option<Vec<u8>>,
    outside: bool,
    random: u8,
}

impl CoreView for State {
    fn log(&mut self, level: Level, message: &str) {
        self.logged.push((level, message.to_owned()));
    }

    fn fail(&mut self, message: &[u8]) -> Result<(), AbiViolation> {
        if self.outside {
            return Err(AbiViolation::FailOutsideInvocation);
        }
        self.failed = Some(message.to_vec());
        Ok(())
    }

    fn context_json(&mut self) -> &str {
        r#"{"requestId":"1"}"#
    }

    fn random(&mut self, buffer: &mut [u8]) {
        buffer.fill(self.random);
    }

    fn now_ms(&self) -> i64 {
        1_767_225_600_000
    }
}

/// One page of memory: "hello" at 16, and whatever `data` adds; `run` is `body`.
fn instance(data: &str, result: &str, body: &str) -> (Store<State>, Instance) {
    let text = format!(
        r#"(module
            (import "hearth" "log" (func $log (param i32 i32 i32)))
            (import "hearth" "fail" (func $fail (param i32 i32)))
            (import "hearth" "context" (func $context (param i32 i32) (result i32)))
            (import "hearth" "now_ms" (func $now (result i64)))
            (import "hearth" "random" (func $random (param i32 i32)))
            (import "env" "abort" (func $abort (param i32 i32 i32 i32)))
            (import "env" "trace" (func $trace (param i32 i32 f64 f64 f64 f64 f64)))
            (import "env" "seed" (func $seed (result f64)))
            (memory (export "memory") 1)
            (data (i32.const 16) "hello")
            {data}
            (func (export "run") {result} {body}))"#
    );
    let engine = Engine::default();
    let mut linker = Linker::new(&engine);
    add_to_linker::<State>(&mut linker).unwrap();
    let mut store = Store::new(&engine, State::default());
    let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    (store, instance)
}

fn run(data: &str, body: &str) -> (State, Result<()>) {
    let (mut store, instance) = instance(data, "", body);
    let run: TypedFunc<(), ()> = instance.get_typed_func(&mut store, "run").unwrap();
    let ended = run.call(&mut store, ());
    (store.into_data(), ended)
}

fn violation(body: &str) -> String {
    let error = run("", body).1.unwrap_err();
    assert!(error.downcast_ref::<Trap>().is_none());
    error.downcast_ref::<AbiViolation>().expect("a violation").to_string()
}

#[test]
fn a_log_entry_arrives_with_its_level() {
    let (state, ended) = run(
        r#"(data (i32.const 32) "a\ffb")"#,
        "(call $log (i32.const 3) (i32.const 16) (i32.const 5))
         (call $log (i32.const 0) (i32.const 32) (i32.const 3))
         (call $log (i32.const 5) (i32.const -1) (i32.const 0))",
    );
    ended.unwrap();
    let expected = [(Level::Warn, "hello"), (Level::Trace, "a\u{fffd}b"), (Level::Critical, "")];
    assert_eq!(state.logged, expected.map(|(level, text)| (level, text.to_owned())));
}

#[test]
fn ranges_are_checked_first_and_named() {
    let table = [
        (
            "(call $log (i32.const 9) (i32.const 65535) (i32.const 2))",
            "log was given 2 bytes at 65535, but memory has 65536",
        ),
        (
            "(call $log (i32.const 6) (i32.const 0) (i32.const 0))",
            "log was given level 6, but the highest is 5",
        ),
        (
            "(call $log (i32.const -1) (i32.const 0) (i32.const 0))",
            "log was given level 4294967295, but the highest is 5",
        ),
        (
            "(call $fail (i32.const -1) (i32.const -1))",
            "fail was given 4294967295 bytes at 4294967295, but memory has 65536",
        ),
        (
            "(call $random (i32.const -1) (i32.const -1))",
            "random was given 4294967295 bytes at 4294967295, but memory has 65536",
        ),
        (
            "(drop (memory.grow (i32.const 9))) (call $random (i32.const 0) (i32.const 65537))",
            "random was asked for 65537 bytes, but at most 65536 a call",
        ),
        (
            "(drop (call $context (i32.const 65530) (i32.const 7)))",
            "context was given 7 bytes at 65530, but memory has 65536",
        ),
    ];
    for (body, expected) in table {
        assert_eq!(violation(body), expected, "{body}");
    }
}

#[test]
fn the_memory_is_the_one_at_the_time_of_the_call() {
    let (state, ended) = run(
        "",
        "(drop (memory.grow (i32.const 1)))
         (call $log (i32.const 1) (i32.const 65536) (i32.const 65536))",
    );
    ended.unwrap();
    assert_eq!(state.logged[0].1.len(), crate::logging::MAX_MESSAGE_BYTES);
}

#[test]
fn the_last_failure_counts_unless_there_is_no_invocation() {
    let body =
        "(call $fail (i32.const 16) (i32.const 5)) (call $fail (i32.const 17) (i32.const 2))";
    assert_eq!(run("", body).0.failed.as_deref(), Some(&b"el"[..]));
    let (mut store, instance) = instance("", "", body);
    store.data_mut().outside = true;
    let run: TypedFunc<(), ()> = instance.get_typed_func(&mut store, "run").unwrap();
    let error = run.call(&mut store, ()).unwrap_err();
    assert_eq!(error.downcast_ref::<AbiViolation>(), Some(&AbiViolation::FailOutsideInvocation));
}

#[test]
fn a_context_is_written_whole_or_not_at_all() {
    for (capacity, written) in [(0, false), (16, false), (17, true), (60000, true)] {
        let body = format!("(call $context (i32.const 100) (i32.const {capacity}))");
        let (mut store, instance) = instance("", "(result i32)", &body);
        let run: TypedFunc<(), i32> = instance.get_typed_func(&mut store, "run").unwrap();
        assert_eq!(run.call(&mut store, ()).unwrap(), 17);
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        let found = &memory.data(&store)[100..117];
        assert_eq!(found == br#"{"requestId":"1"}"#, written, "{capacity}");
        assert_eq!(found == [0; 17], !written, "{capacity}");
    }
}

#[test]
fn the_clock_and_the_seed() {
    let (mut store, instance) = instance("", "(result i64)", "(call $now)");
    let run: TypedFunc<(), i64> = instance.get_typed_func(&mut store, "run").unwrap();
    assert_eq!(run.call(&mut store, ()).unwrap(), 1_767_225_600_000);
    for random in 0..=u8::MAX {
        assert!(seed(&mut State { random, ..State::default() }).is_finite());
    }
    struct Infinite;
    impl CoreView for Infinite {
        fn log(&mut self, _: Level, _: &str) {}
        fn fail(&mut self, _: &[u8]) -> Result<(), AbiViolation> {
            Ok(())
        }
        fn context_json(&mut self) -> &str {
            ""
        }
        fn random(&mut self, buffer: &mut [u8]) {
            buffer.copy_from_slice(&f64::INFINITY.to_le_bytes());
        }
        fn now_ms(&self) -> i64 {
            0
        }
    }
    assert!(seed(&mut Infinite).is_finite());
}

/// An AssemblyScript string "no ÿ" with the header before it, at 100.
const SCRIPT: &str = r#"(data (i32.const 96) "\08\00\00\00n\00o\00 \00\ff\00")"#;

#[test]
fn an_abort_carries_what_it_said() {
    let body = "(call $abort (i32.const 100) (i32.const 0) (i32.const 7) (i32.const 9))";
    let (state, ended) = run(SCRIPT, body);
    let error = ended.unwrap_err();
    let abort = error.downcast_ref::<GuestAbort>().unwrap();
    assert_eq!(abort.to_string(), "abort: no ÿ at (null):7:9");
    assert_eq!(state.logged, [(Level::Error, abort.to_string())]);
}

#[test]
fn a_broken_string_is_read_leniently() {
    let mut memory = vec![0u8; 20_000];
    let mut at = |pointer: i32, size: u32| {
        let header = usize::try_from(pointer).unwrap() - 4;
        memory[header..header + 4].copy_from_slice(&size.to_le_bytes());
        script_string(&memory, pointer).into_owned()
    };
    for (pointer, size) in [(8, 3), (8, u32::MAX), (8, 20_000), (20_000, 2)] {
        assert_eq!(at(pointer, size), "(unreadable)", "{pointer} {size}");
    }
    assert_eq!(at(8, 0), "");
    assert_eq!(at(20_000, 0), "");
    assert_eq!(at(8, 10_000).chars().count(), 2048);
    for pointer in [1, 3, -1, i32::MIN, 20_001] {
        assert_eq!(script_string(&memory, pointer), "(unreadable)", "{pointer}");
    }
    assert_eq!(script_string(&memory, 0), "(null)");
    memory[4..10].copy_from_slice(&[2, 0, 0, 0, 0x00, 0xd8]);
    assert_eq!(script_string(&memory, 8), "\u{fffd}");
}

#[test]
fn a_trace_lists_as_many_numbers_as_it_says() {
    let trace = |count: i32| {
        let body = format!(
            "(call $trace (i32.const 100) (i32.const {count}) (f64.const 1.5) (f64.const 2)
             (f64.const nan) (f64.const 4) (f64.const 5))"
        );
        run(SCRIPT, &body).0.logged
    };
    for (count, line) in [(-1, "no ÿ"), (2, "no ÿ 1.5 2"), (99, "no ÿ 1.5 2 NaN 4 5")] {
        assert_eq!(trace(count), [(Level::Trace, line.to_owned())]);
    }
}

#[test]
fn a_module_without_a_memory_is_told() {
    let engine = Engine::default();
    let mut linker = Linker::new(&engine);
    add_to_linker::<State>(&mut linker).unwrap();
    let mut store = Store::new(&engine, State::default());
    let text = r#"(module (import "hearth" "fail" (func $fail (param i32 i32)))
        (func (export "run") (call $fail (i32.const 0) (i32.const 0))))"#;
    let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let run: TypedFunc<(), ()> = instance.get_typed_func(&mut store, "run").unwrap();
    let error = run.call(&mut store, ()).unwrap_err();
    assert_eq!(
        error.downcast_ref::<AbiViolation>(),
        Some(&AbiViolation::NoMemory { import: "fail" })
    );
}
