//! Calls HTTP functions, with a request or with an event.
//!
//! A request is passed on as it is, and so is the response, as the guest writes it. With an event the guest gets `POST /invoke` with
//! the event as body, and the body of its response is the answer: the contract of Function Compute's custom runtimes (`/invoke`, the
//! `x-fc-*` request headers, `x-fc-status: 404` for a function error); any status of 400 or more is a function error too.

use std::pin::pin;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use hyper::{Request, Response};
use wasmtime_wasi_http::WasiBody;

use crate::answer::AnswerWriter;
use crate::fault::{CallFailure, bounded};
use crate::request_body::{Loan, lend};
use crate::state::{ComponentState, HasLedger, Shared};
use crate::work::{Exchange, Work};
use crate::{Fault, Invocation};

mod event;
mod p2;
mod p3;
mod several;

pub(crate) use event::EventHead;
pub(crate) use p2::HttpP2;
pub(crate) use p3::HttpP3;

/// The first status that says the function failed.
const FIRST_FAILING_STATUS: u16 = 400;

/// What becomes of a guest's response.
enum Taker {
    /// Its body is the answer to an event; at most so many bytes of it are read.
    Whole(u64),
    /// It is passed on.
    Pass(AnswerWriter),
}

/// The request for the guest, what becomes of its response, and the right to the request's body.
fn ask(
    state: &ComponentState,
    work: Work,
    limit: u64,
) -> Result<(Request<WasiBody>, Taker, Option<Loan>), CallFailure> {
    let ledger = state.ledger();
    ask_for(&ledger.shared, ledger.invocation.as_ref(), work, limit)
}

/// The same for an invocation that is not the current one.
fn ask_for(
    shared: &Shared,
    invocation: Option<&Invocation>,
    work: Work,
    limit: u64,
) -> Result<(Request<WasiBody>, Taker, Option<Loan>), CallFailure> {
    match work {
        Work::Event(event) => {
            let request = shared.event_head.request(&shared.identity, invocation, event)?;
            Ok((request, Taker::Whole(limit), None))
        }
        Work::Http(exchange) => {
            let Exchange { request, answer } = exchange;
            let (head, body) = (*request).into_parts();
            let (body, loan) = lend(body, &answer);
            Ok((Request::from_parts(head, body), Taker::Pass(answer), Some(loan)))
        }
        Work::WebSocket(_) => {
            let why = "what happens on a WebSocket is no request".to_owned();
            Err(CallFailure::Fault(Fault::BadAbi { why }))
        }
    }
}

impl Taker {
    /// Takes a response to its end; what is passed on is no answer of its own.
    async fn take<B>(self, response: Response<B>) -> Result<Bytes, CallFailure>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self {
            Self::Whole(limit_bytes) => answer(response, limit_bytes).await,
            Self::Pass(writer) => pass(response, &writer).await.map(|()| Bytes::new()),
        }
    }
}

/// Passes a response on as it comes, no faster than it is read.
async fn pass<B>(response: Response<B>, writer: &AnswerWriter) -> Result<(), CallFailure>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = response.into_parts();
    let mut left = said_length(&head.headers);
    writer.set_head(head);
    let mut body = pin!(body);
    loop {
        match body.frame().await {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                left = match left.map(|left| left.checked_sub(bytes)) {
                    // A reader would take as much as was said, and hold that for all of it.
                    Some(None) => {
                        let why = "its body broke off: it is longer than its content-length";
                        return Err(CallFailure::Fault(failed(None, why)));
                    }
                    Some(left) => left,
                    None => None,
                };
                if !writer.write(frame) {
                    writer.room().await;
                }
            }
            Some(Err(error)) => {
                let why = format!("its body broke off: {}", error.into());
                return Err(CallFailure::Fault(failed(None, &why)));
            }
            None => {
                writer.end(Ok(()));
                return Ok(());
            }
        }
    }
}

/// How long a body is said to be.
fn said_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The answer that a response is; at most `limit_bytes` of body are read.
async fn answer<B>(response: Response<B>, limit_bytes: u64) -> Result<Bytes, CallFailure>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = response.into_parts();
    let limit = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
    let body = match Limited::new(body, limit).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            let size_bytes = limit_bytes.saturating_add(1);
            return Err(CallFailure::Fault(Fault::AnswerTooLarge { limit_bytes, size_bytes }));
        }
        Err(error) => {
            return Err(CallFailure::Fault(failed(None, &format!("its body broke off: {error}"))));
        }
    };
    let says_failed = head.headers.get("x-fc-status").is_some_and(|status| status != "200");
    if says_failed || head.status.as_u16() >= FIRST_FAILING_STATUS {
        let kind = Some(format!("Http{}", head.status.as_u16()));
        return Err(CallFailure::Fault(failed(kind, &String::from_utf8_lossy(&body))));
    }
    Ok(body)
}

fn failed(kind: Option<String>, message: &str) -> Fault {
    Fault::Returned { kind, message: bounded(message), stack: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use http_body::Frame;
    use http_body_util::StreamBody;

    #[test]
    fn no_more_is_passed_on_than_was_said() {
        let pieces = |pieces: &'static [&'static str]| {
            let frames =
                pieces.iter().map(|piece| Ok::<_, Fault>(Frame::data(Bytes::from(*piece))));
            StreamBody::new(futures_util::stream::iter(frames))
        };
        let passed = |body| {
            let writer = AnswerWriter::new(1000);
            let response = Response::builder().header("content-length", "5").body(body).unwrap();
            let ended = pass(response, &writer).now_or_never().unwrap();
            (ended.is_ok(), writer.written())
        };
        assert_eq!(passed(pieces(&["abc", "de"])), (true, 5));
        assert_eq!(passed(pieces(&["abc", "def"])), (false, 3));
        assert_eq!(passed(pieces(&["abcdef"])), (false, 0));
        // Whoever answers a request for the head alone says a length and writes nothing.
        assert_eq!(passed(pieces(&[])), (true, 0));
    }
}
