//! Rust sources, taken apart just far enough: what is code, what is in strings, what is comment.
//!
//! Each view has the lines of the file with everything else blanked out, so that a word in a comment is never taken for code.

use std::sync::OnceLock;

use crate::reach;
use crate::tree;

/// One `.rs` file.
pub(crate) struct Source {
    pub(crate) path: &'static str,
    pub(crate) code: Vec<String>,
    pub(crate) strings: Vec<String>,
    pub(crate) comments: Vec<String>,
    /// The first line that only tests have; the number of lines if there is none.
    pub(crate) tests_from: usize,
}

impl Source {
    fn of(file: &'static tree::File) -> Self {
        let [code, strings, comments] = split(file.bytes());
        let tests_from = code.iter().position(|line| line.starts_with("#[cfg(test)]"));
        // Only a module with a body at the end of the file counts; `mod tests;` is another file.
        let tests_from = tests_from.filter(|at| {
            code.get(at + 1).is_some_and(|next| next.contains("mod ") && next.contains('{'))
        });
        Self {
            path: &file.path,
            tests_from: tests_from.unwrap_or(code.len()),
            code,
            strings,
            comments,
        }
    }

    /// Whether the whole file is only built for tests.
    pub(crate) fn is_test(&self) -> bool {
        ["tests/", "benches/"].iter().any(|room| self.path.starts_with(room))
            || reach::test_only().contains(self.path)
    }
}

/// All sources.
pub(crate) fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(|| tree::ending(".rs").map(Source::of).collect())
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Code,
    LineComment,
    BlockComment(u32),
    Text,
    RawText(usize),
}

/// Code, strings and comments of a file, each by line.
fn split(bytes: &[u8]) -> [Vec<String>; 3] {
    let mut views = [vec![b' '; bytes.len()], vec![b' '; bytes.len()], vec![b' '; bytes.len()]];
    let mut state = State::Code;
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let (next, length) = step(state, rest, at.checked_sub(1).and_then(|at| bytes.get(at)));
        let view = match (state, next) {
            (State::Text | State::RawText(_), _) => 1,
            // A character is text too: a lone bracket in one must not be counted.
            (State::Code, State::Code) if rest[0] == b'\'' && length > 1 => 1,
            (State::Code, State::Code) => 0,
            (State::Code, State::Text | State::RawText(_)) => 0,
            (State::LineComment | State::BlockComment(_), _) => 2,
            (State::Code, State::LineComment | State::BlockComment(_)) => 2,
        };
        views[view][at..at + length].copy_from_slice(&rest[..length]);
        for place in at..at + length {
            if bytes[place] == b'\n' {
                views.iter_mut().for_each(|view| view[place] = b'\n');
            }
        }
        at += length;
        state = next;
    }
    views.map(|view| String::from_utf8_lossy(&view).lines().map(str::to_owned).collect())
}

/// What follows, and how many bytes lead there.
fn step(state: State, rest: &[u8], before: Option<&u8>) -> (State, usize) {
    match state {
        State::Code if rest.starts_with(b"//") => (State::LineComment, 2),
        State::Code if rest.starts_with(b"/*") => (State::BlockComment(1), 2),
        State::Code if rest[0] == b'"' => (State::Text, 1),
        State::Code
            if rest[0] == b'r' && !before.is_some_and(|byte| is_word(*byte) && *byte != b'b') =>
        {
            let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
            if rest.get(1 + hashes) == Some(&b'"') {
                (State::RawText(hashes), 2 + hashes)
            } else {
                (State::Code, 1)
            }
        }
        State::Code if rest[0] == b'\'' => (State::Code, character(rest)),
        State::Code => (State::Code, 1),
        State::LineComment if rest[0] == b'\n' => (State::Code, 1),
        State::BlockComment(depth) if rest.starts_with(b"/*") => {
            (State::BlockComment(depth + 1), 2)
        }
        State::BlockComment(1) if rest.starts_with(b"*/") => (State::Code, 2),
        State::BlockComment(depth) if rest.starts_with(b"*/") => {
            (State::BlockComment(depth - 1), 2)
        }
        State::Text if rest[0] == b'\\' => (State::Text, rest.len().min(2)),
        State::Text if rest[0] == b'"' => (State::Code, 1),
        State::RawText(hashes)
            if rest[0] == b'"'
                && rest[1..].iter().take_while(|byte| **byte == b'#').count() >= hashes =>
        {
            (State::Code, 1 + hashes)
        }
        same => (same, 1),
    }
}

/// Bytes of a character literal; 1 for the tick of a lifetime.
fn character(rest: &[u8]) -> usize {
    let is_escaped = rest.get(1) == Some(&b'\\');
    let from = if is_escaped { 3 } else { 2 };
    // A character has at most four bytes, an escape such as \u{10ffff} ten.
    let until = if is_escaped { 12 } else { 6 };
    let close = (from..until).find(|at| rest.get(*at) == Some(&b'\''));
    match close {
        Some(close) if is_escaped || !rest[1].is_ascii() || close == 2 => close + 1,
        _ => 1,
    }
}

/// Whether a byte can be part of a name.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether `needle` stands in `line`, not as part of a longer name.
pub(crate) fn has(line: &str, needle: &str) -> bool {
    let bytes = line.as_bytes();
    let cuts = |edge: Option<u8>, beyond: Option<&u8>| {
        !(edge.is_some_and(is_word) && beyond.is_some_and(|byte| is_word(*byte)))
    };
    line.match_indices(needle).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        cuts(needle.bytes().next(), before)
            && cuts(needle.bytes().last(), bytes.get(at + needle.len()))
    })
}

#[test]
fn comments_strings_and_code_are_told_apart() {
    let text = "let a = 'x'; // note \"no\"\nlet b: &'a str = \"in // it\"; /* one /* two */ */ c\n\
                let d = r#\"raw \" text\"#; let e = b'\\''; let f = '\\u{1f600}'; let g = '\u{e9}';\n";
    let [code, strings, comments] = split(text.as_bytes());
    let squeezed = |lines: &[String]| {
        lines
            .iter()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        squeezed(&code),
        ["let a = ;", "let b: &'a str = \" ; c", "let d = r#\" ; let e = b ; let f = ; let g = ;"]
    );
    assert_eq!(
        squeezed(&strings),
        ["'x'", "in // it\"", "raw \" text\"# '\\'' '\\u{1f600}' '\u{e9}'"]
    );
    assert_eq!(squeezed(&comments), ["// note \"no\"", "/* one /* two */ */", ""]);
    assert!(has("let x = unsafe { 1 };", "unsafe") && !has("#[deny(unsafe_code)]", "unsafe"));
    assert!(has("Config::new()", "Config::new()") && !has("PoolConfig::new()", "Config::new()"));
}
