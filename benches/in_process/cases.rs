//! The comparisons: what the engine does, and the same done with bare wasmtime.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hearth_engine::{
    Engine, EngineConfig, Function, FunctionSpec, Invocation, Isolation, LoadSource, LogLine,
    LogSink, LogType, PoolPolicy,
};
use tokio::runtime::Runtime;

use crate::in_process::bare;
use crate::in_process::bare_component as component;
use crate::{Case, Side, guest, numbered};

/// An event for guests that read JSON.
pub(crate) const JSON_EVENT: &str = r#"{"name":"x"}"#;

/// Makes a comparison ready to run.
pub type Make = fn(&Lab, &'static str) -> Case;

/// All of them. A name says what is done and, after the comma, what it is set beside where that is not the same work.
pub const ALL: &[(&str, Make)] = &[
    ("warm echo with tail log, one bare async call", |lab, what| {
        lab.warm_echo(what, LogType::Tail)
    }),
    ("warm echo without tail log, one bare async call", |lab, what| {
        lab.warm_echo(what, LogType::None)
    }),
    ("warm echo with tail log", Lab::warm_whole_echo),
    ("warm line in tail log, no line", |lab, what| lab.warm_line(what, LogType::Tail, false)),
    ("warm line without tail log, no line", |lab, what| lab.warm_line(what, LogType::None, false)),
    ("warm line to sink and tail log, no line", |lab, what| {
        lab.warm_line(what, LogType::Tail, true)
    }),
    ("fresh minimal module", Lab::fresh_minimal),
    ("fresh Rust WASI command", Lab::fresh_command),
    ("cold Rust WASI command from disk", Lab::cold_command),
    ("cold Rust event component from disk", Lab::cold_event),
    ("fresh Rust event component", |lab, what| lab.event(what, Isolation::Fresh)),
    ("snapshot of a 16 MiB table, fresh empty component", Lab::snapshot_beside_empty),
    ("snapshot of a 16 MiB table, fresh that builds it", Lab::snapshot_beside_initialising),
    ("warm Rust event component", |lab, what| lab.event(what, Isolation::Reuse)),
    ("warm Rust HTTP component", |lab, what| lab.http(what, Isolation::Reuse)),
    ("fresh Rust HTTP component", |lab, what| lab.http(what, Isolation::Fresh)),
    ("warm echo of 2,000 functions in turn, of one", Lab::warm_many),
    ("warm echo of 2,000 functions in turn, bare instances in turn", Lab::warm_many_beside_bare),
];

/// What all comparisons run on: one thread, one engine.
#[expect(missing_debug_implementations, reason = "nobody prints it")]
pub struct Lab {
    runtime: Rc<Runtime>,
    engine: Engine,
    /// What guests with an interpreter inside run on: it compiles them once, and fully before they are measured.
    pub(crate) interpreters: OnceCell<Engine>,
    /// Contents that a cold start takes turns with: each was forgotten when its turn comes again.
    contents: u32,
    /// Functions at once, where many are asked for.
    functions: u32,
}

/// Long enough that no instance goes for want of work.
const IDLE_TIME: Duration = Duration::from_secs(3600);

/// A sink that takes all lines.
struct Sink;

impl LogSink for Sink {
    fn write(&self, lines: &[LogLine<'_>]) {
        std::hint::black_box(lines.len());
    }
}

impl Lab {
    /// With fewer contents for cold starts where it shall be quick.
    #[must_use]
    pub fn new(is_quick: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self {
            runtime: Rc::new(runtime.expect("a runtime of one thread")),
            engine: Engine::builder().build().expect("an engine"),
            interpreters: OnceCell::new(),
            contents: if is_quick { 8 } else { 32 },
            functions: if is_quick { 100 } else { 2_000 },
        }
    }

    pub(crate) fn load(&self, name: &str, isolation: Isolation) -> Function {
        self.load_into(&self.engine, name, isolation)
    }

    fn load_into(&self, engine: &Engine, name: &str, isolation: Isolation) -> Function {
        self.load_spec(engine, FunctionSpec::new(name, guest(name)).isolation(isolation))
    }

    pub(crate) fn load_spec(&self, engine: &Engine, spec: FunctionSpec) -> Function {
        self.runtime.block_on(engine.load(spec)).expect("an example loads")
    }

    /// Work that takes its whole time.
    fn side(&self, mut work: impl AsyncFnMut() + 'static) -> Side {
        let runtime = self.runtime.clone();
        Box::new(move |calls| {
            runtime.block_on(async {
                let begun = Instant::now();
                for _ in 0..calls {
                    work().await;
                }
                begun.elapsed()
            })
        })
    }

    /// Work that says itself which part of its time counts.
    fn measured_side(&self, mut work: impl AsyncFnMut() -> Duration + 'static) -> Side {
        let runtime = self.runtime.clone();
        Box::new(move |calls| {
            runtime.block_on(async {
                let mut time = Duration::ZERO;
                for _ in 0..calls {
                    time += work().await;
                }
                time
            })
        })
    }

    pub(crate) fn invoking(&self, function: Function, event: &'static str, log: LogType) -> Side {
        self.side(async move || invoke(&function, event, log).await)
    }

    fn warm_echo(&self, what: &'static str, log: LogType) -> Case {
        let mut bare = bare::Kept::new(&guest("wat-echo"));
        let ours = self.load("wat-echo", Isolation::Reuse);
        Case {
            what,
            target: Some(2.5),
            ours: self.invoking(ours, "hello", log),
            beside: self.side(async move || bare.handle().await),
        }
    }

    /// The event goes in and the answer comes out on both sides.
    fn warm_whole_echo(&self, what: &'static str) -> Case {
        let mut bare = bare::Kept::new(&guest("wat-echo"));
        let ours = self.load("wat-echo", Isolation::Reuse);
        Case {
            what,
            target: None,
            ours: self.invoking(ours, "hello", LogType::Tail),
            beside: self.side(async move || bare.echo(b"hello").await),
        }
    }

    /// Ours against ours: what one line of log costs a warm call.
    fn warm_line(&self, what: &'static str, log: LogType, has_sink: bool) -> Case {
        let engine = match has_sink {
            true => Engine::builder().log_sink(Arc::new(Sink)).build().expect("an engine"),
            false => self.engine.clone(),
        };
        let ours = self.load_into(&engine, "wat-log", Isolation::Reuse);
        let silent = self.load_into(&engine, "wat-echo", Isolation::Reuse);
        Case {
            what,
            // 90 % of the throughput.
            target: Some(1.0 / 0.9),
            ours: self.invoking(ours, "hello", log),
            beside: self.invoking(silent, "hello", log),
        }
    }

    fn fresh_minimal(&self, what: &'static str) -> Case {
        let bare = bare::Fresh::new(&guest("wat-echo"));
        let ours = self.load("wat-echo", Isolation::Fresh);
        Case {
            what,
            target: Some(1.3),
            ours: self.invoking(ours, "hello", LogType::Tail),
            beside: self.side(async move || bare.call(b"hello").await),
        }
    }

    fn fresh_command(&self, what: &'static str) -> Case {
        let bare = bare::Command::new(&guest("rust-command"));
        let ours = self.load("rust-command", Isolation::Fresh);
        Case {
            what,
            target: Some(1.1),
            ours: self.invoking(ours, "hello", LogType::Tail),
            beside: self.side(async move || bare.call("hello").await),
        }
    }

    fn cold_command(&self, what: &'static str) -> Case {
        let mut bare = bare::Cold::new(&guest("rust-command"), self.contents);
        Case {
            what,
            target: Some(3.0),
            ours: self.cold("rust-command", "hello"),
            beside: self.measured_side(async move || bare.call("hello").await),
        }
    }

    fn cold_event(&self, what: &'static str) -> Case {
        let mut bare = component::ColdEvent::new(&guest("rust-event"), self.contents);
        Case {
            what,
            target: Some(3.0),
            ours: self.cold("rust-event", JSON_EVENT),
            beside: self.measured_side(async move || bare.call(JSON_EVENT).await),
        }
    }

    /// Loads a function whose artifact is on disk and whose code is not in memory, and invokes it. Letting it go does not count.
    fn cold(&self, name: &'static str, event: &'static str) -> Side {
        let code = guest(name);
        let contents = (0..self.contents).map(|number| numbered(&code, number));
        let specs: Vec<_> = contents.map(|code| FunctionSpec::new(name, code)).collect();
        for spec in &specs {
            self.runtime.block_on(self.engine.load(spec.clone())).expect("an example loads");
        }
        let engine = self.engine.clone();
        let mut turn = specs.len();
        // As in any server, some other function is loaded all the while.
        let resident = self.load("wat-echo", Isolation::Reuse);
        self.measured_side(async move || {
            let _resident = &resident;
            loop {
                turn += 1;
                let spec = specs[turn % specs.len()].clone();
                let begun = Instant::now();
                let function = engine.load(spec).await.expect("it loads");
                invoke(&function, event, LogType::Tail).await;
                let taken = begun.elapsed();
                let source = function.load_report().source;
                drop(function);
                // The baseline lets go before it begins anew; ours does so on another thread, which is waited for likewise.
                while engine.stats().functions > 1 {
                    std::hint::spin_loop();
                }
                match source {
                    LoadSource::Artifact => return taken,
                    // Code goes on a thread of the engine's, which may lag behind.
                    LoadSource::Resident => std::thread::sleep(Duration::from_millis(1)),
                    LoadSource::Compiled => panic!("the artifact was not found"),
                }
            }
        })
    }

    fn event(&self, what: &'static str, isolation: Isolation) -> Case {
        let ours = self.load("rust-event", isolation);
        let mut bare = component::Event::new(&guest("rust-event"));
        Case {
            what,
            target: None,
            ours: self.invoking(ours, JSON_EVENT, LogType::Tail),
            beside: match isolation {
                Isolation::Reuse => {
                    let mut kept = self.runtime.block_on(bare.start());
                    self.side(async move || kept.call(JSON_EVENT).await)
                }
                Isolation::Fresh | Isolation::Snapshot => {
                    self.side(async move || bare.start().await.call(JSON_EVENT).await)
                }
            },
        }
    }

    fn http(&self, what: &'static str, isolation: Isolation) -> Case {
        let ours = self.load("rust-http", isolation);
        let bare = component::Http::new(&guest("rust-http"));
        Case {
            what,
            target: Some(if isolation == Isolation::Reuse { 1.3 } else { 1.2 }),
            ours: self.invoking(ours, "hello", LogType::Tail),
            beside: match isolation {
                Isolation::Reuse => {
                    let mut kept = self.runtime.block_on(bare.start());
                    self.side(async move || kept.call("hello").await)
                }
                Isolation::Fresh | Isolation::Snapshot => {
                    self.side(async move || bare.start().await.call("hello").await)
                }
            },
        }
    }

    /// Ours against ours: what it costs that there are many, each with an instance that waits and is called in turn.
    fn warm_many(&self, what: &'static str) -> Case {
        let one = self.load("wat-echo", Isolation::Reuse);
        let beside = self.invoking(one, "hello", LogType::Tail);
        Case { what, target: Some(1.3), ours: self.many_in_turn(), beside }
    }

    /// What of that is the machine's: as many instances of bare wasmtime, of which each is out of the caches as well when its turn comes.
    fn warm_many_beside_bare(&self, what: &'static str) -> Case {
        let home = tempfile::tempdir().expect("a temporary directory");
        bare::Crowd::compile(home.path(), &guest("wat-echo"), self.functions);
        let crowd = bare::Crowd::new(self.functions);
        let member = |number| crowd.member(home.path(), number);
        let mut members: Vec<_> = (0..self.functions).map(member).collect();
        let mut turn = 0;
        let beside = self.side(async move || {
            turn = (turn + 1) % members.len();
            members[turn].1.echo_directly(b"hello");
        });
        Case { what, target: None, ours: self.many_in_turn(), beside }
    }

    fn many_in_turn(&self) -> Side {
        let config = EngineConfig { instances: self.functions, ..EngineConfig::default() };
        let engine = Engine::builder().config(config).build().expect("an engine");
        let code = guest("wat-echo");
        let load = |number| {
            let policy =
                PoolPolicy { idle_time: IDLE_TIME, max_instances: 1, ..PoolPolicy::default() };
            let spec = FunctionSpec::new(format!("echo-{number}"), numbered(&code, number));
            self.runtime.block_on(engine.load(spec.pool(policy))).expect("an example loads")
        };
        let functions: Vec<_> = (0..self.functions).map(load).collect();
        let mut turn = 0;
        self.side(async move || {
            turn = (turn + 1) % functions.len();
            invoke(&functions[turn], "hello", LogType::Tail).await;
        })
    }
}

async fn invoke(function: &Function, event: &'static str, log: LogType) {
    let outcome = function.invoke(Invocation::new(event).log(log)).await;
    // Looked at where it is: to be moved it would be copied, which the other side has no need to.
    let Ok(outcome) = &outcome else { panic!("refused: {outcome:?}") };
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    std::hint::black_box(outcome);
}
