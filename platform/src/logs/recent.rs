//! Recent lines in memory, per function. Bounded by lines of one function and by bytes of all.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hearth_engine::LogLine;

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

#[derive(Debug)]
struct Lines {
    name: Arc<str>,
    lines: VecDeque<Arc<LogEntry>>,
    bytes: usize,
    last: u64,
}

impl Lines {
    fn new(name: Arc<str>) -> Self {
        Self { name, lines: VecDeque::new(), bytes: 0, last: 0 }
    }

    /// Adds a line; of more than `max` the oldest goes, and the new one takes over its memory.
    fn push(&mut self, line: &LogLine<'_>, max: usize) {
        let newest = self.lines.back().map(|newest| &newest.request_id);
        let request_id = match newest.filter(|id| ***id == *line.request_id) {
            Some(same) => same.clone(),
            None => Arc::from(&*line.request_id),
        };
        let owner = (request_id, self.name.clone());
        let mut old = if self.lines.len() < max { None } else { self.pop() };
        let entry = match old.as_mut().and_then(Arc::get_mut) {
            Some(entry) => {
                *entry = LogEntry::new(line, owner, std::mem::take(&mut entry.text));
                old
            }
            // None went, or somebody is still looking at it.
            None => Some(Arc::new(LogEntry::new(line, owner, String::new()))),
        };
        let Some(entry) = entry else { return };
        self.bytes += entry.weight();
        self.lines.push_back(entry);
    }

    fn pop(&mut self) -> Option<Arc<LogEntry>> {
        let old = self.lines.pop_front()?;
        self.bytes -= old.weight();
        Some(old)
    }
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

    pub(super) fn push(&mut self, lines: &[LogLine<'_>]) {
        for of_one in lines.chunk_by(|one, next| one.function == next.function) {
            self.push_of_one(of_one);
        }
        while self.bytes > self.bytes_max {
            let oldest = self.functions.iter().min_by_key(|(_, lines)| lines.last);
            let Some(name) = oldest.map(|(name, _)| name.clone()) else { break };
            if let Some(lines) = self.functions.remove(&name) {
                self.bytes -= lines.bytes;
            }
        }
    }

    /// Lines of one function.
    fn push_of_one(&mut self, new: &[LogLine<'_>]) {
        let Some(first) = new.first() else { return };
        if !self.functions.contains_key(&*first.function) {
            let name: Arc<str> = Arc::from(&*first.function);
            self.functions.insert(name.clone(), Lines::new(name));
        }
        let Some(lines) = self.functions.get_mut(&*first.function) else { return };
        self.tick += 1;
        lines.last = self.tick;
        self.bytes -= lines.bytes;
        for line in new {
            lines.push(line, self.lines_per_function);
            while lines.bytes > self.bytes_max {
                lines.pop();
            }
        }
        self.bytes += lines.bytes;
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
