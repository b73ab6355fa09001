//! `hearth compile-child WASM ARTIFACT`: what a server runs to compile one function under limits it cannot raise.

use std::path::PathBuf;

use clap::Args;

use super::Ending;

/// Compile one file.
#[derive(Debug, Args)]
pub(super) struct CompileChild {
    wasm: PathBuf,
    artifact: PathBuf,
}

impl CompileChild {
    /// Leading arguments of the child; the engine appends the two paths.
    pub(super) const ARGUMENTS: [&str; 1] = ["compile-child"];

    pub(super) fn run(self) -> anyhow::Result<Ending> {
        hearth_engine::compile_child(&self.wasm, &self.artifact)?;
        Ok(Ending::Done)
    }
}
