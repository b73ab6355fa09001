//! A body of which others of the same thread are served in between, however fast it comes.
//!
//! A runtime lets one task read 128 times before others have their turn. Of a body that is there already, as one from the same machine is, that
//! may be 16 MiB, copied into memory that is touched for the first time: 3 ms in which the thread serves nobody else.

use std::future::Future as _;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// Bytes that are taken in one turn.
const TURN_BYTES: usize = 128 << 10;

/// Gives the frames of `body`, and lets others go first after every [`TURN_BYTES`].
#[derive(Debug)]
pub(super) struct InTurns<B> {
    body: B,
    taken: usize,
}

impl<B> InTurns<B> {
    pub(super) fn new(body: B) -> Self {
        Self { body, taken: 0 }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for InTurns<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.taken >= TURN_BYTES {
            self.taken = 0;
            // Wakes this task after the runtime has looked for what came meanwhile, which waking it here would not.
            if pin!(tokio::task::yield_now()).poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.taken += frame.data_ref().map_or(0, Bytes::len),
            Poll::Ready(_) => {}
            Poll::Pending => self.taken = 0,
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    /// A body that is there already: so many frames of so many bytes.
    fn ready(frames: usize, bytes: usize) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let frame = move |_| Ok(Frame::data(Bytes::from(vec![7; bytes])));
        StreamBody::new(futures_util::stream::iter((0..frames).map(frame)))
    }

    /// How often another task of the thread had its turn while this body was taken.
    async fn turns_of_others(body: impl Body<Data = Bytes, Error = Infallible> + Unpin) -> usize {
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = turns.clone();
        let other = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let mut body = body;
        let mut taken = 0;
        while let Some(frame) = body.frame().await {
            taken += frame.unwrap().into_data().unwrap().len();
        }
        other.abort();
        assert_eq!(taken, 64 * TURN_BYTES, "nothing is lost");
        turns.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn others_are_served_while_a_body_comes_that_is_there_already() {
        assert_eq!(turns_of_others(ready(64 * 8, TURN_BYTES / 8)).await, 0);
        let turns = turns_of_others(InTurns::new(ready(64 * 8, TURN_BYTES / 8))).await;
        assert!((63..=65).contains(&turns), "{turns}");
    }
}
