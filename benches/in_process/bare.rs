//! The baselines: wasmtime 48 by hand, at the best settings known for each piece of work.

use std::path::PathBuf;

use wasmtime::{
    Config, Enabled, Engine, InstancePre, Linker, Memory, Module, OptLevel,
    PoolingAllocationConfig, Store, TypedFunc,
};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};

/// Bytes that a pipe of the baseline holds.
const PIPE_BYTES: usize = 64 << 10;

fn engine() -> Engine {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(64)
        .total_memories(64)
        .total_tables(64)
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

fn store<T: 'static>(engine: &Engine, data: T) -> Store<T> {
    let mut store = Store::new(engine, data);
    store.set_epoch_deadline(u64::MAX / 2);
    store
}

/// A kept instance: one async typed call.
pub(crate) struct Kept {
    store: Store<()>,
    handle: TypedFunc<(u32, u32), u64>,
}

impl Kept {
    pub(crate) fn new(code: &[u8]) -> Self {
        let engine = engine();
        let module = Module::new(&engine, code).expect("valid");
        let mut store = store(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &module).expect("no imports");
        let handle = instance.get_typed_func(&mut store, "handle").expect("exported");
        Self { store, handle }
    }

    pub(crate) async fn call(&mut self) {
        let answer = self.handle.call_async(&mut self.store, (0, 5)).await;
        std::hint::black_box(answer.expect("it answers"));
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

    pub(crate) async fn call(&self) {
        let mut store = store(&self.engine, ());
        let instance = self.pre.instantiate_async(&mut store).await.expect("it starts");
        let alloc = instance.get_typed_func::<u32, u32>(&mut store, "alloc").expect("exported");
        let handle =
            instance.get_typed_func::<(u32, u32), u64>(&mut store, "handle").expect("exported");
        let memory: Memory = instance.get_memory(&mut store, "memory").expect("exported");
        let pointer = alloc.call_async(&mut store, 5).await.expect("it allocates");
        memory.write(&mut store, pointer as usize, b"hello").expect("inside");
        let answer = handle.call_async(&mut store, (pointer, 5)).await.expect("it answers");
        let mut read = vec![0; 5];
        let from = usize::try_from(answer >> 32).expect("a pointer");
        memory.read(&store, from, &mut read).expect("inside");
        std::hint::black_box(read);
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

/// From a file of native code to the first answer.
pub(crate) struct Cold {
    engine: Engine,
    linker: Linker<WasiP1Ctx>,
    path: PathBuf,
    _home: tempfile::TempDir,
}

impl Cold {
    pub(crate) fn new(code: &[u8]) -> Self {
        let engine = engine();
        let home = tempfile::tempdir().expect("a temporary directory");
        let path = home.path().join("code.cwasm");
        let native = engine.precompile_module(code).expect("valid");
        std::fs::write(&path, native).expect("it can be written");
        let mut linker = Linker::new(&engine);
        p1::add_to_linker_async(&mut linker, |wasi| wasi).expect("a new linker");
        Self { engine, linker, path, _home: home }
    }

    #[expect(
        unsafe_code,
        clippy::disallowed_methods,
        reason = "what it is compared with does the same, after checking the file"
    )]
    pub(crate) async fn call(&self, event: &'static str) {
        // SAFETY: the file was written by `new` from what wasmtime compiled, into a directory of this process alone.
        let module =
            unsafe { Module::deserialize_file(&self.engine, &self.path) }.expect("native code");
        let pre = self.linker.instantiate_pre(&module).expect("WASI imports only");
        run_command(&self.engine, &pre, event).await;
    }
}
