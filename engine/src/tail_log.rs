//! What one invocation logs: the newest bytes in a ring for the answer, and full lines for the log sink.
//!
//! The log lives as long as its instance and is aimed at one invocation after another, because guests cache their stream
//! handles. Writing never blocks and never fails; memory is bounded by the tail's size, one unfinished line per stream and
//! a batch of lines. With neither tail nor sink a write costs a lock and an addition.

#![expect(
    clippy::indexing_slicing,
    reason = "each index is bounded by a length or a count taken just before it; property tests hold it"
)]

use std::sync::Arc;

use bytes::Bytes;
use hearth_host_api::log_stream::LogWriter;
use parking_lot::Mutex;

use crate::log_batch::{LogBatch, Mark};
use crate::log_drain::LogDrain;
use crate::log_lines::{LINE_BYTES_MAX, Level, Stream};

/// Lines collected before they are handed to the drain in the middle of an invocation.
const BATCH_LINES: usize = 64;

/// Bytes likewise.
const BATCH_BYTES: usize = 64 << 10;

/// Bytes that the buffer for unfinished lines may go on holding, for each instance and stream.
const UNFINISHED_BYTES_KEPT: usize = 1 << 10;

/// Ring of the newest bytes.
#[derive(Debug, Default)]
struct Ring {
    bytes: Vec<u8>,
    /// Where the oldest byte is, once the ring is full.
    start: usize,
    capacity: usize,
}

impl Ring {
    fn clear(&mut self, capacity: usize) {
        self.bytes.clear();
        self.start = 0;
        self.capacity = capacity;
    }

    fn push(&mut self, written: &[u8]) {
        if written.len() <= self.capacity - self.bytes.len() {
            self.bytes.extend_from_slice(written);
            return;
        }
        let newest = &written[written.len().saturating_sub(self.capacity)..];
        let room = (self.capacity - self.bytes.len()).min(newest.len());
        let (fill, wrap) = newest.split_at(room);
        self.bytes.extend_from_slice(fill);
        if wrap.is_empty() {
            return;
        }
        let until_end = (self.capacity - self.start).min(wrap.len());
        let (first, second) = wrap.split_at(until_end);
        self.bytes[self.start..self.start + until_end].copy_from_slice(first);
        self.bytes[..second.len()].copy_from_slice(second);
        self.start = (self.start + wrap.len()) % self.capacity;
    }

    /// The bytes oldest first, cut at a character boundary and made valid UTF-8.
    fn text(&self) -> String {
        if self.bytes.is_empty() {
            return String::new();
        }
        let (newer, older) = self.bytes.split_at(self.start);
        let mut all = Vec::with_capacity(self.bytes.len());
        all.extend_from_slice(older);
        all.extend_from_slice(newer);
        if self.bytes.len() == self.capacity {
            // The first character may have lost its beginning: at most three continuation bytes.
            let cut = all.iter().take(3).take_while(|&&byte| byte & 0xc0 == 0x80).count();
            all.drain(..cut);
        }
        match String::from_utf8(all) {
            Ok(text) => text,
            Err(damaged) => String::from_utf8_lossy(damaged.as_bytes()).into_owned(),
        }
    }
}

/// A line that has no newline so far.
#[derive(Debug, Default)]
struct Unfinished {
    text: Vec<u8>,
    cut: bool,
}

#[derive(Debug)]
struct State {
    /// Whether there is an invocation that writes.
    is_open: bool,
    keep_tail: bool,
    ring: Ring,
    bytes: u64,
    /// Bytes that may still go to the sink.
    sink_budget: u64,
    dropped: u64,
    unfinished: [Unfinished; 2],
    /// Lines for the sink, and whose they are.
    batch: LogBatch,
    drain: Option<Arc<LogDrain>>,
    /// The log that gets what is written here instead.
    redirect: Option<InstanceLog>,
}

/// The log of one instance; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct InstanceLog {
    state: Arc<Mutex<State>>,
}

/// What an invocation logged.
#[derive(Debug, Default)]
pub(crate) struct Logged {
    pub(crate) tail: Option<Bytes>,
    pub(crate) bytes: u64,
    pub(crate) dropped: u64,
}

