//! Lines on their way to the sink, packed: their text one after another in one buffer, and a few numbers for each.
//!
//! What a guest's thread allocates and the sink's thread frees, or what both count references to, costs each line more than its
//! text does. So a line is copied, into buffers that are used again, and what the sink sees borrows from them.

use std::borrow::Cow;
use std::time::SystemTime;

use crate::log_lines::{Level, LogLine, Stream};

/// Bytes that an emptied buffer may go on holding.
const KEPT_BYTES: usize = 64 << 10;

/// One line but for its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) stream: Stream,
    pub(crate) level: Level,
    pub(crate) cut: bool,
}

/// Packed lines in their order.
#[derive(Debug, Default)]
pub(crate) struct LogBatch {
    /// For each run its request id and its function, then the text of each of its lines.
    text: Vec<u8>,
    runs: Vec<Run>,
    lines: Vec<Line>,
}

/// Lines of one invocation in a row.
#[derive(Debug, Clone, Copy)]
struct Run {
    request_id: usize,
    function: usize,
    lines: usize,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    time: SystemTime,
    text: usize,
    mark: Mark,
}

impl LogBatch {
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Empties it and says whose lines follow.
    pub(crate) fn begin(&mut self, request_id: &str, function: &str) {
        self.clear();
        self.text.extend_from_slice(request_id.as_bytes());
        self.text.extend_from_slice(function.as_bytes());
        let run = Run { request_id: request_id.len(), function: function.len(), lines: 0 };
        self.runs.push(run);
    }

    /// Adds a line of the invocation that was begun last; `text` is as the guest wrote it.
    pub(crate) fn push(&mut self, mark: Mark, text: &[u8]) {
        let Some(run) = self.runs.last_mut() else { return };
        run.lines += 1;
        self.text.extend_from_slice(text);
        self.lines.push(Line { time: SystemTime::now(), text: text.len(), mark });
    }

    /// Whose lines these are, if they are of one invocation.
    pub(crate) fn function(&self) -> Option<&[u8]> {
        let run = self.runs.first()?;
        self.text.get(run.request_id..run.request_id + run.function)
    }

    /// Takes the first lines of `other`, which has those of one invocation.
    pub(crate) fn append(&mut self, other: &Self, lines: usize) {
        let (Some(run), Some(lines)) = (other.runs.first(), other.lines.get(..lines)) else {
            return;
        };
        let text = lines.iter().map(|line| line.text).sum::<usize>();
        let text = other.text.get(..run.request_id + run.function + text);
        self.text.extend_from_slice(text.unwrap_or_default());
        self.runs.push(Run { lines: lines.len(), ..*run });
        self.lines.extend_from_slice(lines);
    }

    /// Forgets the lines but not whose they were.
    pub(crate) fn rewind(&mut self) {
        self.lines.clear();
        self.runs.truncate(1);
        if let Some(run) = self.runs.first_mut() {
            run.lines = 0;
            self.text.truncate(run.request_id + run.function);
        }
    }

    /// Forgets everything; a buffer that one flood made large is not kept.
    pub(crate) fn clear(&mut self) {
        if self.text.capacity() > KEPT_BYTES {
            *self = Self::default();
        }
        self.text.clear();
        self.runs.clear();
        self.lines.clear();
    }

    /// Forgets everything and keeps the buffers, unless little of them was needed this time.
    pub(crate) fn reuse(&mut self) {
        if self.text.len() < self.text.capacity() / 4 {
            self.clear();
        }
        self.text.clear();
        self.runs.clear();
        self.lines.clear();
    }

