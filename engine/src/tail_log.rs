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
use std::time::SystemTime;

use bytes::Bytes;
use hearth_host_api::log_stream::LogWriter;
use parking_lot::Mutex;

use crate::log_drain::LogDrain;
use crate::log_lines::{LINE_BYTES_MAX, Level, LogLine, Stream};

/// Lines collected before they are handed to the drain in the middle of an invocation.
const BATCH_LINES: usize = 64;

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
        let (newer, older) = self.bytes.split_at(self.start);
        let mut all = [older, newer].concat();
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

/// Who the log belongs to at the moment.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) request_id: Arc<str>,
    pub(crate) function: Arc<str>,
}

/// A line that has no newline so far.
#[derive(Debug, Default)]
struct Unfinished {
    text: Vec<u8>,
    cut: bool,
}

#[derive(Debug)]
struct State {
    owner: Option<Owner>,
    keep_tail: bool,
    ring: Ring,
    bytes: u64,
    /// Bytes that may still go to the sink.
    sink_budget: u64,
    dropped: u64,
    unfinished: [Unfinished; 2],
    batch: Vec<LogLine>,
    drain: Option<Arc<LogDrain>>,
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
            owner: None,
            keep_tail: false,
            ring: Ring::default(),
            bytes: 0,
            sink_budget: 0,
            dropped: 0,
            unfinished: Default::default(),
            batch: Vec::new(),
            drain,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Aims the log at an invocation. `tail_bytes` 0 keeps no tail.
    pub(crate) fn begin(&self, owner: Owner, tail_bytes: usize, sink_budget: u64) {
        let mut state = self.state.lock();
        state.owner = Some(owner);
        state.keep_tail = tail_bytes > 0;
        state.ring.clear(tail_bytes);
        state.bytes = 0;
        state.dropped = 0;
        state.sink_budget = sink_budget;
    }

    /// Ends the invocation: what it logged, with unfinished lines handed on as they are.
    pub(crate) fn end(&self) -> Logged {
        let mut state = self.state.lock();
        state.finish_lines();
        state.hand_over();
        state.owner = None;
        let tail = state.keep_tail.then(|| Bytes::from(state.ring.text()));
        Logged { tail, bytes: state.bytes, dropped: state.dropped }
    }

    /// One entry of the logging import.
    pub(crate) fn entry(&self, level: Level, context: &str, message: &str) {
        let mut state = self.state.lock();
        if state.owner.is_none() {
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
        if state.owner.is_none() {
            // Between invocations there is nobody to attribute a line to.
            return;
        }
        state.count(bytes);
        if state.drain.is_some() {
            state.split(stream, bytes);
        }
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
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.unfinished[index].push(&rest[..end]);
            let line = std::mem::take(&mut self.unfinished[index]);
            self.line(stream, level, &line.text, line.cut);
            rest = &rest[end + 1..];
        }
        self.unfinished[index].push(rest);
    }

    fn finish_lines(&mut self) {
        let streams = [(Stream::Stdout, Level::Info), (Stream::Stderr, Level::Warn)];
        for (index, (stream, level)) in streams.into_iter().enumerate() {
            let line = std::mem::take(&mut self.unfinished[index]);
            if !line.text.is_empty() {
                self.line(stream, level, &line.text, line.cut);
            }
        }
    }

    fn line(&mut self, stream: Stream, level: Level, text: &[u8], cut: bool) {
        let Some(owner) = &self.owner else { return };
        let size = text.len() as u64;
        if size > self.sink_budget {
            self.sink_budget = 0;
            self.dropped += 1;
            return;
        }
        self.sink_budget -= size;
        let cut = cut || text.len() > LINE_BYTES_MAX;
        let text = &text[..text.len().min(LINE_BYTES_MAX)];
        self.batch.push(LogLine {
            time: SystemTime::now(),
            request_id: owner.request_id.clone(),
            function: owner.function.clone(),
            stream,
            level,
            text: clean(text),
            cut,
        });
        if self.batch.len() >= BATCH_LINES {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if let Some(drain) = &self.drain
            && !self.batch.is_empty()
        {
            self.dropped += drain.push(&mut self.batch);
            self.batch.clear();
        }
    }
}

impl Unfinished {
    fn push(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX - self.text.len();
        self.text.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.cut |= bytes.len() > room;
    }
}

/// Valid UTF-8 in which nothing can end a line, forge another or drive a terminal.
fn clean(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    // Separators of lines and paragraphs end lines elsewhere; the other marks reorder or hide what stands around them.
    let is_mark = |c| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let is_plain = |c: char| (!c.is_control() || c == '\t') && !is_mark(c);
    if text.chars().all(is_plain) {
        return text.into_owned();
    }
    let mut cleaned = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_plain(c) {
            cleaned.push(c);
        } else {
            cleaned.extend(c.escape_default());
        }
    }
    cleaned
}

#[cfg(test)]
mod tests;
