//! The program's own code on pages of 2 MiB.
//!
//! A request to a function passes some four hundred pages of 4 KiB, spread over all 37 MiB of code, and a processor remembers where only so
//! many pages are; of 2 MiB there are 17. In a virtual machine, where finding a page again is dearest, a server answered 4% to 12% more
//! requests (docs/performance.md).
//!
//! Linux has large pages for files only where it was built so (`CONFIG_READ_ONLY_THP_FOR_FS`), for other memory nearly everywhere. So the
//! code is copied to other memory, and that moved to where the code was, in one step: see `mremap(2)` and `madvise(2)`. The price is that the
//! copy is the process's own: no other shares it, and a profiler finds no file to read names from.

use std::ffi::c_void;
use std::io;
use std::ops::Range;

use rustix::mm::{
    Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags, madvise, mmap_anonymous, mprotect,
    mremap_fixed, munmap,
};

/// What a large page has.
const LARGE: usize = 2 << 20;

/// Why the code stays where it is, or the rest of it; whatever has moved stays moved, and is as good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotMoved {
    /// It does not fill a page.
    #[error("the program's code was not found in /proc/self/maps, or is smaller than a large page")]
    NoCode,
    /// The system gave small ones, and nothing has moved.
    #[error(
        "the system gives no large pages; /sys/kernel/mm/transparent_hugepage/enabled says whether it has any"
    )]
    NoPages,
    /// The system refused.
    #[error("moving the program's code: {0}")]
    System(#[from] io::Error),
}

/// Moves the code of this program to large pages, as far as it fills them, and says how many bytes that are. Other threads may run
/// meanwhile, and stand still for a moment. The system must not have been asked to keep this process's pages small.
///
/// # Errors
/// [`NotMoved`]; what was not moved until then is as it was.
pub(crate) fn move_code() -> Result<usize, NotMoved> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    // A number, and never made an address to read from but within what the system says is mapped there.
    let here = move_code as fn() -> Result<usize, NotMoved> as usize;
    let code = code_around(&maps, here).map(|code| filled(&code)).filter(|code| !code.is_empty());
    let code = code.ok_or(NotMoved::NoCode)?;
    let mut copies = Copies::reserve(code.len())?;
    // Page by page, so that no more than one is there twice.
    for page in code.clone().step_by(LARGE) {
        copies.copy(page)?;
        if page == code.start {
            let smaps = std::fs::read_to_string("/proc/self/smaps")?;
            let first = copies.left.start..copies.left.start + LARGE;
            if !has_large_pages(&smaps, &first) {
                return Err(NotMoved::NoPages);
            }
        }
        copies.replace(page)?;
    }
    Ok(code.len())
}

/// Memory for copies of pages, each of which leaves it for the place of what it is a copy of; the rest is given back.
struct Copies {
    /// What lies before the first border of large pages.
    before: Range<usize>,
    left: Range<usize>,
}

impl Copies {
    #[expect(unsafe_code, reason = "memory is mapped")]
    fn reserve(size: usize) -> io::Result<Self> {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: the system chooses where, and nothing else is there.
        let mapped = unsafe { mmap_anonymous(std::ptr::null_mut(), size + LARGE, access, flags) }?;
        let begin = (mapped as usize).next_multiple_of(LARGE);
        let copies =
            Self { before: mapped as usize..begin, left: begin..mapped as usize + size + LARGE };
        // SAFETY: the advice is about what was mapped above, and changes nothing of what is in it.
        unsafe { madvise(begin as *mut c_void, size, Advice::LinuxHugepage) }?;
        Ok(copies)
    }

    /// Copies a page of code to the first that is left.
    #[expect(unsafe_code, reason = "code is read as bytes")]
    fn copy(&self, page: usize) -> io::Result<()> {
        let (copy, access) = (self.left.start, MprotectFlags::READ | MprotectFlags::EXEC);
        // SAFETY: of the page the system said that it is mapped and readable, and nobody writes there; the copy has room for as much,
        // beside it, and is not executed before it is whole.
        unsafe {
            std::ptr::copy_nonoverlapping(page as *const u8, copy as *mut u8, LARGE);
            mprotect(copy as *mut c_void, LARGE, access)?;
        }
        Ok(())
    }

