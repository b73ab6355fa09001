//! Calls of functions that run long: the same line, on threads behind those that serve.

use std::sync::Arc;
use std::time::Instant;

use super::invoke_here;
use crate::admission::Inside;
use crate::engine::EngineInner;
use crate::revision::Revision;
use crate::work::Work;
use crate::{Invocation, InvokeError, Outcome};

/// An invocation that is inside for as long as this lives, whoever has it.
struct InsideStill(Arc<EngineInner>);

impl InsideStill {
    fn of(engine: Arc<EngineInner>) -> Self {
        engine.door.stay();
        Self(engine)
    }
}

impl Drop for InsideStill {
    fn drop(&mut self) {
        self.0.door.leave();
    }
}

/// Runs one invocation on a thread for functions that run long.
pub(super) async fn invoke(
    (engine, inside): (&Arc<EngineInner>, Inside<'_>),
    revision: &Arc<Revision>,
    mut asked: Option<Invocation>,
    work: Work,
) -> Result<Outcome, InvokeError> {
    let failure = {
        let request_id = asked.as_ref().map(|asked| asked.request_id.clone()).unwrap_or_default();
        let function = revision.shared.name.clone();
        move |why: &str| InvokeError::Failure {
            function: function.to_string(),
            request_id: request_id.to_string(),
            why: why.to_owned(),
        }
    };
    let (here, revision) = (InsideStill::of(engine.clone()), revision.clone());
    drop(inside);
    let run = engine.background.run(async move {
        invoke_here(&here.0, &revision, &mut asked, work, Instant::now()).await
    });
    let run = run.ok_or_else(|| failure("there is no thread for functions that run long"))?;
    match run.await {
        Ok(result) => result,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(failure("the engine ended before it")),
        },
    }
}
