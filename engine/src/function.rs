//! A loaded function: the handle an embedder invokes.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};

use crate::cpu_meter::CpuMeter;
use crate::engine::EngineInner;
use crate::invoke::{NoInstance, invoke, make};
use crate::request_body::HttpRequest;
use crate::revision::Revision;
use crate::serve::{Served, serve};
use crate::work::Work;
use crate::{
    FunctionSpec, FunctionStats, GuestKind, Identity, Invocation, InvokeError, LoadError,
    LoadReport, Outcome,
};

/// A loaded function; clones share it. Its instances go when the last handle goes.
#[derive(Debug, Clone)]
pub struct Function {
    inner: Arc<FunctionInner>,
}

#[derive(Debug)]
pub(crate) struct FunctionInner {
    engine: Arc<EngineInner>,
    current: ArcSwap<Revision>,
}

impl Drop for FunctionInner {
    fn drop(&mut self) {
        // Unmapping code and memory takes long and interrupts other cores: the keeper does it.
        self.engine.keeper.dispose(self.current.load_full());
    }
}

impl FunctionInner {
    /// The code as it stands now, without another reference to it unless somebody replaces it meanwhile.
    pub(crate) fn current(&self) -> Guard<Arc<Revision>> {
        self.current.load()
    }

    /// Where it runs.
    pub(crate) fn engine(&self) -> &Arc<EngineInner> {
        &self.engine
    }

    /// Puts `after` in the place of `before`; false if something else stands there.
    pub(crate) fn succeed(&self, before: &Arc<Revision>, after: Arc<Revision>) -> bool {
        let found = self.current.compare_and_swap(before, after);
        Arc::ptr_eq(&found, before)
    }
}

impl Function {
    /// Has its code replaced once it is compiled fully.
    pub(crate) async fn follow(&self) {
        self.inner.engine.follow(&self.inner).await;
    }

    pub(crate) fn new(engine: Arc<EngineInner>, revision: Arc<Revision>) -> Self {
        Self { inner: Arc::new(FunctionInner { engine, current: ArcSwap::new(revision) }) }
    }

    /// Who the function is.
    pub fn identity(&self) -> Identity {
        self.inner.current.load().shared.identity.clone()
    }

    /// What kind of guest its code is.
    pub fn kind(&self) -> GuestKind {
        self.inner.current.load().code.kind
    }

    /// What loading the current code took.
    pub fn load_report(&self) -> LoadReport {
        self.inner.current.load().load
    }

    /// Replaces code and settings. Invocations that run or wait finish on the old code; none is refused because of it.
    ///
    /// # Errors
    /// See [`LoadError`]; the old code then stays.
    pub async fn replace(&self, spec: FunctionSpec) -> Result<LoadReport, LoadError> {
        let revision = self.inner.engine.revise(&spec).await?;
        let report = revision.load;
        let old = self.inner.current.swap(revision);
        self.inner.engine.keeper.dispose(old);
        self.follow().await;
        Ok(report)
    }

    /// Runs one invocation to completion on the calling task, under whatever runtime it runs; if the function's calls ran long lately,
    /// on one of the engine's own threads ([`EngineConfig::background_threads`](crate::EngineConfig)). Guests that use timers or sockets
    /// through WASI need a tokio runtime with both enabled.
    ///
    /// # Errors
    /// [`InvokeError::Refused`] before the guest ran, [`InvokeError::Failure`] when the host failed. What the guest did wrong is in
    /// the [`Outcome`].
    ///
    /// # Cancel safety
    /// Dropping the future ends the guest and frees its place, at once or, on a thread of the engine's own, at its next tick; the
    /// instance never serves again.
    pub fn invoke(
        &self,
        mut invocation: Invocation,
    ) -> impl Future<Output = Result<Outcome, InvokeError>> + Send {
        // Not counted among its holders unless somebody replaces it meanwhile: two atomic changes less.
        let revision = self.inner.current.load();
        let event = std::mem::take(&mut invocation.payload);
        invoke(&self.inner.engine, revision, invocation, Work::Event(event))
    }

