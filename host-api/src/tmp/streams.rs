//! Files of `/tmp` as streams of `wasi:io`: always ready, because nothing here waits.

use bytes::Bytes;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamError, StreamResult};

use super::READ_BYTES_MAX;
use super::descriptor::read_some;
use crate::memory_fs::{MemoryFsError, OpenNode};

/// Reads on from an offset.
#[derive(Debug)]
pub(super) struct Reader {
    file: OpenNode,
    offset: u64,
}

impl Reader {
    pub(super) fn new(file: OpenNode, offset: u64) -> Self {
        Self { file, offset }
    }
}

impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        let bytes = read_some(&self.file, self.offset, size).map_err(failed)?;
        if bytes.is_empty() {
            return Err(StreamError::Closed);
        }
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        Ok(bytes.into())
    }
}

#[async_trait::async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {}
}

/// Where a [`Writer`] puts what comes next.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    /// At this offset.
    Offset(u64),
    /// At the file's end.
    End,
    /// Nowhere: a write failed, and so the stream is closed.
    Closed,
}

/// Writes on from an offset, or at the end.
#[derive(Debug)]
pub(super) struct Writer {
    file: OpenNode,
    at: At,
}

impl Writer {
    pub(super) fn new(file: OpenNode, at: At) -> Self {
        Self { file, at }
    }

    /// Writes some; how many bytes that were.
    fn write_some(&mut self, bytes: &[u8]) -> StreamResult<usize> {
        match self.at {
            At::Closed => Err(StreamError::Closed),
            At::End => self.file.append(bytes).map(|(count, _)| count).map_err(failed),
            At::Offset(offset) => {
                let count = self.file.write(offset, bytes).map_err(failed)?;
                self.at = At::Offset(offset.saturating_add(count as u64));
                Ok(count)
            }
        }
    }
}

impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut rest = bytes.as_ref();
        while !rest.is_empty() {
            match self.write_some(rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) => {
                    self.at = At::Closed;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.check_write().map(drop)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        match self.at {
            At::Closed => Err(StreamError::Closed),
            At::End | At::Offset(_) => Ok(READ_BYTES_MAX),
        }
    }
}

#[async_trait::async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {}
}

fn failed(error: MemoryFsError) -> StreamError {
    StreamError::LastOperationFailed(wasmtime::Error::new(error))
}
