//! The way of a response from the guest that writes it to whoever reads it.
//!
//! What the guest writes waits here, up to a bound; then the guest waits. So a reader that is slow costs memory that is known, and
//! an instance no longer than its deadline. Knows no guest and no task: both ends are given to those who run them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::{Fault, InvokeError};

/// What a frame costs beside its bytes: many empty ones must not be free.
const FRAME_BYTES: usize = 64;

/// Why the body of a response broke off.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The guest did something wrong after it had begun to answer.
    #[error("the function broke off its response: {0}")]
    Fault(#[from] Fault),
    /// The host failed.
    #[error(transparent)]
    Failure(#[from] InvokeError),
}

/// What is between a guest that writes and whoever reads.
#[derive(Debug, Default)]
struct Passage {
    head: Option<http::response::Parts>,
    frames: VecDeque<Frame<Bytes>>,
    /// Bytes in `frames`, with what each costs beside.
    held: usize,
    has_trailers: bool,
    /// Bytes that the guest wrote so far.
    written: u64,
    end: Option<Result<(), AnswerError>>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The end at which a response is written.
#[derive(Debug, Clone)]
pub(crate) struct AnswerWriter {
    passage: Arc<Mutex<Passage>>,
    bound: usize,
}

impl AnswerWriter {
    /// A way on which at most about `bound` bytes wait.
    pub(crate) fn new(bound: u64) -> Self {
        let bound = usize::try_from(bound).unwrap_or(usize::MAX);
        Self { passage: Arc::default(), bound }
    }

    /// The response without its body.
    pub(crate) fn set_head(&self, head: http::response::Parts) {
        let mut passage = self.passage.lock();
        passage.head = Some(head);
        if let Some(reader) = passage.reader.take() {
            reader.wake();
        }
    }

    /// Wakes whoever waits for the response when there is more of it: its guest may run on another thread.
    pub(crate) fn watch(&self, waker: &Waker) {
        self.passage.lock().reader = Some(waker.clone());
    }

    /// Waits until there is room for a frame.
    pub(crate) async fn room(&self) {
        poll_fn(|context| {
            let mut passage = self.passage.lock();
            if passage.held < self.bound {
                return Poll::Ready(());
            }
            passage.writer = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Passes a frame on.
    pub(crate) fn write(&self, frame: Frame<Bytes>) {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let mut passage = self.passage.lock();
        passage.held = passage.held.saturating_add(bytes).saturating_add(FRAME_BYTES);
        passage.written = passage.written.saturating_add(bytes as u64);
        passage.has_trailers |= frame.is_trailers();
        passage.frames.push_back(frame);
        if let Some(reader) = passage.reader.take() {
            reader.wake();
        }
    }

    /// Says that the response is whole, or why not; what was said first holds.
    pub(crate) fn end(&self, end: Result<(), AnswerError>) {
        let mut passage = self.passage.lock();
        passage.end.get_or_insert(end);
        if let Some(reader) = passage.reader.take() {
            reader.wake();
        }
    }

    /// Whether the guest has begun to answer.
    pub(crate) fn has_head(&self) -> bool {
        self.passage.lock().head.is_some()
    }

    /// Whether the guest has to wait for the reader.
    pub(crate) fn is_full(&self) -> bool {
        self.passage.lock().held >= self.bound
    }

    /// Bytes that the guest wrote.
    pub(crate) fn written(&self) -> u64 {
        self.passage.lock().written
    }

    /// The response as its reader gets it, if the guest has begun to answer. `running` is ended with the body, unless all of that
    /// was read.
    pub(crate) fn response(
        &self,
        running: Option<AbortHandle>,
    ) -> Option<http::Response<AnswerBody>> {
        let head = self.passage.lock().head.take()?;
        let body = AnswerBody { passage: self.passage.clone(), running };
        Some(http::Response::from_parts(head, body))
    }
}

/// The body of a response, as the guest writes it. Dropping it before its end ends the guest.
#[derive(Debug)]
pub struct AnswerBody {
    passage: Arc<Mutex<Passage>>,
    /// The invocation, while it runs and its end is not read.
    running: Option<AbortHandle>,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let ended = {
            let mut passage = self.passage.lock();
            if let Some(frame) = passage.frames.pop_front() {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                passage.held = passage.held.saturating_sub(bytes.saturating_add(FRAME_BYTES));
                if let Some(writer) = passage.writer.take() {
                    writer.wake();
                }
                return Poll::Ready(Some(Ok(frame)));
            }
            let Some(end) = &mut passage.end else {
                passage.reader = Some(context.waker().clone());
                return Poll::Pending;
            };
            std::mem::replace(end, Ok(()))
        };
        // What the guest does after its response is its own affair, until its deadline.
        self.running = None;
        Poll::Ready(ended.err().map(Err))
    }

    fn is_end_stream(&self) -> bool {
        let passage = self.passage.lock();
        passage.frames.is_empty() && matches!(passage.end, Some(Ok(())))
    }

    fn size_hint(&self) -> SizeHint {
        let passage = self.passage.lock();
        let held = passage.held.saturating_sub(passage.frames.len().saturating_mul(FRAME_BYTES));
        let held = held as u64;
        if matches!(passage.end, Some(Ok(()))) && !passage.has_trailers {
            return SizeHint::with_exact(held);
        }
        let mut hint = SizeHint::new();
        hint.set_lower(held);
        hint
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Some(running) = self.running.take()
            && !self.is_end_stream()
        {
            running.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    fn head() -> http::response::Parts {
        http::Response::new(()).into_parts().0
    }

    #[test]
    fn a_writer_waits_for_a_slow_reader() {
        let writer = AnswerWriter::new(100);
        writer.set_head(head());
        let mut body = writer.response(None).unwrap();
        writer.write(Frame::data(Bytes::from(vec![1; 90])));
        assert!(writer.room().now_or_never().is_none());
        assert!(body.frame().now_or_never().is_some());
        assert!(writer.room().now_or_never().is_some());
        assert!(body.frame().now_or_never().is_none(), "there is nothing more as yet");
        assert_eq!(writer.written(), 90);
    }

    #[test]
    fn empty_frames_are_not_free() {
        let writer = AnswerWriter::new(1000);
        for _ in 0..20 {
            writer.write(Frame::data(Bytes::new()));
        }
        assert!(writer.is_full());
    }

    #[test]
    fn a_whole_body_has_a_size_and_a_broken_one_an_error() {
        let writer = AnswerWriter::new(1000);
        writer.set_head(head());
        let mut body = writer.response(None).unwrap();
        writer.write(Frame::data(Bytes::from_static(b"abc")));
        assert_eq!(body.size_hint().exact(), None);
        writer.end(Ok(()));
        // What was said first holds.
        writer.end(Err(Fault::Cancelled.into()));
        assert_eq!(body.size_hint().exact(), Some(3));
        assert!(!body.is_end_stream());
        assert!(body.frame().now_or_never().unwrap().unwrap().is_ok());
        assert!(body.is_end_stream());
        assert!(body.frame().now_or_never().unwrap().is_none());

        let writer = AnswerWriter::new(1000);
        writer.set_head(head());
        let mut body = writer.response(None).unwrap();
        writer.end(Err(Fault::Cancelled.into()));
        assert!(body.frame().now_or_never().unwrap().unwrap().is_err());
    }
}
