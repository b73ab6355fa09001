//! One request of the host's own whose answer is read whole, bounded in bytes and in time. It goes the way of guests' requests, without
//! their vetting: whoever calls this has been told the address by the operator, so it may be any. Redirects are not followed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use wasmtime_wasi_http::{Error, WasiBody};

use super::{AllowedDestination, Destination, Egress, OutgoingHttp, PatternError, Resolve};

/// Bounds of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchBounds {
    /// From the look-up of the name to the answer's last byte.
    pub time: Duration,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The address is none that a request can go to.
    #[error("its address cannot be used: {why}")]
    Address {
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answers there, or not in HTTP, or the connection ended early.
    #[error("it cannot be reached: {why}")]
    Unreachable {
        /// What happened.
        why: String,
    },
    /// It took too long to connect, to begin or to go on.
    #[error("it does not answer in time")]
    TooSlow,
    /// The answer is larger than allowed.
    #[error("its answer is over {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
        /// Its size, as far as it is known.
        size_bytes: u64,
    },
}

/// Sends `request` and reads the answer. Answers of any status are no errors.
///
/// # Errors
/// There is no whole answer within the bounds.
pub async fn fetch(
    resolver: Arc<dyn Resolve>,
    request: Request<Bytes>,
    bounds: FetchBounds,
) -> Result<Response<Bytes>, FetchError> {
    let address = |why: String| FetchError::Address { why };
    let destination =
        Destination::of(request.uri()).map_err(|denial| address(denial.to_string()))?;
    let to = destination.to_string().parse();
    let to = to.map_err(|error: PatternError| address(error.to_string()))?;
    let grant = OutgoingHttp {
        allow: vec![AllowedDestination { to, private: true }],
        concurrent_requests: 1,
        response_bytes: bounds.response_bytes,
    };
    let request = request.map(|body| {
        Full::new(body).map_err(|never: std::convert::Infallible| match never {}).boxed_unsync()
    });
    let deadline = Instant::now() + bounds.time;
    let egress = Egress::of_host(grant, resolver);
    let exchange = async {
        let sent = egress.send_own(request, deadline).await;
        let response = sent.map_err(|denial| address(denial.to_string()))?;
        let (head, body) = response.map_err(|error| told(&error, bounds))?.into_parts();
        let body = read(body).await.map_err(|error| told(&error, bounds))?;
        Ok(Response::from_parts(head, body))
    };
    match tokio::time::timeout(bounds.time, exchange).await {
        Ok(answer) => answer,
        Err(_) => Err(FetchError::TooSlow),
    }
}

async fn read(mut body: WasiBody) -> Result<Bytes, Error> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.into())
}

fn told(error: &Error, bounds: FetchBounds) -> FetchError {
    match error {
        Error::HttpResponseBodySize(size) => FetchError::TooLarge {
            limit_bytes: bounds.response_bytes,
            size_bytes: size.unwrap_or(bounds.response_bytes.saturating_add(1)),
        },
        Error::DnsTimeout
        | Error::ConnectionTimeout
        | Error::ConnectionReadTimeout
        | Error::ConnectionWriteTimeout
        | Error::HttpResponseTimeout => FetchError::TooSlow,
        error => FetchError::Unreachable { why: format!("{error:?}") },
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::SystemResolver;
    use super::*;

    const BOUNDS: FetchBounds =
        FetchBounds { time: Duration::from_millis(400), response_bytes: 1000 };

    /// A server that answers one connection with `answer`, and keeps it open.
    async fn serving(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.read(&mut head).await;
        });
        url
    }

    async fn get(url: &str) -> Result<Response<Bytes>, FetchError> {
        let request = Request::get(url).body(Bytes::new()).unwrap();
        fetch(Arc::new(SystemResolver), request, BOUNDS).await
    }

    #[tokio::test]
    async fn an_answer_of_any_status_is_read_whole() {
        let url = serving("HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nhello").await;
        let answer = get(&url).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (404, b"hello".as_ref()));
    }

    #[tokio::test]
    async fn each_bound_is_an_error_of_its_own() {
        let announced = serving("HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n").await;
        let too_large = FetchError::TooLarge { limit_bytes: 1000, size_bytes: 1001 };
        assert_eq!(get(&announced).await.unwrap_err(), too_large);
        let stalled = serving("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhe").await;
        assert_eq!(get(&stalled).await.unwrap_err(), FetchError::TooSlow);
        let silent = serving("").await;
        assert_eq!(get(&silent).await.unwrap_err(), FetchError::TooSlow);
        let nobody = get("http://127.0.0.1:1/").await.unwrap_err();
        assert!(matches!(nobody, FetchError::Unreachable { .. }), "{nobody}");
        let broken = get(&serving("SSH-2.0\r\n\r\n").await).await.unwrap_err();
        assert!(matches!(broken, FetchError::Unreachable { .. }), "{broken}");
    }
}
