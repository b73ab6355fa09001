//! What the fast tier gives and costs: cold starts of large code that is compiled fully at once and of the same code that answers from the
//! fast tier first, in turns; the same compiled on one core and on all; and the same work done by code of either tier.
//!
//! `cargo bench -p hearth-benches --bench tiers`; `--rounds N`. Cold means compiled in this process, loaded and called once.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench tells that it failed by panicking"
)]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use hearth_benches::{Options, guest, median, numbered, show_head};
use hearth_engine::{Engine, EngineConfig, Function, FunctionSpec, Invocation, Limits, Tier};
use tokio::runtime::Runtime;

/// Functions in code that is made here, each a loop over arithmetic, branches and memory.
const SIZES: [u32; 4] = [20, 200, 800, 3200];

/// Rounds of the loop for the comparison of what the tiers make.
const WORK: &str = "20000";

fn main() {
    let Some(options) = Options::from_arguments() else { return };
    let rounds = options.number("--rounds", if options.is_quick { 1 } else { 5 });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let lab = Lab {
        runtime: runtime.expect("a runtime of one thread"),
        full: engine(u64::MAX),
        fast: engine(0),
        next: 0,
        rounds,
    };
    show_head(
        &options,
        "code                      KiB    full ms   fast ms  full/fast   one core ms  one core/all   work: fast/full",
    );
    lab.run(&options);
}

fn engine(fast_tier_bytes: u64) -> Engine {
    let config = EngineConfig { instances: 64, fast_tier_bytes, ..EngineConfig::default() };
    Engine::builder().config(config).build().expect("an engine")
}

struct Lab {
    runtime: Runtime,
    full: Engine,
    fast: Engine,
    next: u32,
    rounds: u32,
}

/// Medians over the rounds, in milliseconds.
struct Measured {
    full: f64,
    fast: f64,
    one_core: f64,
    /// How many times as long code of the fast tier takes; none for guests that do no such work.
    work: Option<f64>,
}

impl Lab {
    fn run(mut self, options: &Options) {
        for name in ["rust-event", "rust-http-stream-p3"] {
            let code = guest(name);
            let measured = self.measure(&code, r#"{"name":"x"}"#, None);
            show(options, name, code.len(), &measured);
        }
        let sizes = if options.is_quick { &SIZES[..1] } else { &SIZES[..] };
        for functions in sizes {
            let code = made(*functions);
            let measured = self.measure(&code, "1", Some(WORK));
            show(options, &format!("{functions} functions"), code.len(), &measured);
        }
    }

    fn measure(&mut self, code: &[u8], event: &str, work: Option<&str>) -> Measured {
        let (mut full, mut fast, mut one_core) = (Vec::new(), Vec::new(), Vec::new());
        let mut works = Vec::new();
        for _ in 0..self.rounds {
            self.next += 1;
            let code = numbered(code, self.next);
            let (taken, optimised) = self.cold(Tier::Full, &code, event);
            full.push(taken);
            let (taken, quick) = self.cold(Tier::Fast, &code, event);
            fast.push(taken);
            if let Some(work) = work {
                // Before the other tier is there: the thread that makes it runs behind.
                let slow = self.call(&quick, work);
                assert_eq!(quick.stats().tier, Tier::Fast, "too soon");
                works.push(slow / self.call(&optimised, work));
            }
            self.settle();
            one_core.push(compiled_on_one_core(&code));
        }
        let work = (!works.is_empty()).then(|| median(works));
        Measured { full: median(full), fast: median(fast), one_core: median(one_core), work }
    }

    fn cold(&self, tier: Tier, code: &[u8], event: &str) -> (f64, Function) {
        let engine = if tier == Tier::Fast { &self.fast } else { &self.full };
        let limits = Limits { timeout: Duration::from_secs(60), ..Limits::default() };
        let spec = FunctionSpec::new("cold", code.to_vec()).limits(limits);
        let began = Instant::now();
        let function = self.runtime.block_on(engine.load(spec)).expect("it loads");
        assert_eq!(function.load_report().tier, tier);
        self.call(&function, event);
        (millis(began), function)
    }

    fn call(&self, function: &Function, event: &str) -> f64 {
        let began = Instant::now();
        let outcome = self.runtime.block_on(function.invoke(Invocation::new(event.to_owned())));
        let outcome = outcome.expect("no refusal");
        // An HTTP function has no page under this path; it ran.
        assert!(outcome.result.is_ok() || event.starts_with('{'), "{:?}", outcome.result);
        millis(began)
    }

    /// Waits until nothing is compiled behind.
    fn settle(&self) {
        while self.fast.stats().optimisations_pending > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// What compiling alone takes without help.
fn compiled_on_one_core(code: &[u8]) -> f64 {
    let mut config = wasmtime::Config::new();
    config.parallel_compilation(false).epoch_interruption(true).native_unwind_info(false);
    let engine = wasmtime::Engine::new(&config).expect("an engine");
    let began = Instant::now();
    let is_module = code.get(4..8) == Some(&[1, 0, 0, 0]);
    let compiled = match is_module {
        true => engine.precompile_module(code),
        false => engine.precompile_component(code),
    };
    compiled.expect("it compiles");
    millis(began)
}

/// An event of decimal digits says how often the loop of its first function runs.
fn made(functions: u32) -> Vec<u8> {
    let mut body = String::new();
    for number in 0..functions {
        let _ =
            write!(body, "(func $f{number} (param i32) (result i32) (local i32 i32) (loop $again ");
        for step in 0..24 {
            let factor = number * 7 + step + 3;
            let _ = write!(
                body,
                "local.get 0 i32.const {factor} i32.mul local.tee 1 local.get 2 i32.xor local.set 2
                 (if (i32.lt_u (local.get 1) (local.get 2)) (then
                     (i32.store (i32.and (local.get 1) (i32.const 4092)) (local.get 2)))) "
            );
        }
        body.push_str(
            "(br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) local.get 2)",
        );
    }
    let text = format!(
        r#"(module (memory (export "memory") 2)
            (func (export "alloc") (param i32) (result i32) i32.const 65536)
            (func (export "handle") (param $ptr i32) (param $len i32) (result i64) (local $n i32) (local $i i32)
                (loop $digits
                    (local.set $n (i32.add (i32.mul (local.get $n) (i32.const 10))
                        (i32.sub (i32.load8_u (i32.add (local.get $ptr) (local.get $i))) (i32.const 48))))
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (br_if $digits (i32.lt_u (local.get $i) (local.get $len))))
                (drop (call $f0 (local.get $n)))
                (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)))
            {body})"#
    );
    wat::parse_str(text).expect("it is text of the right kind")
}

#[expect(clippy::print_stdout, reason = "this is what a bench is for")]
fn show(options: &Options, what: &str, size: usize, measured: &Measured) {
    let Measured { full, fast, one_core, work } = measured;
    let (ratio, cores) = (full / fast, one_core / full);
    if options.wants_json {
        let work = work.map_or_else(|| "null".to_owned(), |work| format!("{work:.2}"));
        println!(
            r#"{{"what":"{what}","bytes":{size},"full_ms":{full:.2},"fast_ms":{fast:.2},"ratio":{ratio:.2},"one_core_ms":{one_core:.2},"one_core_to_all":{cores:.2},"work_fast_to_full":{work}}}"#
        );
        return;
    }
    let work = work.map_or_else(String::new, |work| format!("{work:.2}"));
    println!(
        "{what:<22} {:>6} {full:>10.1} {fast:>9.1} {ratio:>10.2} {one_core:>13.1} {cores:>13.2} {work:>17}",
        size >> 10
    );
}
