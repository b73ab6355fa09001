//! Calls from one function to another, through the host. A call lives inside the caller's deadline and is denied unless the caller's
//! grants name the callee.

use serde::{Serialize, de::DeserializeOwned};

use crate::{CallError, Error};

/// Invokes `service[.qualifier]/function` with these bytes and waits for its answer.
///
/// # Errors
///
/// [`CallError`] says why there is no answer; `Refused` is the one that may pass by itself. It converts into [`Error`] with `?`.
pub fn call(target: &str, payload: &[u8]) -> Result<Vec<u8>, CallError> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::hearth::function::caller::call(target, payload);

    #[cfg(not(target_family = "wasm"))]
    Err(CallError::Failed(format!(
        "{target} was called with {} bytes outside of a host",
        payload.len()
    )))
}

/// [`call`] with JSON both ways.
///
/// # Errors
///
/// As [`call`], and when either side is not the JSON its type says.
pub fn call_json<Answer: DeserializeOwned>(
    target: &str,
    payload: &impl Serialize,
) -> Result<Answer, Error> {
    let answer = call(target, &serde_json::to_vec(payload)?)?;
    Ok(serde_json::from_slice(&answer)?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn has_no_one_to_call_outside_of_a_host() {
        let error = super::call_json::<u32>("shop/order", &1).expect_err("no host");
        assert_eq!(error.kind(), "CallError");
        assert!(error.message().contains("outside of a host"), "{error}");
    }
}
