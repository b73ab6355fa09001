//! Follows requests over HTTP/1.1 on the wire, and finds what two may read differently: a line feed alone at the end of a line, a length
//! beside a coding, two lengths. The parser lets these pass, as the standard allows; who stands before us may not, and see one request
//! where we see two. So the byte that is found is spoilt before the parser has it, which then answers 400 and closes.
//!
//! Every byte of a connection passes here in its order, so pipelined requests are followed too, behind bodies of a length and behind
//! chunks. Where a body ends is said the same way here and in the parser for all that the parser accepts; whatever else is here it
//! refuses itself, and closes. Bytes of bodies are counted and not looked at, and so many bytes of one line are remembered at most
//! as [`HELD`] says, however it comes in pieces.

use memchr::memchr;

/// The beginning of a line that is kept while its end has not come: enough for a length or the size of a chunk with some blanks.
const HELD: usize = 64;

const LENGTH: &[u8] = b"content-length:";
const CODING: &[u8] = b"transfer-encoding:";
const UPGRADE: &[u8] = b"upgrade:";

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The first line of a head, or empty lines before it.
    Before,
    /// The rest of a head.
    Head,
    /// A body, so many bytes of which are to come.
    Body(u64),
    /// The line with the size of a chunk.
    Size,
    /// A chunk, so many bytes of which are to come.
    Chunk(u64),
    /// The end of the line that a chunk is.
    ChunkEnd,
    /// Lines behind the last chunk.
    Trailers,
    /// What is refused; nothing behind it is read.
    Refused,
}

/// What a head said of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// Follows one connection.
#[derive(Debug)]
pub(super) struct FrameGuard {
    place: Place,
    framing: Framing,
    wants_upgrade: bool,
    /// Whether the last whole head asked for another protocol.
    after_upgrade: bool,
    /// How much of a line has come without its end, and its last byte.
    held: usize,
    last: u8,
    beginning: [u8; HELD],
}

/// A byte that two may read differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ambiguous {
    /// Where it is in what was looked at.
    pub(super) at: usize,
    /// Whether it may be no part of a request at all, because one before asked for another protocol.
    pub(super) after_upgrade: bool,
}

