//! Figures about an engine and its functions at one moment. Reading them takes short locks: scrape, do not poll.

use hearth_host_api::outgoing_http::EgressCounts;
use serde::Serialize;

use crate::{Identity, StartKind, Tier};

/// Figures about the whole engine.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct EngineStats {
    /// Functions loaded.
    pub functions: u64,
    /// Instances alive, busy and idle.
    pub instances: u64,
    /// Invocations admitted and not ended, waiting ones included.
    pub invocations: u64,
    /// Invocations since start on the threads for functions that run long.
    pub in_background: u64,
    /// Linear memories and tables of all instances together.
    pub memory_bytes: u64,
    /// The budget for them.
    pub memory_budget_bytes: u64,
    /// Compilations done since start.
    pub compilations: u64,
    /// Contents since start that the fast tier served first and that were compiled fully then.
    pub optimised: u64,
    /// Contents that the fast tier serves and that wait to be compiled fully, or are.
    pub optimisations_pending: u64,
    /// Contents since start that could not be compiled fully; the fast tier goes on serving them.
    pub optimisations_failed: u64,
    /// Artifacts found on disk and loaded since start.
    pub artifact_hits: u64,
    /// Artifacts of other servers since start that were loaded instead of compiling.
    pub shared_artifact_hits: u64,
    /// Artifacts since start that were handed in for other servers.
    pub shared_artifacts_stored: u64,
    /// Times since start that the place of shared artifacts failed; it is left alone for a while each time.
    pub shared_artifact_failures: u64,
    /// Artifacts that failed their check since start: set aside here, left where they are if they are shared.
    pub artifacts_rejected: u64,
    /// Bytes of artifacts on disk.
    pub artifact_bytes: u64,
    /// Open WebSockets.
    pub websockets: u64,
    /// Log lines dropped since start because a bound was reached.
    pub log_lines_dropped: u64,
    /// `pooling`, or `on-demand` where the machine did not allow pooling.
    pub allocator: &'static str,
    /// Whether memory is reset by scanning for dirty pages.
    pub pagemap_scan: bool,
    /// Whether the engine is draining.
    pub draining: bool,
}

/// Figures about one function.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct FunctionStats {
    /// Which function.
    pub identity: Identity,
    /// Invocations running.
    pub running: u32,
    /// Invocations waiting for an instance.
    pub waiting: u32,
    /// Instances that wait for an invocation.
    pub idle: u32,
    /// How much the compiler did for the code that serves.
    pub tier: Tier,
    /// Most instances allowed.
    pub max_instances: u32,
    /// Invocations by how they started, in the order of [`StartKind::ALL`].
    pub starts: [u64; StartKind::ALL.len()],
    /// Instances retired, by reason.
    pub retired: Vec<(&'static str, u64)>,
    /// Outgoing requests since the current code was loaded.
    pub egress: EgressCounts,
}
