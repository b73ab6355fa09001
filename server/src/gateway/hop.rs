//! Headers that end at the next hop: they speak of the connection and not of the request, so they are never passed on.

use hearth_engine::is_of_one_hop;
use http::HeaderMap;
use http::header::{CONNECTION, HeaderName, TE};

/// Headers that `connection` may name without effect: who passes them on relies on them.
const NOT_TO_BE_NAMED: [&str; 5] = ["host", "content-length", "content-type", "date", "te"];

/// Takes away what is for one hop, with what `connection` names, and what `is_ours` finds.
pub(super) fn strip(headers: &mut HeaderMap, is_ours: impl Fn(&str) -> bool) {
    // One look at the few that are there costs less than asking for each that may not be.
    let is_gone = |(name, value): (&HeaderName, &http::HeaderValue)| {
        is_of_one_hop(name.as_str())
            || is_ours(name.as_str())
            // Whether trailers are taken is the one thing of it that matters to the other end.
            || (*name == TE && !value.as_bytes().eq_ignore_ascii_case(b"trailers"))
    };
    let mut gone: Vec<HeaderName> =
        headers.iter().filter(|line| is_gone(*line)).map(|(name, _)| name.clone()).collect();
    if gone.contains(&CONNECTION) {
        let named = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|name| !NOT_TO_BE_NAMED.iter().any(|kept| kept.eq_ignore_ascii_case(name)))
            .filter_map(|name| name.parse::<HeaderName>().ok());
        gone.extend(named);
    }
    for name in gone {
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
