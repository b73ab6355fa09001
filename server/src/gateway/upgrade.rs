//! Requests that want another protocol on their connection.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderName, Method, Request};
use hyper::ext::Protocol;

/// What a request wants its connection to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing else. Offers of HTTP/2 are here too: whoever makes them takes an answer in HTTP/1.1.
    Http,
    /// A WebSocket.
    WebSocket,
    /// A tunnel.
    Tunnel,
    /// Anything else.
    Unknown,
}

/// Whether a list in a header holds a token.
fn holds(headers: &HeaderMap, name: &HeaderName, token: impl Fn(&str) -> bool) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| token(item.trim()))
}

/// Whether a request wants its stream of HTTP/2 to become a WebSocket (RFC 8441, section 5).
fn is_websocket_stream<B>(request: &Request<B>) -> bool {
    let protocol = request.extensions().get::<Protocol>();
    protocol.is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"))
}

/// Gives a request that wants its stream to become a WebSocket the method that it has over HTTP/1.1, so that what routes and triggers say
/// of methods, and what callers sign, is the same for both.
pub(super) fn settle<B>(request: &mut Request<B>) {
    if is_websocket_stream(request) {
        *request.method_mut() = Method::GET;
    }
}

/// What a request wants its connection to become.
pub(super) fn wanted<B>(request: &Request<B>) -> Wanted {
    if is_websocket_stream(request) {
        return Wanted::WebSocket;
    }
    if *request.method() == Method::CONNECT {
        return Wanted::Tunnel;
    }
    let headers = request.headers();
    let is_asked = headers.contains_key(UPGRADE)
        && holds(headers, &CONNECTION, |token| token.eq_ignore_ascii_case("upgrade"));
    if !is_asked {
        return Wanted::Http;
    }
    if holds(headers, &UPGRADE, |token| token.eq_ignore_ascii_case("websocket")) {
        return Wanted::WebSocket;
    }
    let is_http = |token: &str| {
        token.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("h2"))
            || token.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("http/"))
    };
    if holds(headers, &UPGRADE, |token| !is_http(token)) { Wanted::Unknown } else { Wanted::Http }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted() {
        let of = |connection: Option<&str>, upgrade: Option<&str>| {
            let mut request = Request::new(());
            for (name, value) in [(CONNECTION, connection), (UPGRADE, upgrade)] {
                if let Some(value) = value {
                    request.headers_mut().insert(name, value.parse().unwrap());
                }
            }
            wanted(&request)
        };
        assert_eq!(of(None, None), Wanted::Http);
        assert_eq!(of(Some("keep-alive, Upgrade"), Some("WebSocket")), Wanted::WebSocket);
        assert_eq!(of(Some("upgrade"), Some("foo/1, websocket")), Wanted::WebSocket);
        assert_eq!(of(None, Some("websocket")), Wanted::Http, "nobody asked the connection");
        assert_eq!(of(Some("Upgrade, HTTP2-Settings"), Some("h2c")), Wanted::Http);
        assert_eq!(of(Some("upgrade"), Some("h2c, TLS/1.0")), Wanted::Unknown);
        assert_eq!(of(Some("upgrade"), Some("a b")), Wanted::Unknown);
        assert_eq!(of(Some("upgrade"), Some("x")), Wanted::Unknown);
    }

    #[test]
    fn what_is_wanted_of_a_stream() {
        let of = |protocol: Option<&'static str>| {
            let mut request = Request::connect("/").body(()).unwrap();
            if let Some(protocol) = protocol {
                request.extensions_mut().insert(Protocol::from_static(protocol));
            }
            settle(&mut request);
            (wanted(&request), request.method().clone())
        };
        assert_eq!(of(Some("websocket")), (Wanted::WebSocket, Method::GET));
        assert_eq!(of(Some("connect-udp")), (Wanted::Tunnel, Method::CONNECT));
        assert_eq!(of(None), (Wanted::Tunnel, Method::CONNECT));
    }
}
