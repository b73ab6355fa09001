//! Isolation `snapshot`: the way from code to code that is initialised.
//!
//! The guest's initializer runs once, in an instance like any other, under the same limits, grants and environment; what it left behind
//! becomes the code that instances start from. It is kept as an artifact under a key that names everything the initializer could
//! see, so a restart finds it there and runs nothing again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::EngineInner;
use super::loading::Job;
use crate::artifact::ArtifactKey;
use crate::code::{Code, Files};
use crate::cpu_meter::CpuMeter;
use crate::guest::snapshot;
use crate::instance::Instance;
use crate::invoke::{NoInstance, make};
use crate::off_thread::off_thread;
use crate::revision::Revision;
use crate::tail_log::Logged;
use crate::{
    Fault, FunctionSpec, GuestKind, Invocation, Isolation, LoadError, LoadReport, LogType,
};

/// What the state may be read in, beside what the initializer took.
const READING: Duration = Duration::from_secs(30);

/// Why there is no snapshot of code that ends its reader.
const UNEXPECTED: &str = "it has a construct that wizer, which takes the snapshot, does not know, such as an imported tag of exceptions";

/// Lines of the initializer's log that its error tells, in bytes.
const LOG_BYTES_TOLD: usize = 2048;

impl EngineInner {
    /// The code of a function after its initializer: resident, from its artifact, or initialised now.
    pub(super) async fn initialised(
        self: &Arc<Self>,
        spec: &FunctionSpec,
    ) -> Result<(Arc<Code>, LoadReport), LoadError> {
        let function = spec.identity.to_string();
        let plain = self.identify(&function, &spec.code).await?;
        let none = |why: &str| {
            let why = why.to_owned();
            Err(LoadError::NoSnapshot { function: function.clone(), why })
        };
        match plain.kind {
            GuestKind::Core | GuestKind::Event => {}
            GuestKind::Command | GuestKind::CommandComponent => {
                return none("a command begins anew with each call and has no initializer");
            }
            GuestKind::HttpP2 | GuestKind::HttpP3 => {
                return none("an HTTP function has no initializer");
            }
        }
        let files = Files::of(&spec.grants);
        let key = ArtifactKey::of(&seen(spec, &plain.key)?, &plain.fingerprint);
        let job = Job { key, files, is_initialised: true, is_shared: false, fast: None, ..plain };
        self.code_of(&job, self.initialise(spec, &job)).await
    }

    /// Runs the initializer and takes what it left.
    async fn initialise(
        self: &Arc<Self>,
        spec: &FunctionSpec,
        job: &Job,
    ) -> Result<Bytes, LoadError> {
        let (is_component, code) = (job.kind.is_component(), spec.code.clone());
        let instrumented =
            self.away(job, move || snapshot::instrument(&code, is_component)).await?;
        let instrumented = Bytes::from(instrumented);
        let files = Files::of(&spec.grants);
        // Its way is that of any code, in the fast tier if it is large: it runs once. Its artifact is of no further use.
        let identified = self.identify(&job.function, &instrumented).await?.in_fast_tier();
        let once = Job { files, is_shared: false, ..identified };
        let loaded = self.code_of(&once, std::future::ready(Ok(instrumented))).await;
        let key = once.key;
        let forget = move |engine: &Self, _: &Job| engine.artifacts.remove(&key);
        self.on_disk(job, forget).await?;
        let (loaded, report) = loaded?;
        if !loaded.has_initializer() {
            let why = "it exports no initializer".to_owned();
            return Err(LoadError::NoSnapshot { function: job.function.clone(), why });
        }
        let spec_of = FunctionSpec { isolation: Isolation::Fresh, ..spec.clone() };
        let revision = Revision::new(&spec_of, loaded, report, &self.surroundings())?;
        let instance = self.run_initializer(&revision).await?;
        let code = spec.code.clone();
        let taken = self.away(job, move || take(instance, &code)).await?;
        let (size_bytes, limit_bytes) = (taken.len() as u64, self.config.code_bytes);
        if size_bytes > limit_bytes {
            let function = job.function.clone();
            return Err(LoadError::TooLarge { function, size_bytes, limit_bytes });
        }
        Ok(taken.into())
    }

    async fn run_initializer(&self, revision: &Revision) -> Result<Instance, LoadError> {
        let function = revision.shared.name.to_string();
        let _running = self.ticker.running();
        let nobody = Invocation::with_id("", Bytes::new()).log(LogType::Tail);
        let mut cpu = CpuMeter::default();
        match Box::pin(make(self, revision, (Some(&nobody), Instant::now()), &mut cpu)).await {
            Ok((mut instance, _)) => {
                instance.log.end();
                instance.ledger_mut().arm(Instant::now() + READING, None);
                Ok(instance)
            }
            Err(NoInstance::Refused(refusal)) => Err(LoadError::Busy { function, refusal }),
            Err(NoInstance::Fault(fault, logged)) => Err(failed(function, fault, &logged)),
        }
    }

    /// Does something that takes its time with a guest's code; what it says is what the guest cannot have.
    async fn away<T: Send + 'static>(
        &self,
        job: &Job,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, LoadError> {
        let function = || job.function.clone();
        // Wizer panics where it finds what it does not expect, such as an imported tag of exceptions: that is the guest's to change.
        let work = move || {
            catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(UNEXPECTED.to_owned()))
        };
        off_thread("hearth-snapshot", work)
            .await
            .map_err(|why| LoadError::Failure { function: function(), why })?
            .map_err(|why| LoadError::NoSnapshot { function: function(), why })
    }
}

/// Everything that an initializer may have seen, and who carried over what it left.
fn seen(spec: &FunctionSpec, code: &ArtifactKey) -> Result<Vec<u8>, LoadError> {
    let FunctionSpec { identity, environment, settings, grants, limits, .. } = spec;
    let seen =
        ("snapshot 1", code.hex(), identity, environment, settings, grants, limits.memory_bytes);
    serde_json::to_vec(&seen)
        .map_err(|why| LoadError::Failure { function: identity.to_string(), why: why.to_string() })
}

/// Takes the state of an instance. Blocks.
fn take(mut instance: Instance, code: &[u8]) -> Result<Vec<u8>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|why| format!("no runtime to read its state with: {why}"))?;
    runtime.block_on(instance.snapshot(code))
}

fn failed(function: String, fault: Fault, logged: &Logged) -> LoadError {
    let tail = logged.tail.as_ref().map(|tail| String::from_utf8_lossy(tail).into_owned());
    let tail = tail.unwrap_or_default();
    let mut from = tail.len().saturating_sub(LOG_BYTES_TOLD);
    while !tail.is_char_boundary(from) {
        from += 1;
    }
    let log = tail.get(from..).unwrap_or_default().to_owned();
    LoadError::Initializer { function, fault: Box::new(fault), log }
}
