//! Headers that end at the next hop: they speak of the connection and not of the request, so they are never passed on.

use http::HeaderMap;
use http::header::{
    CONNECTION, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};

const OF_ONE_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("http2-settings"),
];

/// Headers that `connection` may name without effect: who passes them on relies on them.
const NOT_TO_BE_NAMED: [&str; 5] = ["host", "content-length", "content-type", "date", "te"];

/// Takes away what is for one hop, with what `connection` names, and what `is_ours` finds.
pub(super) fn strip(headers: &mut HeaderMap, is_ours: impl Fn(&str) -> bool) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|name| !NOT_TO_BE_NAMED.iter().any(|kept| kept.eq_ignore_ascii_case(name)))
            .filter_map(|name| name.parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in OF_ONE_HOP {
        headers.remove(name);
    }
    // Whether trailers are taken is the one thing of it that matters to the other end.
    if headers.get(TE).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"trailers")) {
        headers.remove(TE);
    }
    let ours: Vec<HeaderName> =
        headers.keys().filter(|name| is_ours(name.as_str())).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_one_hop_stays_behind() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Private , host"),
            ("connection", "x-second, \u{20ac}"),
            ("keep-alive", "5"),
            ("x-private", "1"),
            ("x-second", "1"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip, trailers"),
            ("upgrade", "x"),
            ("host", "a"),
            ("x-kept", "1"),
            ("x-fc-mine", "1"),
        ] {
            let name: HeaderName = name.parse().unwrap();
            if let Ok(value) = value.parse() {
                headers.append(name, value);
            }
        }
        headers.append("connection", "x-second".parse().unwrap());
        strip(&mut headers, |name| name.starts_with("x-fc-"));
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["host", "x-kept"]);
        headers.insert(TE, "Trailers".parse().unwrap());
        strip(&mut headers, |_| false);
        assert!(headers.contains_key(TE));
    }
}
