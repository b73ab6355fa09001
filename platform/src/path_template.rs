//! Paths with parameters, as routes of an API gateway have them: `/users/{id}`, `/files/{path+}`, matched whole or as a beginning.
//!
//! A template is compared segment by segment with what a path's segments say once their escapes are undone, so no spelling of a path
//! gets around a route that names it. Knows no request beyond its path.

use std::borrow::Cow;
use std::cmp::Ordering;

/// The longest template, in bytes.
pub(crate) const TEMPLATE_BYTES_MAX: usize = 512;
/// The longest name of a parameter, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathTemplate {
    segments: Vec<Segment>,
    /// Whether it is enough that a path begins with it, at the border of a segment.
    is_prefix: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// Exactly this text, escapes undone.
    Text(String),
    /// One segment that is not empty, under this name.
    One(String),
    /// All that is left and not empty, under this name. The last one.
    Rest(String),
}

impl Segment {
    /// How narrow it is.
    fn rank(&self) -> u8 {
        match self {
            Self::Text(_) => 2,
            Self::One(_) => 1,
            Self::Rest(_) => 0,
        }
    }
}

impl PathTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str, is_prefix: bool) -> Result<Self, String> {
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(format!("has {} bytes; the limit is {TEMPLATE_BYTES_MAX}", text.len()));
        }
        let rest = text.strip_prefix('/').ok_or("does not begin with `/`")?;
        // `/a/` as a beginning is that of what is below `/a`, which `/a` is as well.
        let rest = if is_prefix { rest.strip_suffix('/').unwrap_or(rest) } else { rest };
        let mut segments = Vec::new();
        if !(is_prefix && rest.is_empty()) {
            for part in rest.split('/') {
                if matches!(segments.last(), Some(Segment::Rest(_))) {
                    return Err("goes on after `{name+}`, which takes all that is left".to_owned());
                }
                segments.push(segment(part)?);
            }
        }
        let names: Vec<_> = segments.iter().filter_map(Segment::name).collect();
        let twice = names
            .iter()
            .enumerate()
            .find(|(at, name)| names.iter().take(*at).any(|earlier| earlier == *name));
        if let Some((_, name)) = twice {
            return Err(format!("has the parameter `{name}` twice"));
        }
        Ok(Self { segments, is_prefix })
    }

    /// The parameters of a path that it matches, in their order, escapes undone.
    pub(crate) fn matches<'a>(&'a self, path: &str) -> Option<Vec<(&'a str, String)>> {
        let mut left = Some(path.strip_prefix('/')?);
        if self.is_prefix && self.segments.is_empty() {
            return Some(Vec::new());
        }
        let mut parameters = Vec::new();
        for segment in &self.segments {
            let rest = left?;
            if let Segment::Rest(name) = segment {
                parameters.push((name.as_str(), unescape(rest).into_owned()));
                return (!rest.is_empty()).then_some(parameters);
            }
            let (part, after) = match rest.split_once('/') {
                Some((part, after)) => (part, Some(after)),
                None => (rest, None),
            };
            match segment {
                Segment::Text(text) if *text == *unescape(part) => {}
                Segment::One(name) if !part.is_empty() => {
                    parameters.push((name.as_str(), unescape(part).into_owned()));
                }
                _ => return None,
            }
            left = after;
        }
        (self.is_prefix || left.is_none()).then_some(parameters)
    }

    /// Which of two that match one path is meant: `Greater` is the narrower. A text is narrower than a parameter, a parameter than
    /// all that is left, a longer template than a shorter, the whole than a beginning.
    pub(crate) fn narrower(&self, other: &Self) -> Ordering {
        let ranks =
            |template: &Self| template.segments.iter().map(Segment::rank).collect::<Vec<_>>();
        ranks(self).cmp(&ranks(other)).then(other.is_prefix.cmp(&self.is_prefix))
    }

    /// Whether both match the same paths; names of parameters make no difference.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let same = |(one, other): (&Segment, &Segment)| match (one, other) {
            (Segment::Text(one), Segment::Text(other)) => one == other,
            (one, other) => one.rank() == other.rank(),
        };
        self.is_prefix == other.is_prefix
            && self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(same)
    }
}

impl Segment {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Text(_) => None,
            Self::One(name) | Self::Rest(name) => Some(name),
        }
    }
}

fn segment(part: &str) -> Result<Segment, String> {
    if let Some(inner) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        let (name, takes_rest) = match inner.strip_suffix('+') {
            Some(name) => (name, true),
            None => (inner, false),
        };
        let first =
            name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        let rest = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if !first || !rest || name.len() > NAME_BYTES_MAX {
            return Err("has a parameter whose name is not letters, digits, `_` and `-`".to_owned());
        }
        let name = name.to_owned();
        return Ok(if takes_rest { Segment::Rest(name) } else { Segment::One(name) });
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%".contains(&byte);
    if !part.bytes().all(plain) {
        return Err("has characters that no path has, or a parameter that is not a whole segment"
            .to_owned());
    }
    Ok(Segment::Text(unescape(part).into_owned()))
}