impl InstanceLog {
    /// A log that belongs to nobody yet; `drain` takes its lines, if there is a sink.
    pub(crate) fn new(drain: Option<Arc<LogDrain>>) -> Self {
        let state = State {
            is_open: false,
            keep_tail: false,
            ring: Ring::default(),
            bytes: 0,
            sink_budget: 0,
            dropped: 0,
            unfinished: Default::default(),
            batch: LogBatch::default(),
            drain,
            redirect: None,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Aims the log at an invocation. `tail_bytes` 0 keeps no tail.
    pub(crate) fn begin(
        &self,
        (request_id, function): (&str, &str),
        tail_bytes: usize,
        sink_budget: u64,
    ) {
        let mut state = self.state.lock();
        state.is_open = true;
        if state.drain.is_some() {
            state.batch.begin(request_id, function);
        }
        state.keep_tail = tail_bytes > 0;
        state.ring.clear(tail_bytes);
        state.bytes = 0;
        state.dropped = 0;
        state.sink_budget = sink_budget;
    }

    /// Bytes logged since it was aimed.
    pub(crate) fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }

    /// Ends the invocation: what it logged, with unfinished lines handed on as they are.
    pub(crate) fn end(&self) -> Logged {
        let mut state = self.state.lock();
        if state.drain.is_some() {
            state.finish_lines();
            state.hand_over();
        }
        state.is_open = false;
        let tail = state.keep_tail.then(|| Bytes::from(state.ring.text()));
        Logged { tail, bytes: state.bytes, dropped: state.dropped }
    }

    /// Hands what is written here to another log from now on, or no longer. Where an instance serves several requests, each has a log
    /// of its own, but the guest has one handle.
    pub(crate) fn redirect(&self, to: Option<&Self>) {
        self.state.lock().redirect = to.cloned();
    }

    /// One entry of the logging import.
    pub(crate) fn entry(&self, level: Level, context: &str, message: &str) {
        let mut state = self.state.lock();
        if !state.is_open {
            return;
        }
        // Piece by piece: building the line first would cost an allocation.
        state.count(level.name().as_bytes());
        if !context.is_empty() {
            state.count(b" [");
            state.count(context.as_bytes());
            state.count(b"]");
        }
        state.count(b" ");
        state.count(message.as_bytes());
        state.count(b"\n");
        if state.drain.is_some() {
            for line in message.split('\n') {
                state.line(Stream::Log, level, line.as_bytes(), false);
            }
        }
    }
}

impl LogWriter for InstanceLog {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        let mut state = self.state.lock();
        if let Some(redirect) = state.redirect.clone() {
            drop(state);
            return redirect.write(stream, bytes);
        }
        if !state.is_open {
            // Between invocations there is nobody to attribute a line to.
            return;
        }
        state.count(bytes);
        if state.drain.is_some() {
            state.split(stream, bytes);
        }
    }

    fn current(&self) -> Option<Arc<dyn LogWriter>> {
        let redirect = self.state.lock().redirect.clone();
        redirect.map(|redirect| Arc::new(redirect) as Arc<dyn LogWriter>)
    }
}

impl State {
    fn count(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.keep_tail {
            self.ring.push(bytes);
        }
    }

    fn split(&mut self, stream: Stream, bytes: &[u8]) {
        let (index, level) = match stream {
            Stream::Stdout | Stream::Log => (0, Level::Info),
            Stream::Stderr => (1, Level::Warn),
        };
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let text = &rest[..end];
            rest = &rest[end + 1..];
            if self.unfinished[index].is_empty() {
                // As nearly all lines are: whole in one write, and not copied but into the batch.
                let room = text.len().min(LINE_BYTES_MAX);
                self.line(stream, level, &text[..room], text.len() > room);
                continue;
            }
            let mut line = std::mem::take(&mut self.unfinished[index]);
            line.push(text);
            self.line(stream, level, &line.text, line.cut);
            self.unfinished[index] = line.emptied();
        }
        if !rest.is_empty() {
            self.unfinished[index].push(rest);
        }
    }

    fn finish_lines(&mut self) {
        let streams = [(Stream::Stdout, Level::Info), (Stream::Stderr, Level::Warn)];
        for (index, (stream, level)) in streams.into_iter().enumerate() {
            let line = std::mem::take(&mut self.unfinished[index]);
            if !line.is_empty() {
                self.line(stream, level, &line.text, line.cut);
            }
            self.unfinished[index] = line.emptied();
        }
    }

    fn line(&mut self, stream: Stream, level: Level, text: &[u8], cut: bool) {
        let size = text.len() as u64;
        if size > self.sink_budget {
            self.sink_budget = 0;
            self.dropped += 1;
            return;
        }
        self.sink_budget -= size;
        let cut = cut || text.len() > LINE_BYTES_MAX;
        let text = &text[..text.len().min(LINE_BYTES_MAX)];
        self.batch.push(Mark { stream, level, cut }, text);
        if self.batch.len() >= BATCH_LINES || self.batch.bytes() >= BATCH_BYTES {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if let Some(drain) = &self.drain
            && !self.batch.is_empty()
        {
            self.dropped += drain.push(&self.batch);
            self.batch.rewind();
        }
    }
}

impl Unfinished {
    fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The same without its line; what a long one took is given back.
    fn emptied(mut self) -> Self {
        if self.text.capacity() > UNFINISHED_BYTES_KEPT {
            return Self::default();
        }
        self.text.clear();
        self.cut = false;
        self
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX - self.text.len();
        self.text.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.cut |= bytes.len() > room;
    }
}

#[cfg(test)]
mod tests;
