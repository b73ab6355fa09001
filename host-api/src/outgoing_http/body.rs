//! A response's body on its way to the guest: bounded in size, and in the time between two pieces.
//!
//! It holds one of the function's request slots until it is dropped, so a response that a guest does not read still counts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::Error;

use super::send::{Timeouts, from_hyper};

pub(super) struct ResponseBody {
    inner: Incoming,
    limit: u64,
    read: u64,
    timeouts: Timeouts,
    patience: Pin<Box<Sleep>>,
    _slot: Arc<OwnedSemaphorePermit>,
}

impl ResponseBody {
    /// Refuses at once a body that announces more than `limit` bytes.
    pub(super) fn new(
        inner: Incoming,
        limit: u64,
        timeouts: Timeouts,
        slot: Arc<OwnedSemaphorePermit>,
    ) -> Result<Self, Error> {
        let announced = inner.size_hint().lower();
        if announced > limit {
            return Err(Error::HttpResponseBodySize(Some(announced)));
        }
        let patience = Box::pin(tokio::time::sleep(timeouts.between_bytes()));
        Ok(Self { inner, limit, read: 0, timeouts, patience, _slot: slot })
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.read = self.read.saturating_add(bytes);
        if self.read > self.limit {
            return Err(Error::HttpResponseBodySize(Some(self.read)));
        }
        self.patience.as_mut().reset(Instant::now() + self.timeouts.between_bytes());
        Ok(frame)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(self.count(frame))),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(from_hyper(&error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => match self.patience.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Some(Err(Error::ConnectionReadTimeout))),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
