//! The baseline: instances of bare wasmtime in a pool, each of a module of its own that is mapped from a file, each called once and kept.

use std::path::Path;

use super::Resident;
use crate::in_process::bare::Crowd;

/// What is resident before and after, of the code that `Crowd::compile` left in the directory.
pub(super) fn measure(directory: &Path, count: u32) -> (Resident, Resident) {
    let crowd = Crowd::new(count);
    let before = Resident::now();
    let members: Vec<_> = (0..count).map(|number| crowd.member(directory, number)).collect();
    let after = Resident::now();
    drop(members);
    (before, after)
}
