//! Names, checked once where they enter. A value of these types is always well formed; nothing else in this crate looks at the
//! characters of a name.

use std::borrow::Borrow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::RequestError;

/// The longest name of a service, an alias or an invocation, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// The longest name of a function, in bytes.
pub const FUNCTION_NAME_BYTES_MAX: usize = 64;
/// The longest version number, in digits: what fits 64 bits.
const VERSION_DIGITS_MAX: usize = 19;
/// The qualifier of the code that was deployed last.
pub const LATEST: &str = "LATEST";

fn is_name(text: &str, longest: usize) -> bool {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    text.len() <= longest && text.bytes().next().is_some_and(first) && text.bytes().all(rest)
}

fn refuse(field: &'static str, text: &str, longest: usize) -> RequestError {
    let shown = text.get(..text.floor_char_boundary(longest)).unwrap_or_default();
    RequestError::invalid(
        field,
        format!(
            "`{}` is not 1 to {longest} letters, digits, `_` and `-`, beginning with a letter or `_`",
            shown.escape_debug()
        ),
    )
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $field:literal, $longest:expr $(, $reserved:expr)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks `text`.
            ///
            /// # Errors
            /// [`RequestError::Invalid`] with the rule.
            pub fn parse(text: &str) -> Result<Self, RequestError> {
                $(if text == $reserved {
                    let why = format!("`{}` is reserved", $reserved);
                    return Err(RequestError::invalid($field, why));
                })?
                if is_name(text, $longest) {
                    Ok(Self(Arc::from(text)))
                } else {
                    Err(refuse($field, text, $longest))
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = RequestError;

            fn try_from(text: String) -> Result<Self, RequestError> {
                Self::parse(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name!(
    /// The name of a service: `^[A-Za-z_][A-Za-z0-9_-]{0,127}$`.
    ServiceName, "service_name", NAME_BYTES_MAX
);
name!(
    /// The name of a function: `^[A-Za-z_][A-Za-z0-9_-]{0,63}$`.
    FunctionName, "function_name", FUNCTION_NAME_BYTES_MAX
);
name!(
    /// The name of an alias, which is never `LATEST`: `^[A-Za-z_][A-Za-z0-9_-]{0,127}$`.
    AliasName, "alias_name", NAME_BYTES_MAX, LATEST
);
name!(
    /// The name of a trigger: `^[A-Za-z_][A-Za-z0-9_-]{0,127}$`.
    TriggerName, "trigger_name", NAME_BYTES_MAX
);
name!(
    /// The name of a layer: `^[A-Za-z_][A-Za-z0-9_-]{0,63}$`.
    LayerName, "layer_name", FUNCTION_NAME_BYTES_MAX
);

/// What a caller asks for of a service: the newest code, a version or an alias.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Qualifier {
    /// What was deployed last.
    Latest,
    /// A published version, from 1.
    Version(u64),
    /// An alias.
    Alias(String),
}

impl Qualifier {
    /// Reads a qualifier; none and the empty text are `LATEST`.
    ///
    /// # Errors
    /// [`RequestError::Invalid`] with the rule.
    pub fn parse(text: Option<&str>) -> Result<Self, RequestError> {
        let text = match text {
            None | Some("" | LATEST) => return Ok(Self::Latest),
            Some(text) => text,
        };
        let digits = text.len() <= VERSION_DIGITS_MAX
            && !text.starts_with('0')
            && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse::<u64>() {
            Ok(version) if digits && version > 0 => Ok(Self::Version(version)),
            _ if is_name(text, NAME_BYTES_MAX) => Ok(Self::Alias(text.to_owned())),
            _ => Err(refuse("qualifier", text, NAME_BYTES_MAX)),
        }
    }
}

/// A fresh random id that begins with the time (UUID version 7). Those of one moment stand together in every index, so that a thousand
/// of them change a few pages of it and not a thousand.
#[must_use]
pub fn ordered_id() -> uuid::Uuid {
    let mut random = [0; 10];
    // The two ends of a random one; between them are its version and variant.
    let bytes = uuid::Uuid::new_v4().into_bytes();
    for (to, from) in random.iter_mut().zip(bytes.iter().take(6).chain(bytes.iter().skip(9))) {
        *to = *from;
    }
    let now_ms = crate::clock::to_ms(std::time::SystemTime::now());
    uuid::Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid()
}

/// The id of an invocation: 1 to 128 visible ASCII characters without `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InvocationId(Arc<str>);

impl InvocationId {
    /// A fresh one.
    pub fn random() -> Self {
        Self(Arc::from(ordered_id().to_string()))
    }

    /// One that a caller chose for an invocation to look up later: a name like others.
    ///
    /// # Errors
    /// [`RequestError::Invalid`] with the rule.
    pub fn chosen(text: &str) -> Result<Self, RequestError> {
        if is_name(text, NAME_BYTES_MAX) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(refuse("invocation_id", text, NAME_BYTES_MAX))
        }
    }

    /// Checks `text`.
    ///
    /// # Errors
    /// [`RequestError::Invalid`] with the rule.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/') {
            Ok(Self(Arc::from(text)))
        } else {
            Err(RequestError::invalid(
                "invocation_id",
                "it must be 1 to 128 visible ASCII characters without `/`",
            ))
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for InvocationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whom to invoke, borrowed from the request; checked by looking it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target<'a> {
    /// The service.
    pub service: &'a str,
    /// A version, an alias or `LATEST`; none is `LATEST`.
    pub qualifier: Option<&'a str>,
    /// The function.
    pub function: &'a str,
}

impl<'a> Target<'a> {
    /// The newest code of a function.
    pub fn latest(service: &'a str, function: &'a str) -> Self {
        Self { service, qualifier: None, function }
    }
}

impl std::fmt::Display for Target<'_> {
    /// `service/function` or `service.qualifier/function`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.qualifier {
            None | Some("") => write!(f, "{}/{}", self.service, self.function),
            Some(qualifier) => write!(f, "{}.{qualifier}/{}", self.service, self.function),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn qualifiers() {
        for text in [None, Some(""), Some("LATEST")] {
            assert_eq!(Qualifier::parse(text), Ok(Qualifier::Latest));
        }
        assert_eq!(Qualifier::parse(Some("12")), Ok(Qualifier::Version(12)));
        assert_eq!(Qualifier::parse(Some("prod")), Ok(Qualifier::Alias("prod".into())));
        for text in ["0", "01", "+1", "-1", "1.2", "99999999999999999999", "a/b", "é"] {
            assert!(Qualifier::parse(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_refusal_shows_a_bounded_and_harmless_part() {
        let hostile = format!("\u{1b}[2J{}", "é".repeat(10_000));
        let text = ServiceName::parse(&hostile).unwrap_err().to_string();
        assert!(text.len() < 500 && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn ids_of_a_later_moment_come_later_and_none_comes_twice() {
        let first = ordered_id().to_string();
        std::thread::sleep(std::time::Duration::from_millis(3));
        let later: std::collections::BTreeSet<_> =
            (0..10_000).map(|_| ordered_id().to_string()).collect();
        assert_eq!(later.len(), 10_000);
        assert!(later.iter().all(|id| *id > first && id.len() == 36), "{first}");
    }

    #[test]
    fn bounds() {
        assert!(FunctionName::parse(&"a".repeat(64)).is_ok());
        assert!(FunctionName::parse(&"a".repeat(65)).is_err());
        assert!(ServiceName::parse(&"a".repeat(128)).is_ok());
        assert!(ServiceName::parse(&"a".repeat(129)).is_err());
    }

    proptest! {
        #[test]
        fn accepted_is_exactly_the_pattern(text in any::<String>()) {
            prop_assert_eq!(ServiceName::parse(&text).is_ok(), is_name(&text, 128));
            if let Ok(name) = ServiceName::parse(&text) {
                prop_assert!(name.as_str().is_ascii() && !name.as_str().contains(['/', '.', '\0']));
            }
        }

        #[test]
        fn well_formed_names_survive_a_round_trip(text in "[A-Za-z_][A-Za-z0-9_-]{0,63}") {
            let name = FunctionName::parse(&text).unwrap();
            let json = serde_json::to_string(&name).unwrap();
            prop_assert_eq!(serde_json::from_str::<FunctionName>(&json).unwrap(), name);
        }

        #[test]
        fn a_first_digit_or_hyphen_is_refused(text in "[0-9-][A-Za-z0-9_-]{0,20}") {
            prop_assert!(FunctionName::parse(&text).is_err());
        }
    }
}