    /// Serves one HTTP request with an HTTP function and returns when the guest has begun to answer or has ended without. The
    /// bodies are streams: the request's is read as the guest reads it, the response's comes as the guest writes it. An URI without
    /// authority takes it from the `host` header. The invocation's payload is not looked at.
    ///
    /// How the invocation ended is in what is returned, or, where the response has begun and the guest has not ended, told to what `later`
    /// makes then: each end is told once. The answer in the outcome is empty because it was passed on. Who is told later is dropped uncalled
    /// when nobody reads the response any more and the guest is ended for it. With [`LogType::Tail`](crate::LogType::Tail)
    /// the response is held back until the guest has ended, as far as [`Limits::answer_buffer_bytes`](crate::Limits)
    /// goes, so that the tail is there with it.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke); also [`InvokeError::Failure`] where there is no tokio runtime to write a long response on.
    ///
    /// # Cancel safety
    /// Dropping the future, or the response's body before its end, ends the guest and frees its place.
    pub fn serve<E>(
        &self,
        request: impl Into<Box<HttpRequest>>,
        invocation: Invocation,
        later: impl FnOnce() -> E + Send,
    ) -> impl Future<Output = Result<Served, InvokeError>> + Send
    where
        E: FnOnce(Result<&Outcome, &InvokeError>) + Send + 'static,
    {
        serve(&self.inner, request.into(), invocation, later)
    }

    /// The same for a thread outside any async runtime.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke); [`InvokeError::Failure`] as well when called from inside an async runtime, which it would
    /// block.
    pub fn invoke_blocking(&self, invocation: Invocation) -> Result<Outcome, InvokeError> {
        let failure = |invocation: &Invocation, why: String| InvokeError::Failure {
            function: self.identity().to_string(),
            request_id: invocation.request_id.to_string(),
            why,
        };
        if tokio::runtime::Handle::try_current().is_ok() {
            let why = "invoke_blocking was called inside an async runtime; use invoke".to_owned();
            return Err(failure(&invocation, why));
        }
        thread_local! {
            static RUNTIME: std::io::Result<tokio::runtime::Runtime> =
                tokio::runtime::Builder::new_current_thread().enable_all().build();
        }
        RUNTIME.with(|runtime| match runtime {
            Ok(runtime) => runtime.block_on(self.invoke(invocation)),
            Err(why) => Err(failure(&invocation, format!("no runtime for this thread: {why}"))),
        })
    }

    /// Makes instances until `count` are ready, at most as many as the pool may hold; returns how many are.
    ///
    /// # Errors
    /// [`InvokeError::Refused`] when there is no room, [`InvokeError::Failure`] when the guest does not start.
    pub async fn prewarm(&self, count: u32) -> Result<u32, InvokeError> {
        let revision = self.inner.current.load_full();
        let count = count.min(revision.policy.max_instances);
        while revision.idle() < count {
            let (whom, mut cpu) = ((None, Instant::now()), CpuMeter::default());
            let made = make(&self.inner.engine, &revision, whom, &mut cpu).await;
            let (instance, _) = made.map_err(|none| match none {
                NoInstance::Refused(refusal) => InvokeError::Refused(refusal),
                NoInstance::Fault(fault, _) => InvokeError::Failure {
                    function: revision.shared.name.to_string(),
                    request_id: String::new(),
                    why: format!("the guest did not start: {fault}"),
                },
            })?;
            if revision.pool.put_below(instance).is_err() {
                break;
            }
        }
        Ok(revision.idle())
    }

    /// The ids of the instances of the current code that there are, at rest or at work, oldest first: those of
    /// [`Report::instance`](crate::Report::instance).
    pub fn instances(&self) -> Vec<u64> {
        self.inner.current.load().shared.roster.ids()
    }

    /// The engine, and the code as it stands now.
    pub(crate) fn current(&self) -> (Arc<EngineInner>, Arc<Revision>) {
        (self.inner.engine.clone(), self.inner.current.load_full())
    }

    /// Figures at this moment.
    pub fn stats(&self) -> FunctionStats {
        let revision = self.inner.current.load();
        FunctionStats {
            identity: revision.shared.identity.clone(),
            running: revision.running(),
            waiting: revision.door.waiting(),
            idle: revision.idle(),
            tier: revision.code.tier(),
            max_instances: revision.policy.max_instances,
            starts: revision.starts(),
            retired: revision.pool.retired(),
            egress: revision.shared.egress.counts(),
        }
    }
}
