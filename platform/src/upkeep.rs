//! Keeping house: the bounds of journal, audit trail and dead letters, and code files that nothing names. Errors are logged and tried again at the
//! next round; nothing here is needed for correctness.

use std::collections::HashSet;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::PlatformError;
use crate::platform::Platform;

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(60);

/// Between two looks at what is to be kept ready, where anything is.
const PROVISION_PERIOD: Duration = Duration::from_millis(250);

impl Platform {
    /// Keeps house once a minute and keeps provisioned instances ready until `shutdown` is ready.
    pub async fn run_upkeep(&self, shutdown: impl Future<Output = ()> + Send) {
        tokio::pin!(shutdown);
        let provisions = &self.inner().provisions;
        let mut next = Instant::now() + ROUND;
        loop {
            self.inner().reach_provisions().await;
            let idle = self.inner().catalog.provisions.is_empty();
            let look = if idle { next } else { Instant::now() + PROVISION_PERIOD };
            tokio::select! {
                () = &mut shutdown => return,
                () = provisions.changed.notified() => {}
                () = tokio::time::sleep_until(look.min(next)) => {}
            }
            if Instant::now() < next {
                continue;
            }
            next = Instant::now() + ROUND;
            if let Err(error) = self.upkeep().await {
                tracing::warn!(%error, hint = error.hint(), "upkeep failed; it is tried again");
            }
        }
    }

    /// One round of it.
    ///
    /// # Errors
    /// Storage or the code store failed.
    pub async fn upkeep(&self) -> Result<(), PlatformError> {
        let inner = self.inner();
        inner.journal.prune().await?;
        inner.trail.prune().await?;
        inner.queue.prune_dead_letters().await?;
        inner.queue.prune_stateful().await?;
        // A set for the many files that are named; the catalog itself, asked again, for the few that seem not to be.
        let digests = || -> HashSet<String> {
            let mut digests = HashSet::new();
            inner.catalog.each_digest(|digest| {
                // Versions name the same code again and again.
                if !digests.contains(digest) {
                    digests.insert(digest.clone());
                }
            });
            digests
        };
        let named = digests();
        let removed = inner
            .code
            .remove_orphans(inner.orphan_grace, |digest| {
                named.contains(digest) || digests().contains(digest)
            })
            .await?;
        inner.remove_idle_mounts().await?;
        if removed > 0 {
            tracing::info!(removed, "removed code that no function names");
        }
        Ok(())
    }
}
