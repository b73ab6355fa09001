//! The files of the project: what git knows or would add, read once for all rules.
//!
//! Where git does not answer (a source archive, a container) the folders are walked instead.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Folders that are never part of the project.
const NOT_OURS: &[&str] = &["target", ".git", "node_modules", "__pycache__"];

/// One file.
pub(crate) struct File {
    /// From the root, with `/`.
    pub(crate) path: String,
    bytes: Vec<u8>,
}

impl File {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its text; nothing if it is not text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }
}

/// The folder that holds everything.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
}

/// All files, in order of path.
pub(crate) fn files() -> &'static [File] {
    static FILES: OnceLock<Vec<File>> = OnceLock::new();
    FILES.get_or_init(|| {
        let mut paths = from_git().unwrap_or_else(|| {
            let mut paths = Vec::new();
            walk(root(), "", &mut paths);
            paths
        });
        paths.sort();
        paths.dedup();
        // Git also lists what was deleted and not committed yet.
        let read =
            |path: String| Some(File { bytes: std::fs::read(root().join(&path)).ok()?, path });
        paths.into_iter().filter_map(read).collect()
    })
}

/// The file at that path.
pub(crate) fn file(path: &str) -> Option<&'static File> {
    let files = files();
    files.binary_search_by(|file| file.path.as_str().cmp(path)).ok().and_then(|at| files.get(at))
}

/// The text of the file at that path; empty if there is none.
pub(crate) fn text(path: &str) -> &'static str {
    file(path).map_or("", File::text)
}

/// Files whose name ends so.
pub(crate) fn ending(ending: &str) -> impl Iterator<Item = &'static File> {
    files().iter().filter(move |file| file.path.ends_with(ending))
}

/// Whether `path` is `place` or lies in it.
pub(crate) fn is_in(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether there is such a file, or any file in such a folder.
pub(crate) fn exists(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    files().iter().any(|file| is_in(&file.path, path))
}

fn from_git() -> Option<Vec<String>> {
    let listed = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .ok()?;
    let listed = listed.status.success().then_some(listed.stdout)?;
    let paths: Vec<String> =
        String::from_utf8(listed).ok()?.split_terminator('\0').map(str::to_owned).collect();
    paths.iter().any(|path| path == "Cargo.toml").then_some(paths)
}

fn walk(folder: &Path, prefix: &str, paths: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), &format!("{path}/"), paths);
        } else {
            paths.push(path);
        }
    }
}
