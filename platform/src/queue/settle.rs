//! How an invocation ends: one batch that takes it out of the queue, writes its record, and tells its destination.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::attempt::Execute;
use super::destination::{Destination, DestinationKind, Told};
use super::stateful::{StatefulInvocation, StatefulStatus};
use super::{Queue, Ticket};
use crate::async_config::AsyncSettings;
use crate::error::PlatformError;
use crate::journal::{ErrorNote, Figures, InvocationRecord, Status};
use crate::name::{InvocationId, Target};
use crate::storage::{Expect, Leased, NewItem, Op};

/// Destinations that one invocation may come through: two functions that tell each other would go on for ever.
pub(super) const HOPS_MAX: u32 = 16;
/// Attempts after the first to reach an address: with the longest waits, most of a day.
const SENDS: u32 = 200;

/// The end of an invocation.
#[derive(Debug)]
pub(super) struct Ending<'a> {
    pub(super) item: &'a Leased,
    /// None if what was queued cannot be read.
    pub(super) ticket: Option<&'a Ticket>,
    pub(super) status: Status,
    /// Attempts that ran.
    pub(super) attempts: u32,
    pub(super) error: Option<ErrorNote>,
    pub(super) figures: Option<Figures>,
    pub(super) answer: Bytes,
}

impl Queue {
    /// What is to be written. It begins with what fails if the lease is lost.
    pub(super) fn end(&self, executor: &dyn Execute, ending: &Ending<'_>) -> Vec<Op> {
        let Ending { item, ticket, status, attempts, .. } = *ending;
        let mut record = self.record(item, status);
        record.attempt = attempts;
        record.error.clone_from(&ending.error);
        record.figures = ending.figures;
        let mut rest = Vec::new();
        if let Some(ticket) = ticket {
            // What cannot be encoded or told is no reason to run it again.
            let event = self.tell(executor, ending, ticket, &record).unwrap_or_else(|error| {
                tracing::warn!(id = item.new.id, %error, "its destination is not told");
                None
            });
            if let Some((event, entered)) = event {
                record.event = Some(Arc::from(event.id.as_str()));
                rest.extend(entered);
                // One leaves the queue as one enters it: what bounds those that are accepted bounds these.
                rest.push(Op::Enqueue { item: event, lane_limit: u64::MAX });
            }
            rest.extend(ended_record(ending, ticket, &record).into_iter().flatten());
        }
        let (id, token) = (item.new.id.clone(), item.token);
        let row = record.row();
        let first = match (status, &ending.error) {
            (Status::Succeeded, _) => Op::Ack { id, token, record: row },
            (_, error) => {
                let reason =
                    error.as_ref().map(|error| format!("{}: {}", error.kind, error.message));
                let reason = reason.unwrap_or_default();
                Op::Park { id, token, attempts, reason, record: row }
            }
        };
        rest.insert(0, first);
        rest
    }

    /// The event that tells its destination, if it has one, and what else enters storage with it.
    fn tell(
        &self,
        executor: &dyn Execute,
        ending: &Ending<'_>,
        ticket: &Ticket,
        record: &InvocationRecord,
    ) -> Result<Option<(NewItem, Vec<Op>)>, PlatformError> {
        let succeeded = ending.status == Status::Succeeded;
        let destination = if succeeded { &ticket.on_success } else { &ticket.on_failure };
        let Some(destination) = destination else { return Ok(None) };
        if ticket.hops >= HOPS_MAX {
            tracing::warn!(
                id = ending.item.new.id,
                destination = destination.name,
                "it came through {HOPS_MAX} destinations and tells no other"
            );
            return Ok(None);
        }
        let told = Told {
            request_id: &ending.item.new.id,
            service: &ticket.service,
            qualifier: ticket.qualifier.as_deref(),
            function: &ticket.function,
            status: ending.status,
            error: ending.error.as_ref(),
            attempts: ending.attempts,
            ended_ms: record.ended_ms,
            payload: &ending.item.new.payload,
            answer: &ending.answer,
        };
        let Some(payload) = executor.event(&told) else { return Ok(None) };
        let id = InvocationId::random();
        let (next, lane, age) = self.next(executor, destination, ticket, &id);
        let mut item = self.item(&next, &id, payload, age)?;
        if let Some(lane) = lane {
            item.lane = lane;
        }
        let stateful = StatefulInvocation::accepted(&next, &item);
        let entered = stateful.map(|record| record.enter()).transpose()?;
        Ok(Some((item, entered.into_iter().flatten().collect())))
    }

    /// How the event is run: as an invocation of its function, or as something to send, in a lane of its place.
    fn next(
        &self,
        executor: &dyn Execute,
        destination: &Destination,
        ticket: &Ticket,
        id: &InvocationId,
    ) -> (Ticket, Option<String>, Duration) {
        let base = Ticket {
            trace_parent: ticket.trace_parent.clone(),
            hops: ticket.hops.saturating_add(1),
            depth: ticket.depth,
            ..Ticket::default()
        };
        match &destination.kind {
            DestinationKind::Function { service, qualifier, function } => {
                let (service, qualifier, function) =
                    (service.clone(), qualifier.clone(), function.clone());
                let target = Target {
                    service: &service,
                    qualifier: qualifier.as_deref(),
                    function: &function,
                };
                let AsyncSettings { retries, age_s, on_success, on_failure, stateful } =
                    executor.settings(target);
                let age = age_s.map_or(self.config.age, Duration::from_secs);
                let retries = retries.unwrap_or(self.config.retries);
                let stateful = stateful.unwrap_or(false).then(|| id.to_string());
                let next = Ticket {
                    service,
                    qualifier,
                    function,
                    retries,
                    on_success,
                    on_failure,
                    stateful,
                    ..base
                };
                (next, None, age)
            }
            DestinationKind::Endpoint { address, place } => {
                // No name of a service begins like that.
                let lane = format!(">{place}");
                let next = Ticket { address: Some(address.clone()), retries: SENDS, ..base };
                (next, Some(lane), self.config.age)
            }
        }
    }
}

/// The change of its record, if it is stateful.
fn ended_record(
    ending: &Ending<'_>,
    ticket: &Ticket,
    record: &InvocationRecord,
) -> Option<[Op; 2]> {
    let mut ended = StatefulInvocation::accepted(ticket, &ending.item.new)?;
    ended.status = match ending.status {
        Status::Succeeded => StatefulStatus::Succeeded,
        Status::Expired => StatefulStatus::Expired,
        Status::Cancelled => StatefulStatus::Stopped,
        Status::Failed | Status::Refused => StatefulStatus::Failed,
    };
    ended.attempts = ending.attempts;
    ended.ended_ms = Some(record.ended_ms);
    ended.error = ending.error.as_ref().map(|error| error.message.clone());
    ended.answer = super::stateful::shown(&ending.answer);
    ended.event = record.event.as_deref().map(str::to_owned);
    // Guarded by the lease, which stands first in the batch.
    ended.leave(Expect::Any).ok()
}
