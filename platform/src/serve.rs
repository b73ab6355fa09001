//! One request through the platform: the same line as an event's, with bodies that pass by.

use std::sync::Arc;

use hearth_engine::{HttpRequest, Invocation, Outcome, Served};

use crate::error::PlatformError;
use crate::invoke::Noted;
use crate::platform::Platform;
use crate::revision::Revision;

impl Platform {
    /// Serves a request with an HTTP function and returns when its response has begun, or it ended without one. `ended` is told how
    /// the invocation ended; it is dropped uncalled when the caller goes away before. Dropping the future, or the response's body
    /// before its end, ends the guest.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke). What the guest does wrong is in what is returned, or the error of the response's body.
    pub async fn serve_revision(
        &self,
        revision: &Arc<Revision>,
        request: HttpRequest,
        mut invocation: Invocation,
        ended: impl FnOnce(&Revision, Result<&Outcome, &PlatformError>) + Send + 'static,
    ) -> Result<Served, PlatformError> {
        let inner = self.inner();
        let started_ms = inner.clock.now_ms();
        let noted = Noted::new(inner.clone(), revision.clone(), &invocation, started_ms);
        let end = move |result: Result<&Outcome, &PlatformError>| {
            ended(noted.revision(), result);
            noted.end(result);
        };
        let (running, function) = match inner.ready(revision, &mut invocation, started_ms).await {
            Ok(ready) => ready,
            Err(error) => {
                end(Err(&error));
                return Err(error);
            }
        };
        let ended = move |result: Result<&Outcome, &hearth_engine::InvokeError>| {
            drop(running);
            match result {
                Ok(outcome) => end(Ok(outcome)),
                Err(error) => end(Err(&error.clone().into())),
            }
        };
        Ok(function.serve(request, invocation, ended).await?)
    }
}
