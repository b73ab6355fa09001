//! The way of a response from the guest that writes it to whoever reads it.
//!
//! What the guest writes waits here, up to a bound; then the guest waits. So a reader that is slow costs memory that is known, and
//! an instance no longer than its deadline. Knows no guest and no task: both ends are given to those who run them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// Frames that were written and not read.
#[derive(Debug, Default)]
struct Held {
    frames: VecDeque<Frame<Bytes>>,
    /// Bytes in `frames`, with what each costs beside.
    size: usize,
    has_trailers: bool,
}

impl Held {
    fn push(&mut self, frame: Frame<Bytes>, bytes: usize) {
        self.size = self.size.saturating_add(bytes).saturating_add(FRAME_BYTES);
        self.has_trailers |= frame.is_trailers();
        self.frames.push_back(frame);
    }

    fn pop(&mut self) -> Option<Frame<Bytes>> {
        let frame = self.frames.pop_front()?;
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        self.size = self.size.saturating_sub(bytes.saturating_add(FRAME_BYTES));
        Some(frame)
    }

    /// The size of what is here and, unless it is `whole`, of what may follow.
    fn size_hint(&self, whole: bool) -> SizeHint {
        let bytes = self.size.saturating_sub(self.frames.len().saturating_mul(FRAME_BYTES)) as u64;
        if whole && !self.has_trailers {
            return SizeHint::with_exact(bytes);
        }
        let mut hint = SizeHint::new();
        hint.set_lower(bytes);
        hint
    }
}

/// What is between a guest that writes and whoever reads.
#[derive(Debug, Default)]
struct Passage {
    head: Option<http::response::Parts>,
    held: Held,
    /// Bytes that the guest wrote so far.
    written: u64,
    end: Option<Result<(), AnswerError>>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Passage {
    /// Whether the guest has written all there is, and said so.
    fn is_whole(&self) -> bool {
        matches!(self.end, Some(Ok(())))
    }
}

/// What both ends share.
#[derive(Debug, Default)]
struct Shared {
    passage: Mutex<Passage>,
    /// Bytes that the guest read of the request which is answered.
    read: AtomicU64,
}

/// The end at which a response is written.
#[derive(Debug, Clone)]
pub(crate) struct AnswerWriter {
    shared: Arc<Shared>,
    bound: usize,
}

impl AnswerWriter {
    /// A way on which at most about `bound` bytes wait.
    pub(crate) fn new(bound: u64) -> Self {
        let bound = usize::try_from(bound).unwrap_or(usize::MAX);
        Self { shared: Arc::default(), bound }
    }

    /// The response without its body.
    pub(crate) fn set_head(&self, head: http::response::Parts) {
        let mut passage = self.shared.passage.lock();
        passage.head = Some(head);
        if let Some(reader) = passage.reader.take() {
            reader.wake();
        }
    }

    /// Wakes whoever waits for the response when there is more of it: its guest may run on another thread.
    pub(crate) fn watch(&self, waker: &Waker) {
        self.shared.passage.lock().reader = Some(waker.clone());
    }

