//! One request through the platform: the same line as an event's, with bodies that pass by.

use std::sync::Arc;

use hearth_engine::{HttpRequest, Invocation, InvokeError, Outcome, Served};

use crate::error::PlatformError;
use crate::invoke::Noted;
use crate::platform::Platform;
use crate::revision::Revision;

impl Platform {
    /// Serves a request with an HTTP function and returns when its response has begun, or it ended without one. How the invocation ended
    /// is in what is returned, or, if the response goes on after the guest was left, told to what `later` makes then; that is dropped
    /// uncalled when the caller goes away before. Dropping the future, or the response's body before its end, ends the guest.
    ///
    /// # Errors
    /// As [`invoke`](Self::invoke). What the guest does wrong is in what is returned, or the error of the response's body.
    pub async fn serve_revision<E>(
        &self,
        revision: &Arc<Revision>,
        request: Box<HttpRequest>,
        mut invocation: Invocation,
        later: impl FnOnce() -> E + Send,
    ) -> Result<Served, PlatformError>
    where
        E: FnOnce(Result<&Outcome, &PlatformError>) + Send + 'static,
    {
        let inner = self.inner();
        let started_ms = inner.clock.now_ms();
        let mut noted = Some(Noted::new(&**inner, &**revision, &invocation, started_ms));
        let served = match inner.ready(revision, &mut invocation, started_ms).await {
            Ok((running, function)) => {
                let mut running = Some(running);
                let later = || {
                    // From here on nothing can be lent: this call is over before the response is.
                    let noted =
                        noted.take().map(|noted| noted.shared(inner.clone(), revision.clone()));
                    let (running, told) = (running.take(), later());
                    move |result: Result<&Outcome, &InvokeError>| {
                        drop(running);
                        let result = result.map_err(|error| PlatformError::from(error.clone()));
                        told(result.as_ref().copied());
                        if let Some(noted) = noted {
                            noted.end(result.as_ref().copied());
                        }
                    }
                };
                function.serve(request, invocation, later).await.map_err(PlatformError::from)
            }
            Err(error) => Err(error),
        };
        if let Some(noted) = noted {
            match &served {
                Ok(Served::Answering { outcome: Some(outcome), .. } | Served::Ended(outcome)) => {
                    noted.end(Ok(outcome));
                }
                // Not reached: whoever is told later took it along.
                Ok(Served::Answering { outcome: None, .. }) => {}
                Err(error) => noted.end(Err(error)),
            }
        }
        served
    }
}
