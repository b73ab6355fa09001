//! What a destination is told of an async invocation that ended, as the documented event, and how it reaches an HTTP address.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hearth_engine::{SystemResolver, post};
use hearth_platform::{Deliver, DeliveryError, LATEST, Status, Told};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::arn;
use crate::config::Settings;
use crate::http::header_value;

/// The most bytes of an event or an answer that a destination is told, as large as a queued event may be by default: events of events
/// would grow with every destination.
const TOLD_BYTES_MAX: usize = 128 * 1024;

/// The id of the event: the same each time it is sent, so that who gets it twice can tell.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-fc-request-id");

/// Words and sends events.
#[derive(Debug)]
pub struct DestinationEvents {
    region: String,
    account: String,
    timeout: Duration,
    private: bool,
}

impl DestinationEvents {
    /// As the settings say.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            region: settings.region.clone(),
            account: settings.account.clone(),
            timeout: settings.queue.destination_timeout.0,
            private: settings.queue.destination_private,
        }
    }

    async fn send(&self, id: &str, address: &str, event: Bytes) -> Result<(), DeliveryError> {
        let failed = |why, is_final| DeliveryError {
            address: address.to_owned(),
            why,
            is_final,
            retry_after: None,
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(REQUEST_ID, header_value(id));
        let resolver = Arc::new(SystemResolver);
        let answer = post(resolver, address, headers, event, self.private, self.timeout).await;
        let answer = answer.map_err(|error| failed(error.why, error.is_final))?;
        let status = answer.status().as_u16();
        match status {
            200..300 => Ok(()),
            300..400 => {
                let why = format!("it answered {status}, and redirects are not followed");
                Err(failed(why, true))
            }
            // It may be well later.
            408 | 425 | 429 | 500.. => {
                let retry_after = retry_after(answer.headers(), SystemTime::now());
                Err(DeliveryError { retry_after, ..failed(format!("it answered {status}"), false) })
            }
            _ => Err(failed(format!("it answered {status}"), true)),
        }
    }
}

/// How long the one who answered wants to be left alone: seconds or a date (RFC 9110, 10.2.3). What is neither says nothing.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(value).ok()?.duration_since(now).ok()
}

/// Bytes as text, cut.
fn text(bytes: &Bytes) -> String {
    let cut = bytes.get(..bytes.len().min(TOLD_BYTES_MAX)).unwrap_or_default();
    String::from_utf8_lossy(cut).into_owned()
}

impl Deliver for DestinationEvents {
    fn event(&self, told: &Told<'_>) -> Bytes {
        let qualifier = told.qualifier.unwrap_or(LATEST);
        let function = (told.service, qualifier, told.function);
        let kind = told.error.map(|error| error.kind.as_str());
        let condition = match (told.status, kind) {
            (Status::Succeeded, _) => "",
            (Status::Expired, _) => "EventAgeExceeded",
            (_, Some("returned")) => "HandledInvocationError",
            _ => "UnhandledInvocationError",
        };
        let answer = match told.error {
            Some(error) => {
                json!({"errorMessage": error.message, "errorType": error.kind}).to_string()
            }
            None => text(told.answer),
        };
        let event = json!({
            "timestamp": told.ended_ms,
            "requestContext": {
                "requestId": told.request_id,
                "functionArn": arn::function(&self.region, &self.account, function),
                "condition": condition,
                "approximateInvokeCount": told.attempts,
            },
            "requestPayload": text(told.payload),
            "responseContext": {"statusCode": 200, "functionError": condition},
            "responsePayload": answer,
        });
        event.to_string().into()
    }

    fn send<'a>(
        &'a self,
        id: &'a str,
        address: &'a str,
        event: Bytes,
    ) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Self::send(self, id, address, event).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sat, 21 Nov 2026 06:00:00 GMT").unwrap();
        for (value, expected) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Sat, 21 Nov 2026 06:01:30 GMT", Some(90)),
            ("Sat, 21 Nov 2026 05:00:00 GMT", None),
            ("-1", None),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
