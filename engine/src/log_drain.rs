//! The way of log lines from invocations to the sink: a bounded queue and one thread.
//!
//! Handing lines over never blocks. The thread looks for lines a few times a second and at once when a batch made the queue half
//! full, so that a guest that logs does not pay for waking a thread. Lines that find no room are dropped and counted: a function may
//! hold as much of the queue as it leaves free, so one that floods drops its own lines and leaves room for everybody else's.
//! The thread works in short bursts, so that a flood does not make those who serve wait for the writer's turn to end.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use parking_lot::{Condvar, Mutex};

use crate::log_batch::LogBatch;
use crate::log_lines::{LogLine, LogSink};
use crate::priority::stay_behind;

/// How long a line may lie before the sink sees it.
const PERIOD: Duration = Duration::from_millis(20);

/// Bytes that may wait, whatever the number of lines. Lines of others wait behind what a flood has here, so that it is not more than is
/// written in a fraction of a second.
const QUEUE_BYTES: usize = 16 << 20;

/// Lines given to the sink at once.
const BATCH_LINES: usize = 128;

/// And bytes of text, if there is more than a line: writing them takes a fraction of [`BURST`].
const BATCH_BYTES: usize = 32 << 10;

/// How long lines are given to the sink without a rest.
const BURST: Duration = Duration::from_micros(100);

/// And how long the rest is. Who has just slept has its whole turn before it, and so lets whoever wakes pass; near the end of its turn it
/// would not.
const REST: Duration = Duration::from_micros(50);

/// The queue and its thread; ends, with all lines delivered, when dropped.
#[derive(Debug)]
pub(crate) struct LogDrain {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    capacity: usize,
    wake: Condvar,
    /// Tells tests that the sink has seen a batch.
    delivered: Condvar,
}

/// What of the queue is one function's.
#[derive(Debug, Default, Clone, Copy)]
struct Held {
    lines: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Queue {
    lines: LogBatch,
    /// What each function holds of them, by a hash of its name: two that share one share their part. The hash is quick, as it is made for every
    /// few lines, and seeded anew for each queue, so that nobody can choose a name that shares somebody's.
    held: HashMap<u64, Held, RandomState>,
    hasher: RandomState,
    dropped: u64,
    /// Whether the thread has taken lines that the sink has not returned from.
    is_delivering: bool,
    is_idle: bool,
    is_stopped: bool,
}

impl LogDrain {
    /// Starts the thread that feeds `sink` from a queue of `capacity` lines.
    pub(crate) fn start(sink: Arc<dyn LogSink>, capacity: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            capacity,
            wake: Condvar::new(),
            delivered: Condvar::new(),
        });
        let on_thread = shared.clone();
        let thread =
            std::thread::Builder::new().name("hearth-log".to_owned()).spawn(move || {
                // A flood keeps it busy. What it does not get to write are the flood's own lines.
                stay_behind();
                on_thread.run(&*sink);
            })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Takes as many of the lines as there is room for; returns how many there was none for.
    pub(crate) fn push(&self, batch: &LogBatch) -> u64 {
        let mut queue = self.shared.queue.lock();
        let taken = queue.take(batch, self.shared.capacity);
        let dropped = (batch.len() - taken) as u64;
        queue.dropped += dropped;
        if queue.is_idle || queue.lines.len() > self.shared.capacity / 2 {
            self.shared.wake.notify_one();
        }
        dropped
    }

    /// Lines dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.queue.lock().dropped
    }

    /// Waits until the sink has seen every line handed over so far.
    #[cfg(test)]
    pub(crate) fn flush(&self) {
        let mut queue = self.shared.queue.lock();
        while !queue.lines.is_empty() || queue.is_delivering {
            self.shared.wake.notify_one();
            self.shared.delivered.wait_for(&mut queue, PERIOD);
        }
    }
}

impl Queue {
    /// Takes as many of the lines as their function may have here; returns how many.
    fn take(&mut self, batch: &LogBatch, capacity: usize) -> usize {
        let Some(function) = batch.function() else { return 0 };
        let held = self.held.entry(self.hasher.hash_one(function)).or_default();
        let free = Held {
            lines: capacity.saturating_sub(self.lines.len()),
            bytes: QUEUE_BYTES.saturating_sub(self.lines.bytes()),
        };
        // As much as is left free then; the first line of all has room in the smallest queue.
        let room = free.lines.saturating_sub(held.lines).div_ceil(2);
        let has_bytes = held.bytes + 2 * batch.bytes() <= free.bytes;
        let taken = if has_bytes { batch.len().min(room) } else { 0 };
        held.lines += taken;
        held.bytes += if taken > 0 { batch.bytes() } else { 0 };
        self.lines.append(batch, taken);
        taken
    }
}

impl Drop for LogDrain {
    fn drop(&mut self) {
        self.shared.queue.lock().is_stopped = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // Only a panic in the sink ends the thread early; its message is out already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, sink: &dyn LogSink) {
        let mut lines = LogBatch::default();
        while self.collect(&mut lines) {
            self.deliver(&lines, sink);
            lines.reuse();
            self.queue.lock().is_delivering = false;
            self.delivered.notify_all();
        }
    }

