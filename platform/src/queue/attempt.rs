//! One attempt at a leased item: run it, keep its lease alive meanwhile, and decide what becomes of it.
//!
//! No transaction is open while a guest runs. Whatever is decided holds only if the lease still does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hearth_engine::{Fault, Invocation, Refusal, TriggerFacts};
use tokio::sync::Notify;

use super::backoff::backoff;
use super::{Held, Queue, Ticket, millis};
use crate::error::PlatformError;
use crate::journal::{ErrorNote, Figures, Status, judge, note, note_of};
use crate::platform::Inner;
use crate::storage::{Leased, Op, StorageError};

/// What came of one attempt.
#[derive(Debug, Clone)]
pub(crate) enum Attempted {
    /// The guest answered.
    Succeeded(Option<Figures>),
    /// The guest failed: this attempt counts.
    Faulted(ErrorNote, Option<Figures>),
    /// Not the guest's fault: this attempt does not count.
    Deferred(ErrorNote),
    /// No attempt can ever succeed.
    Rejected(ErrorNote),
}

/// Runs one attempt.
#[async_trait]
pub(crate) trait Execute: Send + Sync {
    async fn execute(&self, item: &Leased, ticket: &Ticket) -> Attempted;
}

#[async_trait]
impl Execute for Inner {
    async fn execute(&self, item: &Leased, ticket: &Ticket) -> Attempted {
        let revision = match self.resolve(ticket.target()) {
            Ok(revision) => revision,
            Err(error) => return Attempted::Rejected(note_of(&error.into())),
        };
        let mut invocation = Invocation::new(item.new.payload.clone()).request_id(&*item.new.id);
        invocation.attempt = item.attempts.saturating_add(1);
        invocation.trace_parent = ticket.trace_parent.as_deref().map(Arc::from);
        invocation.trigger = ticket.trigger.clone().map(|(name, kind)| TriggerFacts { name, kind });
        if let Some(qualifier) = &ticket.qualifier {
            invocation.qualifier = Arc::from(qualifier.as_str());
        }
        let result = self.run(&revision, invocation, self.clock.now_ms()).await;
        let (_, error, figures) = judge(&result);
        let error = error.unwrap_or_else(|| note("failure", ""));
        match result {
            Ok(outcome) => match outcome.result {
                Ok(_) => Attempted::Succeeded(figures),
                // Ended from outside, as when the engine drains: the guest did nothing wrong.
                Err(Fault::Cancelled) => Attempted::Deferred(error),
                Err(_) => Attempted::Faulted(error, figures),
            },
            Err(PlatformError::Refused(Refusal::PayloadTooLarge { .. })) => {
                Attempted::Rejected(error)
            }
            Err(PlatformError::Load(load)) if !load.is_retryable() => Attempted::Rejected(error),
            Err(_) => Attempted::Deferred(error),
        }
    }
}

impl Queue {
    /// Sees a leased item through one attempt.
    pub(super) async fn attend(&self, executor: &dyn Execute, item: Leased) {
        let cancelled = Arc::new(Notify::new());
        let held = Held {
            token: item.token,
            attempts: item.attempts,
            deferrals: item.deferrals,
            cancelled: cancelled.clone(),
        };
        self.held.insert(item.new.id.clone(), held);
        let op = tokio::select! {
            op = self.attempt(executor, &item) => Some(op),
            () = self.heartbeat(&item) => None,
            () = cancelled.notified() => None,
        };
        match op {
            Some(op) => self.settle(&item, op).await,
            None => tracing::debug!(id = item.new.id, "result dropped: the lease is lost"),
        }
        self.held.remove(&item.new.id);
    }

