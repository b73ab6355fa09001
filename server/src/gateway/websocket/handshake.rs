//! The opening handshake of RFC 6455, section 4.2, or over HTTP/2 that of RFC 8441, section 5: what a request for a WebSocket must say,
//! and the response that grants it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Method, StatusCode, Version};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::Refused;
use crate::dialect::function_compute::errors::WireError;
use crate::http::{Body, Response, header_value};

/// What every server adds to the key, so that nobody takes for a WebSocket what is none.
const ADDED: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Bytes behind the text of a key.
const KEY_BYTES: usize = 16;

/// The only version there is.
const VERSION: &str = "13";

/// Subprotocols that one client may offer.
const SUBPROTOCOLS_MAX: usize = 32;

/// A handshake that may be granted.
#[derive(Debug)]
pub(super) struct Handshake {
    /// Proof that its key was read; over HTTP/2, where nobody takes for a WebSocket what is none, there is no key.
    accept: Option<HeaderValue>,
    /// What the client offers, best first.
    pub(super) subprotocols: Vec<String>,
}

/// What is wrong with a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is no handshake.
    Malformed(&'static str),
    /// Of another version of the protocol, and of this one of HTTP.
    Version(Version),
}

impl Wrong {
    pub(super) fn into_response(self) -> Result<Response, Refused> {
        match self {
            Self::Malformed(why) => {
                Err(WireError::invalid(format!("the handshake is not one of a WebSocket: {why}"))
                    .into())
            }
            Self::Version(http) => {
                let message = format!("WebSockets of version {VERSION} are served here");
                // The status says which protocol to go over to, which HTTP/2 has no header for.
                let error = match http < Version::HTTP_2 {
                    true => {
                        WireError::new(StatusCode::UPGRADE_REQUIRED, "UpgradeRequired", message)
                    }
                    false => WireError::invalid(message),
                };
                let mut response = Refused::from(error).into_response(&Method::GET);
                let headers = response.headers_mut();
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
                if http < Version::HTTP_2 {
                    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                }
                Ok(response)
            }
        }
    }
}

impl Handshake {
    /// Reads a request whose `upgrade` names a WebSocket, or whose stream is to become one.
    pub(super) fn of<B>(request: &http::Request<B>) -> Result<Self, Wrong> {
        let (headers, http) = (request.headers(), request.version());
        if request.method() != Method::GET || http < Version::HTTP_11 {
            return Err(Wrong::Malformed("it is a GET of HTTP/1.1, or a CONNECT of HTTP/2"));
        }
        if !headers.contains_key(HOST) {
            return Err(Wrong::Malformed("it has no host"));
        }
        // A body would be read as frames by one end and not by the other.
        let length = headers.get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
        if headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != b"0") {
            return Err(Wrong::Malformed("it has a body"));
        }
        let accept = match http < Version::HTTP_2 {
            true => {
                let key = one(headers, SEC_WEBSOCKET_KEY.as_str()).filter(|key| is_key(key));
                let key = key.ok_or(Wrong::Malformed("its key is not 16 bytes in base64"))?;
                Some(accept_of(key))
            }
            false => None,
        };
        if one(headers, SEC_WEBSOCKET_VERSION.as_str()) != Some(VERSION) {
            return Err(Wrong::Version(http));
        }
        let mut subprotocols = Vec::new();
        for line in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
            let line = line.to_str().map_err(|_| Wrong::Malformed("a subprotocol is no token"))?;
            for name in line.split(',').map(str::trim) {
                if !is_token(name) || subprotocols.len() == SUBPROTOCOLS_MAX {
                    return Err(Wrong::Malformed("a subprotocol is no token, or one too many"));
                }
                if !subprotocols.iter().any(|known| known == name) {
                    subprotocols.push(name.to_owned());
                }
            }
        }
        Ok(Self { accept, subprotocols })
    }

    /// The response that grants it.
    pub(super) fn response(&self, subprotocol: Option<&str>) -> Response {
        let mut response = Response::new(Body::empty());
        if let Some(accept) = &self.accept {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept.clone());
        }
        if let Some(subprotocol) = subprotocol {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, header_value(subprotocol));
        }
        response
    }
}