impl FrameGuard {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Before,
            framing: Framing::None,
            wants_upgrade: false,
            after_upgrade: false,
            held: 0,
            last: 0,
            beginning: [0; HELD],
        }
    }

    /// Looks at the bytes that come next; the first that is ambiguous, and none after it.
    pub(super) fn ambiguous(&mut self, bytes: &[u8]) -> Option<Ambiguous> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match self.place {
                Place::Refused => return None,
                Place::Body(left) | Place::Chunk(left) => at += self.pass(left, rest.len()),
                _ => {
                    let Some(end) = memchr(b'\n', rest) else {
                        self.hold(rest);
                        return None;
                    };
                    let line = rest.get(..end).unwrap_or_default();
                    at += end + 1;
                    let is_let_pass = self.is_let_pass(line);
                    let Some(next) = self.end_line(line) else {
                        self.place = Place::Refused;
                        let after_upgrade = self.after_upgrade;
                        return is_let_pass.then_some(Ambiguous { at: at - 1, after_upgrade });
                    };
                    self.place = next;
                }
            }
        }
        None
    }

    /// Whether the parser would take a line as it is. Around chunks it refuses a line feed alone itself, but would take another byte in
    /// its place for a part of an extension.
    fn is_let_pass(&self, piece: &[u8]) -> bool {
        let held = (self.held > 0).then_some(self.last);
        let has_return = piece.last().copied().or(held) == Some(b'\r');
        has_return || !matches!(self.place, Place::Size | Place::ChunkEnd)
    }

    /// Passes over bytes of a body; how many.
    fn pass(&mut self, left: u64, here: usize) -> usize {
        let passed = usize::try_from(left).unwrap_or(usize::MAX).min(here);
        let left = left - passed as u64;
        self.place = match (self.place, left) {
            (Place::Chunk(_), 0) => Place::ChunkEnd,
            (Place::Chunk(_), left) => Place::Chunk(left),
            (_, 0) => Place::Before,
            (_, left) => Place::Body(left),
        };
        passed
    }

    /// Keeps the beginning of a line whose end has not come.
    fn hold(&mut self, piece: &[u8]) {
        let room = self.beginning.get_mut(self.held.min(HELD)..).unwrap_or_default();
        for (place, byte) in room.iter_mut().zip(piece) {
            *place = *byte;
        }
        self.held = self.held.saturating_add(piece.len());
        self.last = piece.last().copied().unwrap_or(self.last);
    }

    /// Reads a line whose line feed has come; what follows it, or none if it is ambiguous.
    fn end_line(&mut self, piece: &[u8]) -> Option<Place> {
        if self.held == 0 {
            // As nearly every line: it came as a whole.
            let line = piece.strip_suffix(b"\r")?;
            return self.after_line(line, line.len());
        }
        self.hold(piece);
        let length = std::mem::take(&mut self.held).checked_sub(1)?;
        if self.last != b'\r' {
            return None;
        }
        let kept = self.beginning;
        self.after_line(kept.get(..length.min(HELD))?, length)
    }

    /// What follows a line of such a beginning and length; none if it is ambiguous.
    fn after_line(&mut self, line: &[u8], length: usize) -> Option<Place> {
        match self.place {
            Place::Before if length == 0 => Some(Place::Before),
            Place::Before => {
                self.framing = Framing::None;
                self.wants_upgrade = false;
                Some(Place::Head)
            }
            Place::Head if length == 0 => {
                self.after_upgrade = self.wants_upgrade;
                Some(match self.framing {
                    Framing::None | Framing::Length(0) => Place::Before,
                    Framing::Length(length) => Place::Body(length),
                    Framing::Chunked => Place::Size,
                })
            }
            Place::Head => self.header(line, length).then_some(Place::Head),
            Place::Size => match size(line)? {
                0 => Some(Place::Trailers),
                size => Some(Place::Chunk(size)),
            },
            Place::ChunkEnd => (length == 0).then_some(Place::Size),
            Place::Trailers if length == 0 => Some(Place::Before),
            Place::Trailers => Some(Place::Trailers),
            Place::Body(_) | Place::Chunk(_) | Place::Refused => None,
        }
    }

    /// Reads a header; false if it is ambiguous.
    fn header(&mut self, line: &[u8], length: usize) -> bool {
        // Few headers begin with one of these.
        match line.first().map(u8::to_ascii_lowercase) {
            Some(b'c') => {
                let Some(value) = value_of(line, LENGTH) else { return true };
                let number = (length <= HELD).then(|| number(value)).flatten();
                let Some(number) = number.filter(|_| self.framing == Framing::None) else {
                    return false;
                };
                self.framing = Framing::Length(number);
            }
            Some(b't') if value_of(line, CODING).is_some() => {
                if self.framing != Framing::None {
                    return false;
                }
                self.framing = Framing::Chunked;
            }
            Some(b'u') => self.wants_upgrade |= value_of(line, UPGRADE).is_some(),
            _ => {}
        }
        true
    }
}

/// What stands behind a name, in any case.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (beginning, value) = line.split_at_checked(name.len())?;
    beginning.eq_ignore_ascii_case(name).then_some(value)
}

/// Digits between blanks.
fn number(text: &[u8]) -> Option<u64> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !is_blank(byte))?;
    let end = text.iter().rposition(|byte| !is_blank(byte))?;
    let digits = text.get(start..=end)?;
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// The size that a chunk's first line says, before blanks or an extension.
fn size(line: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(u64::from);
    let digits = line.iter().map_while(digit);
    let count = digits.clone().count();
    let is_end = matches!(line.get(count), None | Some(b' ' | b'\t' | b';'));
    // One that fills all that is kept may go on behind it.
    if !is_end || count == 0 || count >= HELD {
        return None;
    }
    let mut digits = digits;
    digits.try_fold(0_u64, |size, digit| size.checked_mul(16)?.checked_add(digit))
}

#[cfg(test)]
#[path = "frame_guard_tests.rs"]
mod tests;
