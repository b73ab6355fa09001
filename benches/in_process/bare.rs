//! The baselines: wasmtime 48 by hand, at the best settings known for each piece of work.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wasmtime::component::Component;
use wasmtime::{
    Config, Enabled, Engine, Instance, InstancePre, Linker, Memory, Module, OptLevel,
    PoolingAllocationConfig, Store, TypedFunc,
};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};

use crate::numbered;

/// Bytes that a pipe of the baseline holds.
const PIPE_BYTES: usize = 64 << 10;

pub(crate) fn engine() -> Engine {
    engine_for(64)
}

/// With room for so many instances.
fn engine_for(instances: u32) -> Engine {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances * 4)
        .total_memories(instances * 2)
        .total_tables(instances * 2)
        .total_stacks(64)
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .pagemap_scan(match PoolingAllocationConfig::is_pagemap_scan_available() {
            true => Enabled::Yes,
            false => Enabled::No,
        });
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .concurrency_support(false)
        .native_unwind_info(false)
        .allocation_strategy(pool);
    Engine::new(&config).expect("the baseline's engine")
}

pub(crate) fn store<T: 'static>(engine: &Engine, data: T) -> Store<T> {
    let mut store = Store::new(engine, data);
    store.set_epoch_deadline(u64::MAX / 2);
    store
}

/// A kept instance.
pub(crate) struct Kept {
    store: Store<()>,
    exports: Exports,
}

impl Kept {
    pub(crate) fn new(code: &[u8]) -> Self {
        let engine = engine();
        let module = Module::new(&engine, code).expect("valid");
        let mut store = store(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &module).expect("no imports");
        let exports = Exports::find(&module, &mut store, &instance);
        Self { store, exports }
    }

    /// One async typed call, with nothing put in or taken out.
    pub(crate) async fn handle(&mut self) {
        let answer = self.exports.handle.call_async(&mut self.store, (0, 5)).await;
        std::hint::black_box(answer.expect("it answers"));
    }

    /// The same without a fiber, as ours calls it.
    pub(crate) fn echo_directly(&mut self, event: &[u8]) {
        let (store, exports) = (&mut self.store, &self.exports);
        let length = u32::try_from(event.len()).expect("a small event");
        let pointer = exports.alloc.call(&mut *store, length).expect("it allocates");
        exports.memory.write(&mut *store, pointer as usize, event).expect("inside");
        let packed = exports.handle.call(&mut *store, (pointer, length)).expect("it answers");
        std::hint::black_box(exports.answer(store, packed));
    }

    /// The whole ABI: two async typed calls and two copies.
    pub(crate) async fn echo(&mut self, event: &[u8]) {
        self.exports.echo(&mut self.store, event).await;
    }
}

/// What a kind 4 guest exports.
struct Exports {
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
    handle: TypedFunc<(u32, u32), u64>,
}

impl Exports {
    fn find(module: &Module, mut store: &mut Store<()>, instance: &Instance) -> Self {
        let mut find = |name: &str| {
            let index = module.get_export_index(name).expect("exported");
            instance.get_module_export(&mut store, &index).expect("exported")
        };
        let (memory, alloc, handle) = (find("memory"), find("alloc"), find("handle"));
        let typed = "of the ABI's type";
        Self {
            memory: memory.into_memory().expect(typed),
            alloc: alloc.into_func().expect(typed).typed(&store).expect(typed),
            handle: handle.into_func().expect(typed).typed(&store).expect(typed),
        }
    }

    async fn echo(&self, store: &mut Store<()>, event: &[u8]) {
        let length = u32::try_from(event.len()).expect("a small event");
        let pointer = self.alloc.call_async(&mut *store, length).await.expect("it allocates");
        self.memory.write(&mut *store, pointer as usize, event).expect("inside");
        let packed = self.handle.call_async(&mut *store, (pointer, length)).await;
        std::hint::black_box(self.answer(store, packed.expect("it answers")));
    }

    fn answer(&self, store: &Store<()>, packed: u64) -> Vec<u8> {
        let mut answer = vec![0; usize::try_from(packed & 0xffff_ffff).expect("a length")];
        let from = usize::try_from(packed >> 32).expect("a pointer");
        self.memory.read(store, from, &mut answer).expect("inside");
        answer
    }
}

/// A fresh instance for each event: store, instance, event in, answer out, all dropped.
pub(crate) struct Fresh {
    engine: Engine,
    pre: InstancePre<()>,
}

impl Fresh {
    pub(crate) fn new(code: &[u8]) -> Self {
        let engine = engine();
        let module = Module::new(&engine, code).expect("valid");
        let pre = Linker::new(&engine).instantiate_pre(&module).expect("no imports");
        Self { engine, pre }
    }

    pub(crate) async fn call(&self, event: &[u8]) {
        let mut store = store(&self.engine, ());
        let instance = self.pre.instantiate_async(&mut store).await.expect("it starts");
        let exports = Exports::find(self.pre.module(), &mut store, &instance);
        exports.echo(&mut store, event).await;
    }
}

/// A fresh WASI command with standard input, output and error in memory.
pub(crate) struct Command {
    engine: Engine,
    pre: InstancePre<WasiP1Ctx>,
}