    /// Runs it unless it is hopeless, and says what is to be written.
    async fn attempt(&self, executor: &dyn Execute, item: &Leased) -> Op {
        if self.clock.now_ms() >= item.new.expire_ms {
            let age = item.new.expire_ms.saturating_sub(item.new.accepted_ms);
            let message = format!("became older than {age} ms before it could run");
            return self.park(item, Status::Expired, note("expired", &message), None);
        }
        if item.crashes > self.config.crashes {
            let message = format!("{} leases ended without a word", item.crashes);
            return self.park(item, Status::Failed, note("crashed", &message), None);
        }
        let ticket = match serde_json::from_slice::<Ticket>(&item.new.body) {
            Ok(ticket) => ticket,
            Err(error) => {
                let error = note("failure", &format!("queued record is damaged: {error}"));
                return self.park(item, Status::Failed, error, None);
            }
        };
        match executor.execute(item, &ticket).await {
            Attempted::Succeeded(figures) => {
                let mut record = self.record(item, Status::Succeeded);
                record.attempt = item.attempts.saturating_add(1);
                record.figures = figures;
                let (id, token) = (item.new.id.clone(), item.token);
                Op::Ack { id, token, record: record.row() }
            }
            Attempted::Faulted(error, figures) => {
                let mut item = item.clone();
                let wait = self.wait(item.attempts);
                item.attempts = item.attempts.saturating_add(1);
                if item.attempts > ticket.retries {
                    return self.park(&item, Status::Failed, error, figures);
                }
                self.retry(&item, wait)
            }
            Attempted::Deferred(error) => {
                tracing::debug!(id = item.new.id, why = error.message, "attempt put off");
                let mut item = item.clone();
                let wait = self.wait(item.deferrals);
                item.deferrals = item.deferrals.saturating_add(1);
                self.retry(&item, wait)
            }
            Attempted::Rejected(error) => self.park(item, Status::Failed, error, None),
        }
    }

    fn wait(&self, times: u32) -> Duration {
        backoff(self.config.backoff, self.config.backoff_max, times)
    }

    /// Back into the queue; not beyond its age, so that it ends as expired on time.
    fn retry(&self, item: &Leased, wait: Duration) -> Op {
        let due_ms = self.clock.now_ms().saturating_add(millis(wait)).min(item.new.expire_ms);
        Op::Retry {
            id: item.new.id.clone(),
            token: item.token,
            due_ms,
            attempts: item.attempts,
            deferrals: item.deferrals,
        }
    }

    fn park(
        &self,
        item: &Leased,
        status: Status,
        error: ErrorNote,
        figures: Option<Figures>,
    ) -> Op {
        let reason = format!("{}: {}", error.kind, error.message);
        let mut record = self.record(item, status);
        record.error = Some(error);
        record.figures = figures;
        Op::Park { id: item.new.id.clone(), token: item.token, reason, record: record.row() }
    }

    /// Extends the lease at each third of it; returns when it is lost.
    async fn heartbeat(&self, item: &Leased) {
        let mut until_ms = item.visible_ms;
        loop {
            tokio::time::sleep(self.config.lease / 3).await;
            let next_ms = self.clock.now_ms().saturating_add(millis(self.config.lease));
            let op = Op::Extend { id: item.new.id.clone(), token: item.token, until_ms: next_ms };
            match self.storage.commit(vec![op]).await {
                Ok(_) => until_ms = next_ms,
                Err(StorageError::LeaseLost { .. }) => break,
                Err(error) => {
                    tracing::warn!(id = item.new.id, %error, "lease could not be extended");
                    if self.clock.now_ms() >= until_ms {
                        break;
                    }
                }
            }
        }
        self.lost();
    }

    /// Writes what was decided; tries for as long as the lease lasts.
    async fn settle(&self, item: &Leased, op: Op) {
        let retry = matches!(op, Op::Retry { .. });
        let give_up = tokio::time::Instant::now() + self.config.lease;
        for times in 0.. {
            match self.storage.commit(vec![op.clone()]).await {
                Ok(_) if retry => return self.count_retry(),
                Ok(_) => return self.count_settled(),
                Err(StorageError::LeaseLost { .. }) => return self.lost(),
                Err(error) => {
                    tracing::warn!(id = item.new.id, %error, "outcome could not be written");
                    if !error.is_retryable() || tokio::time::Instant::now() >= give_up {
                        return self.lost();
                    }
                    let most = Duration::from_secs(5);
                    tokio::time::sleep(backoff(Duration::from_millis(50), most, times)).await;
                }
            }
        }
    }
}
