//! An event function that calls another one through the host and hands its answer on. Every way in which a call can fail has a kind
//! of its own, so that who called this function can tell them apart.

use hearth_guest::{CallError, Context, Error, call, event_function};
use serde::Deserialize;

#[derive(Deserialize)]
struct Order {
    /// `service[.qualifier]/function`.
    target: String,
    payload: String,
}

event_function!(|order: Order, _: &Context| -> Result<String, Error> {
    let answer = call(&order.target, order.payload.as_bytes()).map_err(explain)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
});

/// An error of the host to one of this function's own.
fn explain(error: CallError) -> Error {
    let (kind, message) = match error {
        CallError::Denied(message) => ("CallDenied", message),
        CallError::NotFound(message) => ("CalleeNotFound", message),
        CallError::Refused(message) => ("CallRefused", message),
        CallError::FunctionError(document) => ("CalleeFailed", document),
        CallError::TooDeep(levels) => ("CallTooDeep", format!("{levels} levels of calls")),
        CallError::Failed(message) => ("CallFailed", message),
    };
    Error::new(kind, message)
}
