//! What a server answered, in the words of the dialect.

use base64::Engine as _;
use serde_json::Value;

/// An answer from the wire.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    pub(crate) fn from_ureq(
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Self {
        Self::read(response.expect("the server answers")).expect("the answer has a whole body")
    }

    /// Reads an answer to its end; none if that does not come.
    pub(crate) fn read(mut response: ureq::http::Response<ureq::Body>) -> Option<Self> {
        let text = |value: &ureq::http::HeaderValue| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(64 << 20).read_to_vec().ok()?;
        Some(Self { status, headers, body })
    }

    /// Takes apart what came on a connection until it was closed; none if it is not a whole answer.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let reply = Self { status, headers, body: bytes.get(end + 4..)?.to_vec() };
        let length = reply.header("content-length").and_then(|text| text.parse().ok());
        (length == Some(reply.body.len())).then_some(reply)
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("{why} in {}", self.text()))
    }

    /// The tail log that came with it.
    ///
    /// # Panics
    /// When none came.
    #[must_use]
    pub fn tail(&self) -> String {
        let encoded = self.header("x-fc-log-result").expect("a tail log was asked for");
        let bytes = base64::prelude::BASE64_STANDARD.decode(encoded).expect("it is base64");
        String::from_utf8(bytes).expect("a tail log is text")
    }

    /// The code of an error.
    #[must_use]
    pub fn error_code(&self) -> String {
        self.json()["ErrorCode"].as_str().unwrap_or_default().to_owned()
    }

    /// What the function did wrong, from the body of a function error.
    ///
    /// # Panics
    /// When it is no function error.
    #[must_use]
    pub fn fault(&self) -> String {
        assert!(
            self.header("x-fc-error-type").is_some(),
            "no function error: {} {}",
            self.status,
            self.text()
        );
        self.json()["errorMessage"].as_str().unwrap_or_default().to_owned()
    }

    /// Asserts an error of the dialect: every one has a JSON body with a code and a message, and a request id.
    ///
    /// # Panics
    /// When it is another.
    pub fn is_error(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.error_code().as_str()), (status, code), "{}", self.text());
        assert!(!self.json()["ErrorMessage"].as_str().unwrap_or_default().is_empty());
        assert_eq!(self.header("x-fc-request-id").map(str::len), Some(36));
    }
}
