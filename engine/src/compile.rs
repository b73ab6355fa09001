//! Compilation, away from the invocation path and bounded: so many at once, so many waiting, each on a thread of its own and, if
//! configured, in a child process with limits it cannot raise.
//!
//! wasmtime does not promise to bound what hostile code makes its compiler use, hence the child. Child and parent talk through
//! two files and one line of JSON on the child's standard input.

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::LoadError;
use crate::artifact::ArtifactStore;
use crate::config::{Compiler, CompilerChild, EngineConfig};
use crate::off_thread::off_thread;
use crate::wasmtime_config::{Flavor, compile_settings};

/// How often a waiting thread looks whether its child ended.
const CHILD_POLL: Duration = Duration::from_millis(2);

/// How much kinder than everything else a compiler child is to the processor.
const CHILD_NICENESS: i32 = 10;

/// First byte of what the child writes: compiled code follows, or the reason why there is none.
const COMPILED: u8 = 0;
const NOT_VALID: u8 = 1;

/// What is to be compiled.
pub(crate) struct CompileJob {
    pub(crate) function: String,
    pub(crate) engine: wasmtime::Engine,
    pub(crate) flavor: Flavor,
    pub(crate) is_component: bool,
    pub(crate) code: Bytes,
}

/// Compile slots and their queue.
#[derive(Debug)]
pub(crate) struct Compilations {
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
    compiler: Compiler,
    pub(crate) done: AtomicU64,
}

/// What the child is told.
#[derive(Debug, Serialize, Deserialize)]
struct ChildJob {
    is_component: bool,
    is_concurrent: bool,
    memory_bytes: u64,
    cpu_seconds: u64,
}

impl Compilations {
    pub(crate) fn new(config: &EngineConfig) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(config.compile_slots as usize)),
            waiting: AtomicUsize::new(0),
            waiting_max: config.compile_queue as usize,
            compiler: config.compiler.clone(),
            done: AtomicU64::new(0),
        }
    }

    /// Compiles one function. Dropping the future does not stop the compiler: its slot stays taken until it is done.
    pub(crate) async fn compile(
        &self,
        job: CompileJob,
        artifacts: &Arc<ArtifactStore>,
    ) -> Result<Vec<u8>, LoadError> {
        let function = job.function.clone();
        let slot = self.slot(&function).await?;
        let compiler = self.compiler.clone();
        let artifacts = artifacts.clone();
        let compiled = off_thread("hearth-compile", move || {
            let compiled = match &compiler {
                Compiler::InProcess => compile_here(&job),
                Compiler::Child(child) => compile_in_child(&job, child, &artifacts),
            };
            drop(slot);
            compiled
        });
        let compiled = compiled.await.map_err(|why| LoadError::Failure { function, why })?;
        self.done.fetch_add(1, Ordering::Relaxed);
        compiled
    }

    async fn slot(&self, function: &str) -> Result<tokio::sync::OwnedSemaphorePermit, LoadError> {
        let queued = Queued::enter(&self.waiting);
        if queued.others >= self.waiting_max + self.slots.available_permits() {
            return Err(LoadError::CompilerBusy {
                function: function.to_owned(),
                waiting: queued.others,
            });
        }
        self.slots.clone().acquire_owned().await.map_err(|_| LoadError::Failure {
            function: function.to_owned(),
            why: "the compiler is shut down".to_owned(),
        })
    }
}

/// Counts one that waits, also when its future is dropped.
struct Queued<'a> {
    waiting: &'a AtomicUsize,
    others: usize,
}

impl<'a> Queued<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Self {
        Self { waiting, others: waiting.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn compile_here(job: &CompileJob) -> Result<Vec<u8>, LoadError> {
    precompile(&job.engine, job.is_component, &job.code).map_err(|why| LoadError::Invalid {
        function: job.function.clone(),
        why: format!("{why:#}"),
    })
}

fn precompile(
    engine: &wasmtime::Engine,
    is_component: bool,
    code: &[u8],
) -> wasmtime::Result<Vec<u8>> {
    if is_component { engine.precompile_component(code) } else { engine.precompile_module(code) }
}

fn compile_in_child(
    job: &CompileJob,
    child: &CompilerChild,
    artifacts: &ArtifactStore,
) -> Result<Vec<u8>, LoadError> {
    let wasm = artifacts.temporary_path("wasm");
    let output = artifacts.temporary_path("tmp");
    let result = run_child(job, child, &wasm, &output);
    for path in [&wasm, &output] {
        // The child may have died before it wrote anything.
        let _ = std::fs::remove_file(path);
    }
    result
}

fn run_child(
    job: &CompileJob,
    child: &CompilerChild,
    wasm: &Path,
    output: &Path,
) -> Result<Vec<u8>, LoadError> {
    let function = &job.function;
    let failed = |what: &str, why: std::io::Error| LoadError::ArtifactStore {
        function: function.clone(),
        why: format!("{what}: {why}"),
    };
    std::fs::write(wasm, &job.code).map_err(|why| failed("writing the compiler's input", why))?;
    let task = ChildJob {
        is_component: job.is_component,
        is_concurrent: job.flavor == Flavor::Concurrent,
        memory_bytes: child.memory_bytes,
        cpu_seconds: child.cpu_time.as_secs().max(1),
    };
    let mut process = Command::new(&child.program)
        .args(&child.arguments)
        .args([wasm, output])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|why| failed("starting the compiler", why))?;
    if let Some(mut input) = process.stdin.take() {
        let line = serde_json::to_string(&task).unwrap_or_default();
        // A child that died already is reported by its exit status below.
        let _ = input.write_all(line.as_bytes());
    }
    let killed_after = Instant::now() + child.timeout;
    let status = loop {
        match process.try_wait().map_err(|why| failed("waiting for the compiler", why))? {
            Some(status) => break status,
            None if Instant::now() >= killed_after => {
                // Both fail only if it ended in this moment.
                let _ = process.kill();
                let _ = process.wait();
                return Err(over_limit(
                    function,
                    &format!("{} s of time", child.timeout.as_secs()),
                ));
            }
            None => std::thread::sleep(CHILD_POLL),
        }
    };
    read_child(function, child, status, output)
}

