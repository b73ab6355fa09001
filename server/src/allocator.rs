//! The allocator of the `hearth` binary: mimalloc, called in the way that is quick.
//!
//! The crate that binds it asks for every piece of memory by `mi_malloc_aligned`. That takes a piece from the list at hand only where the
//! list is not empty, the piece is at most 1 KiB large and happens to lie well; otherwise, unless its size is a power of two, it asks for a
//! larger piece and uses the middle of that, and from then on each piece of that page takes longer to free, since its beginning has to be
//! found (`alloc-aligned.c` of mimalloc 3). What `mi_malloc` gives lies well for nearly all that Rust asks for. `docs/performance.md`
//! has what it is worth.

#![expect(unsafe_code, reason = "an allocator hands out memory")]

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc,
    mi_zalloc_aligned,
};

/// What `mi_malloc` aligns to, for pieces of at least as many bytes: `MI_MAX_ALIGN_SIZE` of mimalloc, and what C asks of `malloc` on all
/// systems that hearth runs on (`max_align_t`). The standard library goes by the same rule for the system's allocator.
const ALIGNED_ANYHOW: usize = 16;

/// Asks mimalloc for memory.
pub(crate) struct Mimalloc;

/// Whether a piece of such a size is aligned without being asked for. Smaller ones are aligned to what divides their size.
fn is_aligned_anyhow(align: usize, size: usize) -> bool {
    align <= ALIGNED_ANYHOW && align <= size
}

// SAFETY: mimalloc's functions keep to the contract of `GlobalAlloc`: they do not unwind, give null where there is no memory, take back what
// any of them gave on any thread, and `realloc` keeps what fits. What is not aligned anyhow is asked for with its alignment, on the way in
// as for every change of size.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: any size may be asked for, and a layout's alignment is a power of two.
        let piece = unsafe {
            match is_aligned_anyhow(align, size) {
                true => mi_malloc(size),
                false => mi_malloc_aligned(size, align),
            }
        };
        piece.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: as above.
        let piece = unsafe {
            match is_aligned_anyhow(align, size) {
                true => mi_zalloc(size),
                false => mi_zalloc_aligned(size, align),
            }
        };
        piece.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, _layout: Layout) {
        // SAFETY: the caller has it from here, and gives it back once.
        unsafe { mi_free(pointer.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (piece, align) = (pointer.cast(), layout.align());
        // SAFETY: the caller has the piece from here, aligned as its layout says, and uses what is returned in its place.
        let piece = unsafe {
            match is_aligned_anyhow(align, size) {
                true => mi_realloc(piece, size),
                false => mi_realloc_aligned(piece, size, align),
            }
        };
        piece.cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More of each than a page of mimalloc has, so that later ones come from lists that were empty.
    const PIECES: u8 = 40;

    /// A piece in use: it lies where it should, and what is written to it stays.
    struct Piece(*mut u8, Layout);

    impl Piece {
        fn new(layout: Layout, is_zeroed: bool, content: u8) -> Self {
            // SAFETY: no layout here is empty, and what is not zeroed is written before it is read.
            let pointer = unsafe {
                if is_zeroed {
                    Mimalloc.alloc_zeroed(layout)
                } else {
                    let pointer = Mimalloc.alloc(layout);
                    pointer.write_bytes(content, layout.size());
                    pointer
                }
            };
            let mut piece = Self(pointer, layout);
            if is_zeroed {
                assert!(piece.bytes().iter().all(|byte| *byte == 0), "{layout:?}");
                piece.bytes().fill(content);
            }
            piece
        }

        fn bytes(&mut self) -> &mut [u8] {
            let Self(pointer, layout) = self;
            assert!(
                !pointer.is_null() && pointer.addr().is_multiple_of(layout.align()),
                "{layout:?}"
            );
            // SAFETY: it has as many bytes, all of them written by whoever made or resized it.
            unsafe { std::slice::from_raw_parts_mut(*pointer, layout.size()) }
        }

        fn resize(&mut self, size: usize) {
            let layout = Layout::from_size_align(size, self.1.align()).unwrap();
            // SAFETY: it is in use with this layout, no size here is 0, and what is new of it is written.
            *self = unsafe {
                let pointer = Mimalloc.realloc(self.0, self.1, size);
                let kept = size.min(self.1.size());
                pointer.add(kept).write_bytes(0, size - kept);
                Self(pointer, layout)
            };
        }

        fn free(self) {
            // SAFETY: it is in use with this layout.
            unsafe { Mimalloc.dealloc(self.0, self.1) }
        }
    }

    #[test]
    fn every_piece_lies_well_and_keeps_what_it_holds() {
        for align in [1, 2, 4, 8, 16, 32, 128, 4096] {
            for size in [1, 3, 8, 15, 16, 17, 24, 40, 56, 100, 1000, 1025, 2700, 70_000] {
                let layout = Layout::from_size_align(size, align).unwrap();
                let pieces: Vec<Piece> =
                    (0..PIECES).map(|number| Piece::new(layout, number % 2 == 0, number)).collect();
                for (number, mut piece) in (0..PIECES).zip(pieces) {
                    assert!(piece.bytes().iter().all(|byte| *byte == number), "{layout:?}");
                    piece.resize(size * 3);
                    assert!(piece.bytes()[..size].iter().all(|byte| *byte == number), "{layout:?}");
                    piece.resize(size.div_ceil(2));
                    assert!(piece.bytes().iter().all(|byte| *byte == number), "{layout:?}");
                    piece.free();
                }
            }
        }
    }
}
