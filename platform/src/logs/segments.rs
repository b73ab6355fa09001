//! Log files: lines of JSON, in segments named by a number that grows. The newest is appended to; the oldest goes when all are too
//! large. Nothing is synced.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearth_engine::LogLine;
use memchr::memmem::Finder;

use super::entry::Written;
use super::{LogEntry, LogQuery};

/// The longest line of a file that is read: text, escapes and names.
const LINE_BYTES_MAX: u64 = 256 * 1024;

#[derive(Debug)]
pub(super) struct Segments {
    dir: PathBuf,
    segment_bytes: u64,
    disk_bytes: u64,
    /// Number and size, oldest first; the last is the one appended to.
    known: VecDeque<(u64, u64)>,
    file: File,
    /// Lines on their way to it; of bounded size, as the engine hands over a bounded batch.
    buffer: Vec<u8>,
}

impl Segments {
    pub(super) fn open(dir: &Path, segment_bytes: u64, disk_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut known = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".jsonl"));
            if let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) {
                known.push((number, entry.metadata()?.len()));
            }
        }
        known.sort_unstable();
        // A new one each time: the last line of the old one may have been cut short by a crash.
        let next = known.last().map_or(1, |(number, _)| number.saturating_add(1));
        let file = create(dir, next)?;
        let mut known: VecDeque<_> = known.into();
        known.push_back((next, 0));
        let mut segments = Self {
            dir: dir.to_owned(),
            segment_bytes,
            disk_bytes,
            known,
            file,
            buffer: Vec::new(),
        };
        segments.trim()?;
        Ok(segments)
    }

    pub(super) fn append(&mut self, lines: &[LogLine<'_>]) -> io::Result<()> {
        self.buffer.clear();
        for line in lines {
            serde_json::to_writer(&mut self.buffer, &Written::from(line))?;
            self.buffer.push(b'\n');
        }
        self.file.write_all(&self.buffer)?;
        let Some((number, size)) = self.known.back_mut() else { return Ok(()) };
        *size += self.buffer.len() as u64;
        if *size >= self.segment_bytes {
            let next = number.saturating_add(1);
            self.file = create(&self.dir, next)?;
            self.known.push_back((next, 0));
        }
        self.trim()
    }

    fn trim(&mut self) -> io::Result<()> {
        while self.known.len() > 1
            && self.known.iter().map(|(_, size)| size).sum::<u64>() > self.disk_bytes
        {
            let Some((number, _)) = self.known.pop_front() else { break };
            fs::remove_file(path(&self.dir, number))?;
        }
        Ok(())
    }

    /// The files, newest first.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.known.iter().rev().map(|(number, _)| path(&self.dir, *number)).collect()
    }
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.jsonl"))
}

fn create(dir: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path(dir, number))
}

/// The newest lines that match, oldest first. Files that went meanwhile and lines cut short are passed over.
pub(super) fn find(paths: &[PathBuf], query: &LogQuery) -> io::Result<Vec<Arc<LogEntry>>> {
    // As it stands in the lines that may match. Most lines of a file are of others, and are not parsed.
    let function = serde_json::to_string(&query.function)?;
    let function = Finder::new(&function);
    let mut found: VecDeque<Arc<LogEntry>> = VecDeque::new();
    for path in paths {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut here: VecDeque<Arc<LogEntry>> = VecDeque::new();
        let room = query.limit() - found.len();
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        while lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? > 0 {
            let may_match = function.find(&line).is_some();
            if let Some(entry) = may_match.then(|| parse(&line, query)).flatten() {
                here.push_back(Arc::new(entry));
                if here.len() > room {
                    here.pop_front();
                }
            }
            line.clear();
        }
        // Files come newest first, lines in them oldest first.
        for entry in here.into_iter().rev() {
            found.push_front(entry);
        }
        if found.len() == query.limit() {
            break;
        }
    }
    Ok(found.into())
}

fn parse(line: &[u8], query: &LogQuery) -> Option<LogEntry> {
    serde_json::from_slice(line).ok().filter(|entry| query.takes(entry))
}
