//! What goes into one invocation.

use std::sync::Arc;

use bytes::Bytes;

use crate::{LoadReport, RequestId};

/// Whether the answer carries the tail log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LogType {
    /// No tail; lines still go to the log sink.
    #[default]
    None,
    /// The last bytes that the invocation logged come back in the outcome.
    Tail,
}

/// The trigger that caused an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerFacts {
    /// The name of the trigger.
    pub name: String,
    /// Its type, such as `timer`.
    pub kind: String,
}

/// One call of a function.
///
/// ```
/// use hearth_engine::{Invocation, LogType};
///
/// let invocation = Invocation::new(&b"{}"[..]).log(LogType::Tail);
/// assert_eq!(invocation.request_id.len(), 36);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Invocation {
    /// Unique to the invocation, the same on each attempt. A fresh UUID unless given.
    pub request_id: RequestId,
    /// The event, not interpreted.
    pub payload: Bytes,
    /// Whether to return the tail log.
    pub log: LogType,
    /// What the caller asked for: a version or an alias; `LATEST` if none.
    pub qualifier: Option<Arc<str>>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How many functions called one another to get here; 0 from outside.
    pub depth: u32,
    /// The trigger, if one caused this.
    pub trigger: Option<TriggerFacts>,
    /// W3C `traceparent`, passed to the guest.
    pub trace_parent: Option<Arc<str>>,
    /// An instant after which the caller no longer waits; the guest's own timeout applies as well.
    pub deadline: Option<std::time::Instant>,
    /// Instances that may serve the function at once, if fewer than its pool may hold. Looked at where an instance serves several
    /// invocations; elsewhere each has one of its own, and whoever admits invocations bounds both.
    pub max_instances: Option<u32>,
    /// How the function came to be loaded, when this invocation had to load it: it makes the report say
    /// [`Compiled`](crate::StartKind::Compiled) or [`Loaded`](crate::StartKind::Loaded).
    pub load: Option<LoadReport>,
}

impl Invocation {
    /// An invocation with a fresh request id and no tail log.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self::with_id(RequestId::random(), payload)
    }

    /// The same with a request id that is there already, which saves making one.
    pub fn with_id(request_id: impl Into<RequestId>, payload: impl Into<Bytes>) -> Self {
        Self {
            request_id: request_id.into(),
            payload: payload.into(),
            log: LogType::None,
            qualifier: None,
            attempt: 1,
            depth: 0,
            trigger: None,
            trace_parent: None,
            deadline: None,
            max_instances: None,
            load: None,
        }
    }

    /// What the caller asked for, `LATEST` included.
    pub fn qualifier(&self) -> &str {
        self.qualifier.as_deref().unwrap_or(LATEST)
    }

    /// Sets the request id.
    #[must_use]
    pub fn request_id(mut self, id: impl Into<RequestId>) -> Self {
        self.request_id = id.into();
        self
    }

    /// Asks for the tail log, or not.
    #[must_use]
    pub fn log(mut self, log: LogType) -> Self {
        self.log = log;
        self
    }
}

/// The qualifier of what stands now.
pub(crate) const LATEST: &str = "LATEST";
