//! Names that say nothing attract everything; they are not used here.

use crate::settle;
use crate::source::{is_word, sources};

/// Words that name no idea.
const EMPTY_WORDS: &[&str] =
    &["manager", "helper", "helpers", "util", "utils", "common", "misc", "base"];

/// What a type's name follows.
const TYPE_WORDS: &[&str] = &["struct ", "enum ", "trait ", "type ", "union "];

#[test]
fn files_and_types_have_names_that_say_something() {
    let mut found = Vec::new();
    for source in sources() {
        for part in source.path.trim_end_matches(".rs").split('/') {
            if let Some(word) = part.split(['_', '-']).find(|word| EMPTY_WORDS.contains(word)) {
                found.push(format!(
                    "{}: `{word}` says nothing; name the idea it holds",
                    source.path
                ));
            }
        }
        for (number, line) in source.code.iter().enumerate() {
            for name in types(line) {
                if let Some(word) =
                    words(name).into_iter().find(|word| EMPTY_WORDS.contains(&word.as_str()))
                {
                    let path = source.path;
                    found.push(format!(
                        "{path}:{}: `{name}`: `{word}` says nothing; name the idea it holds",
                        number + 1
                    ));
                }
            }
        }
    }
    settle("empty name", &found);
}

/// The types that a line declares.
fn types(line: &str) -> impl Iterator<Item = &str> {
    TYPE_WORDS.iter().filter_map(move |word| {
        let at = line.find(word)?;
        let is_own_word =
            at == 0 || !line.as_bytes().get(at - 1).is_some_and(|byte| is_word(*byte));
        let name = line.get(at + word.len()..)?;
        let end = name.bytes().position(|byte| !is_word(byte)).unwrap_or(name.len());
        name.get(..end).filter(|name| is_own_word && !name.is_empty())
    })
}

/// The words of a name in camel case.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::<String>::new();
    for letter in name.chars() {
        if letter.is_uppercase() || words.is_empty() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(letter.to_lowercase());
        }
    }
    words
}

#[test]
fn names_are_taken_apart_at_their_capitals() {
    assert_eq!(words("PoolManager"), ["pool", "manager"]);
    assert_eq!(words("Database"), ["database"]);
    assert_eq!(types("pub(crate) struct CommonState<T> {").collect::<Vec<_>>(), ["CommonState"]);
}
