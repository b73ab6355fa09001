//! The body of a request on its way to a guest: lent for one invocation, counted, and taken back at its end.
//!
//! A guest may keep the handle of a body it never read. What is behind the handle is a caller's connection, which must not be held
//! for as long as the instance lives.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use parking_lot::Mutex;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::answer::AnswerWriter;

/// The body of a request to an HTTP function: read piece by piece as the guest reads it, never held as a whole.
pub type RequestBody = UnsyncBoxBody<Bytes, RequestBodyError>;

/// A request to an HTTP function.
pub type HttpRequest = http::Request<RequestBody>;

/// Why the body of a request cannot be read on. The guest is told as an error code of `wasi:http`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestBodyError {
    /// The caller broke off or framed it wrongly.
    #[error("the request's body broke off: {why}")]
    Broken {
        /// What was wrong.
        why: String,
    },
    /// It is larger than allowed.
    #[error("the request's body is over the limit of {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// It came too slowly.
    #[error("the request's body came too slowly")]
    TooSlow,
    /// The invocation it belonged to has ended.
    #[error("the invocation that this request belonged to has ended")]
    TakenBack,
}

impl From<RequestBodyError> for Error {
    fn from(error: RequestBodyError) -> Self {
        match error {
            RequestBodyError::Broken { .. } | RequestBodyError::TakenBack => {
                Self::ConnectionTerminated
            }
            RequestBodyError::TooLarge { limit_bytes } => {
                Self::HttpRequestBodySize(Some(limit_bytes))
            }
            RequestBodyError::TooSlow => Self::ConnectionReadTimeout,
        }
    }
}

type Cell = Arc<Mutex<Option<RequestBody>>>;

/// The right to a lent body; with it goes what the guest holds.
#[derive(Debug)]
pub(crate) struct Loan {
    cell: Option<Cell>,
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(cell) = &self.cell {
            *cell.lock() = None;
        }
    }
}

/// What the guest holds.
#[derive(Debug)]
struct Lent {
    cell: Cell,
    answer: AnswerWriter,
}

/// Lends a body as long as the loan lives; what the guest took of it is counted where it answers.
pub(crate) fn lend(body: RequestBody, answer: &AnswerWriter) -> (WasiBody, Loan) {
    if body.is_end_stream() {
        let empty = http_body_util::Empty::new().map_err(|never| match never {});
        return (WasiBody::new(empty), Loan { cell: None });
    }
    let cell = Arc::new(Mutex::new(Some(body)));
    let lent = Lent { cell: cell.clone(), answer: answer.clone() };
    (WasiBody::new(lent), Loan { cell: Some(cell) })
}

impl Body for Lent {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut cell = self.cell.lock();
        let Some(body) = cell.as_mut() else {
            return Poll::Ready(Some(Err(RequestBodyError::TakenBack.into())));
        };
        let polled = Pin::new(body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.answer.note_read(data.len() as u64);
        }
        polled.map_err(Error::from)
    }

    fn is_end_stream(&self) -> bool {
        self.cell.lock().as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.cell.lock().as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use http_body_util::Full;

    #[test]
    fn a_body_is_counted_and_taken_back() {
        let answer = AnswerWriter::new(1000);
        let full = Full::new(Bytes::from_static(b"abc")).map_err(|never| match never {});
        let (mut body, loan) = lend(RequestBody::new(full.clone()), &answer);
        assert!(body.frame().now_or_never().unwrap().unwrap().is_ok());
        assert_eq!(answer.read(), 3);
        drop(loan);

        let (mut body, loan) = lend(RequestBody::new(full), &answer);
        drop(loan);
        assert!(body.frame().now_or_never().unwrap().unwrap().is_err());
    }
}
