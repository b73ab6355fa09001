//! The compiler as a child process: started, watched, killed at its limits, and what it does when it is the child.
//!
//! Child and parent talk through two files and one line of JSON on the child's standard input.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::ending::Ending;
use super::{Behind, CompileJob, precompile};
use crate::artifact::ArtifactStore;
use crate::config::CompilerChild;
use crate::pieces;
use crate::priority::{compute_behind, stay_behind, stay_behind_by};
use crate::wasmtime_config::{Flavor, compiling_engine};
use crate::{LoadError, Tier};

/// How often a waiting thread looks whether its child is still wanted, where nobody waits for it.
const LOOK_BEHIND: Duration = Duration::from_millis(200);

/// From how many bytes of code on the child has the longest turns: it needs several of them anyway, and with each turn that is about to end
/// it is in the way of whoever serves a caller.
const LARGE_CODE_BYTES: usize = 8 << 20;

/// How much longer than others a child may take that nobody waits for: it runs when nothing else does.
const PATIENCE_BEHIND: u32 = 10;

/// First byte of what the child writes: compiled code follows, or the reason why there is none.
const COMPILED: u8 = 0;
const NOT_VALID: u8 = 1;

/// What the child is told.
#[derive(Debug, Serialize, Deserialize)]
struct ChildJob {
    is_component: bool,
    is_concurrent: bool,
    tier: Tier,
    /// Whether nobody waits for it.
    is_behind: bool,
    /// The process that started it and whose end it does not outlive.
    parent: u32,
    memory_bytes: u64,
    cpu_seconds: u64,
}

pub(super) fn compile_in_child(
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
    File::create(wasm)
        .and_then(|mut input| pieces::write_all(&mut input, &job.code))
        .map_err(|why| failed("writing the compiler's input", why))?;
    let task = ChildJob {
        is_component: job.is_component,
        is_concurrent: job.flavor == Flavor::Concurrent,
        tier: job.tier,
        is_behind: job.behind.is_some(),
        parent: std::process::id(),
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
    let status = wait(&mut process, job, child).inspect_err(|_| {
        // Both fail only if it ended in this moment.
        let _ = process.kill();
        let _ = process.wait();
    })?;
    read_child(function, child, status, output)
}

/// Waits for the child's end, its deadline or until it is not wanted any more; it still runs where this is an error.
fn wait(
    process: &mut Child,
    job: &CompileJob,
    child: &CompilerChild,
) -> Result<ExitStatus, LoadError> {
    let function = &job.function;
    let (timeout, look_after) = match job.behind {
        Some(_) => (child.timeout.saturating_mul(PATIENCE_BEHIND), LOOK_BEHIND),
        None => (child.timeout, Duration::MAX),
    };
    let killed_after = Instant::now() + timeout;
    let ending = Ending::of(process);
    loop {
        let ended = process.try_wait().map_err(|why| LoadError::ArtifactStore {
            function: function.clone(),
            why: format!("waiting for the compiler: {why}"),
        })?;
        if let Some(status) = ended {
            return Ok(status);
        }
        if job.behind.as_ref().is_some_and(Behind::is_stopped) {
            let why = "the engine ends".to_owned();
            return Err(LoadError::Failure { function: function.clone(), why });
        }
        let left = killed_after.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(over_limit(function, &format!("{} s of time", timeout.as_secs())));
        }
        ending.wait(left.min(look_after));
    }
}

fn read_child(
    function: &str,
    child: &CompilerChild,
    status: ExitStatus,
    output: &Path,
) -> Result<Vec<u8>, LoadError> {
    use std::os::unix::process::ExitStatusExt;
    match (status.success(), status.signal(), read_output(output)) {
        (true, _, Ok((COMPILED, bytes))) => Ok(bytes),
        (true, _, Ok((NOT_VALID, bytes))) => {
            let why = String::from_utf8_lossy(&bytes).into_owned();
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

/// The first byte of what the child wrote, and the rest.
fn read_output(path: &Path) -> std::io::Result<(u8, Vec<u8>)> {
    let mut file = File::open(path)?;
    let mut tag = [0];
    file.read_exact(&mut tag)?;
    Ok((tag[0], pieces::read_file(&mut file)?))
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
    let code = pieces::read(wasm).map_err(|why| failure(format!("input not read: {why}")))?;
    step_back(&task, code.len());
    let flavor = if task.is_concurrent { Flavor::Concurrent } else { Flavor::Plain };
    let engine = compiling_engine(flavor, task.tier, !task.is_behind)
        .map_err(|why| failure(format!("wasmtime not set up: {why:#}")))?;
    let (tag, body) = match precompile(&engine, task.is_component, &code) {
        Ok(compiled) => (COMPILED, compiled),
        Err(why) => (NOT_VALID, format!("{why:#}").into_bytes()),
    };
    File::create(artifact)
        .and_then(|mut output| {
            output.write_all(&[tag])?;
            pieces::write_all(&mut output, &body)
        })
        .map_err(|why| failure(format!("output not written: {why}")))
}

/// What bounds the child's memory. Not its address space where there is a choice: an allocator that finds no room for an arena, which it would mostly
/// leave untouched, maps and unmaps each small piece instead, and a child that should have ended burns a minute in the kernel.
/// (<https://man7.org/linux/man-pages/man2/getrlimit.2.html>: private writable mappings count since Linux 4.7.)
#[cfg(target_os = "linux")]
const MEMORY: Resource = Resource::Data;
#[cfg(not(target_os = "linux"))]
const MEMORY: Resource = Resource::As;

fn limit_self(task: &ChildJob) -> rustix::io::Result<()> {
    let exactly = |value| Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(MEMORY, exactly(task.memory_bytes))?;
    setrlimit(Resource::Cpu, exactly(task.cpu_seconds))?;
    setrlimit(Resource::Core, exactly(0))?;
    go_with(task.parent)
}

/// Lets those go first who serve callers. Being less kind is no reason not to compile.
fn step_back(task: &ChildJob, code_bytes: usize) {
    if task.is_behind {
        // Whoever started it is as kind already as it should be.
        stay_behind_by(0);
    } else if code_bytes >= LARGE_CODE_BYTES {
        stay_behind();
    } else {
        compute_behind();
    }
}

/// Ends this process when its parent does, so that nothing is compiled for a server that is gone.
#[cfg(target_os = "linux")]
fn go_with(parent: u32) -> rustix::io::Result<()> {
    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before that was asked for; who is left behind is init's.
    let is_orphan = parent != 1 && getppid().is_none_or(Pid::is_init);
    if is_orphan { Err(rustix::io::Errno::SRCH) } else { Ok(()) }
}

#[cfg(not(target_os = "linux"))]
fn go_with(_parent: u32) -> rustix::io::Result<()> {
    Ok(())
}
