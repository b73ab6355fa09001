//! Nothing is left for later in silence: no stubs, no tests switched off, no notes that nobody will read.

use crate::settle;
use crate::source::{has, sources};

/// Code that stands for code to come, or for a test that does not run.
const STUBS: &[(&str, &str)] = &[
    ("todo!", "write it, or return a typed error"),
    ("unimplemented!", "write it, or return a typed error"),
    ("#[ignore", "a test that does not run proves nothing; mend it or delete it"),
    ("should_panic", "assert on the error; a panic in the host is never the right answer"),
    ("dbg!", "take it out"),
];

/// Notes to oneself.
const NOTES: &[&str] = &["FIXME", "XXX", "HACK"];

#[test]
fn nothing_is_left_for_later() {
    let mut found = Vec::new();
    for source in sources() {
        let place = |number: usize| format!("{}:{}", source.path, number + 1);
        for (number, line) in source.code.iter().enumerate() {
            for (stub, instead) in STUBS.iter().filter(|(stub, _)| has(line, stub)) {
                found.push(format!("{}: `{stub}`: {instead}", place(number)));
            }
        }
        for (number, line) in source.comments.iter().enumerate() {
            if let Some(note) = NOTES.iter().find(|note| has(line, note)) {
                found.push(format!(
                    "{}: `{note}`: do it now, or open an issue and name it",
                    place(number)
                ));
            }
            // A later task is fine where it has a number: TODO(#12).
            if line
                .match_indices("TODO")
                .any(|(at, _)| !line.get(at..).is_some_and(|rest| rest.starts_with("TODO(#")))
            {
                found.push(format!(
                    "{}: write TODO(#n) with the number of its issue",
                    place(number)
                ));
            }
        }
    }
    settle("left for later", &found);
}
