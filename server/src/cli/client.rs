//! Talking to a server over HTTP, and saying what to do when that does not work.

use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use ureq::Body;
use ureq::http::header::{AUTHORIZATION, DATE, HeaderMap};
use ureq::http::{Method, Response, StatusCode, Uri};

use super::UsageError;
use crate::dialect::function_compute::signature::{Signed, authorization};

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer that is read: the largest a function may give, and some.
const ANSWER_BYTES: u64 = 64 << 20;

/// A server, and the connections to it.
#[derive(Debug)]
pub(super) struct Client {
    agent: ureq::Agent,
    server: String,
    signer: Option<Signer>,
}

/// Signs requests with an access key.
#[derive(Clone)]
pub(super) struct Signer {
    id: String,
    secret: String,
    token: Option<String>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Signer {
    /// From what was given; none if nothing was.
    pub(super) fn of(
        id: Option<String>,
        secret: Option<String>,
        token: Option<String>,
    ) -> anyhow::Result<Option<Self>> {
        match (id, secret) {
            (Some(id), Some(secret)) => Ok(Some(Self { id, secret, token })),
            (None, None) => Ok(None),
            _ => {
                let hint = "an access key has an id and a secret; give both, or neither";
                Err(UsageError(hint.to_owned()).into())
            }
        }
    }

    /// Adds date, token and signature to a request that has all its other headers.
    pub(super) fn sign(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &mut HeaderMap,
    ) -> anyhow::Result<()> {
        headers.insert(DATE, httpdate::fmt_http_date(SystemTime::now()).parse()?);
        if let Some(token) = &self.token {
            headers.insert("x-fc-security-token", token.parse()?);
        }
        let signed = Signed { method, uri, headers };
        let made = authorization(signed, &self.id, &self.secret);
        headers.insert(AUTHORIZATION, made.parse()?);
        Ok(())
    }
}

/// What the server said was wrong.
#[derive(Debug, thiserror::Error)]
#[error("{message} ({code}, status {status}, request {request_id})")]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) code: String,
    message: String,
    request_id: String,
}

/// A request, before it is sent.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// From `/`, escaped.
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: &'a [u8],
}

impl Call<'_> {
    /// A request without headers and body.
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: &[] }
    }
}

impl Client {
    pub(super) fn new(server: &str, signer: Option<Signer>) -> anyhow::Result<Self> {
        let server = server.trim_end_matches('/');
        if !server.starts_with("http://") && !server.starts_with("https://") {
            let hint = format!("server `{server}` is no URL; write it as http://HOST:PORT");
            return Err(UsageError(hint).into());
        }
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("hearth/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Self { agent, server: server.to_owned(), signer })
    }

    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// Sends a request and returns a response that is no error.
    pub(super) fn send(&self, call: Call<'_>) -> anyhow::Result<Response<Body>> {
        let mut request = ureq::http::Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.server, call.path));
        for (name, value) in &call.headers {
            request = request.header(*name, value.as_bytes());
        }
        let mut request = request.body(call.body)?;
        if let Some(signer) = &self.signer {
            let (method, uri) = (request.method().clone(), request.uri().clone());
            signer.sign(&method, &uri, request.headers_mut())?;
        }
        let mut response = self.agent.run(request).map_err(|error| self.explain(error))?;
        if response.status().as_u16() < 400 {
            return Ok(response);
        }
        Err(refused(&mut response).into())
    }

    /// Sends a request and reads its JSON answer.
    pub(super) fn json<T: DeserializeOwned>(&self, call: Call<'_>) -> anyhow::Result<T> {
        let bytes = read(&mut self.send(call)?)?;
        serde_json::from_slice(&bytes).map_err(|error| {
            anyhow::anyhow!("{} does not answer like a hearth server: {error}", self.server)
        })
    }

    /// Says what to do about a request that got no answer.
    fn explain(&self, error: ureq::Error) -> anyhow::Error {
        let server = &self.server;
        match &error {
            ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => {
                anyhow::anyhow!(
                    "no server at {server}; start one with `hearth serve`, or name another with --server"
                )
            }
            ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => {
                anyhow::anyhow!(
                    "server {server} cannot be reached; check --server or HEARTH_SERVER"
                )
            }
            ureq::Error::Timeout(which) => {
                anyhow::anyhow!("server {server} did not answer in time ({which})")
            }
            _ => anyhow::Error::new(error).context(format!("request to {server} failed")),
        }
    }
}

/// Reads a whole answer.
pub(super) fn read(response: &mut Response<Body>) -> anyhow::Result<Vec<u8>> {
    Ok(response.body_mut().with_config().limit(ANSWER_BYTES).read_to_vec()?)
}

/// A header as text.
pub(super) fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn refused(response: &mut Response<Body>) -> Refused {
    let request_id = header(response, "x-fc-request-id").unwrap_or("unknown").to_owned();
    let status: StatusCode = response.status();
    let body: serde_json::Value = read(response)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let text = |key: &str, otherwise: &str| {
        body.get(key).and_then(|value| value.as_str()).unwrap_or(otherwise).to_owned()
    };
    Refused {
        status: status.as_u16(),
        code: text("ErrorCode", "no error code"),
        message: text(
            "ErrorMessage",
            status.canonical_reason().unwrap_or("the server refused the request"),
        ),
        request_id,
    }
}

/// A path element, escaped.
pub(super) fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
