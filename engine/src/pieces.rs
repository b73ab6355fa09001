//! Files read and written in pieces, so that a large one keeps nobody from a core.
//!
//! A kernel that does not preempt itself (`PREEMPT_NONE` and `PREEMPT_VOLUNTARY`, as on most servers) gives a core to somebody else at the end of
//! a system call, and within one only at points that reading and writing files pass seldom: once for each folio, which on ext4 and XFS is as large
//! as the call lets it be. While 30 MiB are written by one call a thread that wakes on that core, be it a real-time one, waits for 2 to 5 ms,
//! while they are read into new memory for up to 25 ms; in pieces of 16 KiB for 0.1 to 0.3 ms (6.18, a probe beside a process that did nothing
//! else; the figures are p99s). All of it takes 1.2 times as long to write and 1.5 times to read, 8 and 3 ms of 30 MiB (`benches/files.rs`).

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// Bytes that one system call reads or writes.
pub const PIECE_BYTES: usize = 16 << 10;

/// The whole file of that name.
///
/// # Errors
/// What opening or reading it says.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_file(&mut File::open(path)?)
}

/// All that is still to be read of a file, which is all of one that was just opened.
///
/// # Errors
/// What reading it says; there is no memory for as much as the file has.
pub fn read_file(file: &mut File) -> io::Result<Vec<u8>> {
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    let mut bytes = Vec::new();
    // With room for one more read, which finds the end. A size that there is no memory for is an error and not the end of the process.
    bytes.try_reserve_exact(size.saturating_add(1)).map_err(|_| io::ErrorKind::OutOfMemory)?;
    read_to_end(file, &mut bytes)?;
    Ok(bytes)
}

/// Appends all that is still to be read; how many bytes that were.
///
/// # Errors
/// What reading says; what was read before that is in `bytes`.
pub fn read_to_end(file: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let before = bytes.len();
    // Not at its end: a file may give less than was asked for.
    while Read::take(&mut *file, PIECE_BYTES as u64).read_to_end(bytes)? > 0 {}
    Ok(bytes.len() - before)
}

/// Writes all of it.
///
/// # Errors
/// What writing says; pieces before that are written.
pub fn write_all(file: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    bytes.chunks(PIECE_BYTES).try_for_each(|piece| file.write_all(piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives and takes as much as it is asked to, and keeps the most.
    #[derive(Default)]
    struct Greedy {
        bytes: Vec<u8>,
        at: usize,
        most: usize,
    }

    impl Read for Greedy {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(self.bytes.len() - self.at);
            buffer[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
            self.at += count;
            self.most = self.most.max(buffer.len());
            Ok(count)
        }
    }

    impl Write for Greedy {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.bytes.extend_from_slice(bytes);
            self.most = self.most.max(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sample(length: usize) -> Vec<u8> {
        (0..=250).cycle().take(length).collect()
    }

    #[test]
    fn no_call_is_asked_for_more_than_a_piece_and_nothing_is_lost() {
        for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 10 * PIECE_BYTES + 7] {
            let mut file = Greedy::default();
            write_all(&mut file, &sample(length)).unwrap();
            assert!(file.most <= PIECE_BYTES, "{} were written at once", file.most);
            let mut bytes = b"before".to_vec();
            // Much room is no reason to ask for much.
            bytes.reserve(1 << 20);
            assert_eq!(read_to_end(&mut file, &mut bytes).unwrap(), length);
            assert!(file.most <= PIECE_BYTES, "{} were read at once", file.most);
            assert_eq!(bytes, [b"before".as_slice(), &sample(length)].concat());
        }
    }

    #[test]
    fn a_file_is_read_whole_and_its_errors_are_passed_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        for length in [0, 5, 3 * PIECE_BYTES] {
            write_all(&mut File::create(&path).unwrap(), &sample(length)).unwrap();
            assert_eq!(read(&path).unwrap(), sample(length));
        }
    }
}
