//! Accepting an invocation: everything that must be there when it is promised is in one commit.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::stateful::{self, StatefulInvocation};
use super::{Queue, RETRIES_MAX, Ticket, millis};
use crate::error::{Kind, PlatformError, RequestError};
use crate::name::{InvocationId, LATEST, Target};
use crate::platform::Platform;
use crate::storage::{NewItem, Op, StorageError};

/// How one invocation is to be queued. The default is: now, with the retries and the age that are set for the target, else the
/// platform's.
#[derive(Debug, Clone, Default)]
pub struct EnqueueOptions {
    /// Its request id; a fresh one unless given. Queued and parked invocations cannot share one.
    pub id: Option<InvocationId>,
    /// Not before this time has passed.
    pub delay: Duration,
    /// Attempts after the first, at most [`RETRIES_MAX`].
    pub retries: Option<u32>,
    /// How old it may become.
    pub age: Option<Duration>,
    /// W3C `traceparent`.
    pub trace_parent: Option<String>,
    /// Name and type of the trigger that caused it.
    pub trigger: Option<(String, String)>,
    /// How many functions called one another to get here; 0 from outside. It runs that deep.
    pub depth: u32,
    /// Whether it is stateful; as set for the target unless given.
    pub stateful: Option<bool>,
    /// Its id among the stateful invocations of its function, which makes it one; its request id unless given. Accepted once.
    pub stateful_id: Option<InvocationId>,
    /// Whether the payload is a request that was kept, for [`Replay`](crate::Replay), and no event.
    pub is_request: bool,
}

/// An invocation that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its request id.
    pub id: InvocationId,
    /// Its id among the stateful invocations of its function, if it is one.
    pub stateful_id: Option<InvocationId>,
}

impl Queue {
    /// Puts an item on disk.
    pub(crate) async fn enqueue(
        &self,
        ticket: &Ticket,
        payload: Bytes,
        options: &EnqueueOptions,
    ) -> Result<InvocationId, PlatformError> {
        let (size_bytes, limit_bytes) = (payload.len() as u64, self.config.payload_bytes);
        if size_bytes > limit_bytes {
            let what = "event";
            return Err(RequestError::TooLarge { what, size_bytes, limit_bytes }.into());
        }
        let id = options.id.clone().unwrap_or_else(InvocationId::random);
        let now = self.clock.now_ms();
        let age = options.age.unwrap_or(self.config.age);
        let mut item = self.item(ticket, &id, payload, age)?;
        item.due_ms = now.saturating_add(millis(options.delay));
        // The record of a stateful invocation and its index first: what is taken is found before anything is written.
        let mut ops = Vec::new();
        if let Some(record) = StatefulInvocation::accepted(ticket, &item) {
            ops.extend(record.enter()?);
        }
        ops.push(Op::Enqueue { item, lane_limit: self.config.depth });
        match self.storage.commit(ops).await {
            Ok(_) => {
                self.enqueued.fetch_add(1, Ordering::Relaxed);
                Ok(id)
            }
            Err(StorageError::LaneFull { lane, limit }) => {
                let retry_after = Duration::from_secs(1);
                Err(RequestError::Throttled { function: lane, limit, retry_after }.into())
            }
            Err(StorageError::Duplicate { id }) => {
                Err(RequestError::AlreadyExists { kind: Kind::Invocation, name: id }.into())
            }
            Err(StorageError::Precondition { collection: stateful::RECORDS, .. }) => {
                let name = ticket.stateful.clone().unwrap_or_default();
                Err(RequestError::AlreadyExists { kind: Kind::Invocation, name }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// An item that is due now.
    pub(super) fn item(
        &self,
        ticket: &Ticket,
        id: &InvocationId,
        payload: Bytes,
        age: Duration,
    ) -> Result<NewItem, PlatformError> {
        let body = serde_json::to_vec(ticket).map_err(|error| PlatformError::Failure {
            what: "encoding a queued invocation",
            why: error.to_string(),
        })?;
        let now = self.clock.now_ms();
        Ok(NewItem {
            id: id.to_string(),
            lane: format!("{}/{}", ticket.service, ticket.function),
            body: body.into(),
            payload,
            accepted_ms: now,
            due_ms: now,
            expire_ms: now.saturating_add(millis(age)),
        })
    }
}

impl Platform {
    /// Accepts an invocation to be run later. It is on disk when this returns, and ends in exactly one terminal record.
    ///
    /// # Errors
    /// The target does not exist; the payload is too large; the function's queue is full; the id is taken; storage. Nothing was
    /// accepted then, except after [`StorageError::Io`], when it is unknown.
    pub async fn enqueue(
        &self,
        target: Target<'_>,
        payload: Bytes,
        options: EnqueueOptions,
    ) -> Result<Accepted, PlatformError> {
        self.inner().resolve(target)?;
        let queue = &self.inner().queue;
        let settings = self.inner().catalog.async_settings(target);
        let retries = options.retries.or(settings.retries).unwrap_or(queue.config.retries);
        if retries > RETRIES_MAX {
            let why = format!("{retries} is more than {RETRIES_MAX}");
            return Err(RequestError::invalid("retries", why).into());
        }
        let id = options.id.clone().unwrap_or_else(InvocationId::random);
        let stateful = options.stateful.or(settings.stateful).unwrap_or(false);
        let stateful_id = match &options.stateful_id {
            Some(id) => Some(id.clone()),
            None => stateful.then(|| id.clone()),
        };
        let ticket = Ticket {
            service: target.service.to_owned(),
            qualifier: target.qualifier.filter(|text| *text != LATEST).map(str::to_owned),
            function: target.function.to_owned(),
            retries,
            trace_parent: options.trace_parent.clone(),
            trigger: options.trigger.clone(),
            depth: options.depth,
            on_success: settings.on_success,
            on_failure: settings.on_failure,
            stateful: stateful_id.as_ref().map(ToString::to_string),
            is_request: options.is_request,
            ..Ticket::default()
        };
        let age = options.age.or_else(|| settings.age_s.map(Duration::from_secs));
        let options = EnqueueOptions { age, id: Some(id), ..options };
        let id = queue.enqueue(&ticket, payload, &options).await?;
        Ok(Accepted { id, stateful_id })
    }
}
