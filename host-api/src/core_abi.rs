//! The core-module ABI (guest kind 4) as pure arithmetic: names, the packed answer, and the check of every range.
//!
//! The contract is docs/core-abi.md and the rows in [`AbiViolation`] are the rows of its section 8, with the same texts.
//! Nothing here calls a guest or touches a memory; sums are made in 64 bits, so none wraps.

use std::ops::Range;

/// The memory that every pointer refers to.
pub const MEMORY_EXPORT: &str = "memory";
/// `(len: i32) -> i32`: gives the host a buffer for the event.
pub const ALLOC_EXPORT: &str = "alloc";
/// `(ptr: i32, len: i32) -> i64`: serves one event.
pub const HANDLE_EXPORT: &str = "handle";
/// `() -> i32`, optional: runs once before the first event; 0 is success.
pub const INITIALIZE_EXPORT: &str = "initialize";
/// `(ptr: i32, len: i32)`, optional: takes a buffer of `alloc` back.
pub const FREE_EXPORT: &str = "free";
/// `() -> ()`, optional: the start function of a WASI reactor, called before `initialize`.
pub const REACTOR_EXPORT: &str = "_initialize";

/// The import module with hearth's own functions.
pub const HEARTH_MODULE: &str = "hearth";
/// `hearth.log (level: i32, ptr: i32, len: i32)`.
pub const LOG_IMPORT: &str = "log";
/// `hearth.fail (ptr: i32, len: i32)`.
pub const FAIL_IMPORT: &str = "fail";
/// `hearth.context (ptr: i32, cap: i32) -> i32`.
pub const CONTEXT_IMPORT: &str = "context";
/// `hearth.now_ms () -> i64`.
pub const NOW_MS_IMPORT: &str = "now_ms";
/// `hearth.random (ptr: i32, len: i32)`.
pub const RANDOM_IMPORT: &str = "random";

/// The import module that `AssemblyScript`'s compiler names by itself.
pub const ENV_MODULE: &str = "env";
/// `env.abort (message: i32, file: i32, line: i32, column: i32)`.
pub const ABORT_IMPORT: &str = "abort";
/// `env.trace (message: i32, n: i32, f64 x 5)`.
pub const TRACE_IMPORT: &str = "trace";
/// `env.seed () -> f64`.
pub const SEED_IMPORT: &str = "seed";

/// The most bytes of an error text that `hearth.fail` keeps. An error is a sentence with a stack, not a payload.
pub const MAX_FAIL_BYTES: usize = 64 * 1024;
/// The most bytes that one call of `hearth.random` fills, so that one call cannot keep a core for long.
pub const MAX_RANDOM_BYTES: u32 = 64 * 1024;
/// The most bytes of an `AssemblyScript` string that `abort` and `trace` read.
pub const MAX_SCRIPT_STRING_BYTES: u32 = 4096;

/// Whose range was checked; decides how a violation reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RangeOf {
    /// The buffer that `alloc` returned for an event.
    Event,
    /// The answer that `handle` returned.
    Answer,
    /// The argument of the named import.
    Import(&'static str),
}

/// How a guest broke the ABI. It ends the invocation as the fault `BadAbi`, and the instance is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AbiViolation {
    /// `alloc` returned 0.
    #[error("out of memory in alloc: asked for {length} bytes")]
    AllocFailed {
        /// How many bytes the host asked for.
        length: u32,
    },
    /// A range does not lie inside the memory.
    #[error("{}", out_of_bounds(*what, *pointer, *length, *memory_bytes))]
    OutOfBounds {
        /// Whose range it is.
        what: RangeOf,
        /// Its first byte.
        pointer: u32,
        /// Its length, in bytes.
        length: u32,
        /// The size of the memory when it was checked, in bytes.
        memory_bytes: usize,
    },
    /// `initialize` returned something other than 0.
    #[error("initialize returned {code}")]
    InitializeFailed {
        /// What it returned.
        code: i32,
    },
    /// `hearth.log` was called with a level that does not exist.
    #[error("log was given level {level}, but the highest is 5")]
    UnknownLevel {
        /// The level, read as unsigned.
        level: u32,
    },
    /// `hearth.random` was asked for too much at once.
    #[error("random was asked for {length} bytes, but at most {MAX_RANDOM_BYTES} a call")]
    RandomTooLong {
        /// How many bytes were asked for.
        length: u32,
    },
    /// `hearth.fail` was called where no error can be reported.
    #[error("fail was called outside of an invocation")]
    FailOutsideInvocation,
    /// The module calls an import that needs its memory, but exports none.
    #[error("{import} was called by a module that exports no memory")]
    NoMemory {
        /// The import.
        import: &'static str,
    },
}

