//! A WASI command: the event on stdin, the answer on stdout, one line about it on stderr. One run serves one event and ends.

use std::io::{self, Read as _, Write as _};

fn main() -> io::Result<()> {
    let mut event = Vec::new();
    io::stdin().read_to_end(&mut event)?;
    eprintln!("served {} bytes", event.len());

    let mut answer = io::stdout().lock();
    answer.write_all(b"you said: ")?;
    answer.write_all(&event)?;
    answer.flush()
}
