//! The only place that hands native code to wasmtime: a file that [`ArtifactStore`](super::ArtifactStore) wrote or verified.

use std::path::Path;

use wasmtime::Module;
use wasmtime::component::Component;

/// Native code, mapped from its file and paged in as it runs.
#[derive(Debug)]
pub(crate) enum Loaded {
    /// A core module.
    Module(Module),
    /// A component.
    Component(Component),
}

/// Maps the artifact at `path` into `engine`.
#[allow(
    unsafe_code,
    clippy::disallowed_methods,
    reason = "wasmtime cannot know that these bytes came from its own compiler"
)]
pub(crate) fn load(
    engine: &wasmtime::Engine,
    path: &Path,
    is_component: bool,
) -> wasmtime::Result<Loaded> {
    if is_component {
        // SAFETY: the caller passes only paths returned by `ArtifactStore::find`, whose keyed hash over these bytes and
        // over wasmtime's version and settings was checked, or by `ArtifactStore::put`, which has just written what the
        // compiler made. The directory is writable by this user alone.
        let component = unsafe { Component::deserialize_file(engine, path) }?;
        Ok(Loaded::Component(component))
    } else {
        // SAFETY: as above.
        let module = unsafe { Module::deserialize_file(engine, path) }?;
        Ok(Loaded::Module(module))
    }
}
