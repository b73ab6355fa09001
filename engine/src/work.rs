//! What an invocation gives to its guest: an event, or a request whose response is passed on.

use std::sync::Arc;

use bytes::Bytes;

use crate::answer::AnswerWriter;
use crate::guest::websocket::SocketCall;
use crate::request_body::HttpRequest;
use crate::seat::Seat;

/// One piece of work for a guest.
#[derive(Debug)]
pub(crate) enum Work {
    /// An event, answered as a whole.
    Event(Bytes),
    /// A request to an HTTP function.
    Http(Exchange),
    /// Something that happened on a WebSocket.
    WebSocket(Box<SocketCall>),
}

impl Work {
    /// Bytes that the guest is given at once; what it reads by itself is counted as it does.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Event(event) => event.len() as u64,
            Self::Http(_) => 0,
            Self::WebSocket(call) => call.size() as u64,
        }
    }

    /// Where its instance waits, if it is for one in particular.
    pub(crate) fn seat(&self) -> Option<Arc<Seat>> {
        match self {
            Self::WebSocket(call) => call.seat.clone(),
            Self::Event(_) | Self::Http(_) => None,
        }
    }
}

/// A request, and where its response goes.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) request: Box<HttpRequest>,
    pub(crate) answer: AnswerWriter,
}
