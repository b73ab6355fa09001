//! What one file holds: pages by their number, holes in between, and a size.

use std::collections::BTreeMap;

use super::account::Account;
use super::error::MemoryFsError;

/// Bytes in one page: what a file grows by.
pub const PAGE_BYTES: u64 = 4096;

/// Largest size of a file, holes included.
pub const FILE_BYTES_MAX: u64 = 1 << 40;

const PAGE: usize = 4096;

/// The bytes of one file.
#[derive(Default)]
pub(super) struct Content {
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
    size: u64,
}

/// The page of an offset, and where in it.
fn place(offset: u64) -> (u64, usize) {
    (offset / PAGE_BYTES, usize::try_from(offset % PAGE_BYTES).unwrap_or(0))
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Pages it holds.
    pub(super) fn pages(&self) -> u64 {
        self.pages.len() as u64
    }

    /// Fills `out` from `offset` on; how many bytes there were. Holes read as zeros.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> usize {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = left.min(out.len());
        let mut done = 0;
        while done < wanted {
            let (page, at) = place(offset + done as u64);
            let count = (PAGE - at).min(wanted - done);
            let Some(to) = out.get_mut(done..done + count) else { break };
            match self.pages.get(&page).and_then(|page| page.get(at..at + count)) {
                Some(from) => to.copy_from_slice(from),
                None => to.fill(0),
            }
            done += count;
        }
        done
    }

    /// Writes as much of `bytes` as there is room for; how many that were.
    pub(super) fn write(
        &mut self,
        offset: u64,
        bytes: &[u8],
        account: &mut Account,
    ) -> Result<usize, MemoryFsError> {
        let end = offset.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > FILE_BYTES_MAX) {
            return Err(MemoryFsError::FileTooLarge);
        }
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let (page, at) = place(offset + done as u64);
            let count = (PAGE - at).min(rest.len());
            if !self.pages.contains_key(&page) && !account.take_page() {
                break;
            }
            let page = self.pages.entry(page).or_insert_with(|| Box::new([0; PAGE]));
            if let (Some(to), Some(from)) = (page.get_mut(at..at + count), rest.get(..count)) {
                to.copy_from_slice(from);
            }
            done += count;
        }
        if done == 0 && !bytes.is_empty() {
            return Err(MemoryFsError::InsufficientSpace);
        }
        if done > 0 {
            self.size = self.size.max(offset + done as u64);
        }
        Ok(done)
    }

    /// Cuts the file or lets it grow by a hole.
    pub(super) fn set_size(
        &mut self,
        size: u64,
        account: &mut Account,
    ) -> Result<(), MemoryFsError> {
        if size > FILE_BYTES_MAX {
            return Err(MemoryFsError::FileTooLarge);
        }
        if size < self.size {
            let (last, at) = place(size);
            let first_gone = if at == 0 { last } else { last + 1 };
            let gone = self.pages.split_off(&first_gone);
            account.give_pages(gone.len() as u64);
            // What was cut off must not come back when the file grows again.
            if let Some(rest) = self.pages.get_mut(&last).and_then(|page| page.get_mut(at..)) {
                rest.fill(0);
            }
        }
        self.size = size;
        Ok(())
    }
}
