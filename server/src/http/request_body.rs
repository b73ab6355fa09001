//! The body of a request, which is read on and forgotten for a while when nobody wants it: many clients write all they have before
//! they read, and closing on them would lose the answer on its way.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::EXPECT;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::in_turns::InTurns;

/// Bytes that are read and forgotten, and for how long, while the client gets its answer.
const DISCARDED_BYTES_MAX: usize = 128 << 20;
const DISCARDING_MAX: Duration = Duration::from_secs(2);

/// A body that comes from the wire. By default there is none.
#[derive(Debug, Default)]
pub struct RequestBody {
    /// None once it ended.
    incoming: Option<InTurns<Incoming>>,
    /// Whether the client sends nothing before it is told to, which reading from it does.
    is_held_back: bool,
}

impl RequestBody {
    /// The body of a request with such a header.
    pub(super) fn new(incoming: Incoming, headers: &HeaderMap) -> Self {
        let incoming = (!incoming.is_end_stream()).then(|| InTurns::new(incoming));
        let is_held_back = incoming.is_some() && headers.contains_key(EXPECT);
        Self { incoming, is_held_back }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let body = self.get_mut();
        body.is_held_back = false;
        let Some(incoming) = &mut body.incoming else { return Poll::Ready(None) };
        let polled = Pin::new(&mut *incoming).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) || incoming.is_end_stream() {
            body.incoming = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let incoming = self.incoming.as_ref();
        incoming.map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take()
            && !self.is_held_back
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(discard(incoming));
        }
    }
}

/// Ends with the body, the connection or at a bound; whoever is slower than that may miss the answer.
async fn discard(mut body: InTurns<Incoming>) {
    let read = async {
        let mut left = DISCARDED_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let size = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(size) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Out of time, the rest is dropped and with it the connection closed.
    let _ = tokio::time::timeout(DISCARDING_MAX, read).await;
}