    /// Waits until there is room for a frame.
    pub(crate) async fn room(&self) {
        poll_fn(|context| {
            let mut passage = self.shared.passage.lock();
            if passage.held.size < self.bound {
                return Poll::Ready(());
            }
            passage.writer = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Passes a frame on; whether there is room for another.
    pub(crate) fn write(&self, frame: Frame<Bytes>) -> bool {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let mut passage = self.shared.passage.lock();
        passage.held.push(frame, bytes);
        passage.written = passage.written.saturating_add(bytes as u64);
        if let Some(reader) = passage.reader.take() {
            reader.wake();
        }
        passage.held.size < self.bound
    }

    /// Says that the response is whole, or why not; what was said first holds.
    pub(crate) fn end(&self, end: Result<(), AnswerError>) {
        let mut passage = self.shared.passage.lock();
        passage.end.get_or_insert(end);
        if let Some(reader) = passage.reader.take() {
            reader.wake();
        }
    }

    /// Whether the guest has begun to answer.
    pub(crate) fn has_head(&self) -> bool {
        self.shared.passage.lock().head.is_some()
    }

    /// Whether the guest has to wait for the reader.
    pub(crate) fn is_full(&self) -> bool {
        self.shared.passage.lock().held.size >= self.bound
    }

    /// Bytes that the guest wrote.
    pub(crate) fn written(&self) -> u64 {
        self.shared.passage.lock().written
    }

    /// Notes that the guest read so many bytes of the request.
    pub(crate) fn note_read(&self, bytes: u64) {
        self.shared.read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that the guest read of the request.
    pub(crate) fn read(&self) -> u64 {
        self.shared.read.load(Ordering::Relaxed)
    }

    /// The response as its reader gets it, if the guest has begun to answer. `running` is ended with the body, unless all of that
    /// was read.
    pub(crate) fn response(
        &self,
        running: Option<AbortHandle>,
    ) -> Option<http::Response<AnswerBody>> {
        let (head, held) = {
            let mut passage = self.shared.passage.lock();
            let is_whole = passage.is_whole();
            (passage.head.take()?, is_whole.then(|| std::mem::take(&mut passage.held)))
        };
        let rest = match held {
            // Nobody writes any more: what is here belongs to the reader alone.
            Some(held) => Rest::Whole(held),
            None => Rest::Coming(self.shared.clone()),
        };
        Some(http::Response::from_parts(head, AnswerBody { rest, running }))
    }
}

/// What is still to be read of a body.
#[derive(Debug)]
enum Rest {
    /// This.
    Whole(Held),
    /// This, and what the guest has not written so far.
    Coming(Arc<Shared>),
}

/// The body of a response, as the guest writes it. Dropping it before its end ends the guest.
#[derive(Debug)]
pub struct AnswerBody {
    rest: Rest,
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
        let ended = match &mut self.rest {
            Rest::Whole(held) => match held.pop() {
                Some(frame) => return Poll::Ready(Some(Ok(frame))),
                None => Ok(()),
            },
            Rest::Coming(shared) => {
                let mut passage = shared.passage.lock();
                if let Some(frame) = passage.held.pop() {
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
            }
        };
        // What the guest does after its response is its own affair, until its deadline.
        self.running = None;
        Poll::Ready(ended.err().map(Err))
    }

    fn is_end_stream(&self) -> bool {
        match &self.rest {
            Rest::Whole(held) => held.frames.is_empty(),
            Rest::Coming(shared) => {
                let passage = shared.passage.lock();
                passage.held.frames.is_empty() && passage.is_whole()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Rest::Whole(held) => held.size_hint(true),
            Rest::Coming(shared) => {
                let passage = shared.passage.lock();
                passage.held.size_hint(passage.is_whole())
            }
        }
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

        // One that was whole before anybody asked for it.
        let writer = AnswerWriter::new(1000);
        writer.set_head(head());
        writer.write(Frame::data(Bytes::from_static(b"abc")));
        writer.write(Frame::data(Bytes::from_static(b"de")));
        writer.end(Ok(()));
        let mut body = writer.response(None).unwrap();
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(5), false));
        assert!(body.frame().now_or_never().unwrap().unwrap().is_ok());
        assert_eq!(body.size_hint().exact(), Some(2));
        assert!(body.frame().now_or_never().unwrap().unwrap().is_ok());
        assert!(body.is_end_stream());
        assert!(body.frame().now_or_never().unwrap().is_none());
        assert_eq!(writer.written(), 5);

        let writer = AnswerWriter::new(1000);
        writer.set_head(head());
        let mut body = writer.response(None).unwrap();
        writer.end(Err(Fault::Cancelled.into()));
        assert!(body.frame().now_or_never().unwrap().unwrap().is_err());
    }
}
