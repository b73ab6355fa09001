//! One request of the host's own through the gate that guests' requests go through: resolved once, vetted, bounded in time, redirects not
//! followed. What comes back is its head; the body is not read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use wasmtime_wasi_http::Error;

use super::{AllowedDestination, Destination, Egress, OutgoingHttp, Resolve};

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct PostError {
    /// What happened.
    pub why: String,
    /// Whether it is so for good: the address cannot be one, or may not be reached.
    pub is_final: bool,
}

/// Posts `body` to `uri` and waits at most `limit` for the answer's head. Only to public addresses, unless `private`.
///
/// # Errors
/// The address is refused, or there was no answer in time. Answers of any status are no errors.
pub async fn post(
    resolver: Arc<dyn Resolve>,
    uri: &str,
    headers: HeaderMap,
    body: Bytes,
    private: bool,
    limit: Duration,
) -> Result<Response<()>, PostError> {
    let refused = |why: String| PostError { why, is_final: true };
    let uri: Uri = uri.parse().map_err(|_| refused("its address is not one".to_owned()))?;
    let destination = Destination::of(&uri).map_err(|denial| refused(denial.to_string()))?;
    let to = destination.to_string().parse();
    let to = to.map_err(|error: super::PatternError| refused(error.to_string()))?;
    let grant = OutgoingHttp {
        allow: vec![AllowedDestination { to, private }],
        concurrent_requests: 1,
        ..OutgoingHttp::default()
    };
    let mut request = Request::new(
        Full::new(body).map_err(|never: std::convert::Infallible| match never {}).boxed_unsync(),
    );
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    let deadline = Instant::now() + limit;
    let egress = Egress::of_host(grant, resolver);
    match tokio::time::timeout(limit, egress.send_own(request, deadline)).await {
        Ok(Err(denial)) => Err(refused(denial.to_string())),
        // With the response goes the connection.
        Ok(Ok(Ok(response))) => Ok(response.map(drop)),
        Ok(Ok(Err(Error::DestinationIpProhibited))) if !private => Err(refused(
            "its address is not public, and the server's settings allow no others".to_owned(),
        )),
        Ok(Ok(Err(error))) => Err(PostError { why: format!("{error:?}"), is_final: false }),
        Err(_) => Err(PostError {
            why: format!("no answer within {} ms", limit.as_millis()),
            is_final: false,
        }),
    }
}
