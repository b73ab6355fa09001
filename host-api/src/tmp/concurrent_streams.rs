//! Files and directories of `/tmp` as the streams of WASI 0.3. Nothing here waits, and no stream holds more than one piece.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, Source, StreamConsumer, StreamProducer, StreamResult};
use wasmtime_wasi::p3::bindings::filesystem::types::{DirectoryEntry, ErrorCode};

use super::READ_BYTES_MAX;
use super::concurrent::kind;
use super::streams::At;
use crate::memory_fs::{MemoryFsError, OpenNode};

/// Tells how a stream ended: well, when it is dropped without a word.
#[derive(Debug)]
pub(super) struct Tell(Option<oneshot::Sender<Result<(), ErrorCode>>>);

/// The two ends of how a stream ends.
pub(super) fn ending() -> (Tell, oneshot::Receiver<Result<(), ErrorCode>>) {
    let (tell, told) = oneshot::channel();
    (Tell(Some(tell)), told)
}

impl Tell {
    fn tell(&mut self, how: Result<(), ErrorCode>) {
        if let Some(tell) = self.0.take() {
            // A guest that does not care has dropped its end.
            let _ = tell.send(how);
        }
    }

    pub(super) fn failed(mut self, error: MemoryFsError) {
        self.tell(Err(error.into()));
    }
}

impl Drop for Tell {
    fn drop(&mut self) {
        self.tell(Ok(()));
    }
}

/// A file that is read.
#[derive(Debug)]
pub(super) struct Producer {
    file: OpenNode,
    offset: u64,
    tell: Tell,
}

impl Producer {
    pub(super) fn new(file: OpenNode, offset: u64, tell: Tell) -> Self {
        Self { file, offset, tell }
    }
}

impl<D> StreamProducer<D> for Producer {
    type Item = u8;
    type Buffer = BytesMut;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        destination: Destination<'a, u8, BytesMut>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let mut destination = destination.as_direct(store, READ_BYTES_MAX);
        let to = destination.remaining();
        if to.is_empty() {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let length = to.len().min(READ_BYTES_MAX);
        let to = to.get_mut(..length).unwrap_or_default();
        Poll::Ready(Ok(match self.file.read(self.offset, to) {
            Ok(0) => StreamResult::Dropped,
            Ok(count) => {
                destination.mark_written(count);
                self.offset = self.offset.saturating_add(count as u64);
                StreamResult::Completed
            }
            Err(error) => {
                self.tell.tell(Err(error.into()));
                StreamResult::Dropped
            }
        }))
    }
}

/// A file that takes in what comes.
#[derive(Debug)]
pub(super) struct Consumer {
    file: OpenNode,
    at: At,
    tell: Tell,
}

impl Consumer {
    pub(super) fn new(file: OpenNode, at: At, tell: Tell) -> Self {
        Self { file, at, tell }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, MemoryFsError> {
        let bytes = bytes.get(..READ_BYTES_MAX).unwrap_or(bytes);
        match self.at {
            At::Closed => Err(MemoryFsError::BadDescriptor),
            At::End => self.file.append(bytes).map(|(count, _)| count),
            At::Offset(offset) => {
                let count = self.file.write(offset, bytes)?;
                self.at = At::Offset(offset.saturating_add(count as u64));
                Ok(count)
            }
        }
    }
}

impl<D> StreamConsumer<D> for Consumer {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let mut source = source.as_direct(store);
        Poll::Ready(Ok(match self.write(source.remaining()) {
            Ok(count) => {
                source.mark_read(count);
                StreamResult::Completed
            }
            Err(error) => {
                self.at = At::Closed;
                self.tell.tell(Err(error.into()));
                StreamResult::Dropped
            }
        }))
    }
}

/// A directory that is listed, one entry at a time.
#[derive(Debug)]
pub(super) struct Entries {
    directory: OpenNode,
    next: u64,
    tell: Tell,
}

impl Entries {
    pub(super) fn new(directory: OpenNode, tell: Tell) -> Self {
        Self { directory, next: 0, tell }
    }
}

impl<D> StreamProducer<D> for Entries {
    type Item = DirectoryEntry;
    type Buffer = Option<DirectoryEntry>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, DirectoryEntry, Option<DirectoryEntry>>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        Poll::Ready(Ok(match self.directory.entry_from(self.next) {
            Ok(None) => StreamResult::Dropped,
            Ok(Some(entry)) => {
                self.next = entry.place.saturating_add(1);
                let name = entry.name.as_ref().to_owned();
                destination.set_buffer(Some(DirectoryEntry { type_: kind(entry.kind), name }));
                StreamResult::Completed
            }
            Err(error) => {
                self.tell.tell(Err(error.into()));
                StreamResult::Dropped
            }
        }))
    }
}
