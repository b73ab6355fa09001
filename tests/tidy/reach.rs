//! Every source file is part of something that is built: reachable by `mod` from a target.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use crate::manifest::{Manifest, manifests};
use crate::settle;
use crate::source::sources;
use crate::tree;

/// Files that cargo finds without being told, from a crate's folder.
const ROOTS: &[&str] = &["src/lib.rs", "src/main.rs", "build.rs"];

/// Folders whose files are targets of their own.
const TARGET_FOLDERS: &[&str] = &["src/bin/", "examples/", "tests/", "benches/"];

#[test]
fn no_source_is_an_orphan() {
    let found: Vec<_> = sources()
        .iter()
        .filter(|source| !reached().contains_key(source.path))
        .map(|source| {
            format!("{}: nothing builds it; add its `mod` line or delete it", source.path)
        })
        .collect();
    settle("orphan", &found);
}

/// The files that are built for tests alone.
pub(crate) fn test_only() -> &'static BTreeSet<String> {
    static TEST_ONLY: OnceLock<BTreeSet<String>> = OnceLock::new();
    TEST_ONLY.get_or_init(|| {
        let tests = reached().iter().filter(|(_, is_test)| **is_test);
        tests.map(|(path, _)| path.clone()).collect()
    })
}

/// Every file that a target reaches, and whether only tests do.
fn reached() -> &'static BTreeMap<String, bool> {
    static REACHED: OnceLock<BTreeMap<String, bool>> = OnceLock::new();
    REACHED.get_or_init(|| {
        let mut reached = BTreeMap::new();
        for manifest in manifests().iter().filter(|manifest| manifest.name().is_some()) {
            for root in targets(manifest) {
                follow(&root, true, false, &mut reached);
            }
        }
        reached
    })
}

fn targets(manifest: &Manifest) -> Vec<String> {
    let folder = manifest.folder;
    let is_auto = manifest.value("package", "autotests") != Some("false");
    let is_root = |path: &str| {
        let Some(inside) = path.strip_prefix(folder).and_then(|path| path.strip_prefix('/')) else {
            return false;
        };
        let is_own_target = |start: &&&str| {
            inside.strip_prefix(**start).is_some_and(|rest| {
                !rest.contains('/')
                    || (rest.ends_with("/main.rs") && rest.matches('/').count() == 1)
            })
        };
        ROOTS.contains(&inside)
            || manifest.target_paths().any(|target| target == inside)
            || (is_auto && TARGET_FOLDERS.iter().any(|start| is_own_target(&start)))
    };
    tree::ending(".rs").map(|file| file.path.clone()).filter(|path| is_root(path)).collect()
}

fn follow(path: &str, is_root: bool, is_test: bool, reached: &mut BTreeMap<String, bool>) {
    match reached.get(path) {
        // A file that tests share with the program is the program's.
        Some(known) if !*known || is_test => return,
        _ => {}
    }
    reached.insert(path.to_owned(), is_test);
    let Some(source) = sources().iter().find(|source| source.path == path) else { return };
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let inside = match name.trim_end_matches(".rs") {
        _ if is_root || name == "mod.rs" => folder.to_owned(),
        stem => format!("{folder}/{stem}"),
    };
    for (number, line) in source.code.iter().enumerate() {
        let Some(module) = declared(line) else { continue };
        let attributes: Vec<usize> = (0..number)
            .rev()
            .take_while(|at| {
                source.code.get(*at).is_some_and(|line| line.trim_start().starts_with("#["))
            })
            .collect();
        let has = |text: &str| {
            attributes
                .iter()
                .find(|at| source.code.get(**at).is_some_and(|line| line.contains(text)))
        };
        let is_test = is_test || has("cfg(test)").is_some() || has("cfg(all(test").is_some();
        let named = has("path =").and_then(|at| source.strings.get(*at));
        let candidates = match named {
            Some(named) => vec![format!("{folder}/{}", named.trim().trim_matches('"'))],
            None => vec![format!("{inside}/{module}.rs"), format!("{inside}/{module}/mod.rs")],
        };
        for candidate in candidates.iter().filter(|path| tree::file(path).is_some()) {
            follow(candidate, false, is_test, reached);
        }
    }
}

/// The module that a line declares to be in another file.
fn declared(line: &str) -> Option<&str> {
    let line = line.trim().strip_suffix(';')?;
    let (before, name) = line.rsplit_once("mod ")?;
    let is_declaration = before.is_empty() || (before.starts_with("pub") && before.ends_with(' '));
    is_declaration.then(|| name.trim().trim_start_matches("r#"))
}
