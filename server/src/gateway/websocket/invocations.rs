//! The invocations of one connection: what they have in common, and how they are counted.

use std::sync::Arc;

use bytes::Bytes;
use hearth_engine::{Invocation, Outcome};
use hearth_platform::{PlatformError, Revision};

use super::Destination;
use crate::app::App;
use crate::http::Exchange;
use crate::telemetry::Metrics;

/// What came of telling the function something.
pub(super) type Told = Result<Outcome, PlatformError>;

/// What the invocations of one connection have in common.
#[derive(Debug)]
pub(super) struct Invocations {
    qualifier: Option<Arc<str>>,
    trace_parent: Option<Arc<str>>,
    depth: u32,
    revision: Arc<Revision>,
    metrics: Arc<Metrics>,
}

impl Invocations {
    pub(super) fn new(
        destination: &Destination<'_>,
        exchange: &Exchange,
        depth: u32,
        app: &App,
        revision: &Arc<Revision>,
    ) -> Self {
        Self {
            qualifier: destination.qualifier.as_deref().map(Arc::from),
            trace_parent: exchange.trace_parent.clone(),
            depth,
            revision: revision.clone(),
            metrics: app.metrics.clone(),
        }
    }

    /// One with an id.
    pub(super) fn of(&self, request_id: Arc<str>) -> Invocation {
        let mut invocation = Invocation::with_id(request_id, Bytes::new());
        invocation.depth = self.depth;
        invocation.trace_parent = self.trace_parent.clone();
        if let Some(qualifier) = &self.qualifier {
            invocation.qualifier = Some(qualifier.clone());
        }
        invocation
    }

    /// One for what comes next.
    pub(super) fn next(&self) -> Invocation {
        let mut id = [0; uuid::fmt::Hyphenated::LENGTH];
        let id: &str = hearth_platform::ordered_id().hyphenated().encode_lower(&mut id);
        self.of(id.into())
    }

    pub(super) fn count(&self, told: Result<&Outcome, &PlatformError>) {
        match told {
            Ok(outcome) => self.metrics.ran(&self.revision, outcome),
            Err(error) => self.metrics.not_run(self.revision.label(), error),
        }
    }
}
