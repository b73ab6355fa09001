//! The functions of preview 1 that nearly every guest calls, for guests without files: on its three streams, arguments, environment, clocks
//! and randomness.
//!
//! `wasmtime-wasi` has each as an asynchronous function over tables of streams, of which a small command spends more time than in its own
//! code. Here each is a plain function. Everything else is `wasmtime-wasi`'s: its context is made when a guest first calls for it, and from
//! then on is asked about the streams as well, since a guest may have closed or renumbered them there.
//!
//! What they do is the specification's (`wasi_snapshot_preview1.witx`); where it leaves room they do what `wasmtime-wasi` does, but for
//! two things: a read or write goes over all buffers of its list, not only over the first that is not empty, and a write to the log takes
//! a mebibyte at most and says so, as a guest could otherwise have the host look for lines in all its memory past its deadline.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use wasmtime::{AsContextMut, Caller, Extern, Linker};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p1::types::{self, Clockid, Errno, Fdflags, Fdstat, Filetype, Rights};
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1;
use wiggle::{GuestMemory, GuestPtr};

use super::process::{RANDOM_BYTES_MAX, Strings};
use super::{Preview1, Result};
use crate::core_abi::MEMORY_EXPORT;
use crate::log_stream::Stream;

const MODULE: &str = "wasi_snapshot_preview1";

/// Buffers in one read or write that are looked at; a guest that has more calls again.
const BUFFERS_MAX: usize = 1024;

/// Bytes after which a read or write looks at no further buffer, and the log takes no more: the same memory may be named by all of them, and
/// a host function is not interrupted.
const BYTES_ENOUGH: u32 = 1 << 20;

/// The first status that WASI does not allow a guest to exit with.
const STATUS_END: i32 = 126;

const INPUT: u32 = 0;
const OUTPUT: u32 = 1;
const ERROR: u32 = 2;

