//! The functions that a core module may import: `hearth.*` and `AssemblyScript`'s `env.*`, all synchronous.
//!
//! Every pointer and length is checked against the memory as it is at the moment of the call, and a violation ends the guest
//! with an [`AbiViolation`] that the engine finds by downcast. A module that imports none of them pays nothing. What is kept
//! of a log, and what becomes of a failure, is for the [`CoreView`] to say.

use std::borrow::Cow;

use wasmtime::{Caller, Extern, Linker, Memory, Result};

use crate::core_abi::{self, AbiViolation, RangeOf, Span};
use crate::logging::Level;

/// What these imports need of the store's data.
pub trait CoreView: Send {
    /// Takes one log entry of `hearth.log`, `env.trace` or `env.abort`.
    fn log(&mut self, level: Level, message: &str);

    /// Takes the error text that `hearth.fail` reports, already bounded to [`core_abi::MAX_FAIL_BYTES`]; the last call counts.
    ///
    /// # Errors
    /// [`AbiViolation::FailOutsideInvocation`] where no error can be reported: it ends the guest.
    fn fail(&mut self, message: &[u8]) -> Result<(), AbiViolation>;

    /// The invocation's context as one JSON object; the same text each time within one invocation.
    fn context_json(&mut self) -> &str;

    /// Fills `buffer`, at most [`core_abi::MAX_RANDOM_BYTES`], with cryptographically secure random bytes.
    fn random(&mut self, buffer: &mut [u8]);

    /// The wall clock, in milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;

    /// The guest's exported memory, where the embedder has it at hand: it saves a lookup by name on each import call.
    fn memory(&self) -> Option<Memory> {
        None
    }
}

/// A guest that ended itself through `AssemblyScript`'s `abort`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("abort: {message} at {file}:{line}:{column}")]
pub struct GuestAbort {
    /// What it said; `(null)` or `(unreadable)` where it said nothing readable.
    pub message: String,
    /// The source file it named, likewise.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

/// Defines the imports of the modules `hearth` and `env` in `linker`.
///
/// # Errors
/// When one of the names is already defined there.
pub fn add_to_linker<T: CoreView + 'static>(linker: &mut Linker<T>) -> Result<()> {
    let module = core_abi::HEARTH_MODULE;
    linker.func_wrap(module, core_abi::LOG_IMPORT, log::<T>)?;
    linker.func_wrap(module, core_abi::FAIL_IMPORT, fail::<T>)?;
    linker.func_wrap(module, core_abi::CONTEXT_IMPORT, context::<T>)?;
    linker.func_wrap(module, core_abi::NOW_MS_IMPORT, |caller: Caller<'_, T>| {
        caller.data().now_ms()
    })?;
    linker.func_wrap(module, core_abi::RANDOM_IMPORT, random::<T>)?;
    let module = core_abi::ENV_MODULE;
    linker.func_wrap(module, core_abi::ABORT_IMPORT, abort::<T>)?;
    linker.func_wrap(module, core_abi::TRACE_IMPORT, trace::<T>)?;
    linker.func_wrap(module, core_abi::SEED_IMPORT, |mut caller: Caller<'_, T>| {
        seed(caller.data_mut())
    })?;
    Ok(())
}

/// The guest's memory and the store's data, borrowed side by side.
fn memory_and_view<'a, T: CoreView + 'static>(
    caller: &'a mut Caller<'_, T>,
    import: &'static str,
) -> Result<(&'a mut [u8], &'a mut T), AbiViolation> {
    let known = caller.data().memory();
    let found =
        known.or_else(|| caller.get_export(core_abi::MEMORY_EXPORT).and_then(Extern::into_memory));
    let memory = found.ok_or(AbiViolation::NoMemory { import })?;
    Ok(memory.data_and_store_mut(caller))
}

/// The bytes of an import's range, checked.
fn slice<'a>(
    memory: &'a mut [u8],
    pointer: i32,
    length: i32,
    import: &'static str,
) -> Result<&'a mut [u8], AbiViolation> {
    let span = Span::from_i32(pointer, length);
    let memory_bytes = memory.len();
    let what = RangeOf::Import(import);
    let range = span.checked(what, memory_bytes)?;
    memory.get_mut(range).ok_or(AbiViolation::OutOfBounds {
        what,
        pointer: span.pointer,
        length: span.length,
        memory_bytes,
    })
}

fn log<T: CoreView + 'static>(
    mut caller: Caller<'_, T>,
    level: i32,
    pointer: i32,
    length: i32,
) -> Result<()> {
    let (memory, view) = memory_and_view(&mut caller, core_abi::LOG_IMPORT)?;
    let text = slice(memory, pointer, length, core_abi::LOG_IMPORT)?;
    let level = level.cast_unsigned();
    let level = Level::from_number(level).ok_or(AbiViolation::UnknownLevel { level })?;
    // The guest's text is cut before it is decoded: replacing ill-formed bytes can treble its size.
    let kept = text.get(..crate::logging::MAX_MESSAGE_BYTES).unwrap_or(text);
    view.log(level, &String::from_utf8_lossy(kept));
    Ok(())
}

