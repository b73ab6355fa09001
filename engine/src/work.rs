//! What an invocation gives to its guest: an event, or a request whose response is passed on.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;

use crate::answer::AnswerWriter;
use crate::request_body::HttpRequest;

/// One piece of work for a guest.
#[derive(Debug)]
pub(crate) enum Work {
    /// An event, answered as a whole.
    Event(Bytes),
    /// A request to an HTTP function.
    Http(Box<Exchange>),
}

/// A request, and where its response goes.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) request: HttpRequest,
    pub(crate) answer: AnswerWriter,
    /// Bytes that the guest read of the request's body.
    pub(crate) read: Arc<AtomicU64>,
}
