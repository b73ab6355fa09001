//! One attempt at a leased item: run it, keep its lease alive meanwhile, and decide what becomes of it.
//!
//! No transaction is open while a guest runs. Whatever is decided holds only if the lease still does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hearth_engine::{Fault, Invocation, Refusal, TriggerFacts};
use tokio::sync::{Notify, mpsc};

use super::backoff::backoff;
use super::destination::Told;
use super::outcomes::Outcome;
use super::settle::Ending;
use super::{Held, Queue, Ticket, millis};
use crate::async_config::AsyncSettings;
use crate::error::PlatformError;
use crate::journal::{ErrorNote, Figures, Status, judge, note, note_of};
use crate::name::Target;
use crate::platform::Inner;
use crate::storage::{Leased, Op, StorageError};

/// What came of one attempt.
#[derive(Debug, Clone)]
pub(crate) enum Attempted {
    /// The guest answered.
    Succeeded(Option<Figures>, Bytes),
    /// The guest failed: this attempt counts.
    Faulted(ErrorNote, Option<Figures>),
    /// Who was told declined and said how long to wait: this attempt counts.
    Declined(ErrorNote, Duration),
    /// Not the guest's fault: this attempt does not count.
    Deferred(ErrorNote),
    /// No attempt can ever succeed.
    Rejected(ErrorNote),
}

/// Runs one attempt.
#[async_trait]
pub(crate) trait Execute: Send + Sync {
    async fn execute(&self, item: &Leased, ticket: &Ticket) -> Attempted;

