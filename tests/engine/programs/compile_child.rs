//! The program that the engine's tests name as their compiler child.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(wasm), Some(artifact)) = (arguments.next(), arguments.next()) else {
        return ExitCode::from(2);
    };
    match hearth_engine::compile_child(&wasm, &artifact) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
