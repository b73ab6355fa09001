//! Requests that were queued as they came: kept as a payload that only who made it can read, and served to the function later.

use async_trait::async_trait;
use bytes::Bytes;
use hearth_engine::{Function, Invocation, InvokeError, Outcome};

use crate::error::PlatformError;
use crate::platform::Inner;
use crate::revision::Revision;

/// Serves requests that were kept.
#[async_trait]
pub trait Replay: Send + Sync + std::fmt::Debug {
    /// Serves a request that was kept as `payload` with a function at that version. The answer in the outcome is the body of the
    /// response; a response that says that the function failed is a fault.
    ///
    /// # Errors
    /// As [`Function::serve`].
    async fn serve(
        &self,
        function: &Function,
        version: &str,
        payload: Bytes,
        invocation: Invocation,
    ) -> Result<Outcome, InvokeError>;
}

impl Inner {
    /// Serves a request that was kept, on the line of every invocation.
    pub(super) async fn replay(
        &self,
        revision: &std::sync::Arc<Revision>,
        mut invocation: Invocation,
    ) -> Result<Outcome, PlatformError> {
        let Some(replay) = &self.replay else {
            let why = "this platform serves no requests".to_owned();
            return Err(PlatformError::Failure { what: "serving a queued request", why });
        };
        let payload = std::mem::take(&mut invocation.payload);
        let now_ms = self.clock.now_ms();
        let (_running, function) = self.ready(revision, &mut invocation, now_ms).await?;
        Ok(replay.serve(&function, revision.version(), payload, invocation).await?)
    }
}