    /// The event that tells a destination.
    fn event(&self, told: &Told<'_>) -> Option<Bytes>;

    /// What holds for an event that is sent to a function.
    fn settings(&self, target: Target<'_>) -> AsyncSettings;
}

#[async_trait]
impl Execute for Inner {
    fn event(&self, told: &Told<'_>) -> Option<Bytes> {
        self.deliver.as_ref().map(|deliver| deliver.event(told))
    }

    fn settings(&self, target: Target<'_>) -> AsyncSettings {
        self.catalog.async_settings(target)
    }

    async fn execute(&self, item: &Leased, ticket: &Ticket) -> Attempted {
        if let Some(address) = &ticket.address {
            return self.send(item, address).await;
        }
        let revision = match self.resolve(ticket.target()) {
            Ok(revision) => revision,
            Err(error) => return Attempted::Rejected(note_of(&error.into())),
        };
        let mut invocation = Invocation::with_id(&*item.new.id, item.new.payload.clone());
        invocation.attempt = item.attempts.saturating_add(1);
        invocation.depth = ticket.depth;
        invocation.trace_parent = ticket.trace_parent.as_deref().map(Arc::from);
        invocation.trigger = ticket.trigger.clone().map(|(name, kind)| TriggerFacts { name, kind });
        if let Some(qualifier) = &ticket.qualifier {
            invocation.qualifier = Some(Arc::from(qualifier.as_str()));
        }
        let result = if ticket.is_request {
            self.replay(&revision, invocation).await
        } else {
            self.run(&revision, invocation, self.clock.now_ms()).await
        };
        let (_, error, figures) = judge(result.as_ref());
        let error = error.unwrap_or_else(|| note("failure", ""));
        match result {
            Ok(outcome) => match outcome.result {
                Ok(answer) => Attempted::Succeeded(figures, answer),
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

impl Inner {
    /// Sends an event to a destination that is no function.
    async fn send(&self, item: &Leased, address: &str) -> Attempted {
        let Some(deliver) = &self.deliver else {
            return Attempted::Deferred(note("delivery", "this platform sends nothing"));
        };
        match deliver.send(&item.new.id, address, item.new.payload.clone()).await {
            Ok(()) => Attempted::Succeeded(None, Bytes::new()),
            Err(error) if error.is_final => {
                Attempted::Rejected(note("delivery", &error.to_string()))
            }
            Err(error) => {
                let told = note("delivery", &error.to_string());
                match error.retry_after {
                    Some(wait) => Attempted::Declined(told, wait),
                    None => Attempted::Faulted(told, None),
                }
            }
        }
    }
}

impl Queue {
    /// Holds a lease from the moment it is known, so that whoever stops its invocation finds it.
    pub(super) fn hold(&self, item: &Leased) -> Arc<Notify> {
        let cancelled = Arc::new(Notify::new());
        let held = Held {
            token: item.token,
            attempts: item.attempts,
            deferrals: item.deferrals,
            cancelled: cancelled.clone(),
        };
        self.held.insert(item.new.id.clone(), held);
        cancelled
    }

    /// Holds it no longer, unless a later lease took its place.
    pub(super) fn release(&self, id: &str, token: u64) {
        self.held.remove_if(id, |_, held| held.token == token);
    }

    /// Sees a leased item through one attempt and hands its outcome over.
    pub(super) async fn attend(
        &self,
        executor: &dyn Execute,
        item: Leased,
        cancelled: Arc<Notify>,
        outcomes: &mpsc::Sender<Outcome>,
    ) {
        let ops = tokio::select! {
            biased;
            () = cancelled.notified() => None,
            () = self.heartbeat(&item) => None,
            ops = self.attempt(executor, &item) => Some(ops),
        };
        let Some(ops) = ops else {
            tracing::debug!(id = item.new.id, "result dropped: the lease is lost");
            self.release(&item.new.id, item.token);
            return;
        };
        let give_up = tokio::time::Instant::now() + self.config.lease;
        let (id, token) = (item.new.id, item.token);
        if let Err(refused) =
            outcomes.send(Outcome { id, token, ops, give_up, may_be_written: false }).await
        {
            // Only at shutdown; the lease is given back.
            tracing::debug!(id = refused.0.id, "result dropped: nobody writes any more");
        }
    }

    /// Runs it unless it is hopeless, and says what is to be written.
    async fn attempt(&self, executor: &dyn Execute, item: &Leased) -> Vec<Op> {
        let parsed = serde_json::from_slice::<Ticket>(&item.new.body);
        let ticket = parsed.as_ref().ok();
        let attempts = item.attempts;
        let ending = |status, attempts, error| {
            let (figures, answer) = (None, Bytes::new());
            Ending { item, ticket, status, attempts, error: Some(error), figures, answer }
        };
        if self.clock.now_ms() >= item.new.expire_ms {
            let age = item.new.expire_ms.saturating_sub(item.new.accepted_ms);
            let message = format!("became older than {age} ms before it could run");
            let expired = ending(Status::Expired, attempts, note("expired", &message));
            return self.end(executor, &expired);
        }
        if item.crashes > self.config.crashes {
            let message = format!("{} leases ended without a word", item.crashes);
            let crashed = ending(Status::Failed, attempts, note("crashed", &message));
            return self.end(executor, &crashed);
        }
        let ticket = match &parsed {
            Ok(ticket) => ticket,
            Err(error) => {
                let error = note("failure", &format!("queued record is damaged: {error}"));
                return self.end(executor, &ending(Status::Failed, attempts, error));
            }
        };
        match executor.execute(item, ticket).await {
            Attempted::Succeeded(figures, answer) => {
                let (status, attempts) = (Status::Succeeded, attempts.saturating_add(1));
                let ticket = Some(ticket);
                let error = None;
                self.end(
                    executor,
                    &Ending { item, ticket, status, attempts, error, figures, answer },
                )
            }
            Attempted::Faulted(error, figures) => {
                let failed = Ending { figures, ..ending(Status::Failed, attempts, error) };
                self.again(executor, failed, ticket, Duration::ZERO)
            }
            Attempted::Declined(error, wait) => {
                let failed = ending(Status::Failed, attempts, error);
                self.again(executor, failed, ticket, wait.min(self.config.backoff_max))
            }
            Attempted::Deferred(error) => {
                tracing::debug!(id = item.new.id, why = error.message, "attempt put off");
                let deferrals = item.deferrals.saturating_add(1);
                vec![self.retry(item, attempts, deferrals, self.wait(item.deferrals))]
            }
            Attempted::Rejected(error) => {
                self.end(executor, &ending(Status::Failed, attempts, error))
            }
        }
    }

    /// After an attempt that counts: back into the queue for at least so long, or the end.
    fn again(
        &self,
        executor: &dyn Execute,
        failed: Ending<'_>,
        ticket: &Ticket,
        at_least: Duration,
    ) -> Vec<Op> {
        let (item, before) = (failed.item, failed.attempts);
        let attempts = before.saturating_add(1);
        if attempts > ticket.retries {
            return self.end(executor, &Ending { attempts, ..failed });
        }
        vec![self.retry(item, attempts, item.deferrals, self.wait(before).max(at_least))]
    }

    fn wait(&self, times: u32) -> Duration {
        backoff(self.config.backoff, self.config.backoff_max, times)
    }

    /// Back into the queue; not beyond its age, so that it ends as expired on time.
    fn retry(&self, item: &Leased, attempts: u32, deferrals: u32, wait: Duration) -> Op {
        let due_ms = self.clock.now_ms().saturating_add(millis(wait)).min(item.new.expire_ms);
        let (id, token) = (item.new.id.clone(), item.token);
        Op::Retry { id, token, due_ms, attempts, deferrals }
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
}
