//! Files and functions that fit into a head: each says what it is, and none is long.

use crate::settle;
use crate::source::{Source, is_word, sources};
use crate::tree;

/// Lines of a file: what most stay under, and what all do.
const FILE_LINES_AIM: usize = 400;
const FILE_LINES_MAX: usize = 500;

/// The share of files, in percent, that must keep the aim.
const FILES_WITHIN_AIM: usize = 95;

/// Lines of a function, from its `fn` to its last brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Files that may be longer, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Functions that may be longer, as `file fn`, each with the reason.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];

#[test]
fn every_source_says_what_it_is_in_its_first_line() {
    let headless = |file: &&tree::File| !file.text().starts_with("//!");
    let found: Vec<_> = tree::ending(".rs")
        .filter(headless)
        .map(|file| format!("{}: begin it with a `//!` line that says what it is", file.path))
        .collect();
    settle("module head missing", &found);
}

#[test]
fn files_are_short() {
    let mut found = Vec::new();
    let mut beyond_aim = Vec::new();
    for source in sources() {
        let lines = source.code.len();
        let is_listed = LONG_FILES.iter().any(|(path, _)| *path == source.path);
        if lines > FILE_LINES_MAX && !is_listed {
            found.push(format!(
                "{}: {lines} lines, at most {FILE_LINES_MAX}; make two rooms of it, or list it in LONG_FILES with the reason",
                source.path
            ));
        }
        if lines <= FILE_LINES_MAX && is_listed {
            found.push(format!("{}: {lines} lines, so LONG_FILES need not list it", source.path));
        }
        if lines > FILE_LINES_AIM {
            beyond_aim.push(source.path);
        }
    }
    found.extend(gone(LONG_FILES, |path| tree::file(path).is_some()));
    if beyond_aim.len() * 100 > sources().len() * (100 - FILES_WITHIN_AIM) {
        found.push(format!(
            "more than {} % of all files are over {FILE_LINES_AIM} lines; shorten some of {}",
            100 - FILES_WITHIN_AIM,
            beyond_aim.join(", ")
        ));
    }
    settle("file too long", &found);
}

#[test]
fn functions_are_short() {
    let mut found = Vec::new();
    let mut seen = Vec::new();
    for source in sources() {
        for function in functions(source) {
            let name = format!("{} {}", source.path, function.name);
            let lines = function.last - function.first + 1;
            if lines > FUNCTION_LINES_MAX {
                seen.push(name.clone());
                if !LONG_FUNCTIONS.iter().any(|(listed, _)| *listed == name) {
                    found.push(format!(
                        "{}:{}: `{}` has {lines} lines, at most {FUNCTION_LINES_MAX}; give a step of it a name",
                        source.path,
                        function.first + 1,
                        function.name
                    ));
                }
            }
        }
    }
    found.extend(gone(LONG_FUNCTIONS, |name| seen.iter().any(|seen| seen == name)));
    settle("function too long", &found);
}

/// Exceptions that nothing needs any more.
pub(crate) fn gone<'a>(
    list: &'a [(&'a str, &'a str)],
    is_needed: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = String> + 'a {
    list.iter().filter(move |(name, _)| !is_needed(name)).map(|(name, reason)| {
        format!("{name}: no longer needs its exception ({reason}); remove it")
    })
}

struct Function {
    name: String,
    first: usize,
    last: usize,
}

/// The functions with a body, nested ones too, by counting braces.
fn functions(source: &Source) -> Vec<Function> {
    let mut found = Vec::new();
    for (first, line) in source.code.iter().enumerate() {
        for (at, _) in line.match_indices("fn ") {
            let is_name = at > 0 && line.as_bytes().get(at - 1).is_some_and(|byte| is_word(*byte));
            let name: String =
                line[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if is_name || name.is_empty() {
                continue;
            }
            if let Some(last) = end_of_body(&source.code, first, at) {
                found.push(Function { name, first, last });
            }
        }
    }
    found
}

/// The line of the brace that closes the function that begins at this place; none for one without a body.
fn end_of_body(code: &[String], first: usize, column: usize) -> Option<usize> {
    let (mut inside, mut braces) = (0_i32, 0_i32);
    for (number, line) in code.iter().enumerate().skip(first) {
        let line = if number == first { &line[column..] } else { line };
        for byte in line.bytes() {
            match byte {
                b'(' | b'[' => inside += 1,
                b')' | b']' => inside -= 1,
                b';' if inside == 0 && braces == 0 => return None,
                b'{' => braces += 1,
                b'}' => {
                    braces -= 1;
                    if braces == 0 && inside == 0 {
                        return Some(number);
                    }
                }
                _ => {}
            }
        }
    }
    None
}
