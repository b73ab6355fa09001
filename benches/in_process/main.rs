//! Warm, fresh and cold starts in process, each as a ratio to bare wasmtime at its best settings doing the same in the same run.
//!
//! `cargo bench -p hearth-benches`; `-- --quick` only shows that it works. One thread; ours with deadline, limiter and tail log on.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench tells that it failed by panicking"
)]

mod bare;

use hearth_benches::{Comparison, Effort, compare, guest, show};
use hearth_engine::{Engine, Function, FunctionSpec, Invocation, Isolation, LogType};

fn main() {
    // `cargo test` runs benches to see that they start, with this argument.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime of one thread");
    let effort = Effort::from_arguments();
    let world = World { runtime, engine: Engine::builder().build().expect("an engine"), effort };
    show(&[
        world.warm_echo(),
        world.warm_log(),
        world.fresh_minimal(),
        world.fresh_command(),
        world.warm_event(),
        world.cold_from_artifact(),
    ]);
}

struct World {
    runtime: tokio::runtime::Runtime,
    engine: Engine,
    effort: Effort,
}

impl World {
    fn load(&self, name: &str, isolation: Isolation) -> Function {
        let spec = FunctionSpec::new(name, guest(name)).isolation(isolation);
        self.runtime.block_on(self.engine.load(spec)).expect("an example loads")
    }

    /// One invocation with the tail log on.
    fn invoke(&self, function: &Function, event: &'static str) {
        let invocation = Invocation::new(event).log(LogType::Tail);
        let outcome = self.runtime.block_on(function.invoke(invocation)).expect("no refusal");
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    }

    fn warm_echo(&self) -> Comparison {
        let ours = self.load("wat-echo", Isolation::Reuse);
        let mut bare = bare::Kept::new(&guest("wat-echo"));
        compare(
            "warm kind 4 echo",
            5.0,
            self.effort,
            || self.invoke(&ours, "hello"),
            || self.runtime.block_on(bare.call()),
        )
    }

    /// Ours against ours: what one line of log costs a warm call.
    fn warm_log(&self) -> Comparison {
        let with = self.load("wat-log", Isolation::Reuse);
        let without = self.load("wat-echo", Isolation::Reuse);
        compare(
            "warm echo that logs a line, to one that does not",
            1.1,
            self.effort,
            || self.invoke(&with, "hello"),
            || self.invoke(&without, "hello"),
        )
    }

    fn fresh_minimal(&self) -> Comparison {
        let ours = self.load("wat-echo", Isolation::Fresh);
        let bare = bare::Fresh::new(&guest("wat-echo"));
        compare(
            "fresh minimal module",
            1.7,
            self.effort,
            || self.invoke(&ours, "hello"),
            || self.runtime.block_on(bare.call()),
        )
    }

    fn fresh_command(&self) -> Comparison {
        let ours = self.load("rust-command", Isolation::Fresh);
        let bare = bare::Command::new(&guest("rust-command"));
        compare(
            "fresh Rust WASI command",
            1.5,
            self.effort,
            || self.invoke(&ours, "hello"),
            || self.runtime.block_on(bare.call("hello")),
        )
    }

    /// For orientation: there is no bare counterpart with the same imports, so the fresh one stands in.
    fn warm_event(&self) -> Comparison {
        let warm = self.load("rust-event", Isolation::Reuse);
        let fresh = self.load("rust-event", Isolation::Fresh);
        compare(
            "warm event component, to a fresh one",
            1.0,
            self.effort,
            || self.invoke(&warm, r#"{"name":"x"}"#),
            || self.invoke(&fresh, r#"{"name":"x"}"#),
        )
    }

    fn cold_from_artifact(&self) -> Comparison {
        let code = guest("rust-command");
        // Loaded once, so that the artifact is on disk; dropped, so that it is not resident.
        drop(self.load("rust-command", Isolation::Fresh));
        let bare = bare::Cold::new(&code);
        let spec = FunctionSpec::new("cold", code).isolation(Isolation::Fresh);
        compare(
            "from artifact on disk to first answer",
            3.0,
            self.effort,
            || {
                let function =
                    self.runtime.block_on(self.engine.load(spec.clone())).expect("it loads");
                self.invoke(&function, "hello");
            },
            || self.runtime.block_on(bare.call("hello")),
        )
    }
}
