//! W3C Trace Context, as far as passing a trace on goes: a valid `traceparent` gets a child span here, an invalid one is
//! treated as absent, as the recommendation says. No trace is started and no span is exported.

use std::sync::Arc;

/// A valid `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceParent {
    /// Reads the header's value.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() > 512 || !text.is_ascii() {
            return None;
        }
        let mut fields = text.split('-');
        let version = hex(fields.next()?, 2)?;
        let trace_id = hex(fields.next()?, 32)?;
        let span_id = u64::try_from(hex(fields.next()?, 16)?).ok()?;
        let flags = u8::try_from(hex(fields.next()?, 2)?).ok()?;
        // Later versions may append fields; version 00 has none, and ff is forbidden.
        let valid = version != 0xff && (version != 0 || fields.next().is_none());
        (valid && trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, flags })
    }

    /// The same trace, one span further.
    #[must_use]
    pub fn child(&self) -> Self {
        // The span id is one half of a random UUID; its fixed version bits keep it from being zero.
        let span_id = uuid::Uuid::new_v4().as_u64_pair().0;
        Self { span_id, ..*self }
    }

    /// The trace's id as 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The header's value.
    pub fn to_text(&self) -> Arc<str> {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags).into()
    }
}

/// A number of exactly so many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let lower = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (text.len() == digits && lower).then(|| u128::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_child_stays_in_the_trace() {
        let parent = TraceParent::parse(VALID).unwrap();
        assert_eq!(&*parent.to_text(), VALID);
        let child = parent.child();
        assert_eq!(child.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_ne!(child.span_id, parent.span_id);
        assert!(TraceParent::parse(&child.to_text()).is_some());
    }

    #[test]
    fn what_is_invalid_is_absent() {
        let zero_trace = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let zero_span = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", "0".repeat(16));
        let more = format!("{VALID}-more");
        for text in [
            "",
            "00",
            &zero_trace,
            &zero_span,
            &more,
            &VALID.to_uppercase(),
            &VALID.replacen("00", "ff", 1),
        ] {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
        assert!(TraceParent::parse(&format!("{}-more", VALID.replacen("00", "01", 1))).is_some());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9a-fA-F-]{0,80}|.{0,80}") {
            if let Some(parent) = TraceParent::parse(&text) {
                prop_assert_eq!(TraceParent::parse(&parent.to_text()), Some(parent));
            }
        }
    }
}
