//! What is written about the project is true of it: commands, paths and links, and a root that can be seen at a glance.

use std::collections::BTreeSet;

use crate::settle;
use crate::tree;

/// What the root may hold. A further folder needs a line in ARCHITECTURE.md that says why it is.
const ROOT: &[&str] = &[
    ".ci",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "clippy.toml",
    "deny.toml",
    "docs",
    "engine",
    "guest-examples",
    "host-api",
    "platform",
    "rustfmt.toml",
    "server",
    "tests",
];

/// Beyond this nobody sees the house for its furniture.
const ROOT_ENTRIES_MAX: usize = 22;

/// Marks the README's commands that CI runs.
const RUN_BY_CI: &str = "<!-- run by .ci/run -->";

/// CI reads what is behind it from the README, and has the program that the tests ran do that.
const READ_BY_CI: &str = "cargo run --release -p hearth -- ";

/// Folders of people's machines. Split, so that this file does not hold them.
const MACHINE_FOLDERS: &[[&str; 2]] = &[
    ["/wo", "rk/"],
    ["/ro", "ot/"],
    ["/fa", "rm/"],
    ["/ho", "me/"],
    ["/Us", "ers/"],
    ["/tmp/ba", "sh"],
];

#[test]
fn the_root_can_be_seen_at_a_glance() {
    let first = |file: &'static tree::File| file.path.split('/').next().unwrap_or_default();
    let entries: BTreeSet<_> = tree::files().iter().map(first).collect();
    let mut found = Vec::new();
    for entry in entries.iter().filter(|entry| !ROOT.contains(entry)) {
        found.push(format!(
            "{entry}: not listed in tests/tidy/papers.rs; does it need to be in the root?"
        ));
    }
    for entry in ROOT.iter().filter(|entry| !entries.contains(*entry)) {
        found.push(format!("{entry}: is gone; take it out of tests/tidy/papers.rs"));
    }
    if entries.len() > ROOT_ENTRIES_MAX {
        found.push(format!("{} entries, at most {ROOT_ENTRIES_MAX}", entries.len()));
    }
    let architecture = tree::text("ARCHITECTURE.md");
    let is_folder = |entry: &&&str| !entry.starts_with('.') && tree::file(entry).is_none();
    for folder in entries.iter().filter(is_folder) {
        if !architecture.contains(&format!("`{folder}/`")) {
            found.push(format!("{folder}/: ARCHITECTURE.md does not say what it is for"));
        }
    }
    settle("root", &found);
}

#[test]
fn the_readme_says_what_ci_runs() {
    let script = tree::text(".ci/run");
    let readme = tree::text("README.md");
    let mut found = Vec::new();
    let mut commands = 0;
    for block in readme.split(RUN_BY_CI).skip(1) {
        let block = block.split("```").nth(1).unwrap_or_default();
        for command in
            block.lines().skip(1).map(str::trim).filter(|line| line.starts_with("cargo "))
        {
            commands += 1;
            let stands = match command.starts_with(READ_BY_CI) {
                true => script.contains(&format!("'s/^{READ_BY_CI}//p' README.md")),
                false => script.contains(command),
            };
            if !stands {
                found.push(format!(
                    "README.md: `{command}` is not in .ci/run; change one or the other"
                ));
            }
        }
    }
    if commands < 2 {
        found.push(format!(
            "README.md: mark the command that runs it and the one that tests it with {RUN_BY_CI}"
        ));
    }
    settle("README and CI", &found);
}

/// The pages for people.
fn pages() -> impl Iterator<Item = &'static tree::File> {
    tree::ending(".md")
}

#[test]
fn links_lead_somewhere() {
    let mut found = Vec::new();
    for page in pages() {
        let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, line) in page.text().lines().enumerate() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = target.split('#').next().unwrap_or_default();
                if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                if !tree::exists(&resolved(folder, target)) {
                    found.push(format!("{}:{}: nothing at `{target}`", page.path, number + 1));
                }
            }
        }
    }
    settle("dead link", &found);
}

/// A path relative to a folder, from the root.
fn resolved(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

#[test]
fn what_pages_name_exists() {
    let rooms: BTreeSet<_> = tree::files()
        .iter()
        .filter_map(|file| file.path.split_once('/'))
        .map(|(room, _)| room)
        .collect();
    let mut found = Vec::new();
    for page in pages().filter(|page| page.path != "CHANGELOG.md") {
        for (number, line) in page.text().lines().enumerate() {
            for quoted in line.split('`').skip(1).step_by(2) {
                let is_path = quoted.split_once('/').is_some_and(|(room, _)| rooms.contains(room))
                    && !quoted.contains([' ', '*', '<', '{', '$']);
                let (path, item) = quoted.split_once("::").unwrap_or((quoted, ""));
                let is_built = path.split('/').any(|part| part == "target");
                if !is_path || is_built {
                    continue;
                }
                if !tree::exists(path) {
                    found.push(format!("{}:{}: there is no `{path}`", page.path, number + 1));
                } else if !item.is_empty() && !tree::text(path).contains(&format!("fn {item}(")) {
                    found.push(format!("{}:{}: no `{item}` in `{path}`", page.path, number + 1));
                }
            }
        }
    }
    settle("page names what is not there", &found);
}

#[test]
fn no_file_knows_the_machine_it_was_made_on() {
    let needles: Vec<String> = MACHINE_FOLDERS.iter().map(|parts| parts.concat()).collect();
    let mut found = Vec::new();
    for file in tree::files().iter().filter(|file| !file.path.ends_with(".lock")) {
        // Binaries too: panic messages hold the paths of sources.
        let text = String::from_utf8_lossy(file.bytes());
        for needle in &needles {
            let own = text.match_indices(needle.as_str()).find(|(at, _)| {
                let before = text.get(..*at).and_then(|text| text.chars().next_back());
                !before.is_some_and(|c| c.is_alphanumeric() || "_.-}*~".contains(c))
            });
            if let Some((at, _)) = own {
                let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
                found.push(format!("{}:{line}: `{needle}` is a folder of one machine", file.path));
            }
        }
    }
    settle("path of a machine", &found);
}
