//! The rooms and the only doors between them: server -> platform -> engine -> host-api, and what each room must never know.

use crate::manifest::{features, manifest, manifests, strings};
use crate::settle;
use crate::tree;

/// A crate of the workspace.
struct Room {
    folder: &'static str,
    /// Crates of this project that it may use.
    may_use: &'static [&'static str],
    /// Crates it must not know; a `*` at the end stands for anything.
    never: &'static [&'static str],
    /// Features it must not switch on, as `crate/feature`.
    never_features: &'static [&'static str],
    why: &'static str,
}

const WEB: &[&str] = &["hyper/server"];

const ROOMS: &[Room] = &[
    Room {
        folder: "host-api/guest",
        may_use: &[],
        never: &["wasmtime*", "tokio", "hyper*", "axum*", "rusqlite", "object_store"],
        never_features: &[],
        why: "it is compiled into guests",
    },
    Room {
        folder: "host-api",
        may_use: &[],
        never: &["axum*", "hyper-util", "tower*", "rusqlite", "sqlx*", "object_store", "clap*"],
        never_features: WEB,
        why: "it is the contract with guests: no pools, no services, no HTTP server, no storage",
    },
    Room {
        folder: "engine",
        may_use: &["hearth-host-api"],
        never: &[
            "axum*",
            "hyper-util",
            "tower*",
            "rusqlite",
            "sqlx*",
            "object_store",
            "clap*",
            "prometheus*",
        ],
        never_features: WEB,
        why: "it is a library to embed: no HTTP server, no database, no services",
    },
    Room {
        folder: "platform",
        may_use: &["hearth-engine"],
        never: &[
            "axum*",
            "hyper*",
            "http",
            "http-body*",
            "tower*",
            "wasmtime*",
            "clap*",
            "prometheus*",
        ],
        never_features: &[],
        why: "it is the domain: it speaks neither HTTP nor WebAssembly",
    },
    Room {
        folder: "server",
        may_use: &["hearth-platform", "hearth-engine"],
        never: &["rusqlite", "sqlx*", "object_store", "wasmtime*", "wasmparser"],
        never_features: &[],
        why: "it translates: rules of the domain, storage and sandboxes are elsewhere",
    },
    Room {
        folder: "tests",
        may_use: &["hearth", "hearth-platform", "hearth-engine", "hearth-host-api"],
        never: &["rusqlite", "sqlx*"],
        never_features: &[],
        why: "tests look at a server from outside, as a user does",
    },
    Room {
        folder: "benches",
        may_use: &["hearth", "hearth-platform", "hearth-engine", "hearth-host-api"],
        never: &[],
        never_features: &[],
        why: "",
    },
];

fn is(name: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

fn is_ours(name: &str) -> bool {
    name == "hearth" || name.starts_with("hearth-")
}

#[test]
fn the_workspace_has_these_rooms() {
    let Some(root) = manifest("") else { panic!("no Cargo.toml in the root") };
    let members = strings(root.value("workspace", "members").unwrap_or_default());
    let mut found = Vec::new();
    for member in &members {
        if !ROOMS.iter().any(|room| room.folder == *member) {
            found.push(format!("{member}: a new room; say in tests/tidy/rooms.rs what it may know, and in ARCHITECTURE.md why it is"));
        }
    }
    for room in ROOMS.iter().filter(|room| !members.contains(&room.folder)) {
        found.push(format!(
            "{}: no such room any more; take it out of tests/tidy/rooms.rs",
            room.folder
        ));
    }
    settle("rooms", &found);
}

#[test]
fn dependencies_run_one_way() {
    let mut found = Vec::new();
    for room in ROOMS {
        let Some(manifest) = manifest(room.folder) else { continue };
        let path = format!("{}/Cargo.toml", room.folder);
        for dependency in manifest.dependencies() {
            let name = dependency.name;
            if is_ours(name) && !room.may_use.contains(&name) {
                found.push(format!("{path}: must not use `{name}`; the doors are server -> platform -> engine -> host-api"));
            }
            // What tests of a room use says nothing about the room.
            if dependency.is_dev {
                continue;
            }
            if room.never.iter().any(|pattern| is(name, pattern)) {
                found.push(format!("{path}: must not know `{name}`: {}", room.why));
            }
            for feature in features(&dependency) {
                if room.never_features.contains(&format!("{name}/{feature}").as_str()) {
                    found.push(format!(
                        "{path}: takes `{name}` with `{feature}`, maybe from the workspace's entry; only server/ may: {}",
                        room.why
                    ));
                }
            }
        }
    }
    settle("edge between crates", &found);
}

#[test]
fn guests_stand_on_the_guest_crate_alone() {
    let mut found = Vec::new();
    for manifest in
        manifests().iter().filter(|manifest| tree::is_in(manifest.folder, "guest-examples"))
    {
        for dependency in manifest.dependencies() {
            if is_ours(dependency.name) && dependency.name != "hearth-guest" {
                let (folder, name) = (manifest.folder, dependency.name);
                found.push(format!("{folder}/Cargo.toml: a guest must not use `{name}`"));
            }
        }
    }
    settle("edge from a guest", &found);
}

#[test]
fn shared_versions_are_used() {
    let Some(root) = manifest("") else { panic!("no Cargo.toml in the root") };
    let is_used = |name: &str| {
        let members = ROOMS.iter().filter_map(|room| manifest(room.folder));
        members.flat_map(|member| member.dependencies()).any(|dependency| dependency.name == name)
    };
    let found: Vec<_> = root
        .keys("workspace.dependencies")
        .filter(|name| !is_used(name))
        .map(|name| format!("Cargo.toml: no room uses `{name}`; take it out"))
        .collect();
    settle("dead entry of [workspace.dependencies]", &found);
}

#[test]
fn every_room_takes_the_shared_lints() {
    let found: Vec<_> = ROOMS
        .iter()
        .filter_map(|room| manifest(room.folder))
        .filter(|manifest| manifest.value("lints", "workspace") != Some("true"))
        .map(|manifest| {
            format!("{}/Cargo.toml: add `[lints]` with `workspace = true`", manifest.folder)
        })
        .collect();
    settle("lints", &found);
}
