//! Work that may block - files, hashing much, the compiler - on a thread of its own, behind those that serve, awaited from an async worker.
//!
//! Only loading a function comes here; an invocation never does. How many threads there are is bounded by the callers: one for each
//! load in progress.

use tokio::sync::oneshot;

use crate::background::{NICENESS, go_behind};

/// Runs `work` on a new thread. Dropping the future does not stop it.
///
/// # Errors
/// A sentence for the operator when the thread did not start or panicked.
pub(crate) async fn off_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (answer, result) = oneshot::channel();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            go_behind(NICENESS);
            // Nobody waits any more if the load was cancelled.
            let _ = answer.send(work());
        })
        .map_err(|why| format!("thread {name} did not start: {why}"))?;
    result.await.map_err(|_| format!("thread {name} panicked"))
}
