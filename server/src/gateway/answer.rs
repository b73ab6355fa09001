//! What goes back when no function answered: errors of the platform, and faults of functions as the trigger documents them.

use std::time::Duration;

use hearth_platform::{GateRefusal, PlatformError, RequestError};
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};

use crate::dialect::function_compute::errors::WireError;
use crate::http::Response;

/// Says that a response is none of a function's.
pub(super) const ERROR_TYPE: HeaderName = HeaderName::from_static("x-fc-error-type");

/// Why a request got no answer of a function.
#[derive(Debug)]
pub(super) struct Refused {
    error: WireError,
    /// When it may be tried again, where that is known.
    retry_after: Option<Duration>,
}

impl From<WireError> for Refused {
    fn from(error: WireError) -> Self {
        Self { error, retry_after: None }
    }
}

impl From<PlatformError> for Refused {
    fn from(error: PlatformError) -> Self {
        WireError::from(error).into()
    }
}

impl From<RequestError> for Refused {
    fn from(error: RequestError) -> Self {
        WireError::from(error).into()
    }
}

impl From<GateRefusal> for Refused {
    fn from(refusal: GateRefusal) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self {
            error: WireError::new(status, "ResourceExhausted", refusal.to_string()),
            retry_after: Some(refusal.retry_after()),
        }
    }
}

impl Refused {
    /// The response: the platform's usual error, marked as its own and not the function's.
    pub(super) fn into_response(self, method: &Method) -> Response {
        let mut response = self.error.into_response(method);
        let headers = response.headers_mut();
        headers.insert(ERROR_TYPE, HeaderValue::from_static("FCCommonError"));
        if let Some(after) = self.retry_after {
            // Whole seconds, and never too early.
            let seconds = after.as_millis().div_ceil(1000).max(1);
            headers.insert(RETRY_AFTER, u64::try_from(seconds).unwrap_or(u64::MAX).into());
        }
        response
    }
}