    /// Puts the copy where the page is.
    #[expect(unsafe_code, reason = "what is executed is replaced by the same")]
    fn replace(&mut self, page: usize) -> io::Result<()> {
        let (copy, place) = (self.left.start as *mut c_void, page as *mut c_void);
        // SAFETY: byte for byte the same takes the page's place, with the same access, while the system lets no thread look for a page:
        // whoever executes it finds the one or the other.
        unsafe { mremap_fixed(copy, LARGE, LARGE, MremapFlags::MAYMOVE, place) }?;
        self.left.start += LARGE;
        Ok(())
    }
}

impl Drop for Copies {
    #[expect(unsafe_code, reason = "memory is given back")]
    fn drop(&mut self) {
        for range in [&self.before, &self.left] {
            if !range.is_empty() {
                // SAFETY: it was mapped by `reserve`, never left, and nothing refers to it. Where it cannot be given back, it stays.
                let _ = unsafe { munmap(range.start as *mut c_void, range.len()) };
            }
        }
    }
}

/// The range of a line of `/proc/self/maps` or `smaps`, and what comes after it.
fn range_of(line: &str) -> Option<(Range<usize>, &str)> {
    let (range, rest) = line.split_once(' ')?;
    let (from, to) = range.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    Some((number(from)?..number(to)?, rest))
}

/// The mapping of a file that an address is in, if it is readable code that nobody writes.
fn code_around(maps: &str, address: usize) -> Option<Range<usize>> {
    let lines = maps.lines().filter_map(range_of);
    let (range, rest) = { lines }.find(|(range, _)| range.contains(&address))?;
    rest.starts_with("r-xp ").then_some(range)
}

/// The large pages that a range fills.
fn filled(range: &Range<usize>) -> Range<usize> {
    let from = range.start.next_multiple_of(LARGE);
    from..(range.end / LARGE * LARGE).max(from)
}

/// Whether the system has put at least half of a range on large pages.
fn has_large_pages(smaps: &str, range: &Range<usize>) -> bool {
    let mut is_within = false;
    let mut kib = 0;
    for line in smaps.lines() {
        if let Some((mapping, _)) = range_of(line) {
            is_within = mapping.start < range.end && range.start < mapping.end;
        } else if is_within && let Some(size) = line.strip_prefix("AnonHugePages:") {
            kib += size.trim().trim_end_matches(" kB").parse().unwrap_or(0);
        }
    }
    kib * 1024 * 2 >= range.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
55781a000000-55781a17c000 r--p 00000000 fe:00 10 /usr/bin/hearth
55781a17c000-55781c508000 r-xp 0017c000 fe:00 10 /usr/bin/hearth
55781c508000-55781c600000 rw-p 02508000 fe:00 10 /usr/bin/hearth
7ffd1000-7ffd2000 r-xp 00000000 00:00 0 [vdso]
";

    #[test]
    fn the_code_is_what_is_executed_and_nothing_else() {
        let code = 0x5578_1a17_c000..0x5578_1c50_8000;
        assert_eq!(code_around(MAPS, 0x5578_1a17_c000), Some(code.clone()));
        assert_eq!(code_around(MAPS, 0x5578_1c50_7fff), Some(code.clone()));
        for outside in [0x5578_1a17_bfff, 0x5578_1c50_8000, 0] {
            assert_eq!(code_around(MAPS, outside), None);
        }
        assert_eq!(filled(&code), 0x5578_1a20_0000..0x5578_1c40_0000);
        assert!(filled(&(0x20_1000..0x3f_f000)).is_empty(), "it fills none");
        assert!(filled(&(0x20_1000..0x60_0000)).len() == LARGE, "the first is not filled");
    }

    #[test]
    fn what_lies_on_small_pages_is_seen() {
        let smaps = |kib| {
            format!(
                "1000000-2000000 rw-p 0 00:00 0\nAnonHugePages:         0 kB\n\
                 2000000-3000000 rw-p 0 00:00 0\nRss: 1 kB\nAnonHugePages: {kib} kB\nVmFlags: rd\n\
                 3000000-4000000 rw-p 0 00:00 0\nAnonHugePages:    16384 kB\n"
            )
        };
        let range = 0x0200_0000..0x0280_0000;
        assert!(has_large_pages(&smaps(8192), &range) && has_large_pages(&smaps(4096), &range));
        assert!(!has_large_pages(&smaps(4095), &range) && !has_large_pages(&smaps(0), &range));
    }
}
