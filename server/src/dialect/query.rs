//! The query of a request: pairs in which `+` and `%20` are a space. Unknown keys are ignored; the first of equal keys counts.

use std::borrow::Cow;

/// Most pairs that are looked at.
const PAIRS_MAX: usize = 100;

/// A query, borrowed from the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(super) fn of(uri: &'a http::Uri) -> Self {
        Self(uri.query().unwrap_or_default())
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<Cow<'a, str>> {
        form_urlencoded::parse(self.0.as_bytes())
            .take(PAIRS_MAX)
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// All values of a key.
    pub(super) fn all(&self, key: &str) -> Vec<String> {
        form_urlencoded::parse(self.0.as_bytes())
            .take(PAIRS_MAX)
            .filter(|(name, _)| name == key)
            .map(|(_, value)| value.into())
            .collect()
    }

    /// The pairs whose keys begin with `prefix`, without it.
    pub(super) fn with_prefix(&self, prefix: &str) -> Vec<(String, String)> {
        form_urlencoded::parse(self.0.as_bytes())
            .take(PAIRS_MAX)
            .filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value.into())))
            .collect()
    }

    /// The value of a key as a number or another thing that has a text form; none if it is absent or empty.
    pub(super) fn parse<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, String> {
        match self.get(key).as_deref() {
            None | Some("") => Ok(None),
            Some(text) => match text.parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(format!(
                    "{key} is set to an invalid value (actual: '{}')",
                    text.escape_debug()
                )),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs() {
        let uri: http::Uri = "/x?a=1+2%203&limit=7&a=z&empty=&bad=x".parse().unwrap();
        let query = Query::of(&uri);
        assert_eq!(query.get("a").as_deref(), Some("1 2 3"));
        assert_eq!(query.parse::<u32>("limit"), Ok(Some(7)));
        assert_eq!(query.parse::<u32>("empty"), Ok(None));
        assert!(query.parse::<u32>("bad").is_err());
        assert_eq!(query.get("b"), None);
    }
}
