//! Every guest example is whole: its README, its source, and the `.wasm` that tests run.

use std::collections::BTreeSet;

use crate::settle;
use crate::source::sources;
use crate::tree;

const FOLDER: &str = "guest-examples";

/// Folders that hold no guest.
const NO_GUESTS: &[(&str, &str)] =
    &[("bad", "many small guests, looked at below"), ("componentize", "the tool that builds them")];

/// Guests whose `.wasm` is not kept.
const NOT_KEPT: &[(&str, &str)] = &[
    ("js-hello", "12 MB: an engine is inside"),
    ("js-table", "12 MB: an engine is inside"),
    ("python-hello", "18 MB: an interpreter is inside"),
    ("python-table", "18 MB: an interpreter is inside"),
];

/// Guests whose source is another's.
const SOURCE_ELSEWHERE: &[(&str, &str)] =
    &[("rust-command-component", "rust-command"), ("rust-tmp-command", "rust-tmp")];

/// What the sources of a guest end in.
const SOURCES: &[&str] = &[".rs", ".c", ".wat", ".ts", ".js", ".py", ".go"];

fn lists(list: &[(&str, &str)], name: &str) -> bool {
    list.iter().any(|(listed, _)| *listed == name)
}

/// The files of a folder that is given as `/name/`, from there.
fn inside(folder: &str) -> impl Iterator<Item = &'static str> {
    let prefix = format!("{FOLDER}{folder}");
    tree::files().iter().filter_map(move |file| file.path.strip_prefix(prefix.as_str()))
}

fn is_source(path: &str) -> bool {
    SOURCES.iter().any(|ending| path.ends_with(ending))
}

#[test]
fn every_example_is_whole() {
    let folders: BTreeSet<_> =
        inside("/").filter_map(|path| path.split_once('/')).map(|(folder, _)| folder).collect();
    let overview = tree::text("guest-examples/README.md");
    let mut found = Vec::new();
    for folder in folders.iter().filter(|folder| !lists(NO_GUESTS, folder)) {
        let path = format!("{FOLDER}/{folder}");
        let files: Vec<_> = inside(&format!("/{folder}/")).collect();
        if !files.contains(&"README.md") {
            found.push(format!(
                "{path}: add a README.md that says what it shows and how to build and call it"
            ));
        }
        if !files.iter().any(|file| is_source(file)) && !lists(SOURCE_ELSEWHERE, folder) {
            found.push(format!("{path}: no source ({})", SOURCES.join(" ")));
        }
        if !files.contains(&format!("{folder}.wasm").as_str()) && !lists(NOT_KEPT, folder) {
            found.push(format!("{path}: {folder}.wasm is missing; run guest-examples/build.sh {folder} and commit it"));
        }
        if !overview.contains(&format!("[`{folder}`]")) {
            found.push(format!("{path}: has no row in {FOLDER}/README.md"));
        }
    }
    for (name, _) in NO_GUESTS.iter().chain(NOT_KEPT).chain(SOURCE_ELSEWHERE) {
        if !folders.contains(name) {
            found.push(format!("{FOLDER}/{name}: is gone; take it out of tests/tidy/guests.rs"));
        }
    }
    settle("guest example", &found);
}

#[test]
fn every_bad_guest_is_whole() {
    let files: Vec<_> = inside("/bad/").collect();
    let overview = tree::text("guest-examples/bad/README.md");
    let mut found = Vec::new();
    for name in files.iter().filter_map(|file| file.strip_suffix(".wasm")) {
        // `sleeper-component` is `sleeper` in another form.
        let origin = name.trim_end_matches("-component");
        let has_source = [name, origin].iter().any(|name| {
            let folder = format!("{name}/");
            files.contains(&format!("{name}.wat").as_str())
                || files.iter().any(|file| file.starts_with(&folder) && is_source(file))
        });
        if !has_source {
            found.push(format!("{FOLDER}/bad/{name}.wasm: has no source"));
        }
        if !overview.contains(&format!("`{name}`")) {
            found.push(format!("{FOLDER}/bad/{name}.wasm: has no row in {FOLDER}/bad/README.md"));
        }
    }
    for name in files.iter().filter_map(|file| file.strip_suffix(".wat")) {
        if !files.contains(&format!("{name}.wasm").as_str()) {
            found.push(format!(
                "{FOLDER}/bad/{name}.wat: not built; run guest-examples/build.sh {name}"
            ));
        }
    }
    settle("bad guest", &found);
}

#[test]
fn guests_that_tests_name_are_there() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.is_test()) {
        for (number, line) in source.strings.iter().enumerate() {
            for name in line
                .split_whitespace()
                .filter_map(|text| text.trim_matches('"').strip_prefix("bad/"))
            {
                let name = name.trim_end_matches(".wasm");
                let path = format!("{FOLDER}/bad/{name}.wasm");
                if !name.is_empty() && !name.contains(['{', '/']) && tree::file(&path).is_none() {
                    found.push(format!(
                        "{}:{}: names {path}, which is not there",
                        source.path,
                        number + 1
                    ));
                }
            }
        }
    }
    settle("missing guest", &found);
}
