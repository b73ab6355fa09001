//! The way of log lines from invocations to the sink: a bounded queue and one thread.
//!
//! Handing lines over never blocks. The thread looks for lines a few times a second and at once when a batch made the queue half
//! full, so that a guest that logs does not pay for waking a thread. Lines that find the queue full are dropped and counted.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::log_batch::LogBatch;
use crate::log_lines::{LogLine, LogSink};

/// How long a line may lie before the sink sees it.
const PERIOD: Duration = Duration::from_millis(20);

/// Bytes that may wait, whatever the number of lines.
const QUEUE_BYTES: usize = 64 << 20;

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
    lines: LogBatch,
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
        let thread = std::thread::Builder::new()
            .name("hearth-log".to_owned())
            .spawn(move || on_thread.run(&*sink))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Takes as many of the lines as there is room for; returns how many there was none for.
    pub(crate) fn push(&self, batch: &LogBatch) -> u64 {
        let mut queue = self.shared.queue.lock();
        let has_room = queue.lines.bytes() + batch.bytes() <= QUEUE_BYTES;
        let room = if has_room { self.shared.capacity - queue.lines.len() } else { 0 };
        let taken = batch.len().min(room);
        queue.lines.append(batch, taken);
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
        let mut batch: Vec<LogLine> = Vec::with_capacity(BATCH_LINES);
        while self.collect(&mut lines) {
            let mut unpacked = lines.iter().peekable();
            while unpacked.peek().is_some() {
                batch.extend(unpacked.by_ref().take(BATCH_LINES));
                sink.write(&batch);
                batch.clear();
            }
            drop(unpacked);
            lines.clear();
            self.queue.lock().is_delivering = false;
            self.delivered.notify_all();
        }
    }

    /// Takes all lines that wait, in exchange for an empty batch; false once stopped and empty.
    fn collect(&self, lines: &mut LogBatch) -> bool {
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
        std::mem::swap(&mut queue.lines, lines);
        queue.is_delivering = true;
        true
    }
}