fn read_child(
    function: &str,
    child: &CompilerChild,
    status: ExitStatus,
    output: &Path,
) -> Result<Vec<u8>, LoadError> {
    use std::os::unix::process::ExitStatusExt;
    match (status.success(), status.signal(), std::fs::read(output)) {
        (true, _, Ok(mut bytes)) if bytes.first() == Some(&COMPILED) => {
            bytes.remove(0);
            Ok(bytes)
        }
        (true, _, Ok(bytes)) if bytes.first() == Some(&NOT_VALID) => {
            let why = String::from_utf8_lossy(bytes.get(1..).unwrap_or_default()).into_owned();
            Err(LoadError::Invalid { function: function.to_owned(), why })
        }
        (_, Some(signal), _)
            if signal == rustix::process::Signal::XCPU.as_raw()
                || signal == rustix::process::Signal::KILL.as_raw() =>
        {
            Err(over_limit(function, &format!("{} s of CPU time", child.cpu_time.as_secs())))
        }
        // Rust aborts when memory runs out, and guard pages turn a compiler's runaway recursion into a signal.
        (_, Some(_), _) => Err(over_limit(
            function,
            &format!("{} bytes of memory or the compiler's stack", child.memory_bytes),
        )),
        (_, None, _) => Err(LoadError::Failure {
            function: function.to_owned(),
            why: format!("the compiler ended with {status} and no result"),
        }),
    }
}

fn over_limit(function: &str, limit: &str) -> LoadError {
    LoadError::CompileLimit { function: function.to_owned(), limit: limit.to_owned() }
}

/// What the program named in a [`CompilerChild`] does with the two paths it was given: takes its limits from standard input,
/// applies them to itself, compiles `wasm` and writes `artifact`.
///
/// # Errors
/// When it could not even try; the parent then sees a failed exit. Code that does not compile is not an error here: the reason
/// is in the file.
pub fn compile_child(wasm: &Path, artifact: &Path) -> Result<(), LoadError> {
    let failure = |why: String| LoadError::Failure { function: String::new(), why };
    let task: ChildJob = serde_json::from_reader(std::io::stdin().lock())
        .map_err(|why| failure(format!("no compile job on standard input: {why}")))?;
    limit_self(&task).map_err(|why| failure(format!("limits not applied: {why}")))?;
    let code = std::fs::read(wasm).map_err(|why| failure(format!("input not read: {why}")))?;
    let flavor = if task.is_concurrent { Flavor::Concurrent } else { Flavor::Plain };
    let engine = wasmtime::Engine::new(&compile_settings(flavor))
        .map_err(|why| failure(format!("wasmtime not set up: {why:#}")))?;
    let (tag, body) = match precompile(&engine, task.is_component, &code) {
        Ok(compiled) => (COMPILED, compiled),
        Err(why) => (NOT_VALID, format!("{why:#}").into_bytes()),
    };
    let mut output = Vec::with_capacity(body.len() + 1);
    output.push(tag);
    output.extend_from_slice(&body);
    std::fs::write(artifact, output).map_err(|why| failure(format!("output not written: {why}")))
}

fn limit_self(task: &ChildJob) -> rustix::io::Result<()> {
    let exactly = |value| Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(Resource::As, exactly(task.memory_bytes))?;
    setrlimit(Resource::Cpu, exactly(task.cpu_seconds))?;
    setrlimit(Resource::Core, exactly(0))?;
    // Being less kind is no reason not to compile.
    let _ = rustix::process::nice(CHILD_NICENESS);
    Ok(())
}
