//! One request on a connection of its own, waited for: what happens beside a run, such as deploying.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::load::Target;
use crate::load::answer::answer;

/// Bytes read or written at once.
const PIECE_BYTES: usize = 16 << 10;

/// The longest answer that is taken.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Sends the request and gives the status and the bytes of its answer, its head included.
///
/// # Errors
/// When there is no connection, what comes is no HTTP or more than a mebibyte, or nothing comes for so long.
pub fn ask(target: &Target, patience: Duration) -> io::Result<(u16, Vec<u8>)> {
    let begin = Instant::now();
    let mut stream = TcpStream::connect_timeout(&target.address, patience)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(patience))?;
    // A kernel that does not preempt itself would keep the core until a large request is out, which a caller elsewhere does not.
    target.request.chunks(PIECE_BYTES).try_for_each(|piece| stream.write_all(piece))?;
    let mut received = Vec::new();
    loop {
        let left = patience.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let mut piece = [0; PIECE_BYTES];
        let count = stream.read(&mut piece)?;
        received.extend_from_slice(piece.get(..count).unwrap_or_default());
        match answer(&received, count == 0) {
            Ok(Some(whole)) => return Ok((whole.status, received)),
            Ok(None) if count == 0 => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(None) if received.len() <= MAX_ANSWER_BYTES => {}
            _ => return Err(ErrorKind::InvalidData.into()),
        }
    }
}
