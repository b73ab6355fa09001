//! The same as a WASI command: the operations on stdin, what came of them on stdout.

use std::io::{self, Read as _, Write as _};

mod script;

fn main() -> io::Result<()> {
    let mut event = String::new();
    io::stdin().read_to_string(&mut event)?;
    io::stdout().write_all(script::run(&event).as_bytes())
}
