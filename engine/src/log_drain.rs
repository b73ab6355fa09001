//! The way of log lines from invocations to the sink: a bounded queue and one thread.
//!
//! Handing lines over never blocks. The thread looks for lines a few times a second and at once when a batch made the queue half
//! full, so that a guest that logs does not pay for waking a thread. Lines that find the queue full are dropped and counted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::log_lines::{LogLine, LogSink};

/// How long a line may lie before the sink sees it.
const PERIOD: Duration = Duration::from_millis(20);

/// Lines given to the sink at once.
const BATCH_LINES: usize = 256;

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

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<LogLine>,
    dropped: u64,
    /// Lines taken by the thread that the sink has not returned from.
    in_sink: usize,
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
        let thread = std::thread::Builder::new()
            .name("hearth-log".to_owned())
            .spawn(move || on_thread.run(&*sink))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Takes all lines of `batch` that fit and returns how many were dropped.
    pub(crate) fn push(&self, batch: &mut Vec<LogLine>) -> u64 {
        let mut queue = self.shared.queue.lock();
        let room = self.shared.capacity - queue.lines.len();
        let dropped = batch.len().saturating_sub(room);
        queue.lines.extend(batch.drain(..).take(room));
        queue.dropped += dropped as u64;
        if queue.is_idle || queue.lines.len() > self.shared.capacity / 2 {
            self.shared.wake.notify_one();
        }
        dropped as u64
    }

    /// Lines dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.queue.lock().dropped
    }

    /// Waits until the sink has seen every line handed over so far.
    #[cfg(test)]
    pub(crate) fn flush(&self) {
        let mut queue = self.shared.queue.lock();
        while !queue.lines.is_empty() || queue.in_sink > 0 {
            self.shared.wake.notify_one();
            self.shared.delivered.wait_for(&mut queue, PERIOD);
        }
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
        let mut batch = Vec::with_capacity(BATCH_LINES);
        while self.collect(&mut batch) {
            sink.write(&batch);
            batch.clear();
            let mut queue = self.queue.lock();
            queue.in_sink = 0;
            self.delivered.notify_all();
        }
    }

    /// Fills `batch`; false once stopped and empty.
    fn collect(&self, batch: &mut Vec<LogLine>) -> bool {
        let mut queue = self.queue.lock();
        while queue.lines.is_empty() {
            if queue.is_stopped {
                return false;
            }
            // Nobody logs: sleep until somebody does, then let a batch gather.
            queue.is_idle = true;
            self.wake.wait(&mut queue);
            queue.is_idle = false;
            if !queue.is_stopped && queue.lines.len() <= self.capacity / 2 {
                self.wake.wait_for(&mut queue, PERIOD);
            }
        }
        let count = queue.lines.len().min(BATCH_LINES);
        batch.extend(queue.lines.drain(..count));
        queue.in_sink = count;
        true
    }
}