    /// The lines, unpacked one after another.
    pub(crate) fn iter(&self) -> impl Iterator<Item = LogLine<'_>> {
        let mut text = &*self.text;
        let mut take = move |length: usize| {
            let (taken, rest) = text.split_at_checked(length).unwrap_or((text, &[]));
            text = rest;
            taken
        };
        let mut runs = self.runs.iter();
        let (mut left, mut request_id, mut function) = (0, &[][..], &[][..]);
        self.lines.iter().map(move |line| {
            while left == 0 {
                let Some(run) = runs.next() else { break };
                left = run.lines;
                request_id = take(run.request_id);
                function = take(run.function);
            }
            left = left.saturating_sub(1);
            LogLine {
                time: line.time,
                request_id: String::from_utf8_lossy(request_id),
                function: String::from_utf8_lossy(function),
                stream: line.mark.stream,
                level: line.mark.level,
                text: clean(take(line.text)),
                cut: line.mark.cut,
            }
        })
    }
}

/// Text that can neither forge a line nor drive a terminal.
fn clean(text: &[u8]) -> Cow<'_, str> {
    // Nearly all text is of this kind; without an early end many bytes are looked at in one step.
    let is_printed = |&byte: &u8| (b' '..0x7f).contains(&byte) || byte == b'\t';
    let printed = text.iter().fold(true, |all, byte| all & is_printed(byte));
    let text = String::from_utf8_lossy(text);
    if printed || text.chars().all(is_plain) {
        return text;
    }
    let mut cleaned = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_plain(c) {
            cleaned.push(c);
        } else {
            cleaned.extend(c.escape_default());
        }
    }
    Cow::Owned(cleaned)
}

/// Whether a character only shows itself.
fn is_plain(c: char) -> bool {
    // Separators of lines and paragraphs end lines elsewhere; the other marks reorder or hide what stands around them.
    let is_mark = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    (!c.is_control() || c == '\t') && !is_mark
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark { stream: Stream::Stdout, level: Level::Info, cut: false };

    fn texts(batch: &LogBatch) -> Vec<(String, String, String)> {
        let told = |line: LogLine<'_>| {
            (line.request_id.to_string(), line.function.to_string(), line.text.to_string())
        };
        batch.iter().map(told).collect()
    }

    fn told(id: &str, function: &str, text: &str) -> (String, String, String) {
        (id.to_owned(), function.to_owned(), text.to_owned())
    }

    #[test]
    fn each_line_keeps_its_invocation_through_packing_and_appending() {
        let (mut all, mut batch) = (LogBatch::default(), LogBatch::default());
        batch.begin("a", "s/f");
        batch.push(MARK, b"one");
        batch.push(MARK, b"");
        batch.push(MARK, b"for whom there is no room");
        all.append(&batch, 2);
        batch.rewind();
        batch.push(MARK, b"two");
        all.append(&batch, 1);
        batch.begin("b", "s/g");
        all.append(&batch, 0);
        batch.push(Mark { cut: true, ..MARK }, "zw\u{f6}lf\x1b[2J".as_bytes());
        all.append(&batch, 1);
        let a = |text| told("a", "s/f", text);
        let expected = [a("one"), a(""), a("two"), told("b", "s/g", "zw\u{f6}lf\\u{1b}[2J")];
        assert_eq!(texts(&all), expected);
        assert_eq!(
            all.iter().map(|line| line.cut).collect::<Vec<_>>(),
            [false, false, false, true]
        );
        all.clear();
        assert!(texts(&all).is_empty() && all.bytes() == 0);
    }

    #[test]
    fn a_text_is_as_it_was_unless_it_could_do_something() {
        for plain in ["", "a tab\tand ~", "zw\u{f6}lf \u{1f525}"] {
            assert!(matches!(clean(plain.as_bytes()), Cow::Borrowed(text) if text == plain));
        }
        assert_eq!(clean(b"\x7f\x08\r"), "\\u{7f}\\u{8}\\r");
        assert_eq!(clean("a\u{202e}b\u{2028}".as_bytes()), "a\\u{202e}b\\u{2028}");
        assert_eq!(clean(b"half \xf0\x9f"), "half \u{fffd}");
    }

    #[test]
    fn a_line_of_nobody_is_not_kept() {
        let mut batch = LogBatch::default();
        batch.push(MARK, b"x");
        assert!(batch.is_empty());
    }
}
