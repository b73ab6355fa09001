//! What a command reads and answers: an event as stdin, and its stdout kept up to a bound.
//!
//! The capture never fails a write and never waits: past its bound it counts and drops, so a guest that answers too much
//! runs to its end and the host can say by how much it went over. Both ends share one state among all handles a guest opens.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamError, StreamResult};

use crate::log_stream::WRITE_PERMIT_BYTES;

/// Collects the first bytes that a guest writes and counts the rest. Clones share what was collected.
#[derive(Debug, Clone)]
pub struct BoundedCapture {
    state: Arc<Mutex<Captured>>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Captured {
    kept: BytesMut,
    written: u64,
}

impl BoundedCapture {
    /// Keeps at most `limit` bytes. Memory is taken as bytes arrive, not ahead.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { state: Arc::default(), limit }
    }

    /// The bytes kept, and how many were written in all; the capture is empty afterwards and can be used again.
    #[must_use]
    pub fn take(&self) -> (Bytes, u64) {
        let mut state = self.state.lock();
        let written = std::mem::take(&mut state.written);
        (state.kept.split().freeze(), written)
    }

    /// Whether more was written than is kept.
    #[must_use]
    pub fn overflowed(&self) -> bool {
        let state = self.state.lock();
        state.written > state.kept.len() as u64
    }

    /// Takes what a guest writes.
    pub fn write(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        state.written = state.written.saturating_add(bytes.len() as u64);
        let room = self.limit.saturating_sub(state.kept.len());
        let kept = bytes.get(..room).unwrap_or(bytes);
        state.kept.extend_from_slice(kept);
    }
}

impl IsTerminal for BoundedCapture {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for BoundedCapture {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for BoundedCapture {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        Self::write(self, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_PERMIT_BYTES)
    }
}

#[async_trait::async_trait]
impl Pollable for BoundedCapture {
    async fn ready(&mut self) {}
}

impl AsyncWrite for BoundedCapture {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Self::write(&self, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// An event as standard input: read once, shared by every handle the guest opens, then at its end. Copies nothing.
#[derive(Debug, Clone)]
pub struct EventInput {
    rest: Arc<Mutex<Bytes>>,
}

impl EventInput {
    /// Standard input that holds `event`.
    #[must_use]
    pub fn new(event: impl Into<Bytes>) -> Self {
        Self { rest: Arc::new(Mutex::new(event.into())) }
    }

    /// Puts the event in place for an instance that was made before its event was known.
    pub fn set(&self, event: Bytes) {
        *self.rest.lock() = event;
    }

    /// The next bytes, at most `size` of them, and none at the end.
    #[must_use]
    pub fn read(&self, size: usize) -> Bytes {
        let mut rest = self.rest.lock();
        let size = size.min(rest.len());
        rest.split_to(size)
    }
}

impl IsTerminal for EventInput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for EventInput {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

impl InputStream for EventInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.rest.lock().is_empty() {
            return Err(StreamError::Closed);
        }
        Ok(Self::read(self, size))
    }
}

#[async_trait::async_trait]
impl Pollable for EventInput {
    async fn ready(&mut self) {}
}

impl AsyncRead for EventInput {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = Self::read(&self, buffer.remaining());
        buffer.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_up_to_the_bound_and_counts_the_rest() {
        let capture = BoundedCapture::new(5);
        let mut first = capture.p2_stream();
        let mut second = capture.p2_stream();
        first.write(Bytes::from_static(b"abc")).unwrap();
        assert!(!capture.overflowed());
        second.write(Bytes::from_static(b"defg")).unwrap();
        first.write(Bytes::from_static(b"h")).unwrap();
        assert!(capture.overflowed());
        assert_eq!(capture.take(), (Bytes::from_static(b"abcde"), 8));
        assert_eq!(capture.take(), (Bytes::new(), 0));
        first.write(Bytes::from_static(b"next")).unwrap();
        assert_eq!(capture.take(), (Bytes::from_static(b"next"), 4));
    }

    #[test]
    fn a_bound_of_zero_still_counts() {
        let capture = BoundedCapture::new(0);
        capture.p2_stream().write(Bytes::from_static(b"x")).unwrap();
        assert!(capture.overflowed());
        assert_eq!(capture.take(), (Bytes::new(), 1));
    }

    #[tokio::test]
    async fn the_event_is_read_once_by_all_handles() {
        let input = EventInput::new(Bytes::from_static(b"0123456789"));
        let mut first = input.p2_stream();
        assert_eq!(first.read(4).unwrap(), "0123");
        let mut second = Box::into_pin(input.async_stream());
        let mut rest = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut second, &mut rest).await.unwrap();
        assert_eq!(rest, b"456789");
        assert!(matches!(first.read(1), Err(StreamError::Closed)));
    }

    #[test]
    fn works_as_the_streams_of_both_contexts() {
        let mut builder = wasmtime_wasi::WasiCtxBuilder::new();
        builder.stdin(EventInput::new("event")).stdout(BoundedCapture::new(1));
        let _ = builder.build_p1();
        let mut builder = wasmtime_wasi::WasiCtxBuilder::new();
        builder.stdin(EventInput::new("event")).stdout(BoundedCapture::new(1));
        let _ = builder.build();
    }
}
