//! How deep functions stand that call one another over HTTP: a header on each request of a guest, written by the host alone.
//!
//! A guest can neither set nor remove nor see it. A function that is called through a server of ours stands as deep as the header says,
//! and its own requests say one more. Beyond [`HTTP_DEPTH_MAX`] they are refused, so a function that calls itself in a loop ends
//! there. The header decides nothing else: who writes one from outside, in whatever form, can only make a call deeper than it is.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Denial;

/// The header: a decimal number, how many functions called one another to make this request; a request from outside has none.
pub const DEPTH_HEADER: HeaderName = HeaderName::from_static("x-hearth-depth");

/// How deep a function may stand and still make a request: as deep as for calls through `hearth:function/caller` unless its grant says
/// otherwise. It is one figure for all, since a request may come back through other servers that know no grant of ours.
pub const HTTP_DEPTH_MAX: u32 = crate::grant::DEFAULT_CALL_DEPTH;

/// How deep the function stands that a request with these headers calls: 0 without the header. Of several the largest counts, and
/// what is no number counts as too deep, since no host of ours wrote it.
#[must_use]
pub fn depth_of(headers: &HeaderMap) -> u32 {
    let read = |value: &HeaderValue| {
        let text =
            value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        text.and_then(|text| text.parse().ok()).unwrap_or(u32::MAX)
    };
    // Nearly no request has it, and to look through the few names there are costs less than to ask for one.
    if !headers.keys().any(|name| name.as_str().starts_with("x-hearth-")) {
        return 0;
    }
    headers.get_all(DEPTH_HEADER).iter().map(read).max().unwrap_or(0)
}

/// Writes the depth of what a function at `depth` calls over whatever is there.
pub(super) fn stamp(headers: &mut HeaderMap, depth: u32) {
    headers.insert(DEPTH_HEADER, HeaderValue::from(depth.saturating_add(1)));
}

/// Whether a function at `depth` may make a request.
pub(super) fn check(depth: u32) -> Result<(), Denial> {
    if depth < HTTP_DEPTH_MAX { Ok(()) } else { Err(Denial::TooDeep { limit: HTTP_DEPTH_MAX }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[&str]) -> u32 {
        let value = |text: &&str| (DEPTH_HEADER, HeaderValue::from_bytes(text.as_bytes()).unwrap());
        depth_of(&values.iter().map(value).collect())
    }

    #[test]
    fn what_is_no_number_is_too_deep_and_the_largest_counts() {
        assert_eq!((of(&[]), of(&["0"]), of(&["7"]), of(&["3", "5", "1"])), (0, 0, 7, 5));
        for text in ["", "-1", "+1", "1.0", " ", "1,2", "x", "4294967296", "99999999999999999999"] {
            assert_eq!(of(&["1", text]), u32::MAX, "{text:?}");
        }
    }

    #[test]
    fn each_level_adds_one_until_the_bound() {
        let mut headers = HeaderMap::new();
        let mut calls = 0;
        while check(depth_of(&headers)).is_ok() {
            let depth = depth_of(&headers);
            stamp(&mut headers, depth);
            calls += 1;
        }
        assert_eq!(calls, HTTP_DEPTH_MAX);
        assert_eq!(headers.get_all(DEPTH_HEADER).iter().count(), 1);
    }

    proptest! {
        #[test]
        fn no_value_brings_a_call_nearer_to_the_surface(depth in 0..HTTP_DEPTH_MAX, junk in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut headers = HeaderMap::new();
            stamp(&mut headers, depth);
            if let Ok(value) = HeaderValue::from_bytes(&junk) {
                headers.append(DEPTH_HEADER, value);
            }
            prop_assert!(depth_of(&headers) > depth);
        }
    }
}
