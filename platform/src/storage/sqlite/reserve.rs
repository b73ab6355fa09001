//! Room that is kept for what makes room. Ending and deleting things needs some itself, and a disk that is full has none: so a file holds
//! some from the start, and lets go of it when little is left. From then on only batches that free something are written, until there is
//! room enough to take it back.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};

use crate::storage::Op;

const FILE: &str = "hearth.reserve";
/// What is kept at most: some hundred ends or deletions.
const BYTES_MAX: u64 = 4 << 20;
/// The part of a small disk that is kept at most.
const PART: u64 = 32;
/// So many times what is kept must be free before it is taken back, or it would come and go.
const FREE_AGAIN: u64 = 3;

/// The room that is kept, or none where it could not be had.
#[derive(Debug)]
pub(super) struct Reserve {
    file: PathBuf,
    /// The directory, to ask its disk.
    dir: Option<File>,
    bytes: u64,
    is_held: bool,
}

impl Reserve {
    /// Takes the room, or lets go of it at once where the disk is full: opening the storage may need some.
    pub(super) fn open(dir: &Path) -> Self {
        let file = dir.join(FILE);
        let is_held = file.exists();
        let mut reserve = Self { file, dir: File::open(dir).ok(), bytes: 0, is_held };
        let Some((free, total)) = reserve.space() else { return reserve };
        reserve.bytes = BYTES_MAX.min(total / PART);
        if free < reserve.bytes {
            reserve.let_go();
        } else if !is_held {
            reserve.take();
        }
        reserve
    }

    /// Whether only what frees something may be written. Looks at the disk, which costs less than a microsecond.
    pub(super) fn is_needed(&mut self) -> bool {
        let Some((free, _)) = self.space().filter(|_| self.bytes > 0) else { return false };
        if self.is_held && free < self.bytes {
            tracing::warn!(
                free_bytes = free,
                "the disk is full: only what frees room is written until there is some"
            );
            self.let_go();
        } else if !self.is_held && free >= self.bytes.saturating_mul(FREE_AGAIN) {
            self.take();
        }
        !self.is_held
    }

    /// Free bytes for this account, and all there are.
    fn space(&self) -> Option<(u64, u64)> {
        let disk = fstatvfs(self.dir.as_ref()?).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Some((bytes(disk.f_bavail), bytes(disk.f_blocks)))
    }

    fn let_go(&mut self) {
        // What cannot be removed was not there, or the disk is beyond help.
        let _ = std::fs::remove_file(&self.file);
        self.is_held = false;
    }

    fn take(&mut self) {
        let taken = File::create(&self.file)
            .and_then(|file| Ok(fallocate(&file, FallocateFlags::empty(), 0, self.bytes)?));
        match taken {
            Ok(()) => self.is_held = true,
            Err(error) => {
                // A file system without reservations, or a bound on files: as before there was this.
                tracing::debug!(%error, "no room is kept for a full disk");
                let _ = std::fs::remove_file(&self.file);
                self.bytes = 0;
            }
        }
    }
}

/// Whether a batch ends, removes or moves something: what has to work on a full disk. What comes with it is written as well.
pub(super) fn frees(ops: &[Op]) -> bool {
    ops.iter().any(|op| match op {
        Op::Put { .. } | Op::Enqueue { .. } | Op::Append { .. } => false,
        Op::Delete { .. }
        | Op::Ack { .. }
        | Op::Retry { .. }
        | Op::Park { .. }
        | Op::Unpark { .. }
        | Op::Extend { .. }
        | Op::Cancel { .. }
        | Op::Reclaim { .. }
        | Op::PruneJournal { .. }
        | Op::PruneParked { .. } => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::contract::{enqueue, row};

    #[test]
    fn it_holds_room_and_is_there_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::open(dir.path());
        assert!(!reserve.is_needed());
        let held = std::fs::metadata(dir.path().join(FILE)).unwrap();
        assert!(held.len() > 0 && held.len() <= BYTES_MAX);
        let again = Reserve::open(dir.path());
        assert!(again.is_held);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_ends_or_removes_something_frees() {
        let ack = Op::Ack { id: "i".into(), token: 1, record: row("i", 1) };
        assert!(frees(&[enqueue("j", "l", 0), ack]));
        assert!(!frees(&[enqueue("j", "l", 0)]) && !frees(&[Op::Append { record: row("i", 1) }]));
        assert!(!frees(&[]));
    }
}
