//! What is noted of an invocation on its way, and the outcome and report that are made of it.

use std::time::Duration;

use bytes::Bytes;

use crate::answer::AnswerWriter;
use crate::cpu_meter::CpuMeter;
use crate::instance::Instance;
use crate::revision::Revision;
use crate::tail_log::Logged;
use crate::work::Work;
use crate::{Fault, Invocation, LoadSource, Outcome, Phases, Report, StartKind, Tier};

/// What is known of an invocation as it goes.
pub(crate) struct Course {
    pub(crate) phases: Phases,
    pub(crate) start: StartKind,
    tier: Tier,
    pub(crate) cpu: CpuMeter,
    traffic: Traffic,
    /// Bytes logged while its instance was made, if one was.
    pub(crate) initialize_log_bytes: Option<u64>,
}

/// Rounded up to a whole millisecond, from whole microseconds.
fn billed(run: Duration) -> Duration {
    // By parts: the whole in microseconds has 128 bits, and their division is a function call.
    let millis = u64::from(run.subsec_micros().div_ceil(1000));
    Duration::from_secs(run.as_secs()).saturating_add(Duration::from_millis(millis))
}

/// How many bytes went in and out.
enum Traffic {
    /// An event of so many bytes; the answer is in the outcome.
    Event(u64),
    /// A request's body and its response's, counted as they pass.
    Http(AnswerWriter),
}

impl Traffic {
    fn of(work: &Work) -> Self {
        match work {
            Work::Event(_) | Work::WebSocket(_) => Self::Event(work.size()),
            Work::Http(exchange) => Self::Http(exchange.answer.clone()),
        }
    }

    /// Bytes of the payload and, given the result, of the answer.
    fn count(&self, result: &Result<Bytes, Fault>) -> (u64, u64) {
        match self {
            Self::Event(bytes) => (*bytes, result.as_ref().map_or(0, |answer| answer.len() as u64)),
            Self::Http(answer) => (answer.read(), answer.written()),
        }
    }
}

/// What the outcome says of the instance that served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) id: u64,
    pub(crate) memory_peak_bytes: u64,
}

impl Seen {
    pub(crate) fn of(instance: &Instance) -> Self {
        Self { id: instance.id, memory_peak_bytes: instance.ledger().meter.peak() }
    }
}

impl Course {
    pub(crate) fn begin(revision: &Revision, work: &Work, wait: Duration) -> Self {
        Self {
            phases: Phases { wait, ..Phases::default() },
            start: StartKind::Warm,
            tier: revision.load.tier,
            cpu: CpuMeter::default(),
            traffic: Traffic::of(work),
            initialize_log_bytes: None,
        }
    }

    /// Says in the report what an invocation paid for loading the code.
    pub(crate) fn note_load(&mut self, invocation: &Invocation) {
        let Some(load) = &invocation.load else { return };
        self.phases.compile = load.compile;
        self.phases.load = load.load;
        self.start = match load.source {
            LoadSource::Compiled => StartKind::Compiled,
            LoadSource::Artifact => StartKind::Loaded,
            LoadSource::Resident => StartKind::Warm,
        };
    }

    /// What came of it.
    pub(crate) fn outcome(
        &self,
        result: Result<Bytes, Fault>,
        logged: Logged,
        seen: Option<Seen>,
    ) -> Outcome {
        let run = self.phases.run;
        let (payload_bytes, answer_bytes) = self.traffic.count(&result);
        let report = Report {
            start: self.start,
            tier: self.tier,
            billed: billed(run),
            cpu_time: self.cpu.used(),
            memory_peak_bytes: seen.map_or(0, |seen| seen.memory_peak_bytes),
            payload_bytes,
            answer_bytes,
            log_bytes: logged.bytes,
            // Without an instance, making it is all that was logged.
            initialize_log_bytes: match seen {
                Some(_) => self.initialize_log_bytes,
                None => Some(logged.bytes),
            },
            log_lines_dropped: logged.dropped,
            instance: seen.map_or(0, |seen| seen.id),
            phases: self.phases,
        };
        Outcome { result, tail_log: logged.tail, report }
    }
}