fn out_of_bounds(what: RangeOf, pointer: u32, length: u32, memory_bytes: usize) -> String {
    match what {
        RangeOf::Event => {
            format!("alloc returned {pointer} for {length} bytes, but memory has {memory_bytes}")
        }
        RangeOf::Answer => format!(
            "handle answered with {length} bytes at {pointer}, but memory has {memory_bytes}"
        ),
        RangeOf::Import(name) => {
            format!("{name} was given {length} bytes at {pointer}, but memory has {memory_bytes}")
        }
    }
}

/// A pointer and a length as a guest gave them: both unsigned, neither checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub pointer: u32,
    /// The length, in bytes.
    pub length: u32,
}

impl Span {
    /// Reads two `i32` of WebAssembly as the unsigned numbers they stand for.
    #[must_use]
    pub fn from_i32(pointer: i32, length: i32) -> Self {
        Self { pointer: pointer.cast_unsigned(), length: length.cast_unsigned() }
    }

    /// The bytes this span covers in a memory of `memory_bytes`. A length of 0 covers nothing, wherever it points.
    ///
    /// # Errors
    /// [`AbiViolation::OutOfBounds`] when any byte lies outside.
    pub fn checked(self, what: RangeOf, memory_bytes: usize) -> Result<Range<usize>, AbiViolation> {
        if self.length == 0 {
            return Ok(0..0);
        }
        let end = u64::from(self.pointer) + u64::from(self.length);
        let inside = end <= memory_bytes as u64;
        match (usize::try_from(self.pointer), usize::try_from(end)) {
            (Ok(start), Ok(end)) if inside => Ok(start..end),
            _ => Err(AbiViolation::OutOfBounds {
                what,
                pointer: self.pointer,
                length: self.length,
                memory_bytes,
            }),
        }
    }
}

/// Splits what `handle` returned: the pointer from the high 32 bits, the length from the low.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "each half is taken on purpose")]
pub fn unpack(packed: i64) -> Span {
    let packed = packed.cast_unsigned();
    Span { pointer: (packed >> 32) as u32, length: packed as u32 }
}

/// Puts a pointer and a length together as `handle` returns them.
#[must_use]
pub fn pack(span: Span) -> i64 {
    ((u64::from(span.pointer) << 32) | u64::from(span.length)).cast_signed()
}

/// Checks what `alloc` returned for an event of `length` bytes, which is not 0.
///
/// # Errors
/// [`AbiViolation::AllocFailed`] for pointer 0, [`AbiViolation::OutOfBounds`] when the buffer is not inside the memory.
pub fn checked_event(
    pointer: i32,
    length: u32,
    memory_bytes: usize,
) -> Result<Range<usize>, AbiViolation> {
    if pointer == 0 {
        return Err(AbiViolation::AllocFailed { length });
    }
    Span { pointer: pointer.cast_unsigned(), length }.checked(RangeOf::Event, memory_bytes)
}

