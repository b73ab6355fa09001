//! What came of a run: a histogram of latencies, errors by kind, and how late the generator itself was.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::load::link::Asked;
use crate::load::{Pace, Plan};

/// The longest time that a histogram tells from longer ones.
const LONGEST: Duration = Duration::from_secs(3600);

/// A request is late by the generator's own fault from here on.
const LATE: Duration = Duration::from_millis(1);

/// The 99th percentile of its own lag from which a generator says that its figures are not the server's: a tenth of the latency's, or
/// this where that is more.
const LAG_NOTED: Duration = Duration::from_micros(200);

/// What came of a run. Times are in nanoseconds where they are plain numbers.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was wanted.
    pub pace: Pace,
    /// From when each request was meant to be sent (at a constant rate) or was sent (closed loop) to the end of its answer. Requests that
    /// were never answered are in it, with the time that they waited; answers of errors are not.
    pub latency: Histogram<u64>,
    /// From when each request was sent; what a generator that waits for answers would have said.
    pub service: Histogram<u64>,
    /// How much later a request was sent than it could have been: it was due, and a connection was free.
    pub lag: Histogram<u64>,
    /// Requests sent late by more than 1 ms for that reason.
    pub late: u64,
    /// Requests meant to be sent.
    pub intended: u64,
    /// Answers with a status of 200 to 399.
    pub answered: u64,
    /// Answers with another.
    pub refused: u64,
    /// Connections that broke with a request under way.
    pub broken: u64,
    /// Requests without an answer in time, those among them that could not even be sent.
    pub unanswered: u64,
    /// From the first request that counts to the last answer; at least as long as was planned.
    pub took: Duration,
}

/// The figures of a report that one reads first; latencies in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Good answers a second.
    pub achieved: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th.
    pub p99: f64,
    /// The 99.9th.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
    /// All that was not answered well.
    pub errors: u64,
    /// Requests that the generator sent late.
    pub late: u64,
    /// The 99th percentile of its own lag.
    pub lag_p99: f64,
}

/// Nanoseconds as microseconds.
#[expect(clippy::cast_precision_loss, reason = "times are far below 2^52 ns")]
pub(crate) fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn histogram() -> Histogram<u64> {
    // Three digits from a nanosecond to an hour: some hundred KiB.
    #[expect(clippy::expect_used, reason = "the bounds stand here")]
    Histogram::new_with_bounds(1, nanos(LONGEST), 3).expect("bounds of a histogram")
}

impl Report {
    pub(crate) fn new(pace: Pace) -> Self {
        let (latency, service, lag) = (histogram(), histogram(), histogram());
        let (late, intended, answered, refused, broken, unanswered) = (0, 0, 0, 0, 0, 0);
        let took = Duration::ZERO;
        Self {
            pace,
            latency,
            service,
            lag,
            late,
            intended,
            answered,
            refused,
            broken,
            unanswered,
            took,
        }
    }

    /// A request was sent over a connection that had been free since then.
    pub(crate) fn sent(&mut self, asked: &Asked, free_since: Instant) {
        self.intended += 1;
        let lag = asked.sent.saturating_duration_since(asked.intended.max(free_since));
        self.lag.saturating_record(nanos(lag));
        self.late += u64::from(lag > LATE);
    }

    /// Its answer was whole at that moment.
    pub(crate) fn answered(&mut self, asked: &Asked, status: u16, at: Instant) {
        if !(200..400).contains(&status) {
            self.refused += 1;
            return;
        }
        self.answered += 1;
        self.latency.saturating_record(nanos(at.saturating_duration_since(asked.intended)));
        self.service.saturating_record(nanos(at.saturating_duration_since(asked.sent)));
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn unanswered(&mut self, asked: &Asked, at: Instant) {
        self.unanswered += 1;
        self.latency.saturating_record(nanos(at.saturating_duration_since(asked.intended)));
        self.service.saturating_record(nanos(at.saturating_duration_since(asked.sent)));
    }

    /// It was due then, and was never sent.
    pub(crate) fn unsent(&mut self, intended: Instant, at: Instant) {
        self.intended += 1;
        self.unanswered += 1;
        self.latency.saturating_record(nanos(at.saturating_duration_since(intended)));
    }

    /// The run is over: from its first request that counts to its last answer.
    pub(crate) fn ended(&mut self, plan: &Plan, took: Duration) {
        self.took = took.max(plan.duration);
    }

    /// The figures that one reads first.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let at = |percentile| micros(self.latency.value_at_percentile(percentile));
        #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^52")]
        let answered = self.answered as f64;
        Summary {
            achieved: answered / self.took.as_secs_f64().max(1e-9),
            p50: at(50.0),
            p90: at(90.0),
            p99: at(99.0),
            p999: at(99.9),
            max: micros(self.latency.max()),
            errors: self.refused + self.broken + self.unanswered,
            late: self.late,
            lag_p99: micros(self.lag.value_at_percentile(99.0)),
        }
    }

    /// What must be known before the figures are believed; nothing where they say what they seem to.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        let Summary { achieved, p99, lag_p99, .. } = self.summary();
        let mut doubts = Vec::new();
        if let Pace::Constant(wanted) = self.pace {
            if achieved < wanted * 0.99 {
                doubts.push(format!(
                    "{achieved:.0} a second of {wanted:.0} were answered well: the server does not keep up, or refuses"
                ));
            }
            let noted = micros(nanos(LAG_NOTED)).max(p99 / 10.0);
            if lag_p99 > noted {
                doubts.push(format!(
                    "the generator did not keep its own schedule: {lag_p99:.0} us late at p99, {} requests by more than 1 ms; \
                     latencies include that, so the server's are lower",
                    self.late
                ));
            }
        }
        let Self { refused, broken, unanswered, .. } = self;
        if refused + broken + unanswered > 0 {
            doubts.push(format!(
                "{refused} answers of errors, {broken} broken connections, {unanswered} without an answer"
            ));
        }
        doubts
    }

    /// The distribution of latencies as `HdrHistogram` prints it, in milliseconds: value, percentile, count up to it, 1/(1-percentile).
    #[must_use]
    pub fn distribution(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
        let mut total = 0;
        for step in self.latency.iter_quantiles(5) {
            total += step.count_since_last_iteration();
            let (value, quantile) =
                (micros(step.value_iterated_to()) / 1e3, step.quantile_iterated_to());
            let _ = match quantile < 1.0 {
                true => writeln!(
                    text,
                    "{value:12.3} {quantile:14.9} {total:10} {:14.2}",
                    1.0 / (1.0 - quantile)
                ),
                false => writeln!(text, "{value:12.3} {quantile:14.9} {total:10}            inf"),
            };
        }
        let (mean, deviation) = (self.latency.mean() / 1e6, self.latency.stdev() / 1e6);
        let (max, count) = (micros(self.latency.max()) / 1e3, self.latency.len());
        let _ = writeln!(text, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]");
        let _ = writeln!(text, "#[Max     = {max:12.3}, Total count    = {count:12}]");
        text
    }
}
