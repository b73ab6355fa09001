//! The body of a response: all of it at once, or frames as they come, which may be trailers and may break off.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;

use super::guarded_stream::Busy;
use super::protocol::Taking;

/// The body of a response. It is dropped when the client goes, which is how whoever makes it finds out.
#[derive(Debug)]
pub enum Body {
    /// All of it.
    Full(Bytes),
    /// Pieces as they come, until the sender goes.
    Pieces(mpsc::Receiver<Bytes>),
    /// Frames as they come; see [`Body::streaming`].
    Stream(UnsyncBoxBody<Bytes, BodyBroke>),
}

/// A body that ended before its end. The client sees it: over HTTP/1.1 the connection is closed before the last chunk, over HTTP/2
/// the stream is reset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a response broke off: {why}")]
pub struct BodyBroke {
    /// Why, for our log; no client sees it.
    pub why: String,
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self::Full(Bytes::new())
    }

    /// Frames as they come: data, at the end perhaps trailers. It is polled only as fast as the client takes them.
    ///
    /// Over HTTP/1.1, trailers are sent to a client that said `te: trailers`, and only those that a `trailer` header of the response
    /// names.
    pub fn streaming(
        body: impl HttpBody<Data = Bytes, Error = BodyBroke> + Send + 'static,
    ) -> Self {
        Self::Stream(body.boxed_unsync())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Full(bytes)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyBroke;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyBroke>>> {
        match self.get_mut() {
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Pieces(pieces) => {
                pieces.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
            }
            Self::Stream(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_empty(),
            Self::Pieces(_) => false,
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pieces(_) => SizeHint::default(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

/// A body on its way to the client: until it is there, the connection is busy.
#[derive(Debug)]
pub(super) struct SentBody {
    body: Body,
    /// Over HTTP/2, notes what the client takes.
    taking: Option<Arc<Taking>>,
    _busy: Busy,
}

/// A piece of an answer over HTTP/2: what is handed over is kept there, however slowly the client takes it.
const PIECE_BYTES: usize = 16 << 10;

impl SentBody {
    pub(super) fn new(body: Body, taking: Option<Arc<Taking>>, busy: Busy) -> Self {
        Self { body, taking, _busy: busy }
    }
}

impl HttpBody for SentBody {
    type Data = Bytes;
    type Error = BodyBroke;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyBroke>>> {
        let this = self.get_mut();
        if let Some(taking) = &this.taking {
            taking.asked();
            if let Body::Full(bytes) = &mut this.body
                && bytes.len() > PIECE_BYTES
            {
                taking.handed();
                return Poll::Ready(Some(Ok(Frame::data(bytes.split_to(PIECE_BYTES)))));
            }
        }
        let polled = Pin::new(&mut this.body).poll_frame(context);
        match (&polled, &this.taking) {
            (Poll::Ready(Some(Err(error))), _) => tracing::debug!(%error, "a response is cut off"),
            (Poll::Ready(Some(Ok(_))), Some(taking)) => taking.handed(),
            _ => {}
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
