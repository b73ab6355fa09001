//! The `hearth` binary: the command line of the library, with an allocator that does not hold threads up.

mod allocator;

use std::process::ExitCode;

// Many small allocations per request on several threads; glibc's arenas keep what they free.
#[global_allocator]
static ALLOCATOR: allocator::Mimalloc = allocator::Mimalloc;

fn main() -> ExitCode {
    hearth::cli::main()
}
