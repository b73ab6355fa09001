//! Entity tags: the platform's revision of a record as 32 hexadecimal digits. Also the figure of memory.

use hearth_engine::MIB;
use http::header::{ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, Method, StatusCode};

use super::super::query::Query;
use crate::http::{Body, Response, header_value};

/// What no record's revision is: a tag that is none of ours matches nothing.
const NEVER: u64 = u64::MAX;

/// The tag of a revision.
pub(super) fn of(revision: u64) -> HeaderValue {
    header_value(&format!("{revision:032x}"))
}

/// The revision that the caller expects, if it names one; in the query as well, where one official client puts it.
pub(super) fn expected(headers: &HeaderMap, query: Query<'_>) -> Option<u64> {
    let header = headers.get(IF_MATCH).map(|value| value.to_str().unwrap_or("?").to_owned());
    let text = header.or_else(|| query.get("if-match").map(Into::into))?;
    let text = text.trim();
    if matches!(text, "" | "*") {
        return None;
    }
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let revision = u64::from_str_radix(text, 16).ok();
    let is_tag = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some(revision.filter(|_| is_tag).unwrap_or(NEVER))
}

/// The tags that a reader has already, if it says so.
pub(super) fn known(method: &Method, headers: &HeaderMap) -> Option<String> {
    if method != Method::GET {
        return None;
    }
    headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The response, or that nothing changed where the reader has it already.
pub(super) fn unless_known(response: Response, known: Option<&str>) -> Response {
    let tag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
    let (Some(known), Some(tag)) = (known, tag) else { return response };
    let is_same = |text: &str| {
        let text = text.trim();
        text == "*" || text.trim_start_matches("W/").trim_matches('"') == tag
    };
    if !known.split(',').any(is_same) {
        return response;
    }
    let mut unchanged = Response::new(Body::empty());
    *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
    if let Some(tag) = response.headers().get(ETAG) {
        unchanged.headers_mut().insert(ETAG, tag.clone());
    }
    unchanged
}

/// Bytes as the decimal megabytes that the dialect writes, rounded to the nearest hundredth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Megabytes {
    text: [u8; 24],
    from: usize,
}

impl Megabytes {
    pub(crate) fn of(bytes: u64) -> Self {
        let mut rest = bytes.saturating_mul(100).saturating_add(MIB / 2) / MIB;
        // Digit by digit from the last on: it is on every response, and formatting is ten times the work.
        let mut text = [b'0'; 24];
        let mut length = 0;
        for (at, place) in text.iter_mut().rev().enumerate() {
            if at == 2 {
                *place = b'.';
                continue;
            }
            *place = b'0'.saturating_add(u8::try_from(rest % 10).unwrap_or(0));
            rest /= 10;
            length = at + 1;
            if rest == 0 && at > 2 {
                break;
            }
        }
        Self { from: text.len().saturating_sub(length), text }
    }

    pub(crate) fn as_str(&self) -> &str {
        let text = self.text.get(self.from..).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_survive_the_round_trip() {
        let uri = http::Uri::from_static("/x");
        let mut headers = HeaderMap::new();
        assert_eq!(expected(&headers, Query::of(&uri)), None);
        headers.insert(IF_MATCH, of(77));
        assert_eq!(expected(&headers, Query::of(&uri)), Some(77));
        for (text, revision) in [
            ("\"0000000000000000000000000000004d\"", 77),
            ("nonsense", NEVER),
            ("\"\"", NEVER),
            ("\"\"\"\"", NEVER),
            ("+000000000000000000000000000004d", NEVER),
            ("invalid-etag", NEVER),
        ] {
            headers.insert(IF_MATCH, HeaderValue::from_static(text));
            assert_eq!(expected(&headers, Query::of(&uri)), Some(revision));
        }
        let uri = http::Uri::from_static("/x?if-match=0000000000000000000000000000004d");
        assert_eq!(expected(&HeaderMap::new(), Query::of(&uri)), Some(77));
    }

    #[test]
    fn megabytes_have_two_digits() {
        assert_eq!(Megabytes::of(0).as_str(), "0.00");
        assert_eq!(Megabytes::of(MIB / 20).as_str(), "0.05");
        assert_eq!(Megabytes::of(MIB * 4096).as_str(), "4096.00");
        assert_eq!(Megabytes::of(u64::MAX).as_str(), "175921860444.15");
        assert_eq!(Megabytes::of(MIB * 3 / 2).as_str(), "1.50");
        assert_eq!(Megabytes::of(89_338_675).as_str(), "85.20");
    }
}
