//! Finds what tests run: the server's binary, built if it is missing or old, and the guests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The README's text.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).expect("the repository has a README")
}

/// The built file of an example, or of a bad guest as `bad/NAME`.
#[must_use]
pub fn guest_path(name: &str) -> PathBuf {
    let guests = std::env::var_os("GUEST_EXAMPLES_DIR")
        .map_or_else(|| root().join("guest-examples"), PathBuf::from);
    match name.strip_prefix("bad/") {
        Some(bad) => guests.join("bad").join(format!("{bad}.wasm")),
        None => guests.join(name).join(format!("{name}.wasm")),
    }
}

/// The same for a guest that is not kept in the repository, if it was built. Whoever names a folder of built guests wants all of them tested.
#[must_use]
pub fn guest_path_if_built(name: &str) -> Option<PathBuf> {
    let path = guest_path(name);
    (path.exists() || std::env::var_os("GUEST_EXAMPLES_DIR").is_some()).then_some(path)
}

/// Its bytes.
///
/// # Panics
/// When there is no such guest.
#[must_use]
pub fn guest(name: &str) -> Vec<u8> {
    let path = guest_path(name);
    std::fs::read(&path).unwrap_or_else(|why| panic!("guest {}: {why}", path.display()))
}

/// The server's binary.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn binary() -> &'static Path {
    // A build that failed is not tried again by every test.
    static BINARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let binary = BINARY.get_or_init(|| {
        // .../target/PROFILE/deps/TEST
        let this = std::env::current_exe().expect("a test knows its own path");
        let profile =
            this.parent().and_then(Path::parent).expect("tests are built below a target directory");
        let binary = profile.join("hearth");
        (is_fresh(&binary) || builds(profile)).then_some(binary)
    });
    binary.as_deref().expect("the server builds")
}

/// Whether the binary is newer than all it is built from; a plain `cargo test` of the workspace has just built it.
fn is_fresh(binary: &Path) -> bool {
    let Ok(built) = binary.metadata().and_then(|about| about.modified()) else { return false };
    ["server/src", "platform/src", "engine/src", "host-api/src", "host-api/wit", "Cargo.toml"]
        .iter()
        .all(|part| newest(&root().join(part)) <= built)
}

fn newest(path: &Path) -> SystemTime {
    if let Ok(entries) = std::fs::read_dir(path) {
        let children = entries.filter_map(Result::ok).map(|entry| newest(&entry.path()));
        return children.max().unwrap_or(SystemTime::UNIX_EPOCH);
    }
    path.metadata().and_then(|about| about.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Builds the binary; whether that worked.
fn builds(profile: &Path) -> bool {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--package", "hearth", "--target-dir"]);
    command.arg(profile.parent().expect("a profile lies in a target directory"));
    if profile.ends_with("release") {
        command.arg("--release");
    }
    // What cargo tells a test about its own package makes build scripts run again, and half of the workspace with them.
    let of_this_test = |name: &str| {
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_TARGET_TMPDIR"]
            .iter()
            .any(|beginning| name.starts_with(beginning))
    };
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(of_this_test) {
            command.env_remove(name);
        }
    }
    command.current_dir(root()).status().is_ok_and(|status| status.success())
}