    /// Gives the lines to the sink, a batch at a time and with rests.
    fn deliver(&self, lines: &LogBatch, sink: &dyn LogSink) {
        let mut batch: Vec<LogLine<'_>> = Vec::with_capacity(lines.len().min(BATCH_LINES));
        let mut bytes = 0;
        let mut begun = Instant::now();
        for line in lines.iter() {
            if batch.len() == BATCH_LINES || (bytes + line.text.len() > BATCH_BYTES && bytes > 0) {
                sink.write(&batch);
                batch.clear();
                bytes = 0;
                if begun.elapsed() >= BURST && !self.queue.lock().is_stopped {
                    std::thread::sleep(REST);
                    begun = Instant::now();
                }
            }
            bytes += line.text.len();
            batch.push(line);
        }
        sink.write(&batch);
    }

    /// Takes all lines that wait, in exchange for an empty batch; false once stopped and empty.
    fn collect(&self, lines: &mut LogBatch) -> bool {
        let mut queue = self.queue.lock();
        while queue.lines.is_empty() {
            if queue.is_stopped {
                return false;
            }
            // Nobody logs: sleep until somebody does, then let a batch gather. Whoever flooded did not leave its buffers behind.
            queue.lines.clear();
            lines.clear();
            queue.is_idle = true;
            self.wake.wait(&mut queue);
            queue.is_idle = false;
            if !queue.is_stopped && queue.lines.len() <= self.capacity / 2 {
                self.wake.wait_for(&mut queue, PERIOD);
            }
        }
        std::mem::swap(&mut queue.lines, lines);
        queue.held.clear();
        queue.is_delivering = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_batch::Mark;
    use crate::log_lines::{Level, Stream};

    /// A sink that returns from its first lines only when the test is over with them.
    #[derive(Debug, Default)]
    struct Slow {
        gate: Mutex<()>,
        of: Mutex<Vec<String>>,
    }

    impl LogSink for Slow {
        fn write(&self, lines: &[LogLine<'_>]) {
            drop(self.gate.lock());
            self.of.lock().extend(lines.iter().map(|line| line.function.to_string()));
        }
    }

    fn batch(function: &str, lines: usize, text: &[u8]) -> LogBatch {
        let mut batch = LogBatch::default();
        batch.begin("request", function);
        let mark = Mark { stream: Stream::Stdout, level: Level::Info, cut: false };
        (0..lines).for_each(|_| batch.push(mark, text));
        batch
    }

    fn taken_beside_floods(floods: &[&str], text: &[u8]) -> (u64, usize) {
        let sink = Arc::new(Slow::default());
        let drain = LogDrain::start(sink.clone(), 1000).unwrap();
        let held = sink.gate.lock();
        let mut dropped = 0;
        for _ in 0..2000 {
            for flood in floods {
                dropped += drain.push(&batch(flood, 10, text));
            }
        }
        assert!(dropped > 0, "the flood was not one");
        for _ in 0..20 {
            assert_eq!(
                drain.push(&batch("s/quiet", 1, b"hello")),
                0,
                "a line of the quiet one was dropped"
            );
        }
        drop(held);
        drain.flush();
        let of_quiet = sink.of.lock().iter().filter(|of| *of == "s/quiet").count();
        (drain.dropped() - dropped, of_quiet)
    }

    #[test]
    fn a_flood_drops_its_own_lines_and_nobody_elses() {
        assert_eq!(taken_beside_floods(&["s/loud"], b"x"), (0, 20));
        assert_eq!(taken_beside_floods(&["s/loud", "s/louder", "t/loudest"], b"x"), (0, 20));
    }

    #[test]
    fn nor_does_one_of_long_lines() {
        let long = vec![b'x'; 16 << 10];
        assert_eq!(taken_beside_floods(&["s/loud", "s/louder"], &long), (0, 20));
    }

    /// A sink that notes what it is given at once.
    #[derive(Debug, Default)]
    struct Batches(Mutex<Vec<Vec<String>>>);

    impl LogSink for Batches {
        fn write(&self, lines: &[LogLine<'_>]) {
            self.0.lock().push(lines.iter().map(|line| line.text.to_string()).collect());
        }
    }

    #[test]
    fn much_comes_in_order_and_a_little_at_a_time() {
        let sink = Arc::new(Batches::default());
        let drain = LogDrain::start(sink.clone(), 100_000).unwrap();
        let texts = (0..2000).map(|n| format!("{n:0$}", if n % 10 == 0 { 20_000 } else { 4 }));
        let texts: Vec<_> = texts.collect();
        for text in &texts {
            assert_eq!(drain.push(&batch("s/f", 1, text.as_bytes())), 0);
        }
        drain.flush();
        let batches = sink.0.lock();
        assert_eq!(batches.concat(), texts);
        for batch in &*batches {
            let bytes: usize = batch.iter().map(String::len).sum();
            let is_small = batch.len() <= BATCH_LINES && (bytes <= BATCH_BYTES || batch.len() == 1);
            assert!(is_small, "{} lines of {bytes} bytes", batch.len());
        }
    }

    #[test]
    fn the_smallest_queue_takes_a_line() {
        let sink = Arc::new(Slow::default());
        let drain = LogDrain::start(sink.clone(), 1).unwrap();
        assert_eq!(drain.push(&batch("s/f", 1, b"hello")), 0);
        drain.flush();
        assert_eq!(sink.of.lock().len(), 1);
    }
}
