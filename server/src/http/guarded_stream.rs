//! A connection's stream that notes when it last moved, so that one timer a connection finds out whoever holds it open
//! for nothing: idle between requests, slow with a header, not taking its answer.
//!
//! Noting costs two loads and a store; timers are not touched per request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::cores::Counted;
use super::frame_guard::FrameGuard;
use super::transport::Transport;

/// Milliseconds of a clock that only goes on with the kernel's tick, every 1 to 10 ms: bounds are longer, each request asks three times, and a
/// clock that is exact costs more than all else that is noted here.
#[cfg(target_os = "linux")]
fn coarse_ms() -> u64 {
    // By the C library: a clock read past it ends a program that runs under valgrind, which counts what a request costs.
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC_COARSE);
    let ms = now.map_or(0, |now| now.tv_sec() * 1000 + now.tv_nsec() / 1_000_000);
    u64::try_from(ms).unwrap_or(0)
}

/// Milliseconds since some time before.
#[cfg(not(target_os = "linux"))]
fn coarse_ms() -> u64 {
    static BEGIN: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    u64::try_from(BEGIN.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Nothing of a next request has come.
    Idle = 0,
    /// Part of a header has come, or of the preface of HTTP/2.
    Header = 1,
    /// A handler has a request, or its answer is on its way.
    Busy = 2,
}

/// Since when a connection does what it does.
#[derive(Debug)]
pub(super) struct ConnectionClock {
    phase: AtomicU8,
    /// Whether what comes may be anything, because it is HTTP/2 or somebody took the connection over.
    is_free: AtomicBool,
    /// Requests whose answers are not over.
    open: AtomicU32,
    /// When the phase began, as [`coarse_ms`] says it.
    since: AtomicU64,
    /// When writing began to stall, as [`coarse_ms`] says it plus one; 0 while it does not.
    stalled: AtomicU64,
}

/// What to do with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Nothing.
    No,
    /// Close it politely: it is idle.
    Idle,
    /// Cut it off.
    Stalled,
}

impl ConnectionClock {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            phase: AtomicU8::new(Phase::Idle as u8),
            is_free: AtomicBool::new(false),
            open: AtomicU32::new(0),
            since: AtomicU64::new(coarse_ms()),
            stalled: AtomicU64::new(0),
        })
    }

    fn enter(&self, phase: Phase) {
        self.since.store(coarse_ms(), Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// A handler takes over; what is returned is kept until its answer is over.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.enter(Phase::Busy);
        Busy(self.clone())
    }

    /// Whether the connection has been at it for too long.
    pub(super) fn overdue(&self, header: Duration, idle: Duration, write: Duration) -> Overdue {
        let now = coarse_ms();
        let over = |since: u64, limit: Duration| {
            u128::from(now.saturating_sub(since)) >= limit.as_millis()
        };
        let stalled = self.stalled.load(Ordering::Relaxed);
        if stalled > 0 && over(stalled - 1, write) {
            return Overdue::Stalled;
        }
        let since = self.since.load(Ordering::Relaxed);
        match self.phase.load(Ordering::Relaxed) {
            phase if phase == Phase::Header as u8 && over(since, header) => Overdue::Stalled,
            // While an answer still drains, the write bound alone decides.
            phase if phase == Phase::Idle as u8 && stalled == 0 && over(since, idle) => {
                Overdue::Idle
            }
            _ => Overdue::No,
        }
    }

    fn read_bytes(&self) {
        // A frame of HTTP/2 need not begin a request: until one is there, the connection is idle.
        let idle = self.phase.load(Ordering::Relaxed) == Phase::Idle as u8;
        if idle && !self.is_free.load(Ordering::Relaxed) {
            self.enter(Phase::Header);
        }
    }

    fn read_preface(&self) {
        self.hand_over();
        self.enter(Phase::Idle);
    }

    /// What comes from now on may be anything.
    pub(super) fn hand_over(&self) {
        self.is_free.store(true, Ordering::Relaxed);
    }

    fn wrote(&self, progressed: bool) {
        if progressed {
            // Read first: the line is shared with nobody, but a store each time would still dirty it.
            if self.stalled.load(Ordering::Relaxed) != 0 {
                self.stalled.store(0, Ordering::Relaxed);
            }
        } else if self.stalled.load(Ordering::Relaxed) == 0 {
            self.stalled.store(coarse_ms() + 1, Ordering::Relaxed);
        }
    }
}

/// One request that is being answered; without any, the connection is idle.
#[derive(Debug)]
pub(super) struct Busy(Arc<ConnectionClock>);

impl Busy {
    /// Whose connection it came on.
    pub(super) fn clock(&self) -> &ConnectionClock {
        &self.0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.enter(Phase::Idle);
        }
    }
}

