//! Sizes and durations as people write them: `128MiB`, `500ms`.
//!
//! One parser for the settings file, the environment, flags and the own API. It is exact: what cannot be represented is
//! refused rather than rounded, and what is printed parses back to the same value.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is no size or duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct QuantityError {
    text: String,
    expected: &'static str,
}

/// A number of bytes, written as `64KiB`, `128MiB`, `2GiB`, `500MB` or a plain number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A span of time, written as `500ms`, `5s`, `2m` or `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// Binary units first and largest first: the order in which printing tries them.
const SIZE_UNITS: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

/// In microseconds, largest first.
const SPAN_UNITS: [(&str, u64); 5] =
    [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000), ("us", 1)];

const SIZE_EXPECTED: &str = "a size such as 64KiB, 128MiB or 2GiB";
const SPAN_EXPECTED: &str = "a duration such as 500ms, 5s or 2m";

/// Splits `12.5MiB` into its number and unit and returns the product in the smallest unit, or none if it is not whole.
fn product(text: &str, units: &[(&str, u64)], bare: Option<u64>) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let unit = unit.trim_start();
    let factor = match unit {
        "" => bare?,
        _ => units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    match number.split_once('.') {
        None => number.parse::<u64>().ok()?.checked_mul(factor),
        Some((whole, part)) => {
            let scale = 10u64.checked_pow(u32::try_from(part.len()).ok()?)?;
            let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
            let part = part.parse::<u64>().ok()?.checked_mul(factor)?;
            if part % scale != 0 {
                return None;
            }
            whole.checked_add(part / scale)
        }
    }
}

impl FromStr for Size {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        product(text, &SIZE_UNITS, Some(1))
            .map(Self)
            .ok_or_else(|| QuantityError { text: text.to_owned(), expected: SIZE_EXPECTED })
    }
}

impl FromStr for Span {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        // A bare number would leave open whether seconds or milliseconds are meant; only 0 needs no unit.
        let bare = (text.trim() == "0").then_some(1);
        product(text, &SPAN_UNITS, bare)
            .map(|us| Self(Duration::from_micros(us)))
            .ok_or_else(|| QuantityError { text: text.to_owned(), expected: SPAN_EXPECTED })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = SIZE_UNITS
            .iter()
            .take(4)
            .find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor));
        match unit {
            Some((name, factor)) => write!(f, "{}{name}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX);
        let unit = SPAN_UNITS.iter().find(|(_, factor)| us > 0 && us % factor == 0);
        match unit {
            Some((name, factor)) => write!(f, "{}{name}", us / factor),
            None => write!(f, "{us}us"),
        }
    }
}

impl Span {
    /// A span of whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Reads text through [`FromStr`]; a size may be a plain number as well.
struct Text<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = QuantityError>> serde::de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity with its unit, such as 5s or 128MiB")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Text(std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Text(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in
            [("128MiB", 128 << 20), ("1.5 GiB", 3 << 29), ("0", 0), ("10kb", 10_000), ("7", 7)]
        {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in
            ["", "MiB", "-1MiB", "1.3B", "1e3", "18446744073709551616", "99999999TiB", "1..2MiB"]
        {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn spans_need_a_unit() {
        assert_eq!("500ms".parse(), Ok(Span(Duration::from_millis(500))));
        assert_eq!("1.5s".parse(), Ok(Span(Duration::from_millis(1500))));
        assert_eq!("0".parse(), Ok(Span(Duration::ZERO)));
        assert_eq!(
            "5".parse::<Span>().unwrap_err().to_string(),
            "`5` is not a duration such as 500ms, 5s or 2m"
        );
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(bytes in any::<u64>(), us in any::<u64>()) {
            prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
            let span = Span(Duration::from_micros(us));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Size>();
            let _ = text.parse::<Span>();
        }
    }
}