/// The value of a header that is there once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then(|| value.trim())
}

fn is_key(text: &str) -> bool {
    STANDARD.decode(text).is_ok_and(|key| key.len() == KEY_BYTES)
}

fn is_token(text: &str) -> bool {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_of_token)
}

fn accept_of(key: &str) -> HeaderValue {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{ADDED}").as_bytes());
    header_value(&STANDARD.encode(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, section 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn request(lines: &[(&str, &str)]) -> http::Request<()> {
        let mut request = http::Request::get("/").header("host", "x");
        let defaults = [("sec-websocket-key", KEY), ("sec-websocket-version", "13")];
        let is_said = |name: &str| lines.iter().any(|(said, _)| *said == name);
        for (name, value) in defaults.iter().filter(|(name, _)| !is_said(name)).chain(lines) {
            if !value.is_empty() {
                request = request.header(*name, *value);
            }
        }
        request.body(()).unwrap()
    }

    #[test]
    fn the_key_is_answered_as_the_standard_has_it() {
        let handshake = Handshake::of(&request(&[])).unwrap();
        let response = handshake.response(Some("chat"));
        let headers = response.headers();
        assert_eq!(response.status(), 101);
        assert_eq!(headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(headers["sec-websocket-protocol"], "chat");
    }

    #[test]
    fn over_http_2_there_is_no_key_and_no_101() {
        let mut asked = request(&[("sec-websocket-key", ""), ("sec-websocket-protocol", "chat")]);
        *asked.version_mut() = Version::HTTP_2;
        let handshake = Handshake::of(&asked).unwrap();
        let response = handshake.response(Some("chat"));
        assert_eq!(response.status(), 200);
        let names: Vec<_> = response.headers().keys().map(http::HeaderName::as_str).collect();
        assert_eq!(names, ["sec-websocket-protocol"]);
        asked.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("8"));
        let response = Handshake::of(&asked).unwrap_err().into_response();
        let Ok(response) = response else { panic!("an answer that says the version") };
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()[SEC_WEBSOCKET_VERSION], VERSION);
        assert!(!response.headers().contains_key(UPGRADE));
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        for lines in [
            &[("sec-websocket-key", "")][..],
            &[("sec-websocket-key", "c2hvcnQ=")],
            &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ")],
            &[("sec-websocket-key", KEY), ("sec-websocket-key", KEY)],
            &[("content-length", "1")],
            &[("transfer-encoding", "chunked")],
            &[("sec-websocket-protocol", "a b")],
            &[("sec-websocket-protocol", "a,,b")],
        ] {
            let found = Handshake::of(&request(lines));
            assert!(matches!(found, Err(Wrong::Malformed(_))), "{lines:?}");
        }
        for version in ["8", "14", "13, 8", ""] {
            let found = Handshake::of(&request(&[("sec-websocket-version", version)]));
            assert_eq!(found.unwrap_err(), Wrong::Version(Version::HTTP_11), "{version}");
        }
        let mut post = request(&[]);
        *post.method_mut() = Method::POST;
        let mut old = request(&[]);
        *old.version_mut() = Version::HTTP_10;
        let mut nowhere = request(&[]);
        nowhere.headers_mut().remove(HOST);
        for request in [post, old, nowhere] {
            assert!(matches!(Handshake::of(&request), Err(Wrong::Malformed(_))), "{request:?}");
        }
    }

    #[test]
    fn subprotocols_are_a_list_without_repetition() {
        let lines = [("sec-websocket-protocol", "b, a"), ("sec-websocket-protocol", "a,c")];
        assert_eq!(Handshake::of(&request(&lines)).unwrap().subprotocols, ["b", "a", "c"]);
        let many: Vec<_> = (0..=SUBPROTOCOLS_MAX).map(|number| number.to_string()).collect();
        let many = many.join(",");
        let found = Handshake::of(&request(&[("sec-websocket-protocol", &many)]));
        assert!(matches!(found, Err(Wrong::Malformed(_))));
    }
}