/// Whoever takes over a stream of HTTP/2, where the connection goes on beside it, holds this until done with the stream: meanwhile the
/// connection is not idle, and its slot is not given to another.
#[derive(Debug, Clone)]
pub struct Occupied(#[expect(dead_code, reason = "held, never read")] Arc<(Busy, Arc<Place>)>);

impl Occupied {
    pub(super) fn new(clock: &Arc<ConnectionClock>, place: &Arc<Place>) -> Self {
        Self(Arc::new((clock.busy(), place.clone())))
    }
}

/// The stream of one connection.
#[derive(Debug)]
pub(super) struct GuardedStream {
    stream: Transport,
    clock: Arc<ConnectionClock>,
    preface: Preface,
    takes_h2: bool,
    frames: FrameGuard,
    /// Given back when the stream goes, which after an upgrade is later than the end of HTTP on it.
    _place: Arc<Place>,
}

/// What a connection takes up: its core's count and a slot.
pub(super) type Place = (Counted, OwnedSemaphorePermit);

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Preface {
    /// So many bytes of HTTP/2's preface have come, and nothing else.
    Begun(usize),
    /// It is HTTP/2.
    Whole,
    /// It is not.
    None,
}

/// What a client of HTTP/2 sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Preface {
    fn and(self, bytes: &[u8]) -> Self {
        let Self::Begun(count) = self else { return self };
        let expected = PREFACE.get(count..).unwrap_or_default();
        let common = bytes.len().min(expected.len());
        match bytes.get(..common) == expected.get(..common) {
            false => Self::None,
            true if common == expected.len() => Self::Whole,
            true => Self::Begun(count + common),
        }
    }
}

impl GuardedStream {
    pub(super) fn new(
        stream: Transport,
        clock: Arc<ConnectionClock>,
        place: Arc<Place>,
        takes_h2: bool,
    ) -> Self {
        let (preface, frames) = (Preface::Begun(0), FrameGuard::new());
        Self { stream, clock, preface, takes_h2, frames, _place: place }
    }

    /// Looks at what came, and spoils a request that others may read otherwise.
    fn came(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.clock.read_bytes();
        if matches!(self.preface, Preface::Begun(_)) {
            self.preface = self.preface.and(bytes);
            if self.preface == Preface::Whole {
                if !self.takes_h2 {
                    let why = "a client speaks HTTP/2, which the setting `http.h2` turns off";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
                self.clock.read_preface();
            }
        }
        // With HTTP/2 it is free too, from the end of the preface on.
        if self.clock.is_free.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Some(found) = self.frames.ambiguous(bytes) else { return Ok(()) };
        if found.after_upgrade {
            // It may be the beginning of what the client asked for, which it must wait for; that is not ours to change.
            let why = "a client sends on before it is told whether it may speak another protocol";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        if let Some(byte) = bytes.get_mut(found.at) {
            // No head, no size of a chunk and no trailer may hold this byte.
            *byte = 0;
        }
        Ok(())
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        match buffer.filled_mut().get_mut(before..) {
            Some(bytes) if !bytes.is_empty() => Poll::Ready(this.came(bytes)),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.clock.wrote(written.is_ready());
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, bytes);
        this.clock.wrote(written.is_ready());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        // TLS takes bytes before they are on their way.
        if matches!(this.stream, Transport::Tls(_)) {
            this.clock.wrote(flushed.is_ready());
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn each_phase_has_its_own_bound() {
        let clock = ConnectionClock::new();
        assert_eq!(clock.overdue(LONG, Duration::ZERO, LONG), Overdue::Idle);
        clock.read_bytes();
        assert_eq!(clock.overdue(LONG, Duration::ZERO, LONG), Overdue::No);
        assert_eq!(clock.overdue(Duration::ZERO, LONG, LONG), Overdue::Stalled);
        let (first, second) = (clock.busy(), clock.busy());
        drop(first);
        clock.read_bytes();
        assert_eq!(clock.overdue(Duration::ZERO, Duration::ZERO, LONG), Overdue::No);
        clock.wrote(false);
        drop(second);
        assert_eq!(clock.overdue(Duration::ZERO, Duration::ZERO, LONG), Overdue::No);
        assert_eq!(clock.overdue(LONG, LONG, Duration::ZERO), Overdue::Stalled);
        clock.wrote(true);
        assert_eq!(clock.overdue(LONG, LONG, Duration::ZERO), Overdue::No);
    }

    #[test]
    fn frames_of_http_2_begin_no_header() {
        let clock = ConnectionClock::new();
        clock.read_bytes();
        clock.read_preface();
        clock.read_bytes();
        assert_eq!(clock.overdue(Duration::ZERO, LONG, LONG), Overdue::No);
        assert_eq!(clock.overdue(LONG, Duration::ZERO, LONG), Overdue::Idle);
    }

    #[test]
    fn a_preface_is_known_in_whatever_pieces_it_comes() {
        for size in 1..=PREFACE.len() {
            let pieces = PREFACE.chunks(size);
            assert_eq!(pieces.fold(Preface::Begun(0), Preface::and), Preface::Whole, "{size}");
        }
        assert_eq!(Preface::Begun(0).and(b"POST / HTTP/1.1\r\n"), Preface::None);
        assert_eq!(Preface::Begun(0).and(b"PR").and(b"OPFIND / HTTP/1.1\r\n"), Preface::None);
        assert_eq!(Preface::Begun(0).and(PREFACE).and(b"frame"), Preface::Whole);
    }
}
