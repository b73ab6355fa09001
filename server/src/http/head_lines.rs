//! The ends of lines in the head of a request over HTTP/1.1. The parser takes a line feed alone for one, as the standard lets it; who stands
//! before us may not, and see one header where we see two. So such a head is spoilt before it is parsed, and answered 400.
//!
//! Looked at are the heads that come while nothing else is under way, and those behind them that come at once, as far as the requests
//! have no bodies: where a body ends, only the parser knows.

/// Watches the heads of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeadLines {
    /// The byte before.
    last: u8,
    /// Bytes of the line so far, up to its end.
    line: usize,
    /// Its first bytes, in lower case: enough to know the headers that announce a body.
    beginning: [u8; BEGINNING],
    /// Whether a line has come, so that an empty one is the end.
    begun: bool,
    /// Whether a body follows.
    has_body: bool,
}

const BEGINNING: usize = 18;

/// What announces a body, as the beginning of a line.
const ANNOUNCE: [&[u8]; 2] = [b"content-length:", b"transfer-encoding:"];

impl HeadLines {
    pub(super) fn new() -> Self {
        Self { last: 0, line: 0, beginning: [0; BEGINNING], begun: false, has_body: false }
    }

    /// Looks at more bytes; where the first line feed alone is, if there is one.
    pub(super) fn bare_line_feed(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, &byte) in bytes.iter().enumerate() {
            if byte == b'\n' {
                if self.last != b'\r' {
                    return Some(at);
                }
                if self.end_line() {
                    return None;
                }
            } else if byte != b'\r' {
                if let Some(place) = self.beginning.get_mut(self.line) {
                    *place = byte.to_ascii_lowercase();
                }
                self.line += 1;
            }
            self.last = byte;
        }
        None
    }

    /// Whether nothing after this line can be known to be a head.
    fn end_line(&mut self) -> bool {
        let is_empty = self.line == 0;
        self.has_body |= ANNOUNCE.iter().any(|name| self.beginning.starts_with(name));
        self.beginning = [0; BEGINNING];
        self.line = 0;
        if is_empty && self.begun {
            let has_body = self.has_body;
            *self = Self::new();
            return has_body;
        }
        self.begun |= !is_empty;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<usize> {
        let whole = HeadLines::new().bare_line_feed(text.as_bytes());
        let mut pieces = HeadLines::new();
        let one_by_one =
            (0..text.len()).find(|at| pieces.bare_line_feed(&text.as_bytes()[*at..=*at]).is_some());
        if whole.is_some() {
            assert_eq!(whole, one_by_one, "it does not matter how they come");
        }
        whole
    }

    #[test]
    fn a_line_feed_alone_is_found_in_heads() {
        for text in ["GET / HTTP/1.1\r\nhost: x\r\n\r\n", "\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n"] {
            assert_eq!(found(text), None);
            assert_eq!(found(&format!("{text}{text}")), None);
            assert_eq!(found(&format!("{text}GET / HTTP/1.1\n")), Some(text.len() + 14));
        }
        for text in ["GET / HTTP/1.1\nhost: x\r\n\r\n", "\nGET /", "a\r\nb: c\n\r\n", "a\r\r\nb\n"]
        {
            let at = text.replace("\r\n", "__").find('\n');
            assert_eq!(found(text), at, "{text:?}");
        }
    }

    #[test]
    fn bodies_are_not_looked_at() {
        for announced in ["Content-Length: 3", "transfer-ENCODING: chunked"] {
            assert_eq!(found(&format!("POST / HTTP/1.1\r\n{announced}\r\n\r\na\nb")), None);
        }
        let other = "GET / HTTP/1.1\r\nx-content-length: 3\r\n\r\na\nb";
        assert!(found(other).is_some());
    }
}
