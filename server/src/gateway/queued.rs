//! Requests with `x-fc-invocation-type: Async`: kept in the queue as they came, served to the function later, their response read and let
//! go. A status of 500 or more says that the function failed, and is tried again like any failure.
//!
//! What is kept is one line of JSON, `{"method", "uri", "headers"}`, and behind it the body as it came.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use hearth_engine::{Fault, Function, HttpRequest, Invocation, InvokeError, Outcome, Served};
use hearth_platform::Replay;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{StatusCode, request};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::guest_request::VERSION;
use crate::http::header_value;

/// The most of a response's body that is kept for a destination.
const ANSWER_BYTES_MAX: u64 = 6 << 20;

/// Characters of a failing response that its record keeps.
const MESSAGE_CHARS_MAX: usize = 4096;

/// The line before the body.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    method: String,
    uri: String,
    /// Bytes of values as characters of the same number: values need not be text.
    headers: Vec<(String, String)>,
}

/// A request as it is kept; none if it has no such form.
pub(super) fn kept(parts: &request::Parts, body: &Bytes) -> Option<Bytes> {
    let value =
        |value: &HeaderValue| value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
    let head = Head {
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        headers: parts.headers.iter().map(|(name, of)| (name.to_string(), value(of))).collect(),
    };
    let mut kept = BytesMut::from(&*serde_json::to_vec(&head).ok()?);
    kept.extend_from_slice(b"\n");
    kept.extend_from_slice(body);
    Some(kept.freeze())
}

/// The request that was kept.
fn request(mut payload: Bytes, version: &str) -> Option<HttpRequest> {
    let end = payload.iter().position(|byte| *byte == b'\n')?;
    let head: Head = serde_json::from_slice(&payload.split_to(end)).ok()?;
    let body = payload.split_off(1);
    let mut request = http::Request::builder().method(&*head.method).uri(head.uri);
    for (name, text) in head.headers {
        let value: Option<Vec<u8>> =
            text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
        request = request.header(
            HeaderName::try_from(name).ok()?,
            HeaderValue::from_maybe_shared(Bytes::from(value?)).ok()?,
        );
    }
    let length = body.len();
    let body = Full::new(body).map_err(|never| match never {});
    let mut request = request.body(hearth_engine::RequestBody::new(body)).ok()?;
    let headers = request.headers_mut();
    headers.insert(VERSION, header_value(version));
    headers.insert(CONTENT_LENGTH, length.into());
    Some(request)
}

/// Serves requests that were kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueuedRequests;

#[async_trait]
impl Replay for QueuedRequests {
    async fn serve(
        &self,
        function: &Function,
        version: &str,
        payload: Bytes,
        invocation: Invocation,
    ) -> Result<Outcome, InvokeError> {
        let request_id = invocation.request_id.clone();
        let failure = |why: &str| InvokeError::Failure {
            function: function.identity().function,
            request_id: request_id.to_string(),
            why: why.to_owned(),
        };
        let request = request(payload, version)
            .ok_or_else(|| failure("a request that was queued cannot be read"))?;
        let (sender, ended) = oneshot::channel();
        let later = || {
            move |result: Result<&Outcome, &InvokeError>| {
                // Nobody listens any more if this call was given up.
                let _ = sender.send(result.cloned().map_err(Clone::clone));
            }
        };
        let (response, outcome) = match function.serve(request, invocation, later).await? {
            Served::Ended(outcome) => return Ok(*outcome),
            Served::Answering { response, outcome } => (response, outcome),
        };
        let status = response.status();
        let limit = usize::try_from(ANSWER_BYTES_MAX).unwrap_or(usize::MAX);
        let body = Limited::new(response.into_body(), limit).collect().await;
        let mut outcome = match outcome {
            Some(outcome) => *outcome,
            None => ended.await.map_err(|_| failure("it was ended from outside"))??,
        };
        if outcome.result.is_ok() {
            outcome.result = match body {
                Ok(body) if status.is_server_error() => Err(Fault::Returned {
                    kind: Some(format!("Http{}", status.as_u16())),
                    message: message(status, &body.to_bytes()),
                    stack: Vec::new(),
                }),
                Ok(body) => Ok(body.to_bytes()),
                Err(error) if error.is::<LengthLimitError>() => Err(Fault::AnswerTooLarge {
                    limit_bytes: ANSWER_BYTES_MAX,
                    size_bytes: ANSWER_BYTES_MAX + 1,
                }),
                Err(error) => return Err(failure(&error.to_string())),
            };
        }
        Ok(outcome)
    }
}

fn message(status: StatusCode, body: &[u8]) -> String {
    let said: String = String::from_utf8_lossy(body).chars().take(MESSAGE_CHARS_MAX).collect();
    format!("status {}: {said}", status.as_u16())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_kept_comes_back_as_it_was() {
        let mut asked = http::Request::put("http://a.example/b?c=%2F").body(()).unwrap();
        let headers = asked.headers_mut();
        headers.append("x-twice", "1".parse().unwrap());
        headers.append("x-twice", HeaderValue::from_bytes(b"\xff\xe4 2").unwrap());
        let (parts, ()) = asked.into_parts();
        let payload = kept(&parts, &Bytes::from_static(b"{\n\xff")).unwrap();
        let back = request(payload, "7").unwrap();
        assert_eq!((back.method(), back.uri()), (&parts.method, &parts.uri));
        let twice: Vec<_> = back.headers().get_all("x-twice").iter().collect();
        assert_eq!(twice, parts.headers.get_all("x-twice").iter().collect::<Vec<_>>());
        assert_eq!(back.headers()["content-length"], "3");
        assert_eq!(back.headers()[VERSION], "7");
    }

    proptest! {
        #[test]
        fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = request(payload.into(), "1");
        }
    }
}