/// Defines them over what `linker` has under their names.
pub(super) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    of: impl Fn(&mut T) -> &mut Preview1 + Copy + Send + Sync + 'static,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    /// One function: its name, and what it does with the guest's memory and its arguments.
    macro_rules! define {
        ($($name:ident($($argument:ident: $type:ty),*) $body:expr;)*) => {$(
            linker.func_wrap(
                MODULE,
                stringify!($name),
                move |mut caller: Caller<'_, T>, $($argument: $type),*| {
                    enter(&mut caller, of, |preview1, memory| $body(preview1, memory, $($argument),*))
                },
            )?;
        )*};
    }
    define! {
        args_sizes_get(count: u32, size: u32) |own: &mut Preview1, memory: &mut _, count, size| {
            sizes(&own.process.facts.arguments, memory, count, size)
        };
        args_get(list: u32, buffer: u32) |own: &mut Preview1, memory: &mut _, list, buffer| {
            strings(&own.process.facts.arguments, memory, list, buffer)
        };
        environ_sizes_get(count: u32, size: u32) |own: &mut Preview1, memory: &mut _, count, size| {
            sizes(&own.process.facts.environment, memory, count, size)
        };
        environ_get(list: u32, buffer: u32) |own: &mut Preview1, memory: &mut _, list, buffer| {
            strings(&own.process.facts.environment, memory, list, buffer)
        };
        clock_time_get(clock: i32, _precision: u64, time: u32) clock_time_get;
        fd_fdstat_get(fd: u32, stat: u32) fd_fdstat_get;
        fd_prestat_get(_fd: u32, _stat: u32) |_: &mut _, _: &mut _, _, _| Err(Errno::Badf.into());
        fd_read(fd: u32, list: u32, count: u32, size: u32) fd_read;
        fd_write(fd: u32, list: u32, count: u32, size: u32) fd_write;
        random_get(buffer: u32, length: u32) random_get;
        sched_yield() |_: &mut _, _: &mut _| Ok(());
    }
    linker.func_wrap(MODULE, "proc_exit", |status: i32| -> wasmtime::Result<()> {
        if !(0..STATUS_END).contains(&status) {
            let why = format!("exit with status {status}, outside of 0 to {}", STATUS_END - 1);
            return Err(wasmtime::Error::msg(why));
        }
        Err(I32Exit(status).into())
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Calls one of them with the guest's memory, and says how it ended as preview 1 does: an error number, or a trap.
fn enter<T: 'static>(
    caller: &mut Caller<'_, T>,
    of: impl Fn(&mut T) -> &mut Preview1,
    function: impl FnOnce(&mut Preview1, &mut GuestMemory<'_>) -> Result<()>,
) -> wasmtime::Result<i32> {
    let memory = match of(caller.data_mut()).memory {
        Some(memory) => memory,
        None => {
            let found = caller.get_export(MEMORY_EXPORT).and_then(Extern::into_memory);
            let found =
                found.ok_or_else(|| wasmtime::format_err!("the guest exports no memory"))?;
            *of(caller.data_mut()).memory.insert(found)
        }
    };
    let fuel = caller.as_context_mut().hostcall_fuel();
    let (bytes, state) = memory.data_and_store_mut(caller);
    let preview1 = of(state);
    if let Some(wasi) = &mut preview1.wasi {
        wasi.set_hostcall_fuel(fuel);
    }
    match function(preview1, &mut GuestMemory::Unshared(bytes)) {
        Ok(()) => Ok(i32::from(u16::from(Errno::Success))),
        Err(error) => error.downcast().map(|errno| i32::from(u16::from(errno))),
    }
}

fn sizes(strings: &Strings, memory: &mut GuestMemory<'_>, count: u32, size: u32) -> Result<()> {
    memory.write(GuestPtr::new(count), u32::try_from(strings.begins.len())?)?;
    Ok(memory.write(GuestPtr::new(size), u32::try_from(strings.bytes.len())?)?)
}

fn strings(strings: &Strings, memory: &mut GuestMemory<'_>, list: u32, buffer: u32) -> Result<()> {
    let (list, buffer) = (GuestPtr::<u32>::new(list), GuestPtr::<u8>::new(buffer));
    for (index, begin) in strings.begins.iter().enumerate() {
        let string = buffer.add(u32::try_from(*begin)?)?;
        memory.write(list.add(u32::try_from(index)?)?, string.offset())?;
    }
    let all = buffer.as_array(u32::try_from(strings.bytes.len())?);
    Ok(memory.copy_from_slice(&strings.bytes, all)?)
}

fn clock_time_get(
    own: &mut Preview1,
    memory: &mut GuestMemory<'_>,
    clock: i32,
    _precision: u64,
    time: u32,
) -> Result<()> {
    let clock = Clockid::try_from(clock).map_err(|why| types::Error::trap(why.into()))?;
    let now = match clock {
        Clockid::Realtime => {
            let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            u64::try_from(since_epoch.unwrap_or_default().as_nanos())?
        }
        Clockid::Monotonic => own.process.monotonic(),
        Clockid::ProcessCputimeId | Clockid::ThreadCputimeId => return Err(Errno::Badf.into()),
    };
    Ok(memory.write(GuestPtr::<u64>::new(time), now)?)
}

fn fd_fdstat_get(
    own: &mut Preview1,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    stat: u32,
) -> Result<()> {
    let value = match (&mut own.wasi, fd) {
        (Some(wasi), _) => at_once(wasi.fd_fdstat_get(memory, fd.into()))?,
        (None, INPUT | OUTPUT | ERROR) => {
            let rights = if fd == INPUT { Rights::FD_READ } else { Rights::FD_WRITE };
            Fdstat {
                fs_filetype: Filetype::Unknown,
                fs_flags: Fdflags::empty(),
                fs_rights_base: rights,
                fs_rights_inheriting: rights,
            }
        }
        (None, _) => return Err(Errno::Badf.into()),
    };
    Ok(memory.write(GuestPtr::new(stat), value)?)
}

fn fd_read(
    own: &mut Preview1,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    list: u32,
    count: u32,
    size: u32,
) -> Result<()> {
    let list: types::IovecArray = GuestPtr::new((list, count));
    let mut total = 0_u32;
    match (&mut own.wasi, fd) {
        (Some(wasi), _) => total = at_once(wasi.fd_read(memory, fd.into(), list))?,
        (None, INPUT) => {
            for buffer in list.iter().take(BUFFERS_MAX) {
                let types::Iovec { buf, buf_len } = memory.read(buffer?)?;
                let wanted = usize::try_from(buf_len)?;
                let input = own.process.pipes.as_ref().map(|(input, _)| input.read(wanted));
                let bytes = input.unwrap_or_default();
                let length = u32::try_from(bytes.len())?;
                memory.copy_from_slice(&bytes, buf.as_array(length))?;
                total = total.saturating_add(length);
                if length < buf_len || total >= BYTES_ENOUGH {
                    break;
                }
            }
        }
        (None, _) => return Err(Errno::Badf.into()),
    }
    Ok(memory.write(GuestPtr::new(size), total)?)
}

fn fd_write(
    own: &mut Preview1,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    list: u32,
    count: u32,
    size: u32,
) -> Result<()> {
    let list: types::CiovecArray = GuestPtr::new((list, count));
    let mut total = 0_u32;
    match (&mut own.wasi, fd) {
        (Some(wasi), _) => total = at_once(wasi.fd_write(memory, fd.into(), list))?,
        (None, OUTPUT | ERROR) => {
            for buffer in list.iter().take(BUFFERS_MAX) {
                let types::Ciovec { buf, buf_len } = memory.read(buffer?)?;
                let whole = memory.as_cow(buf.as_array(buf_len))?;
                let taken = match (fd, &own.process.pipes) {
                    (OUTPUT, Some((_, output))) => {
                        output.write(&whole);
                        buf_len
                    }
                    _ => {
                        let stream = if fd == OUTPUT { Stream::Stdout } else { Stream::Stderr };
                        let taken = buf_len.min(BYTES_ENOUGH.saturating_sub(total));
                        let part = whole.get(..usize::try_from(taken)?).unwrap_or(&whole);
                        own.process.log.write(stream, part);
                        taken
                    }
                };
                total = total.saturating_add(taken);
                if total >= BYTES_ENOUGH {
                    break;
                }
            }
        }
        (None, _) => return Err(Errno::Badf.into()),
    }
    Ok(memory.write(GuestPtr::new(size), total)?)
}

fn random_get(
    _: &mut Preview1,
    memory: &mut GuestMemory<'_>,
    buffer: u32,
    length: u32,
) -> Result<()> {
    if u64::from(length) > RANDOM_BYTES_MAX {
        let why = format!("{length} random bytes at once; at most {RANDOM_BYTES_MAX} are given");
        return Err(types::Error::trap(wasmtime::Error::msg(why)));
    }
    let buffer = GuestPtr::<u8>::new(buffer).as_array(length);
    let bytes = memory.as_slice_mut(buffer)?.ok_or(Errno::Notsup)?;
    rand::Rng::fill_bytes(&mut rand::rng(), bytes);
    Ok(())
}

/// What a function of `wasmtime-wasi` says that does not wait: none does on these streams.
fn at_once<V>(call: impl Future<Output = Result<V>>) -> Result<V> {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => Err(Errno::Again.into()),
    }
}
