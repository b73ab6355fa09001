//! Requests that want another protocol on their connection.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderName, Method};

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

/// What a request wants its connection to become.
pub(super) fn wanted(method: &Method, headers: &HeaderMap) -> Wanted {
    if *method == Method::CONNECT {
        return Wanted::Tunnel;
    }
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
            let mut headers = HeaderMap::new();
            for (name, value) in [(CONNECTION, connection), (UPGRADE, upgrade)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            wanted(&Method::GET, &headers)
        };
        assert_eq!(of(None, None), Wanted::Http);
        assert_eq!(of(Some("keep-alive, Upgrade"), Some("WebSocket")), Wanted::WebSocket);
        assert_eq!(of(Some("upgrade"), Some("foo/1, websocket")), Wanted::WebSocket);
        assert_eq!(of(None, Some("websocket")), Wanted::Http, "nobody asked the connection");
        assert_eq!(of(Some("Upgrade, HTTP2-Settings"), Some("h2c")), Wanted::Http);
        assert_eq!(of(Some("upgrade"), Some("h2c, TLS/1.0")), Wanted::Unknown);
        assert_eq!(of(Some("upgrade"), Some("a b")), Wanted::Unknown);
        assert_eq!(of(Some("upgrade"), Some("x")), Wanted::Unknown);
        assert_eq!(wanted(&Method::CONNECT, &HeaderMap::new()), Wanted::Tunnel);
    }
}
