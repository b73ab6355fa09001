//! A response's body on its way to the guest: bounded in size, and in the time between two pieces. And a request's on its way out,
//! counted.
//!
//! A response's holds one of the function's request slots until it is dropped, so a response that a guest does not read still counts. It
//! holds the connection until its last byte, then gives it back; dropped earlier, the connection is closed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use super::counts::Counters;
use super::pool::Lease;
use super::send::{Timeouts, from_hyper};

pub(super) struct ResponseBody {
    inner: Incoming,
    limit: u64,
    read: u64,
    timeouts: Timeouts,
    patience: Pin<Box<Sleep>>,
    /// Until the end of the body, or its first error.
    lease: Option<Lease>,
    counters: Arc<Counters>,
    _slot: OwnedSemaphorePermit,
}

impl ResponseBody {
    /// Refuses at once a body that announces more than `limit` bytes.
    pub(super) fn new(
        inner: Incoming,
        limit: u64,
        timeouts: Timeouts,
        slot: OwnedSemaphorePermit,
        lease: Lease,
        counters: Arc<Counters>,
    ) -> Result<Self, Error> {
        let announced = inner.size_hint().lower();
        if announced > limit {
            return Err(Error::HttpResponseBodySize(Some(announced)));
        }
        let patience = Box::pin(tokio::time::sleep(timeouts.between_bytes()));
        let lease = Some(lease);
        let mut body =
            Self { inner, limit, read: 0, timeouts, patience, lease, counters, _slot: slot };
        body.settle();
        Ok(body)
    }

    /// Gives the connection back once nothing of this body is on its way any more.
    fn settle(&mut self) {
        if self.inner.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.read = self.read.saturating_add(bytes);
        if self.read > self.limit {
            return Err(Error::HttpResponseBodySize(Some(self.read)));
        }
        self.counters.received_bytes.add(bytes);
        self.patience.as_mut().reset(Instant::now() + self.timeouts.between_bytes());
        self.settle();
        Ok(frame)
    }

    /// An end that is no good: what more may come over the connection belongs to nobody.
    fn broken(&mut self, error: Error) -> Error {
        if self.lease.take().is_some() {
            self.counters.failed.one();
        }
        error
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let found = match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => self.count(frame),
            Poll::Ready(Some(Err(error))) => Err(from_hyper(&error)),
            Poll::Ready(None) => {
                if let Some(lease) = self.lease.take() {
                    lease.give_back();
                }
                return Poll::Ready(None);
            }
            Poll::Pending => match self.patience.as_mut().poll(context) {
                Poll::Ready(()) => Err(Error::ConnectionReadTimeout),
                Poll::Pending => return Poll::Pending,
            },
        };
        Poll::Ready(Some(found.map_err(|error| self.broken(error))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A request's body, counted.
pub(super) struct RequestBody {
    inner: WasiBody,
    counters: Arc<Counters>,
}

impl RequestBody {
    pub(super) fn new(inner: WasiBody, counters: Arc<Counters>) -> Self {
        Self { inner, counters }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.counters.sent_bytes.add(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
