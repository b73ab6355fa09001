//! Between the component's exports and the function: bytes to the event's type, the answer to bytes, errors to the WIT record. Each
//! function here lives for one call and keeps nothing.

use serde::{Serialize, de::DeserializeOwned};

use crate::{Context, Error, bindings::hearth::function::types, error::short_type_name};

/// Serves one event as JSON.
pub fn json<Event, Answer, Handler>(
    event: &[u8],
    context: &Context,
    handler: Handler,
) -> Result<Vec<u8>, types::Error>
where
    Event: DeserializeOwned,
    Answer: Serialize,
    Handler: FnOnce(Event, &Context) -> Result<Answer, Error>,
{
    crate::panic_message::to_log();
    let event = parse(event)?;
    let answer = handler(event, context)?;
    serde_json::to_vec(&answer).map_err(|error| {
        let message =
            format!("answer of type {} is not JSON: {error}", short_type_name::<Answer>());
        Error::new("InvalidAnswer", message).into()
    })
}

/// Serves one event as bytes.
pub fn raw<Handler>(
    event: &[u8],
    context: &Context,
    handler: Handler,
) -> Result<Vec<u8>, types::Error>
where
    Handler: FnOnce(&[u8], &Context) -> Result<Vec<u8>, Error>,
{
    crate::panic_message::to_log();
    Ok(handler(event, context)?)
}

/// Runs the hook `initialize`.
pub fn initialize<Hook>(context: &Context, hook: Hook) -> Result<(), types::Error>
where
    Hook: FnOnce(&Context) -> Result<(), Error>,
{
    crate::panic_message::to_log();
    Ok(hook(context)?)
}

/// Runs a hook that cannot fail.
pub fn hook<Hook>(context: &Context, hook: Hook)
where
    Hook: FnOnce(&Context),
{
    crate::panic_message::to_log();
    hook(context);
}

/// An empty event is `null`: callers that have nothing to say send nothing, and `()` and `Option` should accept that.
fn parse<Event: DeserializeOwned>(event: &[u8]) -> Result<Event, Error> {
    let text: &[u8] = if event.is_empty() { b"null" } else { event };
    serde_json::from_slice(text).map_err(|error| {
        let what = if event.is_empty() { "empty event" } else { "event" };
        let message = format!("{what} is not a valid {}: {error}", short_type_name::<Event>());
        Error::new("InvalidEvent", message)
    })
}

#[cfg(test)]
mod tests {
    use super::{json, raw};
    use crate::{Context, Error};

    #[derive(serde::Deserialize)]
    struct Order {
        item: String,
        count: u32,
    }

    #[derive(serde::Serialize)]
    struct Receipt {
        message: String,
    }

    fn order(event: &str) -> Result<String, (String, String)> {
        let answer = json(event.as_bytes(), &Context::default(), |order: Order, _: &Context| {
            Ok(Receipt { message: format!("{} x {}", order.count, order.item) })
        });
        answer
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|error| (error.kind, error.message))
    }

    #[test]
    fn answers_in_json() {
        assert_eq!(
            order(r#"{"item":"kettle","count":2}"#),
            Ok(r#"{"message":"2 x kettle"}"#.to_owned())
        );
    }

    #[test]
    fn says_where_an_event_is_wrong() {
        let wrong = |event: &str| order(event).expect_err("a wrong event");
        let (kind, message) = wrong("{\"item\":\"kettle\",\n \"count\":\"two\"}");
        assert_eq!(kind, "InvalidEvent");
        assert_eq!(
            message,
            "event is not a valid Order: invalid type: string \"two\", expected u32 at line 2 column 14"
        );
        let (_, message) = wrong(r#"{"item":"kettle"}"#);
        assert_eq!(
            message,
            "event is not a valid Order: missing field `count` at line 1 column 17"
        );
        let (_, message) = wrong("{");
        assert!(message.ends_with("EOF while parsing an object at line 1 column 1"), "{message}");
        let (_, message) = wrong("");
        assert!(message.starts_with("empty event is not a valid Order: "), "{message}");
    }

    #[test]
    fn refuses_bytes_behind_the_event_and_bytes_that_are_not_utf8() {
        let number = |event: &[u8]| json(event, &Context::default(), |n: u32, _: &Context| Ok(n));
        assert_eq!(number(b" 7\n").expect("white space is fine"), b"7");
        assert_eq!(number(b"7 8").expect_err("two values").kind, "InvalidEvent");
        assert_eq!(number(b"\"\xff\"").expect_err("not UTF-8").kind, "InvalidEvent");
    }

    #[test]
    fn takes_an_empty_event_as_null() {
        let answer = json(b"", &Context::default(), |event: Option<u32>, _: &Context| Ok(event));
        assert_eq!(answer.expect("null is an Option"), b"null");
    }

    #[test]
    fn reports_an_answer_that_is_not_json() {
        let answer = json(b"", &Context::default(), |(): (), _: &Context| {
            Ok(std::collections::BTreeMap::from([((1, 2), 3)]))
        });
        let error = answer.expect_err("keys must be strings");
        assert_eq!(error.kind, "InvalidAnswer");
        assert!(error.message.contains("key must be a string"), "{}", error.message);
    }

    #[test]
    fn hands_on_bytes_and_errors() {
        let context = Context { function: "shout".to_owned(), ..Context::default() };
        let answer = raw(b"\xff\x00", &context, |event, _| Ok(event.to_vec()));
        assert_eq!(answer.expect("bytes"), b"\xff\x00");
        let error = raw(b"", &context, |_, context| {
            Err(Error::new("Silent", format!("nothing to {}", context.function)))
        });
        let error = error.expect_err("nothing to shout");
        assert_eq!((error.kind.as_str(), error.message.as_str()), ("Silent", "nothing to shout"));
    }
}
