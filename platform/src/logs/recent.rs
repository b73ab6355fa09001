//! Recent lines in memory, per function. Bounded by lines of one function and by bytes of all.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::{LogEntry, LogQuery};

/// Functions whose recency is tracked exactly; beyond it the heaviest goes when room is needed.
#[derive(Debug)]
pub(super) struct Recent {
    lines_per_function: usize,
    bytes_max: usize,
    bytes: usize,
    /// Counts lines; says who logged least recently.
    tick: u64,
    functions: HashMap<Arc<str>, Lines>,
    /// Whether any line was let go, or may be in files from before: then memory is not the whole story for anybody unknown here.
    partial: bool,
}

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<Arc<LogEntry>>,
    bytes: usize,
    last: u64,
}

impl Recent {
    pub(super) fn new(lines_per_function: usize, bytes_max: usize) -> Self {
        Self {
            lines_per_function: lines_per_function.max(1),
            bytes_max,
            bytes: 0,
            tick: 0,
            functions: HashMap::new(),
            partial: true,
        }
    }

    pub(super) fn push(&mut self, entry: Arc<LogEntry>) {
        self.tick += 1;
        let weight = entry.weight();
        let lines = self.functions.entry(entry.function.clone()).or_default();
        lines.last = self.tick;
        lines.bytes += weight;
        self.bytes += weight;
        lines.lines.push_back(entry);
        while lines.lines.len() > self.lines_per_function || lines.bytes > self.bytes_max {
            let Some(old) = lines.lines.pop_front() else { break };
            lines.bytes -= old.weight();
            self.bytes -= old.weight();
        }
        while self.bytes > self.bytes_max {
            let oldest = self.functions.iter().min_by_key(|(_, lines)| lines.last);
            let Some(name) = oldest.map(|(name, _)| name.clone()) else { break };
            if let Some(lines) = self.functions.remove(&name) {
                self.bytes -= lines.bytes;
            }
        }
    }

    /// The newest lines that match, oldest first, and whether no older ones can be in files.
    pub(super) fn find(&self, query: &LogQuery) -> (Vec<Arc<LogEntry>>, bool) {
        let Some(lines) = self.functions.get(query.function.as_str()) else {
            return (Vec::new(), !self.partial);
        };
        let matching = lines.lines.iter().rev().filter(|entry| query.takes(entry));
        let mut found: Vec<_> = matching.take(query.limit()).cloned().collect();
        found.reverse();
        let oldest = lines.lines.front().map_or(u64::MAX, |entry| entry.time_ms);
        // Older than the question reaches: files cannot add anything.
        let whole = query.since_ms.is_some_and(|since| oldest < since);
        (found, whole)
    }
}