/// The text with its escapes undone; one that is no escape, or would make the text none, leaves it as it is.
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = (first == b'%').then(|| after.split_at_checked(2)).flatten();
        let byte = digits.and_then(|(digits, after)| {
            let hex = |digit: u8| char::from(digit).to_digit(16);
            let &[high, low] = digits else { return None };
            Some((u8::try_from(hex(high)? * 16 + hex(low)?).ok()?, after))
        });
        match byte {
            Some((byte, after)) => {
                bytes.push(byte);
                rest = after;
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_or_else(|_| text.into(), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(template: &str, path: &str) -> Option<String> {
        let (template, is_prefix) = match template.strip_suffix('^') {
            Some(template) => (template, true),
            None => (template, false),
        };
        let template = PathTemplate::parse(template, is_prefix).unwrap();
        let found = template.matches(path)?;
        let found: Vec<_> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Some(found.join(" "))
    }

    #[test]
    fn templates_and_paths() {
        // `^` marks those that match beginnings.
        for (template, path, found) in [
            ("/", "/", Some("")),
            ("/", "/a", None),
            ("/^", "/", Some("")),
            ("/^", "/a/b", Some("")),
            ("/a/b", "/a/b", Some("")),
            ("/a/b", "/a/b/", None),
            ("/a/", "/a/", Some("")),
            ("/a/", "/a", None),
            ("/a^", "/a", Some("")),
            ("/a^", "/a/", Some("")),
            ("/a^", "/a/b/c", Some("")),
            ("/a/^", "/a", Some("")),
            ("/a^", "/ab", None),
            ("/users/{id}", "/users/7", Some("id=7")),
            ("/users/{id}", "/users/", None),
            ("/users/{id}", "/users/7/x", None),
            ("/users/{id}^", "/users/7/x", Some("id=7")),
            ("/users/{id}/x", "/users/a%20b/x", Some("id=a b")),
            ("/users/{id}", "/users/a%2Fb", Some("id=a/b")),
            ("/users/{id}", "/users/%ff", Some("id=%ff")),
            ("/users/{id}", "/users/%zz", Some("id=%zz")),
            ("/{a}/{b}", "/x/y", Some("a=x b=y")),
            ("/{proxy+}", "/a/b/c", Some("proxy=a/b/c")),
            ("/{proxy+}", "/", None),
            ("/test/{proxy+}", "/test/hello", Some("proxy=hello")),
            ("/test/{proxy+}", "/test/", None),
            ("/test/{proxy+}", "/test", None),
            ("/admin", "/%61dmin", Some("")),
            ("/%61dmin", "/admin", Some("")),
            ("/a", "//a", None),
            ("/a", "a", None),
        ] {
            assert_eq!(of(template, path).as_deref(), found, "{template} {path}");
        }
    }

    #[test]
    fn what_is_no_template() {
        let long = format!("/{}", "a".repeat(TEMPLATE_BYTES_MAX));
        for text in [
            "", "a", "/{}", "/{+}", "/{a", "/a}", "/x{a}", "/{a}x", "/{1}", "/{a b}", "/{a++}",
            "/{a+}/b", "/{a}/{a}", "/a b", "/a?b", "/a#b", "/\u{e4}", "/a\\b", &long,
        ] {
            assert!(PathTemplate::parse(text, false).is_err(), "{text}");
        }
    }

    #[test]
    fn the_narrower_is_meant() {
        let parse = |text: &str| {
            let is_prefix = text.ends_with('^');
            PathTemplate::parse(text.trim_end_matches('^'), is_prefix).unwrap()
        };
        let order = [
            "/a/b", "/a/{x}/c", "/a/{x}", "/a/{x}^", "/a/{x+}", "/a", "/a^", "/{x}", "/{x+}", "/^",
        ];
        for pair in order.windows(2) {
            assert_eq!(parse(pair[0]).narrower(&parse(pair[1])), Ordering::Greater, "{pair:?}");
        }
        assert!(parse("/a/{x}").is_like(&parse("/a/{y}")));
        assert!(!parse("/a/{x}").is_like(&parse("/b/{x}")));
        assert!(!parse("/a").is_like(&parse("/a^")));
    }

    proptest! {
        #[test]
        fn no_text_panics(template in "[/{}+a-c%2]{0,12}", path in "[/a-c%2f]{0,12}", is_prefix: bool) {
            if let Ok(template) = PathTemplate::parse(&template, is_prefix)
                && let Some(found) = template.matches(&path)
            {
                prop_assert!(path.starts_with('/'));
                prop_assert!(found.iter().all(|(_, value)| !value.is_empty()));
            }
        }

        #[test]
        fn an_escaped_path_is_the_same_path(parts in prop::collection::vec("[a-c]{1,3}", 1..4)) {
            let path = format!("/{}", parts.join("/"));
            let escaped: String = path
                .chars()
                .map(|c| if c == '/' { "/".to_owned() } else { format!("%{:02x}", u32::from(c)) })
                .collect();
            let template = PathTemplate::parse(&path, false).unwrap();
            prop_assert!(template.matches(&path).is_some() && template.matches(&escaped).is_some());
        }
    }
}