impl Command {
    pub(crate) fn new(code: &[u8]) -> Self {
        let engine = engine();
        let module = Module::new(&engine, code).expect("valid");
        Self { pre: command_pre(&engine, &module), engine }
    }

    pub(crate) async fn call(&self, event: &'static str) {
        run_command(&self.engine, &self.pre, event).await;
    }
}

fn command_pre(engine: &Engine, module: &Module) -> InstancePre<WasiP1Ctx> {
    let mut linker = Linker::new(engine);
    p1::add_to_linker_async(&mut linker, |wasi| wasi).expect("a new linker");
    linker.instantiate_pre(module).expect("WASI imports only")
}

async fn run_command(engine: &Engine, pre: &InstancePre<WasiP1Ctx>, event: &'static str) {
    let (output, log) = (MemoryOutputPipe::new(PIPE_BYTES), MemoryOutputPipe::new(PIPE_BYTES));
    let wasi = WasiCtxBuilder::new()
        .stdin(MemoryInputPipe::new(event))
        .stdout(output.clone())
        .stderr(log.clone())
        .build_p1();
    let mut store = store(engine, wasi);
    let instance = pre.instantiate_async(&mut store).await.expect("it starts");
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start").expect("a command");
    start.call_async(&mut store, ()).await.expect("it ends well");
    drop(store);
    std::hint::black_box((output.contents(), log.contents()));
}

/// Files of native code that take turns, so that none is mapped when its turn comes.
pub(crate) struct Files {
    paths: Vec<PathBuf>,
    turn: usize,
    _home: TempDir,
}

impl Files {
    pub(crate) fn new(
        code: &[u8],
        count: u32,
        compile: impl Fn(&[u8]) -> wasmtime::Result<Vec<u8>>,
    ) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let write = |number| {
            let path = home.path().join(format!("{number}.cwasm"));
            let native = compile(&numbered(code, number)).expect("valid");
            std::fs::write(&path, native).expect("it can be written");
            path
        };
        Self { paths: (0..count).map(write).collect(), turn: 0, _home: home }
    }

    fn next(&mut self) -> &PathBuf {
        self.turn += 1;
        &self.paths[self.turn % self.paths.len()]
    }

    #[expect(
        unsafe_code,
        clippy::disallowed_methods,
        reason = "what it is compared with does the same, after checking the file"
    )]
    fn next_module(&mut self, engine: &Engine) -> Module {
        // SAFETY: the file was written by `new` from what wasmtime compiled, into a directory of this process alone.
        unsafe { Module::deserialize_file(engine, self.next()) }.expect("native code")
    }

    #[expect(
        unsafe_code,
        clippy::disallowed_methods,
        reason = "what it is compared with does the same, after checking the file"
    )]
    pub(crate) fn next_component(&mut self, engine: &Engine) -> Component {
        // SAFETY: as in `next_module`.
        unsafe { Component::deserialize_file(engine, self.next()) }.expect("native code")
    }
}

/// From a file of native code to the first answer.
pub(crate) struct Cold {
    engine: Engine,
    linker: Linker<WasiP1Ctx>,
    files: Files,
}

impl Cold {
    pub(crate) fn new(code: &[u8], count: u32) -> Self {
        let engine = engine();
        let files = Files::new(code, count, |code| engine.precompile_module(code));
        let mut linker = Linker::new(&engine);
        p1::add_to_linker_async(&mut linker, |wasi| wasi).expect("a new linker");
        Self { engine, linker, files }
    }

    /// Returns the time to the answer, without that of letting the module go.
    pub(crate) async fn call(&mut self, event: &'static str) -> Duration {
        let begun = Instant::now();
        let module = self.files.next_module(&self.engine);
        let pre = self.linker.instantiate_pre(&module).expect("WASI imports only");
        run_command(&self.engine, &pre, event).await;
        begun.elapsed()
    }
}

/// Kept instances of a kind 4 guest, each of a module of its own.
pub(crate) struct Crowd {
    engine: Engine,
}

impl Crowd {
    /// Leaves native code for so many in a directory.
    pub(crate) fn compile(directory: &Path, code: &[u8], count: u32) {
        let engine = engine();
        for number in 0..count {
            let native = engine.precompile_module(&numbered(code, number)).expect("valid");
            let path = directory.join(format!("{number}.cwasm"));
            std::fs::write(path, native).expect("it can be written");
        }
    }

    pub(crate) fn new(count: u32) -> Self {
        Self { engine: engine_for(count.max(64)) }
    }

    /// One of them, which served an event.
    #[expect(
        unsafe_code,
        clippy::disallowed_methods,
        reason = "what it is compared with does the same, after checking the file"
    )]
    pub(crate) fn member(&self, directory: &Path, number: u32) -> (Module, Kept) {
        let path = directory.join(format!("{number}.cwasm"));
        // SAFETY: the file was written by `compile`, into a directory of this program alone.
        let module = unsafe { Module::deserialize_file(&self.engine, path) }.expect("native code");
        let mut store = store(&self.engine, ());
        let instance = Linker::new(&self.engine).instantiate(&mut store, &module);
        let exports = Exports::find(&module, &mut store, &instance.expect("no imports"));
        let mut kept = Kept { store, exports };
        // Without a fiber, whose stack a store would keep.
        kept.echo_directly(b"hello");
        (module, kept)
    }
}
