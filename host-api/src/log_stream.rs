//! A guest's stdout and stderr as a stream that never makes the guest wait and never fails it.
//!
//! Every write goes straight to a [`LogWriter`]; what bounds the bytes that are kept is the writer's business. A guest keeps
//! the stream handle for the life of its instance, so the writer, not the stream, is what changes from one invocation to the
//! next.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{OutputStream, StreamResult};

/// How many bytes one write may carry. It bounds what `write-zeroes` can make the host allocate at once; 64 KiB is what WASI
/// streams usually grant.
pub const WRITE_PERMIT_BYTES: usize = 64 * 1024;

/// Where a piece of log came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// The guest's standard output.
    Stdout,
    /// The guest's standard error.
    Stderr,
    /// The logging import, `wasi:logging` or `hearth.log`.
    Log,
}

/// Takes what guests write. Called on the thread that runs the guest, so it must not block and must bound what it keeps.
pub trait LogWriter: Send + Sync {
    /// Takes `bytes`, which may hold part of a line, many lines, or no UTF-8 at all.
    fn write(&self, stream: Stream, bytes: &[u8]);

    /// The writer of whoever runs now, where that is another: a stream of WASI 0.3 is written to when its reader comes to it, which may
    /// be while another runs.
    fn current(&self) -> Option<Arc<dyn LogWriter>> {
        None
    }
}

/// One of a guest's output streams, in front of a [`LogWriter`]. Cheap to clone; all clones write to the same place.
#[derive(Clone)]
pub struct LogStream {
    writer: Arc<dyn LogWriter>,
    stream: Stream,
}

impl LogStream {
    /// A stream that hands everything to `writer`, marked as `stream`.
    #[must_use]
    pub fn new(writer: Arc<dyn LogWriter>, stream: Stream) -> Self {
        Self { writer, stream }
    }
}

impl std::fmt::Debug for LogStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogStream").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        let writer = self.writer.current().unwrap_or_else(|| self.writer.clone());
        Box::new(Self { writer, stream: self.stream })
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.writer.write(self.stream, &bytes);
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
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

impl AsyncWrite for LogStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writer.write(self.stream, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    #[derive(Default)]
    struct Seen(Mutex<Vec<(Stream, Vec<u8>)>>);

    impl LogWriter for Seen {
        fn write(&self, stream: Stream, bytes: &[u8]) {
            self.0.lock().push((stream, bytes.to_vec()));
        }
    }

    #[tokio::test]
    async fn every_way_to_write_reaches_the_writer_at_once() {
        let seen = Arc::new(Seen::default());
        let stderr = LogStream::new(seen.clone(), Stream::Stderr);
        let mut second = stderr.p2_stream();
        assert_eq!(second.check_write().unwrap(), WRITE_PERMIT_BYTES);
        second.write(Bytes::from_static(b"p2 \xff\n")).unwrap();
        second.blocking_write_and_flush(Bytes::from_static(b"again\n")).await.unwrap();
        let mut third = Box::into_pin(stderr.async_stream());
        tokio::io::AsyncWriteExt::write_all(&mut third, b"p3\n").await.unwrap();
        let seen = seen.0.lock();
        let bytes: Vec<&[u8]> = seen.iter().map(|(_, bytes)| bytes.as_slice()).collect();
        assert_eq!(bytes, [&b"p2 \xff\n"[..], b"again\n", b"p3\n"]);
        assert!(seen.iter().all(|(stream, _)| *stream == Stream::Stderr));
    }

    #[test]
    fn a_flood_is_always_granted() {
        let mut stream = LogStream::new(Arc::new(Seen::default()), Stream::Stdout);
        for _ in 0..100 {
            assert_eq!(stream.check_write().unwrap(), WRITE_PERMIT_BYTES);
            OutputStream::write(&mut stream, Bytes::from(vec![b'x'; WRITE_PERMIT_BYTES])).unwrap();
        }
    }
}
