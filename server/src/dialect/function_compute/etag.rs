//! Entity tags: the platform's revision of a record as 32 hexadecimal digits. Also the figure of memory.

use hearth_engine::MIB;
use http::HeaderMap;
use http::header::{HeaderValue, IF_MATCH};

use super::super::query::Query;
use crate::http::header_value;

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
    let text = text.trim().trim_matches('"');
    match text {
        "" | "*" => None,
        _ if text.len() == 32 => Some(u64::from_str_radix(text, 16).unwrap_or(NEVER)),
        _ => Some(NEVER),
    }
}

/// Bytes as the decimal megabytes that the dialect writes, rounded to the nearest hundredth.
pub(super) fn megabytes(bytes: u64) -> String {
    let hundredths = (u128::from(bytes) * 100 + u128::from(MIB / 2)) / u128::from(MIB);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
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
        assert_eq!(megabytes(0), "0.00");
        assert_eq!(megabytes(MIB * 3 / 2), "1.50");
        assert_eq!(megabytes(89_338_675), "85.20");
    }
}
