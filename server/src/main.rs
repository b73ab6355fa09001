//! The `hearth` binary: the command line of the library, with an allocator that does not hold threads up.

use std::process::ExitCode;

// Many small allocations per request on several threads; glibc's arenas keep what they free.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hearth::cli::main()
}
