//! The error a function reports. It lives until the host has read it, and reporting one does not harm the instance.

use std::fmt;

use crate::bindings::hearth::function::types;

/// Why a function brings no answer: a kind that callers match on, and a message for a person.
///
/// Every [`std::error::Error`] converts into it, so `?` works on whatever the function calls. The kind is then the name of the error's
/// type, such as `ParseIntError`, and the message includes the causes. For a kind that callers may rely on, use [`Error::new`].
///
/// It is deliberately not a [`std::error::Error`] itself: that is what makes the conversion from all of them possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: String,
    message: String,
    stack: Vec<String>,
}

impl Error {
    /// An error of that kind, reported as `errorType`, with that message, reported as `errorMessage`.
    pub fn new(kind: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { kind: kind.into(), message: message.to_string(), stack: Vec::new() }
    }

    /// Adds one line to `stackTrace`; call it from the innermost place outwards. The host reports at most 32 of them.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.stack.push(place.to_string());
        self
    }

    /// The kind, such as `OutOfStock`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The sentence for a person.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The places, innermost first.
    pub fn stack(&self) -> &[String] {
        &self.stack
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self::new(short_type_name::<E>(), message)
    }
}

impl From<Error> for types::Error {
    fn from(error: Error) -> Self {
        Self { kind: error.kind, message: error.message, stack: error.stack }
    }
}

/// The type's name as its author says it, without the path and without parameters: `Order`, `ParseIntError`.
pub(crate) fn short_type_name<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    let name = name.split_once('<').map_or(name, |(name, _)| name);
    name.rsplit_once("::").map_or(name, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn takes_the_kind_of_a_foreign_error_from_its_type() {
        let parse = |text: &str| -> Result<u32, Error> { Ok(text.parse()?) };
        let error = parse("seven").expect_err("no number");
        assert_eq!(error.to_string(), "ParseIntError: invalid digit found in string");
        assert!(error.stack().is_empty());
    }

    #[test]
    fn keeps_places_in_the_order_they_were_added() {
        let error = Error::new("OutOfStock", "no more kettles").at("shelf 3").at("order 17");
        assert_eq!(error.kind(), "OutOfStock");
        assert_eq!(error.stack(), ["shelf 3", "order 17"]);
    }
}
