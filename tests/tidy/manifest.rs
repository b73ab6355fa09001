//! The `Cargo.toml` files, read as far as the rules need: sections with their keys.

use std::sync::OnceLock;

use crate::tree;

/// One `Cargo.toml`.
pub(crate) struct Manifest {
    /// Its folder from the root; empty for the workspace's.
    pub(crate) folder: &'static str,
    entries: Vec<Entry>,
}

struct Entry {
    section: String,
    key: String,
    value: String,
}

/// A dependency of a crate.
pub(crate) struct Dependency<'a> {
    pub(crate) name: &'a str,
    /// Whether only tests have it.
    pub(crate) is_dev: bool,
    value: &'a str,
}

/// All manifests.
pub(crate) fn manifests() -> &'static [Manifest] {
    static MANIFESTS: OnceLock<Vec<Manifest>> = OnceLock::new();
    MANIFESTS.get_or_init(|| {
        let named = |file: &&tree::File| file.path.rsplit('/').next() == Some("Cargo.toml");
        tree::files().iter().filter(named).map(Manifest::of).collect()
    })
}

/// The manifest of the crate in that folder.
pub(crate) fn manifest(folder: &str) -> Option<&'static Manifest> {
    manifests().iter().find(|manifest| manifest.folder == folder)
}

/// The features that a dependency is taken with, those of the workspace's entry included.
pub(crate) fn features<'a>(dependency: &Dependency<'a>) -> Vec<&'a str> {
    let shared =
        manifest("").and_then(|root| root.value("workspace.dependencies", dependency.name));
    let lists = [shared, Some(dependency.value)].into_iter().flatten();
    lists
        .filter_map(|value| value.split_once("features = ["))
        .flat_map(|(_, list)| strings(list.split(']').next().unwrap_or_default()))
        .collect()
}

/// The quoted strings of a value.
pub(crate) fn strings(value: &str) -> Vec<&str> {
    value.split('"').skip(1).step_by(2).collect()
}

impl Manifest {
    fn of(file: &'static tree::File) -> Self {
        let folder = file.path.trim_end_matches("Cargo.toml").trim_end_matches('/');
        let (mut section, mut entries) = (String::new(), Vec::<Entry>::new());
        let mut open = 0;
        for line in file.text().lines() {
            let line = line.split(" #").next().unwrap_or_default().trim();
            if open > 0 {
                if let Some(entry) = entries.last_mut() {
                    entry.value.push_str(line);
                }
            } else if line.starts_with('#') || line.is_empty() {
                continue;
            } else if line.starts_with('[') {
                section = line.trim_matches(['[', ']']).to_owned();
                // `[dependencies.name]` is an entry of `[dependencies]`.
                if let Some((outer, name)) = section.clone().rsplit_once('.')
                    && outer.ends_with("dependencies")
                {
                    let (section, key) = (outer.to_owned(), name.to_owned());
                    entries.push(Entry { section, key, value: String::new() });
                }
                continue;
            } else if let Some((key, value)) = line.split_once('=') {
                let key = key.trim().trim_matches('"').to_owned();
                let value = value.trim().to_owned();
                entries.push(Entry { section: section.clone(), key, value });
            }
            let count = |bracket: char| line.matches(bracket).count();
            open = (open + count('[') + count('{')).saturating_sub(count(']') + count('}'));
        }
        Self { folder, entries }
    }

    /// The value of a key in a section.
    pub(crate) fn value(&self, section: &str, key: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry.section == section && entry.key == key);
        entry.map(|entry| entry.value.as_str())
    }

    /// The keys of a section.
    pub(crate) fn keys(&self, section: &str) -> impl Iterator<Item = &str> {
        self.entries
            .iter()
            .filter(move |entry| entry.section == section)
            .map(|entry| entry.key.as_str())
    }

    /// The crate's name; none for a workspace alone.
    pub(crate) fn name(&self) -> Option<&str> {
        self.value("package", "name").map(|name| name.trim_matches('"'))
    }

    /// The sources that its targets name.
    pub(crate) fn target_paths(&self) -> impl Iterator<Item = &str> {
        const TARGETS: [&str; 5] = ["lib", "bin", "test", "bench", "example"];
        self.entries
            .iter()
            .filter(|entry| TARGETS.contains(&entry.section.as_str()) && entry.key == "path")
            .map(|entry| entry.value.trim_matches('"'))
    }

    /// What it depends on, on any platform.
    pub(crate) fn dependencies(&self) -> impl Iterator<Item = Dependency<'_>> {
        let is_own = |entry: &&Entry| {
            entry.section.ends_with("dependencies") && entry.section != "workspace.dependencies"
        };
        self.entries.iter().filter(is_own).map(|entry| Dependency {
            name: entry.key.split('.').next().unwrap_or_default().trim_matches('"'),
            is_dev: entry.section.ends_with("dev-dependencies"),
            value: &entry.value,
        })
    }
}