fn fail<T: CoreView + 'static>(mut caller: Caller<'_, T>, pointer: i32, length: i32) -> Result<()> {
    let (memory, view) = memory_and_view(&mut caller, core_abi::FAIL_IMPORT)?;
    let text = slice(memory, pointer, length, core_abi::FAIL_IMPORT)?;
    view.fail(core_abi::bounded_failure(text))?;
    Ok(())
}

fn context<T: CoreView + 'static>(
    mut caller: Caller<'_, T>,
    pointer: i32,
    capacity: i32,
) -> Result<i32> {
    let (memory, view) = memory_and_view(&mut caller, core_abi::CONTEXT_IMPORT)?;
    let target = slice(memory, pointer, capacity, core_abi::CONTEXT_IMPORT)?;
    let json = view.context_json().as_bytes();
    if let Some(target) = target.get_mut(..json.len()) {
        target.copy_from_slice(json);
    }
    Ok(i32::try_from(json.len())?)
}

fn random<T: CoreView + 'static>(
    mut caller: Caller<'_, T>,
    pointer: i32,
    length: i32,
) -> Result<()> {
    let (memory, view) = memory_and_view(&mut caller, core_abi::RANDOM_IMPORT)?;
    let target = slice(memory, pointer, length, core_abi::RANDOM_IMPORT)?;
    let length = length.cast_unsigned();
    if length > core_abi::MAX_RANDOM_BYTES {
        return Err(AbiViolation::RandomTooLong { length }.into());
    }
    view.random(target);
    Ok(())
}

fn abort<T: CoreView + 'static>(
    mut caller: Caller<'_, T>,
    message: i32,
    file: i32,
    line: i32,
    column: i32,
) -> Result<()> {
    let (memory, view) = memory_and_view(&mut caller, core_abi::ABORT_IMPORT)?;
    let abort = GuestAbort {
        message: script_string(memory, message).into_owned(),
        file: script_string(memory, file).into_owned(),
        line: line.cast_unsigned(),
        column: column.cast_unsigned(),
    };
    view.log(Level::Error, &abort.to_string());
    Err(abort.into())
}

#[expect(clippy::too_many_arguments, reason = "the import has them")]
fn trace<T: CoreView + 'static>(
    mut caller: Caller<'_, T>,
    message: i32,
    count: i32,
    a0: f64,
    a1: f64,
    a2: f64,
    a3: f64,
    a4: f64,
) -> Result<()> {
    let (memory, view) = memory_and_view(&mut caller, core_abi::TRACE_IMPORT)?;
    let mut line = script_string(memory, message).into_owned();
    let count = usize::try_from(count).unwrap_or(0);
    for number in [a0, a1, a2, a3, a4].iter().take(count) {
        line.push(' ');
        line.push_str(&number.to_string());
    }
    view.log(Level::Trace, &line);
    Ok(())
}

/// A number from random bits. One in 2,048 patterns is no finite number; its lowest exponent bit is cleared, which makes it
/// one.
fn seed(view: &mut impl CoreView) -> f64 {
    let mut bits = [0; 8];
    view.random(&mut bits);
    let bits = u64::from_le_bytes(bits);
    let number = f64::from_bits(bits);
    if number.is_finite() { number } else { f64::from_bits(bits & !(1 << 52)) }
}

/// Reads an `AssemblyScript` string: UTF-16 at `pointer`, its size in bytes four bytes before it. Never fails, because who
/// calls `abort` is broken already.
fn script_string(memory: &[u8], pointer: i32) -> Cow<'static, str> {
    if pointer == 0 {
        return Cow::Borrowed("(null)");
    }
    decode_script_string(memory, pointer.cast_unsigned())
        .map_or(Cow::Borrowed("(unreadable)"), Cow::Owned)
}

fn decode_script_string(memory: &[u8], pointer: u32) -> Option<String> {
    let start = usize::try_from(pointer).ok()?;
    let header = memory.get(start.checked_sub(4)?..start)?;
    let size = u32::from_le_bytes(header.try_into().ok()?);
    if size % 2 != 0 {
        return None;
    }
    let whole = memory.get(start..start.checked_add(usize::try_from(size).ok()?)?)?;
    let bound = usize::try_from(core_abi::MAX_SCRIPT_STRING_BYTES).ok()?;
    let kept = whole.get(..bound).unwrap_or(whole);
    let units = kept.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
    Some(
        char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect(),
    )
}

#[cfg(test)]
#[path = "core_imports_tests.rs"]
mod tests;
