//! The name of an object, checked once where it enters: what passes leads to one object of one bucket in every kind of store.

use crate::error::RequestError;

/// The longest key of an object, in bytes.
pub const OBJECT_KEY_BYTES_MAX: usize = 1023;
/// Bytes of the name of a bucket.
const BUCKET_BYTES: std::ops::RangeInclusive<usize> = 3..=63;

/// A bucket, and the key of an object in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectName {
    bucket: String,
    key: String,
}

impl ObjectName {
    /// Checks both.
    ///
    /// # Errors
    /// [`RequestError::Invalid`] with the rule.
    pub fn parse(bucket: &str, key: &str) -> Result<Self, RequestError> {
        check_bucket(bucket)?;
        let refuse = |why: String| Err(RequestError::invalid("object_key", why));
        if key.is_empty() || key.len() > OBJECT_KEY_BYTES_MAX {
            return refuse(format!("{} bytes are not 1 to {OBJECT_KEY_BYTES_MAX}", key.len()));
        }
        if key.starts_with(['/', '\\']) {
            return refuse("it begins with a slash".to_owned());
        }
        if key.chars().any(char::is_control) {
            return refuse("it has control characters".to_owned());
        }
        if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return refuse("a part between slashes is empty, `.` or `..`".to_owned());
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.bucket, self.key)
    }
}

/// The rule of the stores: 3 to 63 lower-case letters, digits, `-` and `.`, with a letter or digit at both ends.
pub(super) fn check_bucket(bucket: &str) -> Result<(), RequestError> {
    let is_end = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let bytes = bucket.as_bytes();
    let is_part = |byte: &u8| is_end(Some(byte)) || matches!(byte, b'-' | b'.');
    if BUCKET_BYTES.contains(&bytes.len())
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(is_part)
        && !bucket.contains("..")
    {
        return Ok(());
    }
    let why = "it is not 3 to 63 lower-case letters, digits, `-` and single `.`, with a letter or digit at both ends";
    Err(RequestError::invalid("object_bucket", why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused_by_field() {
        let field = |bucket: &str, key: &str| match ObjectName::parse(bucket, key) {
            Ok(_) => "",
            Err(RequestError::Invalid { field, .. }) => field,
            Err(other) => panic!("{other}"),
        };
        for bucket in ["code", "my-code.1", "a".repeat(63).as_str()] {
            assert_eq!(field(bucket, "f.zip"), "", "{bucket}");
        }
        for bucket in
            ["", "ab", "Code", "..", "a..b", ".ab", "ab-", "a/b", "a\0b", "a".repeat(64).as_str()]
        {
            assert_eq!(field(bucket, "f.zip"), "object_bucket", "{bucket}");
        }
        for key in ["a", "a/b.zip", "ä ö%2f+&.zip", "..a", "a..", "x".repeat(1023).as_str()] {
            assert_eq!(field("code", key), "", "{key}");
        }
        for key in [
            "",
            "/a",
            "\\a",
            "a//b",
            "a/",
            "..",
            "../a",
            "a/../b",
            "./a",
            "a/.",
            "a\0b",
            "a\nb",
            "x".repeat(1024).as_str(),
        ] {
            assert_eq!(field("code", key), "object_key", "{key}");
        }
    }
}