/// The part of `text` that `hearth.fail` keeps: at most [`MAX_FAIL_BYTES`], cut before a character rather than inside it.
#[must_use]
pub fn bounded_failure(text: &[u8]) -> &[u8] {
    let Some(kept) = text.get(..MAX_FAIL_BYTES) else { return text };
    let continues = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
    if !text.get(MAX_FAIL_BYTES).is_some_and(continues) {
        return kept;
    }
    // A character has at most three continuation bytes; where none of the last four bytes begins one, the text is not UTF-8
    // and any cut is as good as another.
    let start = kept.iter().rev().take(4).position(|byte| !continues(byte));
    let cut = start.map_or(kept.len(), |back| kept.len().saturating_sub(back + 1));
    kept.get(..cut).unwrap_or(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANSWER: RangeOf = RangeOf::Answer;

    proptest! {
        #[test]
        fn packing_keeps_both_halves(pointer: u32, length: u32) {
            let span = Span { pointer, length };
            prop_assert_eq!(unpack(pack(span)), span);
        }

        #[test]
        fn a_checked_range_is_always_inside(pointer: i32, length: i32, memory in 0usize..=1 << 33) {
            let span = Span::from_i32(pointer, length);
            match span.checked(ANSWER, memory) {
                Ok(range) => {
                    prop_assert!(range.end <= memory);
                    prop_assert_eq!(range.len(), span.length as usize);
                    prop_assert!(range.is_empty() || range.start == span.pointer as usize);
                }
                Err(_) => prop_assert!(
                    span.length > 0 && u128::from(span.pointer) + u128::from(span.length) > memory as u128
                ),
            }
        }

        #[test]
        fn a_cut_failure_stays_a_prefix(text in prop::collection::vec(any::<char>(), 0..9),
                                        pad in MAX_FAIL_BYTES - 20..MAX_FAIL_BYTES + 4) {
            let text = "x".repeat(pad) + &text.into_iter().collect::<String>();
            let kept = bounded_failure(text.as_bytes());
            prop_assert!(kept.len() <= MAX_FAIL_BYTES && text.as_bytes().starts_with(kept));
            prop_assert!(std::str::from_utf8(kept).is_ok());
            prop_assert!(kept.len() == text.len() || kept.len() > MAX_FAIL_BYTES - 4);
        }
    }

    #[test]
    fn the_edges_of_a_memory() {
        let page = 65_536;
        let at = |pointer, length| Span { pointer, length }.checked(ANSWER, page);
        assert_eq!(at(65_535, 1), Ok(65_535..65_536));
        assert_eq!(at(0, 65_536), Ok(0..65_536));
        assert_eq!(at(u32::MAX, 0), Ok(0..0));
        for (pointer, length) in [(65_535, 2), (65_536, 1), (u32::MAX, 1), (u32::MAX, u32::MAX)] {
            assert!(at(pointer, length).is_err(), "{pointer} {length}");
        }
        let whole = 1usize << 32;
        assert!(Span { pointer: u32::MAX, length: 1 }.checked(ANSWER, whole).is_ok());
        assert!(Span { pointer: u32::MAX, length: 2 }.checked(ANSWER, whole).is_err());
    }

    #[test]
    fn the_example_of_the_specification() {
        assert_eq!(unpack(0x0001_0000_0000_0005), Span { pointer: 0x0001_0000, length: 5 });
        assert_eq!(unpack(-1), Span { pointer: u32::MAX, length: u32::MAX });
    }

    #[test]
    fn violations_read_as_specified() {
        let text = |violation: AbiViolation| violation.to_string();
        assert_eq!(
            text(checked_event(0, 9, 100).unwrap_err()),
            "out of memory in alloc: asked for 9 bytes"
        );
        assert_eq!(
            text(checked_event(-1, 9, 100).unwrap_err()),
            "alloc returned 4294967295 for 9 bytes, but memory has 100"
        );
        assert_eq!(
            text(Span { pointer: 98, length: 9 }.checked(ANSWER, 100).unwrap_err()),
            "handle answered with 9 bytes at 98, but memory has 100"
        );
        assert_eq!(
            text(Span { pointer: 98, length: 9 }.checked(RangeOf::Import("log"), 100).unwrap_err()),
            "log was given 9 bytes at 98, but memory has 100"
        );
        assert_eq!(
            text(AbiViolation::RandomTooLong { length: 70_000 }),
            "random was asked for 70000 bytes, but at most 65536 a call"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_cut_at_the_bound() {
        let junk = vec![0x80u8; MAX_FAIL_BYTES + 10];
        assert_eq!(bounded_failure(&junk).len(), MAX_FAIL_BYTES);
    }
}
