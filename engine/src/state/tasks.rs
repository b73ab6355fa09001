//! Several requests in one instance: which of them runs now, and what is its own.
//!
//! A guest's calls into the host carry no word of whom they are for; wasmtime knows the task they came from. Each time the guest is
//! left or entered the ledger is aimed at the request of that task, so that logs, deadlines, outgoing requests and calls of other
//! functions are its own. What belongs to no request (work of one that has ended) is nobody's: its log is closed.

use std::time::{Duration, Instant};

use wasmtime::component::GuestTaskId;
use wasmtime::{CallHook, StoreContextMut};

use super::ComponentState;
use crate::Invocation;
use crate::tail_log::InstanceLog;

/// What belongs to one request of an instance.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) invocation: Invocation,
    pub(crate) log: InstanceLog,
    pub(crate) deadline: Instant,
    pub(crate) cpu_time: Option<Duration>,
}

#[derive(Debug)]
struct Member {
    task: GuestTaskId,
    log: InstanceLog,
    deadline: Instant,
    cpu_time: Option<Duration>,
    cpu_used: Duration,
    /// With the ledger while this task runs.
    invocation: Option<Invocation>,
}

/// The requests of an instance, and the one that runs.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    members: Vec<Member>,
    running: Option<GuestTaskId>,
    /// Since when the guest runs; none while the host does.
    since: Option<Instant>,
}

impl Tasks {
    fn member(&mut self, task: Option<GuestTaskId>) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| Some(member.task) == task)
    }

    /// Charges the time in the guest to whoever ran there.
    fn charge(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            let running = self.running;
            if let Some(member) = self.member(running) {
                member.cpu_used += now.saturating_duration_since(since);
            }
        }
    }

    /// CPU time of the task that runs.
    pub(super) fn running_cpu(&mut self) -> Duration {
        let running = self.running;
        self.member(running).map_or(Duration::ZERO, |member| member.cpu_used)
    }
}

impl ComponentState {
    /// Takes a request in; what its task does is its own from now on.
    pub(crate) fn admit_task(&mut self, task: GuestTaskId, own: Own) {
        let Own { invocation, log, deadline, cpu_time } = own;
        let member = Member {
            task,
            log,
            deadline,
            cpu_time,
            cpu_used: Duration::ZERO,
            invocation: Some(invocation),
        };
        self.ledger.tasks.get_or_insert_default().members.push(member);
    }

    /// Lets a request go and says what CPU time it used.
    pub(crate) fn dismiss_task(&mut self, task: GuestTaskId) -> Duration {
        if self.running_task() == Some(task) {
            self.aim(None);
        }
        let Some(tasks) = &mut self.ledger.tasks else { return Duration::ZERO };
        let Some(position) = tasks.members.iter().position(|member| member.task == task) else {
            return Duration::ZERO;
        };
        tasks.members.swap_remove(position).cpu_used
    }

    /// The request that runs, or ran last.
    pub(crate) fn running_task(&self) -> Option<GuestTaskId> {
        self.ledger.tasks.as_ref().and_then(|tasks| tasks.running)
    }

    /// Aims log, facts and limits at the request of a task.
    fn aim(&mut self, task: Option<GuestTaskId>) {
        let ledger = &mut self.ledger;
        let Some(tasks) = &mut ledger.tasks else { return };
        if tasks.running == task {
            return;
        }
        let before = std::mem::replace(&mut tasks.running, task);
        if let Some(member) = tasks.member(before) {
            member.invocation = ledger.invocation.take();
        }
        ledger.invocation = None;
        let own = ledger.home_log.clone();
        match tasks.member(task) {
            Some(member) => {
                ledger.invocation = member.invocation.take();
                ledger.deadline = member.deadline;
                ledger.cpu_time = member.cpu_time;
                own.redirect(Some(&member.log));
                ledger.log = member.log.clone();
            }
            None => {
                own.redirect(None);
                ledger.log = own;
                ledger.deadline = Instant::now() + ledger.shared.limits.timeout;
            }
        }
    }

    /// Whether it keeps account of several requests.
    pub(crate) fn has_tasks(&self) -> bool {
        self.ledger.tasks.is_some()
    }

    /// Begins to keep account of several requests, or ceases.
    pub(crate) fn keep_tasks(&mut self, keeps: bool) {
        self.aim(None);
        self.ledger.tasks = keeps.then(Box::default);
    }
}

/// Called whenever the guest is entered or left: aims the ledger at the request whose task that is. Time in the host is nobody's: a
/// call may be waiting there.
pub(crate) fn on_crossing(
    mut context: StoreContextMut<'_, ComponentState>,
    crossing: CallHook,
) -> wasmtime::Result<()> {
    if !context.data().has_tasks() {
        return Ok(());
    }
    let now = Instant::now();
    if let Some(tasks) = &mut context.data_mut().ledger.tasks {
        tasks.charge(now);
    }
    let task = context.async_call_stack()?.last();
    let state = context.data_mut();
    state.aim(task);
    if let Some(tasks) = &mut state.ledger.tasks {
        tasks.since = crossing.exiting_host().then_some(now);
    }
    Ok(())
}
