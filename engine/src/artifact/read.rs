//! Reads a file in pieces, on request only what the system holds in memory, so that an async worker may do it.

use std::fs::File;
use std::io;

/// Bytes read at once; small enough to stay in a core's cache.
const CHUNK_BYTES: usize = 64 << 10;

/// How long a reader may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Not at all: only what is in memory is read.
    None,
    /// As long as the disk takes.
    Disk,
}

/// Hands each piece of the file to `take`, in order.
///
/// # Errors
/// [`WouldBlock`](io::ErrorKind::WouldBlock) when something is not in memory and there is no patience; else what reading says.
pub(super) fn each_chunk(
    file: &File,
    patience: Patience,
    mut take: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut offset = 0_u64;
    loop {
        let length = match read_at(file, &mut buffer, offset, patience) {
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if length == 0 {
            return Ok(());
        }
        take(buffer.get(..length).unwrap_or_default());
        offset += length as u64;
    }
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64, patience: Patience) -> io::Result<usize> {
    match patience {
        Patience::Disk => std::os::unix::fs::FileExt::read_at(file, buffer, offset),
        Patience::None => read_cached(file, buffer, offset),
    }
}

#[cfg(target_os = "linux")]
fn read_cached(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    let mut buffers = [io::IoSliceMut::new(buffer)];
    match preadv2(file, &mut buffers, offset, ReadWriteFlags::NOWAIT) {
        // A file system that does not know the flag may have to ask its disk.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(io::ErrorKind::WouldBlock.into()),
        read => Ok(read?),
    }
}

#[cfg(not(target_os = "linux"))]
fn read_cached(_file: &File, _buffer: &mut [u8], _offset: u64) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn all_of_a_file_comes_in_order_whatever_the_patience() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..150_000_u32).flat_map(u32::to_le_bytes).collect();
        file.write_all(&bytes).unwrap();
        for patience in [Patience::Disk, Patience::None] {
            let mut read = Vec::new();
            let ended = each_chunk(&file, patience, |chunk| read.extend_from_slice(chunk));
            match ended {
                Ok(()) => assert_eq!(read, bytes),
                // Not every file system of a test machine can say what it has in memory.
                Err(why) => {
                    assert_eq!((patience, why.kind()), (Patience::None, io::ErrorKind::WouldBlock));
                }
            }
        }
    }
}
