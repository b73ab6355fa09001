//! The name of one invocation.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// Names one invocation, in its log lines, its errors and what is remembered of it: a random UUID, or any text that came with the call.
///
/// Reads as a `str`. A random one lies in place: memory asked for and given back would cost a small guest's call a tenth.
///
/// ```
/// use hearth_engine::RequestId;
///
/// assert_eq!(RequestId::random().len(), 36);
/// assert_eq!(&*RequestId::from("r-1"), "r-1");
/// ```
#[derive(Clone)]
pub struct RequestId(Text);

#[derive(Clone)]
enum Text {
    Random([u8; uuid::fmt::Hyphenated::LENGTH]),
    Given(Arc<str>),
}

impl RequestId {
    /// A random UUID (version 4), in lower case with hyphens.
    #[must_use]
    pub fn random() -> Self {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        uuid::Uuid::new_v4().hyphenated().encode_lower(&mut text);
        Self(Text::Random(text))
    }
}

impl Deref for RequestId {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            // Hexadecimal digits and hyphens.
            Text::Random(text) => std::str::from_utf8(text).unwrap_or_default(),
            Text::Given(text) => text,
        }
    }
}

/// The empty text: of what is no invocation.
impl Default for RequestId {
    fn default() -> Self {
        Self(Text::Given(Arc::default()))
    }
}

impl From<Arc<str>> for RequestId {
    fn from(text: Arc<str>) -> Self {
        Self(Text::Given(text))
    }
}

impl From<&str> for RequestId {
    fn from(text: &str) -> Self {
        Self(Text::Given(text.into()))
    }
}

impl From<String> for RequestId {
    fn from(text: String) -> Self {
        Self(Text::Given(text.into()))
    }
}

impl From<RequestId> for Arc<str> {
    fn from(id: RequestId) -> Self {
        match id.0 {
            Text::Random(_) => Self::from(&*id),
            Text::Given(text) => text,
        }
    }
}

impl PartialEq for RequestId {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for RequestId {}

impl Hash for RequestId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_and_what_was_made_read_alike() {
        let made = RequestId::random();
        assert!(uuid::Uuid::parse_str(&made).is_ok(), "{made}");
        let given = RequestId::from(&*made);
        assert_eq!((&given, given.to_string()), (&made, format!("{made}")));
        assert_eq!(format!("{given:?}"), format!("{made:?}"));
        assert_eq!(&*Arc::<str>::from(made.clone()), &*given);
        assert_ne!(RequestId::random(), made);
        assert_eq!(&*RequestId::default(), "");
    }
}
