//! One invocation through the platform: resolve, load if need be, engine, journal. Sync callers, the queue's runner and guests that
//! call functions all come through [`Inner::run`].

use std::ops::Deref;
use std::sync::Arc;

use hearth_engine::{Invocation, Outcome, Refusal, RequestId};

use crate::error::PlatformError;
use crate::name::Target;
use crate::platform::{Inner, Platform};
use crate::revision::Revision;
use crate::scaling::Running;

/// What came of an invocation, and which revision served it.
#[derive(Debug, Clone)]
pub struct Invoked {
    /// What came of it.
    pub outcome: Outcome,
    /// Who served it: for the version, the checksum, the memory size.
    pub revision: Arc<Revision>,
}

impl Platform {
    /// Invokes a function and waits for its outcome, on the calling task. Dropping the future ends the guest.
    ///
    /// # Errors
    /// The target does not exist; its code cannot be loaded; the engine declined; the host failed. What the guest does wrong is in the
    /// outcome.
    pub async fn invoke(
        &self,
        target: Target<'_>,
        invocation: Invocation,
    ) -> Result<Invoked, PlatformError> {
        let revision = self.inner().resolve(target)?;
        self.inner().invoke(revision.into_arc(), invocation).await
    }

    /// The same for a revision that was resolved before.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke).
    pub async fn invoke_revision(
        &self,
        revision: Arc<Revision>,
        invocation: Invocation,
    ) -> Result<Invoked, PlatformError> {
        self.inner().invoke(revision, invocation).await
    }
}

/// A sync invocation on its way into the journal: with its end, or as cancelled if its caller goes away before.
pub(crate) struct Noted<I: Deref<Target = Inner>, R: Deref<Target = Revision>> {
    inner: I,
    revision: R,
    /// Its request id, its attempt and when it came; none once it has ended.
    invocation: Option<(RequestId, u32, u64)>,
}

impl<I: Deref<Target = Inner>, R: Deref<Target = Revision>> Noted<I, R> {
    pub(crate) fn new(inner: I, revision: R, invocation: &Invocation, started_ms: u64) -> Self {
        let noted = (invocation.request_id.clone(), invocation.attempt, started_ms);
        Self { inner, revision, invocation: Some(noted) }
    }

    /// The same with references that outlast whoever began it.
    pub(crate) fn shared(
        mut self,
        inner: Arc<Inner>,
        revision: Arc<Revision>,
    ) -> Noted<Arc<Inner>, Arc<Revision>> {
        Noted { inner, revision, invocation: self.invocation.take() }
    }

    pub(crate) fn end(mut self, result: Result<&Outcome, &PlatformError>) {
        if let Some((request_id, attempt, started_ms)) = self.invocation.take() {
            let came = (&*request_id, attempt, started_ms);
            self.inner.journal.remember(&self.revision, came, result);
        }
    }
}

impl<I: Deref<Target = Inner>, R: Deref<Target = Revision>> Drop for Noted<I, R> {
    fn drop(&mut self) {
        if let Some((request_id, attempt, started_ms)) = self.invocation.take() {
            let came = (&*request_id, attempt, started_ms);
            self.inner.journal.remember_cancelled(&self.revision, came);
        }
    }
}

impl Inner {
    /// A sync invocation: run, then remembered in memory only.
    pub(crate) async fn invoke(
        &self,
        revision: Arc<Revision>,
        invocation: Invocation,
    ) -> Result<Invoked, PlatformError> {
        let started_ms = self.clock.now_ms();
        let noted = Noted::new(self, &*revision, &invocation, started_ms);
        let result = self.run(&revision, invocation, started_ms).await;
        noted.end(result.as_ref());
        Ok(Invoked { outcome: result?, revision })
    }

    /// The straight line that every invocation takes.
    pub(crate) async fn run(
        &self,
        revision: &Arc<Revision>,
        mut invocation: Invocation,
        now_ms: u64,
    ) -> Result<Outcome, PlatformError> {
        let (size_bytes, limit_bytes) =
            (invocation.payload.len() as u64, self.limits.payload_bytes);
        if size_bytes > limit_bytes {
            // Before loading: an event that cannot run must not cost a compilation.
            return Err(Refusal::PayloadTooLarge { limit_bytes, size_bytes }.into());
        }
        let (_running, function) = self.ready(revision, &mut invocation, now_ms).await?;
        Ok(function.invoke(invocation).await?)
    }

    /// A place for an invocation among those of its function, and the function, loaded if it was not.
    pub(crate) async fn ready(
        &self,
        revision: &Arc<Revision>,
        invocation: &mut Invocation,
        now_ms: u64,
    ) -> Result<(Running, Arc<hearth_engine::Function>), PlatformError> {
        let running = self.catalog.admit(revision, invocation)?;
        let (function, report) = self.load(revision).await?;
        revision.touch(now_ms);
        if report.is_some() {
            invocation.load = report;
        }
        Ok((running, function))
    }
}
